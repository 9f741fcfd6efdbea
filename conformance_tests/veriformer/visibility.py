"""Who may see whom through a whole subject, and calls in which less is visible."""

import torch
from torch import Tensor

from veriformer.case import Case
from veriformer.inputs import Inputs
from veriformer.masks import Mask, reachable
from veriformer_spec.role import Role

_WITHOUT_SKIP = (Role.MULTI_HEAD_ATTENTION, Role.SELF_ATTENTION)
"""Roles that attend once, with nothing around it that carries a token to its own output."""


def may_see(case: Case, inputs: Inputs) -> Mask:
    """``batch q_len k_len``: which queries may change with which key; a token always changes with itself.

    A memory's position reaches the targets that attend to it, and in each further layer the targets that see those.
    """
    visible = inputs.visible()
    if inputs.crosses:
        return passed_on(inputs.among_queries(), visible, case.layers - 1)
    if not inputs.self_attending:
        return visible
    if case.role in _WITHOUT_SKIP:
        return visible | torch.eye(inputs.q_len, dtype=torch.bool)
    return reachable(visible, case.layers)


def must_see(case: Case, inputs: Inputs) -> Mask:
    """``batch q_len k_len``: which queries must change with which key.

    As ``may_see``, except that a query that sees one key returns that key's value, whatever it asks for.
    """
    visible = inputs.visible()
    specified = ~inputs.unspecified()[..., None]
    if inputs.self_attending and case.role in _WITHOUT_SKIP:
        asks = visible.sum(-1, keepdim=True) > 1
        return (visible | (torch.eye(inputs.q_len, dtype=torch.bool) & asks)) & specified
    return may_see(case, inputs) & specified


def may_see_queries(case: Case, inputs: Inputs) -> Mask:
    """``batch q_len q_len``: which outputs may change with which query."""
    own = torch.eye(inputs.q_len, dtype=torch.bool).expand(inputs.batch, -1, -1)
    if inputs.crosses or inputs.self_attending:
        return reachable(inputs.among_queries(), case.layers)
    return own


def passed_on(among: Mask, visible: Mask, times: int) -> Mask:
    """``batch q_len k_len``: what is ``visible`` to a query, or to one that reaches it in up to ``times`` looks ``among`` queries."""
    return (reachable(among, times).double() @ visible.double()) > 0 if times else visible


def without(inputs: Inputs, kept: Tensor) -> tuple[Inputs, Tensor]:
    """The same call with only the keys in ``kept``, and which queries it still holds.

    Where queries are the same tokens, or stand beside the keys by causality or by positions, they go with their keys.
    """
    together = inputs.self_attending or inputs.aligned
    queries = kept if together else torch.arange(inputs.q_len)
    return inputs.taking(kept, kept if together else None), queries


def with_an_empty_row(inputs: Inputs, row: int, query: int) -> Inputs:
    """The same call with everything hidden from one query."""
    assert inputs.mask is not None
    mask = inputs.mask.clone()
    mask[row, :, query] = False
    return inputs.with_mask(mask)
