"""Near-misses of attention: legal, unusual, correct."""

# mypy: ignore-errors
# Other people's code, written the way they write it: without types.

import math

import torch
import torch.nn.functional as F

import veriformer
from veriformer.faults.attention_foreign import logits, shared
from veriformer.faults.fault import NearMiss
from veriformer_spec import attention, heads, masking


@veriformer.subject("attention", module=None)
def fused_kernel(config):
    def attend(q, k, v, mask=None):
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)

    return attend


@veriformer.subject("attention", module=None, kv_heads="grouped")
def fused_grouped_kernel(config):
    def attend(q, k, v, mask=None):
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=True)

    return attend


@veriformer.subject("attention", module=None, causal=True, masks=("none",))
def kernel_with_its_own_causality(config):
    def attend(q, k, v):
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)

    return attend


@veriformer.subject("attention", module=None, kv_heads="grouped")
def einsum_over_groups(config):
    def attend(q, k, v, mask=None):
        batch, many, length, size = q.shape
        few = k.size(1)
        grouped = q.reshape(batch, few, many // few, length, size)
        scores = torch.einsum("bgrid,bgjd->bgrij", grouped, k) / math.sqrt(size)
        if mask is not None:
            full = mask.expand(batch, many, length, k.size(2)).reshape(scores.shape)
            scores = scores + torch.zeros_like(scores).masked_fill(~full, -torch.inf)
        return torch.einsum("bgrij,bgjd->bgrid", scores.softmax(-1), v).reshape(batch, many, length, -1)

    return attend


@veriformer.subject("attention", module=None)
def online_softmax(config):
    def attend(q, k, v, mask=None):
        highest = q.new_full((*q.shape[:-1], 1), -1e30)
        total = torch.zeros_like(highest)
        summed = q.new_zeros(*q.shape[:-1], v.size(-1))
        for start in range(0, k.size(2), 2):
            part = slice(start, start + 2)
            shown = None if mask is None else mask[..., part]
            scores = logits(q, k[:, :, part], shown, q.size(-1) ** -0.5)
            higher = torch.maximum(highest, scores.amax(-1, keepdim=True))
            shares = torch.exp(scores - higher)
            faded = torch.exp(highest - higher)
            total = total * faded + shares.sum(-1, keepdim=True)
            summed = summed * faded + shares @ v[:, :, part]
            highest = higher
        return summed / total

    return attend


@veriformer.subject("attention", module=None)
def large_negative_number(config):
    def attend(q, k, v, mask=None):
        scores = q @ k.transpose(-1, -2) * q.size(-1) ** -0.5
        if mask is not None:
            scores = scores.masked_fill(mask == 0, max(-1e9, torch.finfo(scores.dtype).min))
        return scores.softmax(-1) @ v

    return attend


@veriformer.subject("attention", module=None)
def lowest_number_of_the_dtype(config):
    def attend(q, k, v, mask=None):
        scores = torch.baddbmm(
            q.new_zeros(()), q.flatten(0, 1), k.flatten(0, 1).mT, beta=0, alpha=q.size(-1) ** -0.5
        ).unflatten(0, q.shape[:2])
        if mask is not None:
            scores = scores + (1 - mask.to(scores)) * torch.finfo(scores.dtype).min / 2
        return scores.softmax(-1) @ v

    return attend


@veriformer.subject("attention", module=None, nothing_visible="nan")
def nan_where_nothing_is_visible(config):
    def attend(q, k, v, mask=None):
        scores = (q * q.size(-1) ** -0.5) @ k.mT
        if mask is not None:
            scores = scores.masked_fill(~mask, float("-inf"))
        return scores.softmax(-1) @ v

    return attend


@veriformer.subject("attention", module=None, nothing_visible="error")
def error_where_nothing_is_visible(config):
    def attend(q, k, v, mask=None):
        if mask is not None and not mask.any(-1).all():
            raise ValueError("every query needs one visible key")
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)

    return attend


@veriformer.subject("attention", module=None, nothing_visible={"grad": "zeros", "no-grad": "nan"})
def one_answer_for_each_path(config):
    def attend(q, k, v, mask=None):
        if mask is None:
            return logits(q, k, None, q.size(-1) ** -0.5).softmax(-1) @ v
        if not torch.is_grad_enabled():
            return logits(q, k, mask, q.size(-1) ** -0.5).softmax(-1) @ v
        empty = ~mask.any(-1, keepdim=True)
        return (logits(q, k, mask | empty, q.size(-1) ** -0.5).softmax(-1) * ~empty) @ v

    return attend


@veriformer.subject("attention", module=None)
def each_row_of_visible_keys_alone(config):
    def attend(q, k, v, mask=None):
        full = (
            torch.ones(*q.shape[:3], k.size(2), dtype=torch.bool)
            if mask is None
            else mask.expand(*q.shape[:3], k.size(2))
        )
        out = q.new_zeros(*q.shape[:3], v.size(-1))
        for batch, head, row in torch.cartesian_prod(*(torch.arange(n) for n in q.shape[:3])).tolist():
            seen = full[batch, head, row].nonzero().flatten()
            if len(seen):
                weights = (k[batch, head, seen] @ q[batch, head, row] * q.size(-1) ** -0.5).softmax(0)
                out[batch, head, row] = weights @ v[batch, head, seen]
        return out

    return attend


@veriformer.subject("attention", module=None, computes_in="float32")
def softmax_in_single_precision(config):
    def attend(q, k, v, mask=None):
        k, v = shared(q, k, v)
        weights = logits(q, k, mask, q.size(-1) ** -0.5).float().softmax(-1)
        return weights.to(v.dtype) @ v

    return attend


@veriformer.subject("attention", module=None, scale=0.25)
def a_scale_of_its_own(config):
    def attend(q, k, v, mask=None):
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=0.25)

    return attend


@veriformer.subject("attention", module=None, scale="unspecified")
def learned_temperature(config):
    def attend(q, k, v, mask=None):
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=0.77)

    return attend


FUSED_KERNEL = NearMiss(
    id="fused-kernel", sentence="torch's fused kernel, which runs other code with gradients than without",
    clauses=(attention.EQUALS_EQUATION_1, masking.MASKED_KEYS_ARE_INVISIBLE, masking.NO_MASK_IS_AN_ALL_TRUE_MASK),
    build=fused_kernel,
)  # fmt: skip
FUSED_GROUPED_KERNEL = NearMiss(
    id="fused-grouped-kernel", sentence="torch's fused kernel with grouped heads",
    clauses=(heads.GROUPED_QUERIES_SHARE_KEYS_IN_ORDER, attention.HEADS_ARE_INDEPENDENT),
    build=fused_grouped_kernel,
)  # fmt: skip
KERNEL_WITH_ITS_OWN_CAUSALITY = NearMiss(
    id="kernel-with-its-own-causality", sentence="causal inside the kernel, and takes no mask at all",
    clauses=(masking.CAUSAL_OUTPUTS_IGNORE_THE_FUTURE, masking.CAUSAL_POSITIONS_SEE_THEMSELVES_AND_ALL_BEFORE),
    build=kernel_with_its_own_causality,
)  # fmt: skip
EINSUM_OVER_GROUPS = NearMiss(
    id="einsum-over-groups", sentence="grouped heads without repeating a key, and masks added as minus infinity",
    clauses=(heads.GROUPED_QUERIES_SHARE_KEYS_IN_ORDER, attention.HEADS_ARE_INDEPENDENT, masking.MASKS_BROADCAST),
    build=einsum_over_groups,
)  # fmt: skip
ONLINE_SOFTMAX = NearMiss(
    id="online-softmax", sentence="keys come two at a time, and what was summed is rescaled",
    clauses=(
        attention.LARGE_SCORES_STAY_FINITE, attention.KEYS_AND_VALUES_PERMUTE_TOGETHER, attention.DOUBLING_THE_KEYS_CHANGES_NOTHING,
        attention.ONE_KEY_RETURNS_ITS_VALUE, attention.ADDING_A_CONSTANT_CHANGES_NOTHING, masking.MASKS_APPLY_BEFORE_THE_SOFTMAX,
    ),
    build=online_softmax,
)  # fmt: skip
LARGE_NEGATIVE_NUMBER = NearMiss(
    id="large-negative-number", sentence="hidden scores are -1e9, so that a row with nothing visible averages everything",
    clauses=(masking.NO_SCORE_IS_TOO_LARGE_TO_MASK, masking.A_ROW_WITH_NOTHING_VISIBLE_TOUCHES_NO_OTHER),
    build=large_negative_number,
)  # fmt: skip
LOWEST_NUMBER_OF_THE_DTYPE = NearMiss(
    id="lowest-number-of-the-dtype", sentence="half the lowest number of the dtype is added to hidden scores",
    clauses=(masking.NO_SCORE_IS_TOO_LARGE_TO_MASK, masking.MASKED_KEYS_ARE_INVISIBLE),
    build=lowest_number_of_the_dtype,
)  # fmt: skip
NAN_WHERE_NOTHING_IS_VISIBLE = NearMiss(
    id="nan-where-nothing-is-visible", sentence="a row with nothing visible is NaN, as claimed; no other row is",
    clauses=(masking.A_ROW_WITH_NOTHING_VISIBLE, masking.A_ROW_WITH_NOTHING_VISIBLE_TOUCHES_NO_OTHER),
    build=nan_where_nothing_is_visible,
)  # fmt: skip
ERROR_WHERE_NOTHING_IS_VISIBLE = NearMiss(
    id="error-where-nothing-is-visible", sentence="a row with nothing visible is refused, as claimed",
    clauses=(masking.A_ROW_WITH_NOTHING_VISIBLE, masking.A_ROW_WITH_NOTHING_VISIBLE_TOUCHES_NO_OTHER),
    build=error_where_nothing_is_visible,
)  # fmt: skip
ONE_ANSWER_FOR_EACH_PATH = NearMiss(
    id="one-answer-for-each-path", sentence="a row with nothing visible is zeros with gradients and NaN without, as claimed",
    clauses=(masking.A_ROW_WITH_NOTHING_VISIBLE,),
    build=one_answer_for_each_path,
)  # fmt: skip
EACH_ROW_OF_VISIBLE_KEYS_ALONE = NearMiss(
    id="each-row-of-visible-keys-alone", sentence="hidden keys are cut out by indexing, row by row",
    clauses=(
        masking.MASKED_KEYS_ARE_INVISIBLE, masking.PADDING_DOES_NOT_CHANGE_REAL_POSITIONS, attention.QUERIES_ARE_INDEPENDENT,
        masking.OUTPUTS_DEPEND_ON_EVERY_VISIBLE_KEY,
    ),
    build=each_row_of_visible_keys_alone,
)  # fmt: skip
SOFTMAX_IN_SINGLE_PRECISION = NearMiss(
    id="softmax-in-single-precision", sentence="the softmax is computed in float32, as claimed",
    clauses=(
        attention.EQUALS_EQUATION_1, masking.NO_SCORE_IS_TOO_LARGE_TO_MASK, attention.LARGE_SCORES_STAY_FINITE,
        attention.SOFTMAX_RUNS_OVER_KEYS, attention.WEIGHTS_ARE_A_DISTRIBUTION, attention.OUTPUT_LIES_IN_THE_HULL_OF_THE_VALUES,
    ),
    build=softmax_in_single_precision,
)  # fmt: skip
A_SCALE_OF_ITS_OWN = NearMiss(
    id="a-scale-of-its-own", sentence="scores are multiplied by a number, as claimed",
    clauses=(attention.SCALE_IS_AS_CLAIMED, attention.EQUALS_EQUATION_1),
    build=a_scale_of_its_own,
)  # fmt: skip
LEARNED_TEMPERATURE = NearMiss(
    id="learned-temperature", sentence="the scale is left unspecified, and is none of the usual ones",
    clauses=(attention.EQUALS_EQUATION_1, attention.VALUE_SIZE_MAY_DIFFER_FROM_KEY_SIZE),
    build=learned_temperature,
)  # fmt: skip
