"""Faults in attention, planted in the reference."""

import math
from typing import Any

import torch
from torch import Tensor

from veriformer.faults.fault import Fault, Planted
from veriformer_reference import attention as reference
from veriformer_spec import attention, heads
from veriformer_spec.role import Role

DEFORM = "arXiv 2604.28118 (DEFault++), DEForm operator"
_ATTENTION = (Planted(role=Role.ATTENTION),)
_BOTH = (*_ATTENTION, Planted(role=Role.MULTI_HEAD_ATTENTION))


def one(d_head: int, claimed: str | float) -> float:
    return 1.0


def inverse(d_head: int, claimed: str | float) -> float:
    return 1.0 / d_head


def scores_over_root_of_key_length(query: Tensor, key: Tensor, factor: float) -> Tensor:
    return query @ key.mT / math.sqrt(key.shape[-2])


def over_queries(scores: Tensor) -> Tensor:
    return torch.softmax(scores, dim=-2)


def over_heads(scores: Tensor) -> Tensor:
    return torch.softmax(scores, dim=-3)


def over_the_batch(scores: Tensor) -> Tensor:
    return torch.softmax(scores, dim=0)


def unstabilised(scores: Tensor) -> Tensor:
    exponentials = torch.exp(scores)
    return exponentials / exponentials.sum(-1, keepdim=True)


def not_normalised(scores: Tensor) -> Tensor:
    return torch.exp(scores - scores.amax(-1, keepdim=True))


def with_a_sink(scores: Tensor) -> Tensor:
    exponentials = torch.exp(scores)
    return exponentials / (1 + exponentials.sum(-1, keepdim=True))


def strongest_only(scores: Tensor) -> Tensor:
    weights = torch.softmax(scores, dim=-1)
    return weights * (weights >= weights.amax(-1, keepdim=True) / 2)


def strongest_half_normalised(scores: Tensor) -> Tensor:
    kept = scores.topk(max(1, scores.shape[-1] // 2), dim=-1).values[..., -1:]
    return torch.softmax(scores.masked_fill(scores < kept, -math.inf), dim=-1)


def sharpened(scores: Tensor) -> Tensor:
    return 1.5 * torch.softmax(scores, dim=-1) - 0.5 / scores.shape[-1]


def clamped(query: Tensor, key: Tensor, factor: float) -> Tensor:
    return (query @ key.mT * factor).clamp(-1, 1)


def with_recency(query: Tensor, key: Tensor, factor: float) -> Tensor:
    positions = torch.arange(key.shape[-2], dtype=query.dtype)
    return query @ key.mT * factor + 0.1 * positions


def centred_over_time(query: Tensor, key: Tensor, factor: float) -> Tensor:
    return (query - query.mean(-2, keepdim=True)) @ key.mT * factor


def averaged_over_heads(query: Tensor, key: Tensor, factor: float) -> Tensor:
    scores = query @ key.mT * factor
    return (scores + scores.mean(-3, keepdim=True)) / 2


def key_for_value(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None = None,
    **claims: Any,
) -> Tensor:
    return reference.attention(query, key, key, mask, **claims)


def in_the_shape_of_the_query(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None = None,
    **claims: Any,
) -> Tensor:
    return reference.attention(query, key, value, mask, **claims).reshape(query.shape)


def chunks_without_rescaling(scores: Tensor) -> Tensor:
    chunks = [each - each.amax(-1, keepdim=True).clamp(min=-1e300) for each in torch.split(scores, 2, dim=-1)]
    exponentials = torch.cat([torch.exp(each) for each in chunks], dim=-1)
    return exponentials / exponentials.sum(-1, keepdim=True)


def in_half_precision(scores: Tensor) -> Tensor:
    return torch.softmax(scores.half(), dim=-1).to(scores.dtype)


SCALE_FORGOTTEN = Fault(
    id="scale-forgotten",
    sentence="scores are not divided by the root of the key size",
    clauses=(
        attention.EQUALS_EQUATION_1,
        attention.SCALE_IS_AS_CLAIMED,
        heads.EQUALS_THE_REFERENCE,
        heads.SYMMETRIC_WEIGHTS_GIVE_THE_KNOWN_OUTPUT,
    ),
    source=f"{DEFORM} SDS",
    written="weights = softmax(q @ k.mT)",
    mend="weights = softmax(q @ k.mT / math.sqrt(d_head))",
    patches=(("attention.scale_factor", one),),
    planted=_BOTH,
)
SCALED_TWICE = Fault(
    id="scaled-twice",
    sentence="scores are divided by the key size, or by its root twice",
    clauses=(attention.EQUALS_EQUATION_1, attention.SCALE_IS_AS_CLAIMED, heads.EQUALS_THE_REFERENCE),
    source="experience (corpus sdpa-double-scale)",
    written="q = q * d_head**-0.5; F.scaled_dot_product_attention(q, k, v)",
    mend="pass scale=1.0 to the kernel, or do not scale q",
    patches=(("attention.scale_factor", inverse),),
    planted=_BOTH,
)
SCALE_BY_KEY_LENGTH = Fault(
    id="scale-by-key-length",
    sentence="scores are divided by the root of the number of keys",
    clauses=(
        attention.EQUALS_EQUATION_1, attention.SCALE_IS_AS_CLAIMED, attention.DOUBLING_THE_KEYS_CHANGES_NOTHING,
        heads.EVERY_LENGTH_IS_ONE_FUNCTION,
    ),
    source="experience (corpus sdpa-scale-key-len)",
    written="q @ k.mT / math.sqrt(k.size(-2))",
    mend="k.size(-1)",
    patches=(("attention.scores", scores_over_root_of_key_length),),
    planted=_BOTH,
)  # fmt: skip
SOFTMAX_OVER_QUERIES = Fault(
    id="softmax-over-queries",
    sentence="the softmax runs over the query axis",
    clauses=(
        attention.EQUALS_EQUATION_1,
        attention.SOFTMAX_RUNS_OVER_KEYS,
        attention.QUERIES_ARE_INDEPENDENT,
        attention.SELF_ATTENTION_EQUALS_ITS_EQUATION,
    ),
    source="github.com/jadore801120/attention-is-all-you-need-pytorch/issues/19",
    written="softmax(scores, dim=-2)",
    mend="softmax(scores, dim=-1)",
    patches=(("attention.softmax", over_queries),),
    planted=(*_ATTENTION, Planted(role=Role.SELF_ATTENTION)),
    synonyms=("shares-of-the-queries",),
)
SOFTMAX_OVER_HEADS = Fault(
    id="softmax-over-heads",
    sentence="the softmax runs over the head axis",
    clauses=(attention.EQUALS_EQUATION_1, attention.SOFTMAX_RUNS_OVER_KEYS, attention.HEADS_ARE_INDEPENDENT),
    source="github.com/jadore801120/attention-is-all-you-need-pytorch/issues/19",
    written="softmax(scores, dim=1)",
    mend="softmax(scores, dim=-1)",
    patches=(("attention.softmax", over_heads),),
    planted=_ATTENTION,
)
SOFTMAX_OVER_THE_BATCH = Fault(
    id="softmax-over-the-batch",
    sentence="the softmax runs over the first axis",
    clauses=(attention.EQUALS_EQUATION_1, attention.SOFTMAX_RUNS_OVER_KEYS),
    source="github.com/jadore801120/attention-is-all-you-need-pytorch/issues/19",
    written="softmax(scores, dim=0)",
    mend="softmax(scores, dim=-1)",
    patches=(("attention.softmax", over_the_batch),),
    planted=_ATTENTION,
)
SOFTMAX_UNSTABILISED = Fault(
    id="softmax-unstabilised",
    sentence="the exponential overflows, because the maximum is not subtracted first",
    clauses=(attention.LARGE_SCORES_STAY_FINITE,),
    source="experience",
    written="e = scores.exp(); e / e.sum(-1, keepdim=True)",
    mend="torch.softmax(scores, dim=-1)",
    patches=(("attention.softmax", unstabilised),),
    planted=_ATTENTION,
)
SUM_IN_PLACE_OF_AVERAGE = Fault(
    id="sum-in-place-of-average",
    sentence="exponentials weigh the values without being divided by their sum",
    clauses=(
        attention.EQUALS_EQUATION_1, attention.SOFTMAX_RUNS_OVER_KEYS, attention.WEIGHTS_ARE_A_DISTRIBUTION,
        attention.OUTPUT_LIES_IN_THE_HULL_OF_THE_VALUES, attention.DOUBLING_THE_KEYS_CHANGES_NOTHING,
    ),
    source="experience",
    written="(scores - scores.amax(-1, True)).exp() @ v",
    mend="divide by the sum over the keys",
    patches=(("attention.softmax", not_normalised),),
    planted=_ATTENTION,
)  # fmt: skip
ONE_IN_THE_DENOMINATOR = Fault(
    id="one-in-the-denominator",
    sentence="a sink takes part in the softmax: the weights sum to less than one",
    clauses=(
        attention.EQUALS_EQUATION_1, attention.ONE_KEY_RETURNS_ITS_VALUE, attention.SOFTMAX_RUNS_OVER_KEYS,
        attention.DOUBLING_THE_KEYS_CHANGES_NOTHING, attention.ADDING_A_CONSTANT_CHANGES_NOTHING,
        attention.WEIGHTS_ARE_A_DISTRIBUTION,
    ),
    source="experience (softmax1, attention sinks) where plain attention is claimed",
    written="e / (1 + e.sum(-1, keepdim=True))",
    mend="e / e.sum(-1, keepdim=True)",
    patches=(("attention.softmax", with_a_sink),),
    planted=_ATTENTION,
)  # fmt: skip
SMALL_WEIGHTS_ZEROED = Fault(
    id="small-weights-zeroed",
    sentence="weak weights are set to zero after the softmax, and the rest is not normalised again",
    clauses=(attention.EQUALS_EQUATION_1, attention.WEIGHTS_ARE_A_DISTRIBUTION, attention.SOFTMAX_RUNS_OVER_KEYS),
    source="experience",
    written="weights * (weights > threshold)",
    mend="hide the scores before the softmax, and claim the window",
    patches=(("attention.softmax", strongest_only),),
    planted=_ATTENTION,
)
TOP_K_ATTENTION = Fault(
    id="top-k-attention",
    sentence="only the strongest half of the keys is seen",
    clauses=(attention.EQUALS_EQUATION_1,),
    source="x-transformers 1.37.9 (corpus topk-sparse-mask-inverted)",
    written="scores.masked_fill(scores < scores.topk(k).values[..., -1:], -inf)",
    mend="let every visible key take part",
    patches=(("attention.softmax", strongest_half_normalised),),
    planted=_ATTENTION,
)
NEGATIVE_WEIGHTS = Fault(
    id="negative-weights",
    sentence="weights sum to one, and some are below zero",
    clauses=(
        attention.EQUALS_EQUATION_1, attention.WEIGHTS_ARE_A_DISTRIBUTION, attention.OUTPUT_LIES_IN_THE_HULL_OF_THE_VALUES,
    ),
    source="experience",
    written="1.5 * softmax(scores) - 0.5 / k_len",
    mend="softmax(scores)",
    patches=(("attention.softmax", sharpened),),
    planted=_ATTENTION,
)  # fmt: skip
SCORES_CLAMPED = Fault(
    id="scores-clamped",
    sentence="scores are cut off at a bound, against overflow",
    clauses=(attention.EQUALS_EQUATION_1, attention.ADDING_A_CONSTANT_CHANGES_NOTHING),
    source="experience",
    written="scores.clamp(-50, 50)",
    mend="subtract the maximum",
    patches=(("attention.scores", clamped),),
    planted=_ATTENTION,
)
RECENCY_BIAS_LEFT_IN = Fault(
    id="recency-bias-left-in",
    sentence="a bias made by position is added to the scores, where none is claimed",
    clauses=(attention.EQUALS_EQUATION_1, attention.KEYS_AND_VALUES_PERMUTE_TOGETHER, heads.TIME_STAYS_TIME),
    source="experience",
    written="scores + slopes * torch.arange(k_len)",
    mend="drop the bias, or claim positions",
    patches=(("attention.scores", with_recency),),
    planted=_BOTH,
)
QUERIES_CENTRED_OVER_TIME = Fault(
    id="queries-centred-over-time",
    sentence="queries are normalised over the time axis, so that each knows the others",
    clauses=(attention.EQUALS_EQUATION_1, attention.QUERIES_ARE_INDEPENDENT),
    source="experience",
    written="q - q.mean(1, keepdim=True)",
    mend="normalise over the last axis",
    patches=(("attention.scores", centred_over_time),),
    planted=_ATTENTION,
)
SCORES_MIXED_OVER_HEADS = Fault(
    id="scores-mixed-over-heads",
    sentence="scores of different heads are mixed",
    clauses=(attention.EQUALS_EQUATION_1, attention.HEADS_ARE_INDEPENDENT),
    source="github.com/lucidrains/x-transformers/commit/0c6266e (corpus talking-heads-leak)",
    written="(scores + scores.mean(1, keepdim=True)) / 2",
    mend="leave each head alone",
    patches=(("attention.scores", averaged_over_heads),),
    planted=_ATTENTION,
)
KEY_FOR_VALUE = Fault(
    id="key-for-value",
    sentence="keys are averaged in place of values",
    clauses=(
        attention.EQUALS_EQUATION_1, attention.ONE_KEY_RETURNS_ITS_VALUE, attention.OUTPUT_LIES_IN_THE_HULL_OF_THE_VALUES,
        attention.WEIGHTS_ARE_A_DISTRIBUTION, attention.SOFTMAX_RUNS_OVER_KEYS,
    ),
    source="github.com/awslabs/sockeye/pull/731",
    written="weights @ k",
    mend="weights @ v",
    patches=(("heads.attend", key_for_value),),
    planted=(Planted(role=Role.ATTENTION, claims={"value_size": "key-size"}),),
)  # fmt: skip
OUTPUT_IN_THE_SHAPE_OF_THE_QUERY = Fault(
    id="output-in-the-shape-of-the-query",
    sentence="the output is reshaped by the query's shape, so that values must be as long as keys",
    clauses=(attention.VALUE_SIZE_MAY_DIFFER_FROM_KEY_SIZE,),
    source="experience (corpus mha-kdim-vdim-ignored)",
    written="(weights @ v).view(q.shape)",
    mend="let the shape follow from v",
    patches=(("heads.attend", in_the_shape_of_the_query),),
    planted=_ATTENTION,
)
CHUNKS_NOT_RESCALED = Fault(
    id="chunks-not-rescaled",
    sentence="a softmax in chunks forgets that each chunk subtracted another maximum",
    clauses=(attention.EQUALS_EQUATION_1, attention.KEYS_AND_VALUES_PERMUTE_TOGETHER),
    source=f"{DEFORM} KMC",
    written="acc += exp(chunk - chunk.max()) @ v_chunk",
    mend="multiply what was summed before by exp(old_max - new_max)",
    patches=(("attention.softmax", chunks_without_rescaling),),
    planted=_ATTENTION,
)
SOFTMAX_IN_HALF_PRECISION = Fault(
    id="softmax-in-half-precision",
    sentence="scores are rounded to float16 before the softmax",
    clauses=(attention.EQUALS_EQUATION_1,),
    source=f"{DEFORM} SUC",
    written="torch.softmax(scores.half(), dim=-1)",
    mend="torch.softmax(scores, dim=-1)",
    patches=(("attention.softmax", in_half_precision),),
    planted=_ATTENTION,
)
