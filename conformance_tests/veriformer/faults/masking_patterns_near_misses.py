"""Near-misses of windows, packing, alignment, padding by side, cross-attention and bounded scores: legal, unusual, correct."""

# mypy: ignore-errors
# Other people's code, written the way they write it: without types.

import math

import torch
import torch.nn.functional as F
from torch import nn

import veriformer
from veriformer.faults.decoder_styles import TRANSLATOR, OneLayer, Translator
from veriformer.faults.fault import NearMiss
from veriformer.faults.heads_styles import Block, Tutorial, tutorial_weights
from veriformer.faults.hundred_lines import HundredLines, HundredLinesTranslator
from veriformer.faults.masking_patterns_foreign import Windowed
from veriformer.faults.model_styles import GPT, ScratchGPT
from veriformer_spec import heads, masking


@veriformer.subject("attention", module=None, causal=True, alignment="start")
def kernel_aligned_at_the_start(config):
    def attend(q, k, v, mask=None):
        if mask is None:
            return F.scaled_dot_product_attention(q, k, v, is_causal=True)
        past = torch.ones(q.size(2), k.size(2), dtype=torch.bool, device=q.device).tril()
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask & past)

    return attend


@veriformer.subject("attention", module=None, causal=True, alignment="end", sliding_window=True, nothing_visible="nan")
def band_aligned_at_the_end(config):
    def attend(q, k, v, mask=None):
        place = torch.arange(k.size(2), device=q.device)
        apart = place[k.size(2) - q.size(2) :, None] - place
        band = (apart >= 0) & (apart < config.window)
        scores = (q @ k.mT / q.size(-1) ** 0.5).masked_fill(~(band if mask is None else band & mask), float("-inf"))
        return scores.softmax(-1) @ v

    return attend


@veriformer.subject("encoder-layer", causal=True, sliding_window=True)
def layer_with_a_window(config):
    return Block(config, Windowed)


@veriformer.subject("causal-lm", **GPT, sliding_window=True, padding_sides=("right", "left"))
def words_counted_without_their_padding(config):
    class Counted(ScratchGPT):
        def allowed(self, ids, mask):
            time = ids.shape[1]
            near = torch.ones(time, time, dtype=torch.bool, device=ids.device).tril().triu(1 - config.window)
            if mask is None:
                return near
            # padding sees itself, so that nothing is ever empty
            return (near & mask[:, None, None, :]) | torch.eye(time, dtype=torch.bool, device=ids.device)

        def forward(self, ids, mask=None):
            place = (
                torch.arange(ids.shape[1], device=ids.device).expand(ids.shape)
                if mask is None
                else (mask.cumsum(-1) - 1).clamp(min=0)
            )
            return self.head(self.run(self.wte(ids) + self.wpe(place), self.allowed(ids, mask)))

    return Counted(config)


@veriformer.subject("masked-lm", padding_sides=("right", "left", "interior"))
def words_gathered_without_padding(config):
    class Gathered(nn.Module):
        def __init__(self):
            super().__init__()
            self.words = nn.Embedding(config.vocab, config.d_model)
            self.layers = nn.ModuleList(Block(config) for _ in range(config.layers))
            self.out = nn.Linear(config.d_model, config.vocab, bias=False)

        def read(self, ids):
            x = self.words(ids)
            for layer in self.layers:
                x = layer(x)
            return self.out(x)

        def forward(self, ids, mask=None):
            if mask is None:
                return self.read(ids)
            logits = self.out.weight.new_zeros(*ids.shape, config.vocab)
            for row, real in enumerate(mask):
                if real.any():
                    logits[row, real] = self.read(ids[row : row + 1, real])[0]
            return logits

    return Gathered()


@veriformer.subject("encoder-layer")
def triangle_known_for_sure(config):
    class Sure(Tutorial):
        """Takes a causal path only where the whole mask is the triangle."""

        def mask_scores(self, scores, mask):
            past = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
            if mask is not None and mask.shape[-2:] == past.shape and bool((mask == past).all()):
                return scores.masked_fill(~past, float("-inf"))
            return super().mask_scores(scores, mask)

    return Block(config, Sure)


@veriformer.subject("decoder-layer")
def torch_decoder_layer(config):
    layer = nn.TransformerDecoderLayer(config.d_model, config.heads, config.d_ff, config.dropout, batch_first=True)

    def hidden(mask, x):
        return None if mask is None else ~mask.expand(len(x), config.heads, x.shape[1], -1).flatten(0, 1)

    def call(module, x, memory, mask=None, memory_mask=None):
        return module(x, memory, tgt_mask=hidden(mask, x), memory_mask=hidden(memory_mask, x))

    return layer, call


@veriformer.subject("decoder-layer", masks=("none", "causal", "padding"))
def masks_without_heads(config):
    class TwoDimensional(OneLayer):
        def forward(self, x, memory, mask=None, memory_mask=None):
            if any(each is not None and each.shape[1] > 1 for each in (mask, memory_mask)):
                raise ValueError("one mask for all heads")
            return super().forward(x, memory, mask, memory_mask)

    return TwoDimensional(config)


@veriformer.subject("encoder-layer")
def masks_for_all_heads_alone(config):
    class Refusing(Block):
        def forward(self, x, mask=None):
            if mask is not None and mask.shape[1] > 1:
                raise veriformer.Unsupported("one mask for all heads")
            return super().forward(x, mask)

    return Refusing(config)


@veriformer.subject("encoder-decoder", **TRANSLATOR)
def memory_gathered_without_padding(config):
    class Gathered(Translator):
        """Each row by itself, its source cut to what is real."""

        def forward(self, source, target, source_mask=None, target_mask=None):
            if source_mask is None:
                return super().forward(source, target, None, target_mask)
            rows = [
                super(Gathered, self).forward(
                    source[row : row + 1, source_mask[row]], target[row : row + 1], None,
                    None if target_mask is None else target_mask[row : row + 1],
                ) for row in range(len(source))
            ]  # fmt: skip
            return torch.cat(rows)

    return Gathered(config)


@veriformer.subject("encoder-layer")
def hundred_lines(config):
    return HundredLines(config)


@veriformer.subject("encoder-decoder", positions="sinusoidal")
def hundred_lines_translator(config):
    return HundredLinesTranslator(config, source_length=False)


class HeadNormed(Tutorial):
    """Queries and keys normalised head by head."""

    kind = nn.RMSNorm

    def __init__(self, config):
        super().__init__(config)
        self.q_norm, self.k_norm = self.kind(config.d_head, eps=1e-5), self.kind(config.d_head, eps=1e-5)

    def forward(self, query, memory, mask=None):
        q, k, v = (self.split_heads(each, query) for each in (self.w_q(query), self.w_k(memory), self.w_v(memory)))
        scores = self.q_norm(q) @ self.k_norm(k).transpose(-2, -1) / math.sqrt(self.d_k)
        return self.finish(self.combine_heads(self.weigh(scores, mask) @ v), query)


@veriformer.subject("multi-head-attention", query_key_norm="rms", memory="query", bias=False)
def heads_normalised_by_rms(config):
    class Itself(HeadNormed):
        def forward(self, query, memory, mask=None):
            return super().forward(query, query, mask)

    return Itself(config)


@veriformer.subject("multi-head-attention", query_key_norm="layer")
def heads_normalised_by_layer_norm(config):
    class ByLayerNorm(HeadNormed):
        kind = nn.LayerNorm

    return ByLayerNorm(config)


@veriformer.subject("multi-head-attention", soft_cap=50.0, weights=tutorial_weights)
def heads_capped(config):
    class Capped(Tutorial):
        def weigh(self, scores, mask):
            return super().weigh(50.0 * torch.tanh(scores / 50.0), mask)

    return Capped(config)


@veriformer.subject("attention", module=None, soft_cap=20)
def capped_with_a_finite_mask(config):
    def attend(q, k, v, mask=None):
        scores = 20 * torch.tanh(q @ k.mT / (20 * config.d_head**0.5))
        return (scores if mask is None else scores.masked_fill(~mask, -6e4)).softmax(-1) @ v

    return attend


KERNEL_ALIGNED_AT_THE_START = NearMiss(
    id="kernel-aligned-at-the-start", sentence="causal attention on torch's kernel, which aligns at the upper left, as claimed",
    clauses=(masking.FEWER_QUERIES_THAN_KEYS_ALIGN_AS_CLAIMED,), build=kernel_aligned_at_the_start,
)  # fmt: skip
BAND_ALIGNED_AT_THE_END = NearMiss(
    id="band-aligned-at-the-end", sentence="a sliding window whose queries stand at the end of the keys",
    clauses=(masking.FEWER_QUERIES_THAN_KEYS_ALIGN_AS_CLAIMED, masking.SLIDING_WINDOW_SEES_EXACTLY_ITS_WIDTH),
    build=band_aligned_at_the_end,
)  # fmt: skip
LAYER_WITH_A_WINDOW = NearMiss(
    id="layer-with-a-window", sentence="a causal layer that sees a window, and what masks leave of it",
    clauses=(masking.SLIDING_WINDOW_SEES_EXACTLY_ITS_WIDTH, masking.MASKS_COMBINE_BY_CONJUNCTION), build=layer_with_a_window,
)  # fmt: skip
WORDS_COUNTED_WITHOUT_THEIR_PADDING = NearMiss(
    id="words-counted-without-their-padding", sentence="left padding with positions that count words, and a window over it",
    clauses=(masking.PADDING_MAY_STAND_WHERE_CLAIMED, masking.SLIDING_WINDOW_SEES_EXACTLY_ITS_WIDTH),
    build=words_counted_without_their_padding,
)  # fmt: skip
WORDS_GATHERED_WITHOUT_PADDING = NearMiss(
    id="words-gathered-without-padding", sentence="padding anywhere, cut away by indexing, and zeros for it",
    clauses=(masking.PADDING_MAY_STAND_WHERE_CLAIMED,), build=words_gathered_without_padding,
)  # fmt: skip
TRIANGLE_KNOWN_FOR_SURE = NearMiss(
    id="triangle-known-for-sure", sentence="a causal path for masks that are the triangle throughout, and for no others",
    clauses=(masking.PREFIX_IS_BIDIRECTIONAL, masking.PACKED_SEQUENCES_DO_NOT_MIX), build=triangle_known_for_sure,
)  # fmt: skip
TORCH_DECODER_LAYER = NearMiss(
    id="torch-decoder-layer", sentence="torch.nn.TransformerDecoderLayer, with masks of its own opposite sense for each head",
    clauses=(
        masking.EACH_HEAD_OBEYS_ITS_OWN_MASK, masking.SOURCE_PADDING_IS_INVISIBLE, heads.CROSS_ATTENTION_READS_THE_MEMORY,
        heads.MEMORY_ORDER_DOES_NOT_MATTER, heads.TARGET_AND_MEMORY_LENGTHS_MAY_DIFFER,
    ),
    build=torch_decoder_layer,
)  # fmt: skip
MASKS_WITHOUT_HEADS = NearMiss(
    id="masks-without-heads", sentence="a decoder layer that accepts no arbitrary masks, and none for each head",
    clauses=(masking.EACH_HEAD_OBEYS_ITS_OWN_MASK,), build=masks_without_heads,
)  # fmt: skip
MASKS_FOR_ALL_HEADS_ALONE = NearMiss(
    id="masks-for-all-heads-alone", sentence="arbitrary masks for all heads at once; one for each head is refused, and not ignored",
    clauses=(masking.EACH_HEAD_OBEYS_ITS_OWN_MASK, masking.MASKS_BROADCAST), build=masks_for_all_heads_alone,
)  # fmt: skip
MEMORY_GATHERED_WITHOUT_PADDING = NearMiss(
    id="memory-gathered-without-padding", sentence="an encoder-decoder that cuts each row's source to its words",
    clauses=(masking.SOURCE_PADDING_IS_INVISIBLE, heads.TARGET_AND_MEMORY_LENGTHS_MAY_DIFFER), build=memory_gathered_without_padding,
)  # fmt: skip
HUNDRED_LINES = NearMiss(
    id="hundred-lines", sentence="the tutorial of a hundred lines, with the permutation that it lacks",
    clauses=(heads.TIME_STAYS_TIME, heads.EVERY_LENGTH_IS_ONE_FUNCTION), build=hundred_lines,
)  # fmt: skip
HUNDRED_LINES_TRANSLATOR = NearMiss(
    id="hundred-lines-translator", sentence="its successor that translates, with queries cut by their own length",
    clauses=(heads.TARGET_AND_MEMORY_LENGTHS_MAY_DIFFER, heads.CROSS_ATTENTION_READS_THE_MEMORY), build=hundred_lines_translator,
)  # fmt: skip
HEADS_NORMALISED_BY_RMS = NearMiss(
    id="heads-normalised-by-rms", sentence="queries and keys of the same tokens, normalised head by head",
    clauses=(heads.QUERY_AND_KEY_NORM_IS_AS_CLAIMED,), build=heads_normalised_by_rms,
)  # fmt: skip
HEADS_NORMALISED_BY_LAYER_NORM = NearMiss(
    id="heads-normalised-by-layer-norm", sentence="queries and keys normalised with their mean taken away, and no mapping",
    clauses=(heads.QUERY_AND_KEY_NORM_IS_AS_CLAIMED,), build=heads_normalised_by_layer_norm,
)  # fmt: skip
HEADS_CAPPED = NearMiss(
    id="heads-capped", sentence="scores capped at 50, where ordinary ones hardly bend",
    clauses=(heads.SCORES_ARE_CAPPED_AS_CLAIMED, heads.EQUALS_THE_REFERENCE), build=heads_capped,
)  # fmt: skip
CAPPED_WITH_A_FINITE_MASK = NearMiss(
    id="capped-with-a-finite-mask", sentence="scores capped at 20 before a mask of -1e9",
    clauses=(heads.SCORES_ARE_CAPPED_AS_CLAIMED,), build=capped_with_a_finite_mask,
)  # fmt: skip
