"""Masking: what a query may not see, as boolean tensors in which True means may attend.

Three questions: which keys a causal query sees, how two masks become one, and what a query that sees nothing returns.
"""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def causal(q_len: int, k_len: int, device: torch.device) -> Bool[Tensor, "q_len k_len"]:
    """Let each query see its own position and all before it.

    visible[i, j] = (j <= i). Fewer queries than keys are the last ones: the ends of the two sequences are aligned.

    Source:
        Vaswani et al. 2017, section 3.1 (masking.causal-outputs-ignore-the-future,
        masking.causal-positions-see-themselves-and-all-before).
    """
    query_position = torch.arange(k_len - q_len, k_len, device=device)
    key_position = torch.arange(k_len, device=device)
    return key_position[None, :] <= query_position[:, None]


def combine(
    mask: Bool[Tensor, "*#batch #q_len k_len"] | None, causal_mask: Bool[Tensor, "q_len k_len"] | None
) -> Bool[Tensor, "*#batch #q_len k_len"] | None:
    """Show a key only where both masks allow it; None hides nothing.

    Source:
        Vaswani et al. 2017, section 3.2.3 (masking.masks-combine-by-conjunction, masking.masks-broadcast).
    """
    if mask is None:
        return causal_mask
    if causal_mask is None:
        return mask
    return mask & causal_mask


def hide(
    scores: Float[Tensor, "*batch q_len k_len"], mask: Bool[Tensor, "*#batch #q_len k_len"]
) -> Float[Tensor, "*batch q_len k_len"]:
    """Set the scores of hidden keys to minus infinity, which no other score outweighs and every dtype can hold.

    Source:
        Vaswani et al. 2017, section 3.2.3: masking out, by setting to minus infinity, all values in the input of the
        softmax (masking.masked-keys-are-invisible, masking.masks-apply-before-the-softmax,
        masking.padding-does-not-change-real-positions, masking.no-score-is-too-large-to-mask, numerics.half-precision-masks-stay-finite).
    """
    return scores.masked_fill(~mask, -math.inf)


def some_key_visible(mask: Bool[Tensor, "*batch q_len k_len"]) -> Bool[Tensor, "*batch q_len 1"]:
    """Tell which queries see one key or more.

    Source:
        masking.a-row-with-nothing-visible-is-as-claimed.
    """
    return mask.any(dim=-1, keepdim=True)


def open_empty_rows(mask: Bool[Tensor, "*batch q_len k_len"]) -> Bool[Tensor, "*batch q_len k_len"]:
    """Show everything to a query that sees nothing, so that no NaN ever arises, neither forward nor backward.

    Equation 1 does not define the softmax of an empty set. Opening the row *before* the softmax is what matters: a NaN
    that is overwritten after the softmax still runs through its backward pass.

    Source:
        pytorch/pytorch#42323 (masking.a-row-with-nothing-visible-touches-no-other).
    """
    return mask | ~some_key_visible(mask)


def empty_empty_rows(
    weights: Float[Tensor, "*batch q_len k_len"], mask: Bool[Tensor, "*#batch #q_len k_len"]
) -> Float[Tensor, "*batch q_len k_len"]:
    """Weigh nothing where nothing is visible: such a query returns zeros, as the reference claims.

    Source:
        masking.a-row-with-nothing-visible-is-as-claimed (nothing_visible="zeros").
    """
    return weights.masked_fill(~some_key_visible(mask), 0.0)
