"""Near-misses with heads and masks: legal, unusual, correct."""

# mypy: ignore-errors
# Other people's code, written the way they write it: without types.

import torch
from torch import Tensor, nn

import veriformer
from veriformer.faults.fault import NearMiss
from veriformer.faults.heads_styles import Block, Fused, Tutorial, fused_weights, tutorial_weights
from veriformer_spec import attention, heads, masking


@veriformer.subject("multi-head-attention", weights=tutorial_weights)
def tutorial(config):
    return Tutorial(config)


@veriformer.subject("multi-head-attention", weights=tutorial_weights, causal=True)
def causal_tutorial(config):
    return Tutorial(config)


@veriformer.subject("multi-head-attention", memory="query", weights=fused_weights)
def fused_and_sequence_first(config):
    return Fused(config)


def torch_weights(module: nn.Module) -> dict[str, Tensor]:
    found = {"output.weight": module.out_proj.weight, "output.bias": module.out_proj.bias}
    for name, weight, bias in zip(
        ("query", "key", "value"), module.in_proj_weight.chunk(3), module.in_proj_bias.chunk(3), strict=True
    ):
        found |= {f"{name}.weight": weight, f"{name}.bias": bias}
    return found


@veriformer.subject("multi-head-attention", weights=torch_weights)
def torch_sequence_first(config):
    module = nn.MultiheadAttention(config.d_model, config.heads, dropout=config.dropout)

    def call(module, query, memory, mask=None):
        if mask is not None:
            mask = ~mask.expand(query.size(0), config.heads, query.size(1), memory.size(1)).flatten(0, 1)
        query, memory = query.transpose(0, 1), memory.transpose(0, 1)
        return module(query, memory, memory, attn_mask=mask, need_weights=False)[0].transpose(0, 1)

    return module, call


@veriformer.subject("encoder-layer", masks=("padding", "causal"))
def torch_layer(config):
    module = nn.TransformerEncoderLayer(config.d_model, config.heads, config.d_ff, config.dropout, batch_first=True)

    def call(module, x, mask=None):
        if mask is None:
            return module(x)
        padding = ~mask[:, 0, -1]  # the last query sees every real key, causal or not
        return module(x, src_mask=~mask[0, 0] if bool(mask.any(2).all()) else None, src_key_padding_mask=padding)

    return module, call


def relabelled_weights(module: nn.Module) -> dict[str, Tensor]:
    """The heads stand in the opposite order; the mapping puts them straight, as copies."""
    found = tutorial_weights(module)
    for name in ("query", "key", "value"):
        for kind in ("weight", "bias"):
            found[f"{name}.{kind}"] = found[f"{name}.{kind}"].unflatten(0, (module.n_heads, -1)).flip(0).flatten(0, 1)
    found["output.weight"] = found["output.weight"].unflatten(1, (module.n_heads, -1)).flip(1).flatten(1)
    return found


@veriformer.subject("multi-head-attention", weights=relabelled_weights)
def relabelled_heads(config):
    return Tutorial(config)


@veriformer.subject("multi-head-attention", weights=tutorial_weights)
def sum_over_heads(config):
    class Summed(Tutorial):
        def combine_heads(self, x):
            return x

        def finish(self, x, query):
            columns = self.w_o.weight.unflatten(1, (self.n_heads, self.d_k))
            total = torch.zeros_like(query)
            for head in reversed(range(self.n_heads)):
                total = total + x[:, head] @ columns[:, head].mT
            return total if self.w_o.bias is None else total + self.w_o.bias

    return Summed(config)


@veriformer.subject("encoder-layer", masks=("padding",), padded_rows="unspecified")
def unpadded(config):
    class Unpadded(Block):
        def forward(self, x, mask=None):
            if mask is None:
                return super().forward(x)
            out = torch.zeros_like(x)
            for row, real in enumerate(mask[:, 0].any(1)):
                out[row, real] = super().forward(x[row : row + 1, real])[0]
            return out

    return Unpadded(config)


@veriformer.subject("multi-head-attention", weights=tutorial_weights, nothing_visible="zeros")
def hard_zeros(config):
    class HardZeros(Tutorial):
        def forward(self, query, memory, mask=None):
            if mask is None:
                return super().forward(query, memory)
            seen = mask.any(-1, keepdim=True)
            out = super().forward(query, memory, mask | ~seen)
            return out * seen.any(1).expand(out.size(0), out.size(1), 1)

    return HardZeros(config)


@veriformer.subject("encoder-layer", nothing_visible="nan", causal=True)
def nan_through_a_layer(config):
    return Block(config, Tutorial)


@veriformer.subject("multi-head-attention", weights=tutorial_weights, computes_in="float32")
def half_of_it_in_single_precision(config):
    class Single(Tutorial):
        def weigh(self, scores, mask):
            return super().weigh(scores.float(), mask).to(scores.dtype)

    return Single(config)


@veriformer.subject("multi-head-attention", weights=tutorial_weights, computes_in="float32", nothing_visible="zeros")
def smallest_number_hides(config):
    class Smallest(Tutorial):
        def weigh(self, scores, mask):
            hidden = scores if mask is None else scores.masked_fill(~mask, -torch.finfo(scores.dtype).max)
            weights = torch.softmax(hidden.float(), -1).to(scores.dtype)
            return weights if mask is None else weights.masked_fill(~mask.any(-1, keepdim=True), 0)

    return Smallest(config)


@veriformer.subject("encoder-layer")
def low_rank_projections(config):
    class LowRank(Tutorial):
        """A weight, plus a product of two narrow ones: four factors in every score where all are scaled."""

        def __init__(self, config):
            super().__init__(config)
            self.down = nn.Linear(config.d_model, 2, bias=False)
            self.up = nn.Linear(2, config.d_model, bias=False)

        def inputs(self, query, memory):
            return query + self.up(self.down(query)), memory + self.up(self.down(memory)), memory

        def mask_scores(self, scores, mask):
            return scores if mask is None else scores.masked_fill(~mask, max(-1e9, torch.finfo(scores.dtype).min))

    return Block(config, LowRank)


@veriformer.subject("multi-head-attention", memory="query", masks=("padding",))
def gathered_by_index(config):
    class Gathered(Tutorial):
        def forward(self, query, memory, mask=None):
            if mask is None:
                return super().forward(query, query)
            rows = [
                super(Gathered, self).forward(query[i : i + 1], query[i : i + 1, mask[i, 0, 0]])
                for i in range(len(query))
            ]
            return torch.cat(rows)

    return Gathered(config)


TUTORIAL_HEADS = NearMiss(
    id="tutorial-heads", sentence="multi-head attention as tutorials write it; NaN where nothing is visible, and unsaid",
    clauses=(heads.EQUALS_THE_REFERENCE, masking.A_ROW_WITH_NOTHING_VISIBLE_TOUCHES_NO_OTHER), build=tutorial,
)  # fmt: skip
CAUSAL_TUTORIAL_HEADS = NearMiss(
    id="causal-tutorial-heads", sentence="causal by itself, with masks on top",
    clauses=(masking.MASKS_COMBINE_BY_CONJUNCTION, masking.CAUSAL_POSITIONS_SEE_THEMSELVES_AND_ALL_BEFORE), build=causal_tutorial,
)  # fmt: skip
FUSED_AND_SEQUENCE_FIRST = NearMiss(
    id="fused-and-sequence-first", sentence="one fused projection, sequence first inside, masks added as minus infinity",
    clauses=(heads.EACH_HEAD_READS_ITS_OWN_SLICE, heads.TIME_STAYS_TIME), build=fused_and_sequence_first,
)  # fmt: skip
TORCH_SEQUENCE_FIRST = NearMiss(
    id="torch-sequence-first", sentence="torch.nn.MultiheadAttention, sequence first, with a mask for each head",
    clauses=(
        masking.MASKS_BROADCAST, heads.TIME_STAYS_TIME, heads.THE_OUTPUT_PROJECTION_IS_APPLIED,
        heads.EVERY_LENGTH_IS_ONE_FUNCTION, heads.QUERIES_FROM_QUERIES_MEMORY_FROM_MEMORY,
        heads.QUERY_AND_MEMORY_LENGTHS_MAY_DIFFER, heads.ONE_HEAD_IS_PLAIN_ATTENTION,
    ),
    build=torch_sequence_first,
)  # fmt: skip
TORCH_LAYER = NearMiss(
    id="torch-layer", sentence="torch.nn.TransformerEncoderLayer, which runs a fused kernel where no gradient is wanted",
    clauses=(masking.MASKED_KEYS_ARE_INVISIBLE, masking.PADDING_DOES_NOT_CHANGE_REAL_POSITIONS), build=torch_layer,
)  # fmt: skip
RELABELLED_HEADS = NearMiss(
    id="relabelled-heads", sentence="the mapping lists the heads in another order, the output projection with them",
    clauses=(heads.EQUALS_THE_REFERENCE, heads.EACH_HEAD_READS_ITS_OWN_SLICE), build=relabelled_heads,
)  # fmt: skip
SUM_OVER_HEADS = NearMiss(
    id="sum-over-heads", sentence="each head is projected back alone, and the heads are added last to first",
    clauses=(heads.EQUALS_THE_REFERENCE, heads.THE_OUTPUT_PROJECTION_IS_APPLIED), build=sum_over_heads,
)  # fmt: skip
UNPADDED = NearMiss(
    id="unpadded", sentence="padding is cut away by boolean indexing, and comes back as zeros, as claimed",
    clauses=(masking.PADDING_DOES_NOT_CHANGE_REAL_POSITIONS, masking.MASKED_KEYS_ARE_INVISIBLE, heads.TIME_STAYS_TIME), build=unpadded,
)  # fmt: skip
HARD_ZEROS = NearMiss(
    id="hard-zeros", sentence="a row with nothing visible is zeros after the output projection, without its bias",
    clauses=(masking.A_ROW_WITH_NOTHING_VISIBLE,), build=hard_zeros,
)  # fmt: skip
NAN_THROUGH_A_LAYER = NearMiss(
    id="nan-through-a-layer", sentence="a causal layer that returns NaN for a row with nothing visible, as claimed",
    clauses=(masking.A_ROW_WITH_NOTHING_VISIBLE, masking.A_ROW_WITH_NOTHING_VISIBLE_TOUCHES_NO_OTHER), build=nan_through_a_layer,
)  # fmt: skip
HALF_OF_IT_IN_SINGLE_PRECISION = NearMiss(
    id="half-of-it-in-single-precision", sentence="the softmax of each head in float32, as claimed",
    clauses=(heads.EQUALS_THE_REFERENCE, attention.SCALE_IS_AS_CLAIMED, masking.NO_SCORE_IS_TOO_LARGE_TO_MASK),
    build=half_of_it_in_single_precision,
)  # fmt: skip
SMALLEST_NUMBER_HIDES = NearMiss(
    id="smallest-number-hides", sentence="the smallest number of the input's dtype hides scores, and a softmax in float32 makes it infinite",
    clauses=(masking.A_ROW_WITH_NOTHING_VISIBLE_TOUCHES_NO_OTHER, masking.MASKED_KEYS_ARE_INVISIBLE), build=smallest_number_hides,
)  # fmt: skip
LOW_RANK_PROJECTIONS = NearMiss(
    id="low-rank-projections", sentence="projections with a low-rank addition, and -1e9 for hidden scores",
    clauses=(masking.NO_SCORE_IS_TOO_LARGE_TO_MASK,), build=low_rank_projections,
)  # fmt: skip
GATHERED_BY_INDEX = NearMiss(
    id="gathered-by-index", sentence="real keys are gathered for each row of the batch",
    clauses=(masking.PADDING_DOES_NOT_CHANGE_REAL_POSITIONS, masking.NO_SCORE_IS_TOO_LARGE_TO_MASK), build=gathered_by_index,
)  # fmt: skip
