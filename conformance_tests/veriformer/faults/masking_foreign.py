"""Faults in masking, written without the reference: as tutorials and adapters write them."""

# mypy: ignore-errors
# Other people's code, written the way they write it: without types.

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import veriformer
from veriformer.faults.fault import Fault
from veriformer.faults.heads_styles import Block, Tutorial, tutorial_weights
from veriformer_spec import masking


class MaskInTrainingOnly(Tutorial):
    def mask_scores(self, scores: Tensor, mask: Tensor | None) -> Tensor:
        return super().mask_scores(scores, mask) if self.training else scores


class MaskInEvaluationOnly(Tutorial):
    def mask_scores(self, scores: Tensor, mask: Tensor | None) -> Tensor:
        return scores if self.training else super().mask_scores(scores, mask)


class HalfPrecisionConstant(Tutorial):
    def mask_scores(self, scores: Tensor, mask: Tensor | None) -> Tensor:
        return scores if mask is None else scores + (1.0 - mask.to(scores)) * -10000.0


class MultipliedAfterwards(Tutorial):
    def weigh(self, scores: Tensor, mask: Tensor | None) -> Tensor:
        weights = F.softmax(scores, dim=-1)
        return weights if mask is None else weights * mask


class BatchOntoHeads(Tutorial):
    def mask_scores(self, scores: Tensor, mask: Tensor | None) -> Tensor:
        if mask is not None and mask.size(1) == 1 and mask.size(0) in (1, self.n_heads):
            mask = mask.reshape(1, mask.size(0), mask.size(2), mask.size(3))
        return super().mask_scores(scores, mask)


class OppositeConvention(Tutorial):
    def mask_scores(self, scores: Tensor, mask: Tensor | None) -> Tensor:
        return scores if mask is None else scores.masked_fill(mask, float("-inf"))


class NanOverwritten(Tutorial):
    def weigh(self, scores: Tensor, mask: Tensor | None) -> Tensor:
        if mask is None:
            return scores.softmax(-1)
        weights = (scores + torch.zeros_like(scores).masked_fill(~mask, float("-inf"))).softmax(-1)
        return weights.nan_to_num(0.0)


class NanOverwrittenOnTheOutput(Tutorial):
    def finish(self, x: Tensor, query: Tensor) -> Tensor:
        return self.w_o(torch.where(x.isnan(), torch.zeros_like(x), x))

    def mask_scores(self, scores: Tensor, mask: Tensor | None) -> Tensor:
        return scores if mask is None else scores + mask.to(scores).log()


class UniformWhereNothing(Tutorial):
    def mask_scores(self, scores: Tensor, mask: Tensor | None) -> Tensor:
        return scores if mask is None else scores.masked_fill(~mask, -1e9)


class AllRowsOrNone(Tutorial):
    def mask_scores(self, scores: Tensor, mask: Tensor | None) -> Tensor:
        return super().mask_scores(scores, mask if mask is not None and mask.any(-1).all() else None)


class ZeroedPadding(Tutorial):
    """Zeroes padded tokens at the door, and believes that they are then gone."""

    def forward(self, query: Tensor, memory: Tensor, mask: Tensor | None = None) -> Tensor:
        if mask is not None:
            memory = memory * mask.amax((1, 2))[..., None]
        return super().forward(query, memory)


class TemperedWithoutMask(Tutorial):
    def mask_scores(self, scores: Tensor, mask: Tensor | None) -> Tensor:
        return scores * self.d_k**0.5 if mask is None else super().mask_scores(scores, mask)


@veriformer.subject("multi-head-attention", weights=tutorial_weights)
def mask_in_training_only(config):
    return MaskInTrainingOnly(config)


@veriformer.subject("encoder-layer")
def mask_in_training_only_in_a_layer(config):
    return Block(config, MaskInTrainingOnly)


@veriformer.subject("encoder-layer")
def mask_in_evaluation_only(config):
    return Block(config, MaskInEvaluationOnly)


@veriformer.subject("multi-head-attention")
def half_precision_constant(config):
    return HalfPrecisionConstant(config)


@veriformer.subject("encoder-layer")
def half_precision_constant_in_a_layer(config):
    return Block(config, HalfPrecisionConstant)


@veriformer.subject("multi-head-attention")
def multiplied_afterwards(config):
    return MultipliedAfterwards(config)


@veriformer.subject("encoder-layer")
def batch_onto_heads(config):
    return Block(config, BatchOntoHeads)


@veriformer.subject("encoder-layer")
def opposite_convention(config):
    return Block(config, OppositeConvention)


@veriformer.subject("multi-head-attention")
def nan_overwritten(config):
    return NanOverwritten(config)


@veriformer.subject("encoder-layer")
def nan_overwritten_on_the_output(config):
    return Block(config, NanOverwrittenOnTheOutput)


@veriformer.subject("multi-head-attention", nothing_visible="zeros")
def uniform_where_nothing(config):
    return UniformWhereNothing(config)


@veriformer.subject("encoder-layer")
def all_rows_or_none(config):
    return Block(config, AllRowsOrNone)


@veriformer.subject("multi-head-attention", masks=("padding",))
def zeroed_padding(config):
    return ZeroedPadding(config)


@veriformer.subject("encoder-layer")
def tempered_without_mask(config):
    return Block(config, TemperedWithoutMask)


@veriformer.subject("attention", module=None, causal=True)
def kernel_flag_beside_a_mask(config):
    def attend(q, k, v, mask=None):
        if mask is not None:
            return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)

    return attend


@veriformer.subject("encoder-layer", causal=True)
def strictly_before(config):
    class StrictlyBefore(Tutorial):
        def mask_scores(self, scores, mask):
            time = torch.arange(scores.size(-1))
            before = (time[None, :] < time[:, None]) | ((time == 0)[:, None] & (time == 0)[None, :])
            return scores.masked_fill(~(before if mask is None else before & mask), float("-inf"))

    return Block(config, StrictlyBefore)


@veriformer.subject("attention", module=None, causal=True, masks=("none",))
def banded(config):
    def attend(q, k, v):
        apart = torch.arange(q.size(2))[:, None] - torch.arange(k.size(2))
        return F.scaled_dot_product_attention(q, k, v, attn_mask=(apart >= 0) & (apart < 2))

    return attend


@veriformer.subject("attention", module=None, causal=True, masks=("none",))
def one_step_into_the_future(config):
    def attend(q, k, v):
        triangle = torch.triu(torch.ones(q.size(2), k.size(2)), diagonal=2).bool()
        return F.scaled_dot_product_attention(q, k, v, attn_mask=~triangle)

    return attend


@veriformer.subject("encoder-layer", masks=("padding",))
def torch_layer_with_the_mask_inverted(config):
    layer = nn.TransformerEncoderLayer(config.d_model, config.heads, config.d_ff, config.dropout, batch_first=True)

    def call(module, x, mask=None):
        return module(x, src_key_padding_mask=None if mask is None else mask[:, 0, 0])

    return layer, call


@veriformer.subject("attention", module=None)
def one_additive_mask(config):
    def attend(q, k, v, mask=None):
        return F.scaled_dot_product_attention(q, k, v, attn_mask=None if mask is None else mask.to(q))

    return attend


MASK_FORGOTTEN_OUTSIDE_TRAINING = Fault(
    id="mask-forgotten-outside-training",
    sentence="the mask is applied in training only",
    clauses=(
        masking.MASKED_KEYS_ARE_INVISIBLE,
        masking.PADDING_DOES_NOT_CHANGE_REAL_POSITIONS,
        masking.NO_SCORE_IS_TOO_LARGE_TO_MASK,
    ),
    source="github.com/keras-team/keras/issues/23038",
    written="if self.training: scores = scores.masked_fill(~mask, -inf)",
    mend="apply the mask in every mode",
    builds=(mask_in_training_only, mask_in_training_only_in_a_layer),
)
MASK_FORGOTTEN_IN_TRAINING = Fault(
    id="mask-forgotten-in-training",
    sentence="the mask is applied in evaluation only: training sees the future",
    clauses=(
        masking.MASKED_KEYS_ARE_INVISIBLE,
        masking.CAUSAL_OUTPUTS_IGNORE_THE_FUTURE,
        masking.PADDING_DOES_NOT_CHANGE_REAL_POSITIONS,
    ),
    source="github.com/keras-team/keras/issues/23038",
    written="if not self.training: scores = scores.masked_fill(~mask, -inf)",
    mend="apply the mask in every mode",
    builds=(mask_in_evaluation_only,),
)
TEN_THOUSAND_SUBTRACTED = Fault(
    id="ten-thousand-subtracted",
    sentence="(1 - mask) * -10000 is added, which a large score outweighs",
    clauses=(masking.NO_SCORE_IS_TOO_LARGE_TO_MASK,),
    source="github.com/huggingface/transformers/pull/4436",
    written="scores + (1 - mask) * -10000.0",
    mend="scores.masked_fill(~mask, -inf), or torch.finfo(dtype).min",
    builds=(half_precision_constant, half_precision_constant_in_a_layer),
)
WEIGHTS_TIMES_MASK = Fault(
    id="weights-times-mask",
    sentence="weights are multiplied by the mask and not normalised again",
    clauses=(
        masking.MASKED_KEYS_ARE_INVISIBLE,
        masking.MASKS_APPLY_BEFORE_THE_SOFTMAX,
        masking.PADDING_DOES_NOT_CHANGE_REAL_POSITIONS,
    ),
    source="experience (corpus sdpa-mask-after-softmax)",
    written="F.softmax(scores, -1) * mask",
    mend="mask the scores",
    builds=(multiplied_afterwards,),
)
BATCH_RESHAPED_ONTO_HEADS = Fault(
    id="batch-reshaped-onto-heads",
    sentence="a reshape lands the batch axis of a mask on the head axis, where the two are equal",
    clauses=(masking.MASKS_BROADCAST,),
    source="arXiv 2604.28118 (DEFault++), DEForm operator MRM",
    written="mask.reshape(1, heads, q_len, k_len)",
    mend="mask.reshape(batch, 1, q_len, k_len)",
    builds=(batch_onto_heads,),
)
TRUE_MEANS_HIDDEN = Fault(
    id="true-means-hidden",
    sentence="inside, True means hidden; outside it means visible",
    clauses=(
        masking.MASKED_KEYS_ARE_INVISIBLE, masking.OUTPUTS_DEPEND_ON_EVERY_VISIBLE_KEY,
        masking.CAUSAL_POSITIONS_SEE_THEMSELVES_AND_ALL_BEFORE, masking.NO_MASK_IS_AN_ALL_TRUE_MASK,
    ),
    source="x-transformers 1.16.8 (corpus mask-flash-path-inverted)",
    written="scores.masked_fill(mask, -inf)",
    mend="scores.masked_fill(~mask, -inf)",
    builds=(opposite_convention,),
)  # fmt: skip
NAN_OVERWRITTEN_AFTER_SOFTMAX = Fault(
    id="nan-overwritten-after-softmax",
    sentence="nan_to_num mends the forward pass, and every gradient is NaN",
    clauses=(masking.A_ROW_WITH_NOTHING_VISIBLE_TOUCHES_NO_OTHER,),
    source="github.com/pytorch/pytorch/pull/42323",
    written="torch.where(out.isnan(), 0, out)",
    mend="open the row before the softmax, and zero it afterwards",
    builds=(nan_overwritten, nan_overwritten_on_the_output),
)
MEAN_CLAIMED_AS_ZEROS = Fault(
    id="mean-claimed-as-zeros",
    sentence="-1e9 makes the softmax of an empty row uniform, where zeros are claimed",
    clauses=(masking.A_ROW_WITH_NOTHING_VISIBLE,),
    source="experience (-1e9 in place of minus infinity)",
    written="scores.masked_fill(~mask, -1e9)",
    mend="zero the row, or claim what it returns",
    builds=(uniform_where_nothing,),
)
ONE_EMPTY_ROW_UNMASKS_ALL = Fault(
    id="one-empty-row-unmasks-all",
    sentence="one query with nothing visible, and nothing is masked for anyone",
    clauses=(masking.A_ROW_WITH_NOTHING_VISIBLE_TOUCHES_NO_OTHER,),
    source="experience",
    written="if not mask.any(-1).all(): mask = None",
    mend="treat that row alone",
    builds=(all_rows_or_none,),
)
PADDING_ZEROED_NOT_HIDDEN = Fault(
    id="padding-zeroed-not-hidden",
    sentence="padded tokens are set to zero, and still take their share of the softmax",
    clauses=(masking.PADDING_DOES_NOT_CHANGE_REAL_POSITIONS, masking.MASKS_APPLY_BEFORE_THE_SOFTMAX),
    source="arXiv 2604.28118 (DEFault++), DEForm operator MZM",
    written="memory * mask[..., None]",
    mend="hide their scores",
    builds=(zeroed_padding,),
)
UNMASKED_PATH_NOT_SCALED = Fault(
    id="unmasked-path-not-scaled",
    sentence="the scale stands in the branch that masks",
    clauses=(masking.NO_MASK_IS_AN_ALL_TRUE_MASK,),
    source="experience",
    written="if mask is not None: scores = (scores / root).masked_fill(...)",
    mend="scale before the branch",
    builds=(tempered_without_mask,),
)
FLAG_OVERRIDDEN_BY_MASK = Fault(
    id="flag-overridden-by-mask",
    sentence="is_causal is given up where a mask is passed",
    clauses=(masking.MASKS_COMBINE_BY_CONJUNCTION, masking.MASKED_KEYS_ARE_INVISIBLE),
    source="github.com/keras-team/keras/pull/23040",
    written="sdpa(q, k, v, mask) if mask is not None else sdpa(q, k, v, is_causal=True)",
    mend="sdpa(q, k, v, mask & triangle)",
    builds=(kernel_flag_beside_a_mask,),
)
STRICTLY_BEFORE = Fault(
    id="strictly-before",
    sentence="a position attends to earlier ones only; the skip hides that it does not see itself",
    clauses=(masking.CAUSAL_POSITIONS_SEE_THEMSELVES_AND_ALL_BEFORE,),
    source="experience (corpus causal-diagonal-excluded)",
    written="j < i",
    mend="j <= i",
    builds=(strictly_before,),
)
BAND_IN_PLACE_OF_TRIANGLE = Fault(
    id="band-in-place-of-triangle",
    sentence="a window hides the beginning",
    clauses=(masking.CAUSAL_POSITIONS_SEE_THEMSELVES_AND_ALL_BEFORE, masking.OUTPUTS_DEPEND_ON_EVERY_VISIBLE_KEY),
    source="experience",
    written="(i - j >= 0) & (i - j < window)",
    mend="i - j >= 0",
    builds=(banded,),
)
DIAGONAL_OFF_BY_ONE = Fault(
    id="diagonal-off-by-one",
    sentence="triu(diagonal=2) hides from the second position after on",
    clauses=(masking.CAUSAL_OUTPUTS_IGNORE_THE_FUTURE,),
    source="experience",
    written="torch.triu(ones, diagonal=2)",
    mend="torch.triu(ones, diagonal=1)",
    builds=(one_step_into_the_future,),
)
PADDING_MASK_OF_THE_OTHER_SIGN = Fault(
    id="padding-mask-of-the-other-sign",
    sentence="src_key_padding_mask wants True for padding, and is given True for tokens",
    clauses=(
        masking.MASKED_KEYS_ARE_INVISIBLE,
        masking.PADDING_DOES_NOT_CHANGE_REAL_POSITIONS,
        masking.MASKS_APPLY_BEFORE_THE_SOFTMAX,
    ),
    source="github.com/pytorch/pytorch/issues/107084",
    written="layer(x, src_key_padding_mask=mask)",
    mend="layer(x, src_key_padding_mask=~mask)",
    builds=(torch_layer_with_the_mask_inverted,),
)
ZEROS_AND_ONES_AS_ADDITIVE_MASK = Fault(
    id="zeros-and-ones-as-additive-mask",
    sentence="the kernel adds a float mask, and is given zeros and ones",
    clauses=(masking.MASKED_KEYS_ARE_INVISIBLE, masking.MASKS_APPLY_BEFORE_THE_SOFTMAX),
    source="github.com/mlverse/torch/pull/1208",
    written="sdpa(q, k, v, attn_mask=mask.float())",
    mend="sdpa(q, k, v, attn_mask=mask)",
    builds=(one_additive_mask,),
)
