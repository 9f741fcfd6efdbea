"""Who may see whom through a whole subject, and calls in which less is visible."""

import torch
from torch import Tensor

from veriformer.case import Case
from veriformer.inputs import Inputs
from veriformer.masks import Mask, reachable
from veriformer_spec.role import Role


def may_see(case: Case, inputs: Inputs) -> Mask:
    """``batch q_len k_len``: which queries may change with which key; a token always changes with itself."""
    visible = inputs.visible()
    if not inputs.self_attending:
        return visible
    if case.role is Role.MULTI_HEAD_ATTENTION:
        return visible | torch.eye(inputs.q_len, dtype=torch.bool)
    return reachable(visible, case.layers)


def must_see(case: Case, inputs: Inputs) -> Mask:
    """``batch q_len k_len``: which queries must change with which key.

    As ``may_see``, except that a query that sees one key returns that key's value, whatever it asks for.
    """
    visible = inputs.visible()
    specified = ~inputs.unspecified()[..., None]
    if inputs.self_attending and case.role is Role.MULTI_HEAD_ATTENTION:
        asks = visible.sum(-1, keepdim=True) > 1
        return (visible | (torch.eye(inputs.q_len, dtype=torch.bool) & asks)) & specified
    return may_see(case, inputs) & specified


def without(inputs: Inputs, kept: Tensor) -> tuple[Inputs, Tensor]:
    """The same call with only the keys in ``kept``, and which queries it still holds.

    Where queries are the same tokens, or are aligned with the keys by causality, they go with their keys.
    """
    together = inputs.self_attending or inputs.causal
    queries = kept if together else torch.arange(inputs.q_len)
    return inputs.taking(kept, kept if together else None), queries


def with_an_empty_row(inputs: Inputs, row: int, query: int) -> Inputs:
    """The same call with everything hidden from one query."""
    assert inputs.mask is not None
    mask = inputs.mask.clone()
    mask[row, :, query] = False
    return inputs.with_mask(mask)
