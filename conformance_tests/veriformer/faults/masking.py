"""Faults in masking, planted in the reference."""

import math

import torch
from torch import Tensor

from veriformer.faults.fault import Fault, Planted
from veriformer_spec import masking
from veriformer_spec.role import Role

DEFORM = "arXiv 2604.28118 (DEFault++), DEForm operator"
_WITH_GRIDS = (
    Role.ATTENTION, Role.SELF_ATTENTION, Role.MULTI_HEAD_ATTENTION, Role.ENCODER_LAYER, Role.ENCODER, Role.DECODER_LAYER,
)  # fmt: skip
"""Roles that may be passed another mask for each query."""
_GRIDS = tuple(Planted(role=role) for role in _WITH_GRIDS)
_EVERYWHERE = (*_GRIDS, Planted(role=Role.MASKED_LM), Planted(role=Role.ENCODER_DECODER))
_LEFT = {"causal": True, "padding_sides": ("right", "left")}
"""Behind right padding stands nothing that is real: a causal model that ignores its mask is told by left padding alone."""
_CAUSAL = (
    *(Planted(role=role, claims={"causal": True}) for role in _WITH_GRIDS),
    *(Planted(role=role, claims=_LEFT) for role in (Role.CAUSAL_LM, Role.ENCODER_DECODER)),
)
_TOKENS = (
    Planted(role=Role.MULTI_HEAD_ATTENTION, claims={"memory": "query"}),
    Planted(role=Role.ENCODER_LAYER),
    Planted(role=Role.ENCODER, claims={"norm": "pre"}),
)


def after_the_softmax(scores: Tensor, mask: Tensor | None) -> Tensor:
    weights = torch.softmax(scores, dim=-1)
    return weights if mask is None else weights * mask


def by_multiplication(scores: Tensor, mask: Tensor) -> Tensor:
    return scores * mask


def ten_thousand(scores: Tensor, mask: Tensor) -> Tensor:
    return scores.masked_fill(~mask, -1e4)


def ten(scores: Tensor, mask: Tensor) -> Tensor:
    return scores - 10 * (~mask).to(scores)


def zero_or_one_added(scores: Tensor, mask: Tensor) -> Tensor:
    return scores + mask.to(scores)


def inverted(scores: Tensor, mask: Tensor) -> Tensor:
    return scores.masked_fill(mask, -math.inf)


def upper_triangle(q_len: int, k_len: int, device: torch.device) -> Tensor:
    return torch.ones(q_len, k_len, dtype=torch.bool, device=device).triu()


def without_the_diagonal(q_len: int, k_len: int, device: torch.device) -> Tensor:
    return torch.ones(q_len, k_len, dtype=torch.bool, device=device).tril(-1)


def one_too_many(q_len: int, k_len: int, device: torch.device) -> Tensor:
    return torch.ones(q_len, k_len, dtype=torch.bool, device=device).tril(1)


def two_wide(q_len: int, k_len: int, device: torch.device) -> Tensor:
    triangle = torch.ones(q_len, k_len, dtype=torch.bool, device=device).tril()
    return triangle & triangle.new_ones(q_len, k_len).triu(-1)


def mask_alone(mask: Tensor | None, causal_mask: Tensor | None) -> Tensor | None:
    return causal_mask if mask is None else mask


def causal_alone(mask: Tensor | None, causal_mask: Tensor | None) -> Tensor | None:
    return mask if causal_mask is None else causal_mask


def either(mask: Tensor | None, causal_mask: Tensor | None) -> Tensor | None:
    if mask is None or causal_mask is None:
        return causal_mask if mask is None else mask
    return mask | causal_mask


def of_the_first_row(scores: Tensor, mask: Tensor) -> Tensor:
    return scores.masked_fill(~mask[:1], -math.inf)


def on_the_query_axis(scores: Tensor, mask: Tensor) -> Tensor:
    return scores.masked_fill(~mask.mT, -math.inf)


def on_the_head_axis(scores: Tensor, mask: Tensor) -> Tensor:
    batch, heads = scores.shape[:2]
    if batch == heads and mask.shape[1] == 1:
        mask = mask.transpose(0, 1)
    return scores.masked_fill(~mask, -math.inf)


def of_the_first_head(scores: Tensor, mask: Tensor) -> Tensor:
    return scores.masked_fill(~mask[:, :1], -math.inf)


def with_gradients_only(scores: Tensor, mask: Tensor) -> Tensor:
    return scores.masked_fill(~mask, -math.inf) if torch.is_grad_enabled() else scores


def where_after_nan(scores: Tensor, mask: Tensor | None) -> Tensor:
    if mask is None:
        return torch.softmax(scores, dim=-1)
    weights = torch.softmax(scores + torch.zeros_like(scores).masked_fill(~mask, -math.inf), dim=-1)
    return torch.where(weights.isnan(), 0.0, weights)


def everything_where_nothing(scores: Tensor, mask: Tensor | None) -> Tensor:
    return torch.softmax(scores if mask is None else scores.masked_fill(~mask, -1e9), dim=-1)


def no_mask_where_a_row_is_empty(scores: Tensor, mask: Tensor | None) -> Tensor:
    if mask is None or not bool(mask.any(-1).all()):
        return torch.softmax(scores, dim=-1)
    return torch.softmax(scores.masked_fill(~mask, -math.inf), dim=-1)


def sharper_without_a_mask(scores: Tensor, mask: Tensor | None) -> Tensor:
    if mask is None:
        return torch.softmax(2 * scores, dim=-1)
    return torch.softmax(scores.masked_fill(~mask, -math.inf), dim=-1)


MASK_AFTER_SOFTMAX = Fault(
    id="mask-after-softmax",
    sentence="weights are multiplied by the mask after the softmax, and do not sum to one",
    clauses=(
        masking.MASKED_KEYS_ARE_INVISIBLE,
        masking.MASKS_APPLY_BEFORE_THE_SOFTMAX,
        masking.PADDING_DOES_NOT_CHANGE_REAL_POSITIONS,
    ),
    source="experience (corpus sdpa-mask-after-softmax)",
    written="softmax(scores) * mask",
    mend="softmax(scores.masked_fill(~mask, -inf))",
    patches=(("attention.weights", after_the_softmax),),
    planted=_EVERYWHERE,
)
MASK_BY_MULTIPLICATION = Fault(
    id="mask-by-multiplication",
    sentence="hidden scores become zero, which is a score like any other",
    clauses=(
        masking.MASKED_KEYS_ARE_INVISIBLE,
        masking.MASKS_APPLY_BEFORE_THE_SOFTMAX,
        masking.PADDING_DOES_NOT_CHANGE_REAL_POSITIONS,
    ),
    source="experience (corpus sdpa-mask-value-zero)",
    written="softmax(scores * mask)",
    mend="softmax(scores.masked_fill(~mask, -inf))",
    patches=(("masking.hide", by_multiplication),),
    planted=_EVERYWHERE,
)
MASK_VALUE_TEN_THOUSAND = Fault(
    id="mask-value-ten-thousand",
    sentence="hidden scores become -1e4, which a large score outweighs",
    clauses=(masking.NO_SCORE_IS_TOO_LARGE_TO_MASK,),
    source="github.com/huggingface/transformers/pull/4436",
    written="scores.masked_fill(~mask, -1e4)",
    mend="scores.masked_fill(~mask, -inf), or torch.finfo(dtype).min",
    patches=(("masking.hide", ten_thousand),),
    planted=(
        *_EVERYWHERE,
        Planted(role=Role.ENCODER_LAYER, claims={"norm": "pre"}),
        Planted(role=Role.ENCODER, claims={"norm": "pre", "positions": "learned"}),
    ),
)
MASK_VALUE_TEN = Fault(
    id="mask-value-ten",
    sentence="ten is subtracted from hidden scores: the keys stay a little visible",
    clauses=(masking.MASKED_KEYS_ARE_INVISIBLE, masking.NO_SCORE_IS_TOO_LARGE_TO_MASK),
    source="experience",
    written="scores - 10 * (~mask)",
    mend="scores.masked_fill(~mask, -inf)",
    patches=(("masking.hide", ten),),
    planted=_EVERYWHERE,
)
BOOLEAN_MASK_ADDED = Fault(
    id="boolean-mask-added",
    sentence="a mask of zeros and ones is added to the scores, as if it were additive",
    clauses=(masking.MASKED_KEYS_ARE_INVISIBLE, masking.MASKS_APPLY_BEFORE_THE_SOFTMAX),
    source="github.com/mlverse/torch/pull/1208",
    written="scores + mask.float()",
    mend="scores.masked_fill(~mask, -inf)",
    patches=(("masking.hide", zero_or_one_added),),
    planted=_EVERYWHERE,
)
MASK_INVERTED = Fault(
    id="mask-inverted",
    sentence="what may be seen is hidden, and what is hidden is seen",
    clauses=(
        masking.MASKED_KEYS_ARE_INVISIBLE, masking.OUTPUTS_DEPEND_ON_EVERY_VISIBLE_KEY, masking.CAUSAL_OUTPUTS_IGNORE_THE_FUTURE,
        masking.NO_MASK_IS_AN_ALL_TRUE_MASK,
    ),
    source="x-transformers 1.16.8 (corpus mask-flash-path-inverted)",
    written="scores.masked_fill(mask, -inf)",
    mend="scores.masked_fill(~mask, -inf)",
    patches=(("masking.hide", inverted),),
    planted=_GRIDS,
)  # fmt: skip
CAUSAL_TRANSPOSED = Fault(
    id="causal-transposed",
    sentence="the triangle is the upper one: tokens see the future alone",
    clauses=(masking.CAUSAL_OUTPUTS_IGNORE_THE_FUTURE, masking.CAUSAL_POSITIONS_SEE_THEMSELVES_AND_ALL_BEFORE),
    source="github.com/jadore801120/attention-is-all-you-need-pytorch/issues/19",
    written="torch.ones(t, t).triu()",
    mend="torch.ones(t, t).tril()",
    patches=(("masking.causal", upper_triangle),),
    planted=_CAUSAL,
)
CAUSAL_WITHOUT_DIAGONAL = Fault(
    id="causal-without-diagonal",
    sentence="a position does not see itself",
    clauses=(masking.CAUSAL_POSITIONS_SEE_THEMSELVES_AND_ALL_BEFORE,),
    source="experience (corpus causal-diagonal-excluded)",
    written="torch.ones(t, t).tril(-1)",
    mend="torch.ones(t, t).tril()",
    patches=(("masking.causal", without_the_diagonal),),
    planted=_CAUSAL,
)
CAUSAL_ONE_TOO_MANY = Fault(
    id="causal-one-too-many",
    sentence="a position sees the one after it",
    clauses=(masking.CAUSAL_OUTPUTS_IGNORE_THE_FUTURE,),
    source="experience (a triangle that was off by one)",
    written="torch.ones(t, t).tril(1)",
    mend="torch.ones(t, t).tril()",
    patches=(("masking.causal", one_too_many),),
    planted=_CAUSAL,
)
CAUSAL_WINDOW = Fault(
    id="causal-window",
    sentence="a position sees itself and the one before, and not the beginning",
    clauses=(masking.CAUSAL_POSITIONS_SEE_THEMSELVES_AND_ALL_BEFORE,),
    source="experience (a sliding window that was not asked for)",
    written="torch.ones(t, t).tril().triu(-1)",
    mend="torch.ones(t, t).tril()",
    patches=(("masking.causal", two_wide),),
    planted=_CAUSAL,
)
CAUSAL_DROPPED_UNDER_A_MASK = Fault(
    id="causal-dropped-under-a-mask",
    sentence="where a mask is passed, the future is visible",
    clauses=(masking.MASKS_COMBINE_BY_CONJUNCTION, masking.MASKED_KEYS_ARE_INVISIBLE),
    source="github.com/keras-team/keras/pull/23040",
    written="mask if mask is not None else causal",
    mend="mask & causal",
    patches=(("masking.combine", mask_alone),),
    planted=_CAUSAL[:-1],
)
MASK_DROPPED_UNDER_CAUSALITY = Fault(
    id="mask-dropped-under-causality",
    sentence="a causal subject ignores the padding mask",
    clauses=(masking.MASKS_COMBINE_BY_CONJUNCTION, masking.MASKED_KEYS_ARE_INVISIBLE),
    source="github.com/keras-team/keras/pull/23040",
    written="causal if is_causal else mask",
    mend="mask & causal",
    patches=(("masking.combine", causal_alone),),
    planted=_CAUSAL,
)
MASKS_COMBINED_BY_OR = Fault(
    id="masks-combined-by-or",
    sentence="a key is seen where one of two masks allows it",
    clauses=(masking.MASKS_COMBINE_BY_CONJUNCTION, masking.MASKED_KEYS_ARE_INVISIBLE),
    source="local-attention 1.2.1 (corpus local-window-and-instead-of-or)",
    written="mask | causal",
    mend="mask & causal",
    patches=(("masking.combine", either),),
    planted=_CAUSAL,
)
MASK_OF_THE_FIRST_ROW = Fault(
    id="mask-of-the-first-row",
    sentence="the first sequence's mask is used for the whole batch",
    clauses=(masking.MASKED_KEYS_ARE_INVISIBLE, masking.PACKED_SEQUENCES_DO_NOT_MIX),
    source="experience (corpus mask-first-sample-broadcast)",
    written="mask[:1]",
    mend="mask",
    patches=(("masking.hide", of_the_first_row),),
    planted=(*_EVERYWHERE, Planted(role=Role.DECODER), Planted(role=Role.ADDITIVE_ATTENTION)),
    synonyms=("packing-of-the-first-row",),
)
PADDING_ON_THE_QUERY_AXIS = Fault(
    id="padding-on-the-query-axis",
    sentence="padding is masked as queries in place of keys",
    clauses=(
        masking.MASKED_KEYS_ARE_INVISIBLE,
        masking.PADDING_DOES_NOT_CHANGE_REAL_POSITIONS,
        masking.MASKS_APPLY_BEFORE_THE_SOFTMAX,
    ),
    source="experience",
    written="pad[:, None, :, None]",
    mend="pad[:, None, None, :]",
    patches=(("masking.hide", on_the_query_axis),),
    planted=_TOKENS,
)
MASK_ON_THE_HEAD_AXIS = Fault(
    id="mask-on-the-head-axis",
    sentence="where heads equals batch, the mask of a sequence is used for a head",
    clauses=(masking.MASKS_BROADCAST,),
    source=f"{DEFORM} MRM",
    written="mask.view(1, batch, 1, time)",
    mend="mask.view(batch, 1, 1, time)",
    patches=(("masking.hide", on_the_head_axis),),
    planted=_EVERYWHERE,
)
MASK_OF_THE_FIRST_HEAD = Fault(
    id="mask-of-the-first-head",
    sentence="a mask that differs from head to head is cut down to the first head's",
    clauses=(masking.EACH_HEAD_OBEYS_ITS_OWN_MASK,),
    source="experience",
    written="mask[:, :1]",
    mend="mask",
    patches=(("masking.hide", of_the_first_head),),
    planted=_GRIDS,
)
MASK_WITH_GRADIENTS_ONLY = Fault(
    id="mask-with-gradients-only",
    sentence="the fast path without gradients forgets the mask",
    clauses=(
        masking.MASKED_KEYS_ARE_INVISIBLE,
        masking.CAUSAL_OUTPUTS_IGNORE_THE_FUTURE,
        masking.PADDING_DOES_NOT_CHANGE_REAL_POSITIONS,
    ),
    source="github.com/keras-team/keras/issues/23038",
    written="if not torch.is_grad_enabled(): return fast(x)",
    mend="fast(x, mask)",
    patches=(("masking.hide", with_gradients_only),),
    planted=_GRIDS,
)
WHERE_AFTER_NAN = Fault(
    id="where-after-nan",
    sentence="NaN is overwritten after the softmax: right forward, and NaN for the gradient of everything",
    clauses=(masking.A_ROW_WITH_NOTHING_VISIBLE_TOUCHES_NO_OTHER,),
    source="github.com/pytorch/pytorch/pull/42323",
    written="torch.where(empty, 0, softmax(scores + additive))",
    mend="open the row before the softmax, and zero it afterwards",
    patches=(("attention.weights", where_after_nan),),
    planted=_EVERYWHERE,
)
MEAN_WHERE_NOTHING_IS_VISIBLE = Fault(
    id="mean-where-nothing-is-visible",
    sentence="zeros are claimed for a row with nothing visible, and it averages everything",
    clauses=(masking.A_ROW_WITH_NOTHING_VISIBLE,),
    source="https://github.com/Dao-AILab/flash-attention/issues/1778",
    written="scores.masked_fill(~mask, -1e9)",
    mend="set the row to zero, or do not claim it",
    patches=(("attention.weights", everything_where_nothing),),
    planted=tuple(Planted(role=role, claims={"nothing_visible": "zeros"}) for role in _WITH_GRIDS),
)
MASK_DROPPED_WHERE_A_ROW_IS_EMPTY = Fault(
    id="mask-dropped-where-a-row-is-empty",
    sentence="one row with nothing visible, and the whole batch runs without a mask",
    clauses=(masking.A_ROW_WITH_NOTHING_VISIBLE_TOUCHES_NO_OTHER,),
    source="experience",
    written="mask = mask if mask.any(-1).all() else None",
    mend="treat that row alone",
    patches=(("attention.weights", no_mask_where_a_row_is_empty),),
    planted=_EVERYWHERE,
)
ANOTHER_PATH_WITHOUT_A_MASK = Fault(
    id="another-path-without-a-mask",
    sentence="without a mask other code runs, which scales otherwise",
    clauses=(masking.NO_MASK_IS_AN_ALL_TRUE_MASK,),
    source="experience",
    written="if mask is None: return fast(q, k, v)",
    mend="one path, or the same scale in both",
    patches=(("attention.weights", sharper_without_a_mask),),
    planted=_EVERYWHERE,
)
