"""Masking: what a query may not see, as boolean tensors in which True means may attend.

Four questions: which keys a causal query sees, how far back a window reaches, how two masks become one, and what a query that
sees nothing returns.
"""

import math

import torch
from jaxtyping import Bool, Float, Int
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


def causal_from_the_start(q_len: int, k_len: int, device: torch.device) -> Bool[Tensor, "q_len k_len"]:
    """Let the first query see the first key alone, the second query two keys, and so on.

    visible[i, j] = (j <= i), counting queries and keys from their first: the beginnings of the two sequences are aligned.

    Source:
        PyTorch documentation, scaled_dot_product_attention (masking.fewer-queries-than-keys-align-as-claimed).
    """
    query_position = torch.arange(q_len, device=device)
    key_position = torch.arange(k_len, device=device)
    return key_position[None, :] <= query_position[:, None]


def triangle(q_len: int, k_len: int, alignment: str, device: torch.device) -> Bool[Tensor, "q_len k_len"]:
    """The causal mask, aligned as claimed: at the start, or at the end, where a cache puts new queries.

    Source:
        Vaswani et al. 2017, section 3.1 (masking.fewer-queries-than-keys-align-as-claimed).
    """
    aligned = causal_from_the_start if alignment == "start" else causal
    return aligned(q_len, k_len, device)


def window(
    query_positions: Int[Tensor, "*batch q_len"], key_positions: Int[Tensor, "*batch k_len"], width: int
) -> Bool[Tensor, "*batch q_len k_len"]:
    """Hide what lies ``width`` positions or more behind a query: with its own position it sees ``width`` of them.

    visible = (query position - key position < width); the causal mask hides what lies ahead.

    Source:
        Beltagy et al. 2020, section 3.1; Jiang et al. 2023, section 2 (masking.sliding-window-sees-exactly-its-width).
    """
    return query_positions[..., :, None] - key_positions[..., None, :] < width


def for_every_query(tokens: Bool[Tensor, "batch k_len"] | None) -> Bool[Tensor, "batch 1 1 k_len"] | None:
    """Show the real tokens, and no padding, to every head and every query.

    Source:
        Vaswani et al. 2017, section 3.2.3 (masking.padding-may-stand-where-claimed,
        masking.source-padding-is-invisible-to-the-target).
    """
    return None if tokens is None else tokens[:, None, None, :]


def combine(
    mask: Bool[Tensor, "*#batch #q_len k_len"] | None, causal_mask: Bool[Tensor, "*#batch #q_len k_len"] | None
) -> Bool[Tensor, "*#batch #q_len k_len"] | None:
    """Show a key only where both masks allow it; None hides nothing.

    No mask is recognised as one of a kind: prefixes and packed sequences pass as any other.

    Source:
        Vaswani et al. 2017, section 3.2.3 (masking.masks-combine-by-conjunction, masking.masks-broadcast,
        masking.a-prefix-is-bidirectional, masking.packed-sequences-do-not-mix, masking.each-head-obeys-its-own-mask).
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
