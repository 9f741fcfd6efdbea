"""Attention: softmax(Q Kᵀ / sqrt(d_head)) V, for one head.

Leading axes (batch, heads) are written ``*batch`` and change nothing: each query averages the values it can see.
The paper's d_k is ``d_head`` here, its d_v is ``d_value``.
"""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from veriformer_reference import masking


def scale_factor(d_head: int, claimed: str | float) -> float:
    """What the scores are multiplied by.

    1 / sqrt(d_head) (equation 1), so that the variance of a score does not grow with the size of a key.

    Args:
        claimed: "inverse-root" (also where "unspecified"), "none", "folded" (the weights carry it), or a number.

    Source:
        Vaswani et al. 2017, section 3.2.1, equation 1 and footnote 4
        (attention.scale-is-the-inverse-root-of-the-key-size).
    """
    if isinstance(claimed, int | float):
        return float(claimed)
    if claimed in {"none", "folded"}:
        return 1.0
    return 1.0 / math.sqrt(d_head)


def scores(
    query: Float[Tensor, "*batch q_len d_head"], key: Float[Tensor, "*batch k_len d_head"], factor: float
) -> Float[Tensor, "*batch q_len k_len"]:
    """How well each key matches each query.

    Q Kᵀ · factor (inside equation 1).

    Source:
        Vaswani et al. 2017, section 3.2.1, equation 1 (attention.equals-equation-1).
    """
    return query @ key.mT * factor


def cap(scores: Float[Tensor, "*batch q_len k_len"], limit: float | None) -> Float[Tensor, "*batch q_len k_len"]:
    """Bend the scores smoothly into a range: none is larger than ``limit`` in size. None bends nothing.

    limit · tanh(score / limit): after the scale, before any mask, so that hidden keys stay at minus infinity.

    Source:
        Gemma Team 2024 (Gemma 2), section 2 (heads.scores-are-capped-as-claimed).
    """
    return scores if limit is None else limit * torch.tanh(scores / limit)


def add_bias(
    scores: Float[Tensor, "*batch q_len k_len"], bias: Float[Tensor, "*#batch q_len k_len"] | None
) -> Float[Tensor, "*batch q_len k_len"]:
    """Add what depends on the distance of query and key, where positions enter so.

    Q Kᵀ · factor + B.

    Source:
        Press et al. 2022, section 3; Raffel et al. 2020, section 2.1 (position.only-the-difference-counts).
    """
    return scores if bias is None else scores + bias


def softmax(scores: Float[Tensor, "*batch q_len k_len"]) -> Float[Tensor, "*batch q_len k_len"]:
    """Turn each query's scores into weights that are positive and sum to one over the keys.

    exp(sᵢ - max s) / Σⱼ exp(sⱼ - max s); torch subtracts the maximum, which changes nothing and cannot overflow.

    Source:
        Vaswani et al. 2017, section 3.2.1, equation 1; Goodfellow et al. 2016, section 4.1
        (attention.softmax-runs-over-keys, attention.large-scores-stay-finite,
        attention.adding-a-constant-to-a-row-of-scores-changes-nothing, attention.one-key-returns-its-value).
    """
    return torch.softmax(scores, dim=-1)


def weights(
    scores: Float[Tensor, "*batch q_len k_len"], mask: Bool[Tensor, "*#batch #q_len k_len"] | None
) -> Float[Tensor, "*batch q_len k_len"]:
    """The share of each visible key: a distribution over the keys, or zeros for a query that sees none.

    softmax(scores), where hidden scores are minus infinity (section 3.2.3).

    Source:
        Vaswani et al. 2017, sections 3.2.1 and 3.2.3 (attention.weights-are-a-distribution,
        masking.masked-keys-are-invisible, masking.outputs-depend-on-every-visible-key,
        masking.no-mask-is-an-all-true-mask, masking.a-row-with-nothing-visible-is-as-claimed).
    """
    if mask is None:
        return softmax(scores)
    hidden = masking.hide(scores, masking.open_empty_rows(mask))
    return masking.empty_empty_rows(softmax(hidden), mask)


def average(
    weights: Float[Tensor, "*batch q_len k_len"], value: Float[Tensor, "*batch k_len d_value"]
) -> Float[Tensor, "*batch q_len d_value"]:
    """The values, averaged with the weights.

    weights · V (the end of equation 1).

    Source:
        Vaswani et al. 2017, section 3.2.1, equation 1 (attention.output-lies-in-the-hull-of-the-values,
        attention.value-size-may-differ-from-key-size).
    """
    return weights @ value


def attention(
    query: Float[Tensor, "*batch q_len d_head"],
    key: Float[Tensor, "*batch k_len d_head"],
    value: Float[Tensor, "*batch k_len d_value"],
    mask: Bool[Tensor, "*#batch #q_len k_len"] | None = None,
    *,
    scale: str | float = "inverse-root",
    causal: bool = False,
    alignment: str = "end",
    soft_cap: float | None = None,
    bias: Float[Tensor, "*#batch q_len k_len"] | None = None,
) -> Float[Tensor, "*batch q_len d_value"]:
    """Average the values, weighting each by how well its key matches the query.

    softmax(Q Kᵀ / sqrt(d_head)) V (equation 1).

    Args:
        mask: True where a query may look; a query that may look nowhere returns zeros.
        scale: see ``scale_factor``.
        causal: whether the future is hidden as well.
        alignment: where fewer causal queries than keys stand: see ``masking.triangle``.
        soft_cap: see ``cap``.
        bias: added to the scores.

    Source:
        Vaswani et al. 2017, section 3.2.1, equation 1 (attention.equals-equation-1, attention.queries-are-independent,
        attention.keys-and-values-permute-together, attention.doubling-the-keys-changes-nothing).
    """
    q_len, k_len = query.shape[-2], key.shape[-2]
    causal_mask = masking.triangle(q_len, k_len, alignment, query.device) if causal else None
    visible = masking.combine(mask, causal_mask)
    factor = scale_factor(query.shape[-1], scale)
    matches = add_bias(cap(scores(query, key, factor), soft_cap), bias)
    return average(weights(matches, visible), value)
