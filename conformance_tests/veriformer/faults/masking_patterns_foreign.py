"""Faults in masks of a pattern, written without the reference: windows, prefixes, packing, alignment, padding of models."""

# mypy: ignore-errors
# Other people's code, written the way they write it: without types.

import torch
import torch.nn.functional as F
from torch import nn

import veriformer
from veriformer.faults.decoder_styles import TRANSLATOR, OneLayer, Reader, Translator
from veriformer.faults.fault import Fault
from veriformer.faults.heads_styles import Block, Tutorial
from veriformer.faults.model_styles import GPT, ScratchGPT
from veriformer_spec import masking


@veriformer.subject("attention", module=None, causal=True, alignment="end")
def chunk_that_sees_the_beginning(config):
    def attend(q, k, v, mask=None):
        allowed = torch.ones(q.size(2), k.size(2), dtype=torch.bool).tril()
        return F.scaled_dot_product_attention(q, k, v, attn_mask=allowed if mask is None else allowed & mask)

    return attend


@veriformer.subject("attention", module=None, causal=True, alignment="start", masks=("none",))
def start_read_as_end(config):
    def attend(q, k, v):
        past = k.size(2) - q.size(2)
        return F.scaled_dot_product_attention(
            q, k, v, attn_mask=torch.ones(q.size(2), k.size(2), dtype=torch.bool).tril(past)
        )

    return attend


class Windowed(Tutorial):
    """The past, as far as ``self.span`` says."""

    def __init__(self, config):
        super().__init__(config)
        self.span = config.window

    def mask_scores(self, scores, mask):
        apart = torch.arange(scores.size(-2), device=scores.device)[:, None] - torch.arange(
            scores.size(-1), device=scores.device
        )
        band = (apart >= 0) & (apart < self.span)
        return scores.masked_fill(~(band if mask is None else band & mask), float("-inf"))


@veriformer.subject("encoder-layer", causal=True, sliding_window=True)
def window_beside_the_position(config):
    class OneMore(Windowed):
        def __init__(self, config):
            super().__init__(config)
            self.span = config.window + 1

    return Block(config, OneMore)


@veriformer.subject("encoder-layer", causal=True, sliding_window=True, masks=("none",))
def window_that_looks_ahead(config):
    class Around(Windowed):
        def mask_scores(self, scores, mask):
            apart = torch.arange(scores.size(-2))[:, None] - torch.arange(scores.size(-1))
            return scores.masked_fill(apart.abs() >= self.span, float("-inf"))

    return Block(config, Around)


@veriformer.subject("causal-lm", **GPT, sliding_window=True)
def window_in_the_first_layer_only(config):
    class Deeper(ScratchGPT):
        def run(self, x, allowed):
            time = x.shape[1]
            past = torch.ones(time, time, dtype=torch.bool).tril()
            near = past.triu(1 - config.window)
            for number, block in enumerate(self.blocks):
                seen = past if number else near
                x = block(x, seen if allowed is None else seen & allowed)
            return x

    return Deeper(config)


@veriformer.subject("encoder-layer")
def corner_read_as_causal(config):
    class Glancing(Tutorial):
        def mask_scores(self, scores, mask):
            if mask is not None and mask.shape[-2] > 1 and not mask[..., 0, -1].any():
                mask = mask & torch.ones(scores.shape[-2:], dtype=torch.bool).tril()
            return super().mask_scores(scores, mask)

    return Block(config, Glancing)


@veriformer.subject("decoder-layer")
def triangle_under_every_mask(config):
    class AlwaysCausal(OneLayer):
        def hidden(self, x, mask):
            if mask is None:
                return None
            return ~mask | torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1)

    return AlwaysCausal(config)


@veriformer.subject("multi-head-attention", memory="query")
def blocks_shifted_by_one(config):
    class Shifted(Tutorial):
        def mask_scores(self, scores, mask):
            if mask is not None and mask.size(-2) > 1:
                mask = mask.roll(1, -2) | torch.eye(mask.size(-2), dtype=torch.bool)
            return super().mask_scores(scores, mask)

    return Shifted(config)


@veriformer.subject("encoder-layer")
def torch_layer_with_key_padding_only(config):
    layer = nn.TransformerEncoderLayer(config.d_model, config.heads, config.d_ff, config.dropout, batch_first=True)

    def call(module, x, mask=None):
        return module(x, src_key_padding_mask=None if mask is None else ~mask.any(1).any(1).expand(len(x), -1))

    return layer, call


@veriformer.subject("encoder-layer")
def first_heads_mask_for_all(config):
    class First(Tutorial):
        def mask_scores(self, scores, mask):
            return super().mask_scores(scores, None if mask is None else mask[:, 0].unsqueeze(1))

    return Block(config, First)


@veriformer.subject("decoder")
def any_heads_mask_for_all(config):
    class Merged(Reader):
        def forward(self, x, memory, mask=None, memory_mask=None):
            merged = [None if each is None else each.any(1, keepdim=True) for each in (mask, memory_mask)]
            return super().forward(x, memory, *merged)

    return Merged(config)


@veriformer.subject("encoder-decoder", **TRANSLATOR)
def source_padding_hidden_from_the_encoder_only(config):
    class Forgetful(Translator):
        def decode(self, target, memory, hidden, memory_hidden):
            return super().decode(target, memory, hidden, None)

    return Forgetful(config)


@veriformer.subject("encoder-decoder", **TRANSLATOR)
def target_mask_on_the_source(config):
    class Mixed(Translator):
        def forward(self, source, target, source_mask=None, target_mask=None):
            memory = self.encode(source, None if source_mask is None else ~source_mask[:, None, None])
            swapped = target_mask if target_mask is not None and source.shape == target.shape else source_mask
            seen = None if swapped is None else ~swapped[:, None, None]
            return self.logits(self.decode(target, memory, self.future(target, target_mask), seen))

    return Mixed(config)


@veriformer.subject("decoder-layer")
def torch_decoder_layer_without_the_memory_mask(config):
    layer = nn.TransformerDecoderLayer(config.d_model, config.heads, config.d_ff, config.dropout, batch_first=True)

    def call(module, x, memory, mask=None, memory_mask=None):
        grid = None if mask is None else ~mask.expand(len(x), config.heads, x.shape[1], -1).flatten(0, 1)
        return module(x, memory, tgt_mask=grid)

    return layer, call


@veriformer.subject("causal-lm", **GPT, padding_sides=("right", "left"))
def words_counted_with_their_padding(config):
    return ScratchGPT(config)


@veriformer.subject("masked-lm", masks=("none", "padding"))
def padding_looked_for_at_the_start(config):
    class Reversed(nn.Module):
        def __init__(self):
            super().__init__()
            self.words = nn.Embedding(config.vocab, config.d_model)
            self.layers = nn.ModuleList(Block(config) for _ in range(config.layers))
            self.out = nn.Linear(config.d_model, config.vocab, bias=False)

        def forward(self, ids, mask=None):
            x = self.words(ids)
            for layer in self.layers:
                x = layer(x, None if mask is None else mask.flip(1)[:, None, None, :])
            return self.out(x)

    return Reversed()


CHUNK_ALIGNED_AT_THE_START = Fault(
    id="chunk-aligned-at-the-start",
    sentence="tril of q_len x k_len shows a chunk the beginning of the past only",
    clauses=(masking.FEWER_QUERIES_THAN_KEYS_ALIGN_AS_CLAIMED,),
    source="github.com/pytorch/pytorch/issues/108108",
    written="torch.ones(q_len, k_len).tril()",
    mend="torch.ones(q_len, k_len).tril(k_len - q_len)",
    builds=(chunk_that_sees_the_beginning, start_read_as_end),
)
WINDOW_BESIDE_THE_POSITION = Fault(
    id="window-beside-the-position",
    sentence="the window does not count the position itself, looks ahead as far as back, or is forgotten after the first layer",
    clauses=(masking.SLIDING_WINDOW_SEES_EXACTLY_ITS_WIDTH,),
    source="github.com/huggingface/transformers/pull/34127 (the window's off-by-one)",
    written="(i - j).abs() <= window",
    mend="(i >= j) & (i - j < window), in every layer",
    builds=(window_beside_the_position, window_that_looks_ahead, window_in_the_first_layer_only),
)
PREFIX_LOSES_ITS_FUTURE = Fault(
    id="prefix-loses-its-future",
    sentence="a mask that resembles a triangle gets one on top, and a prefix no longer sees itself both ways",
    clauses=(masking.PREFIX_IS_BIDIRECTIONAL,),
    source="experience",
    written="mask & torch.ones(t, t).tril()",
    mend="mask",
    builds=(corner_read_as_causal, triangle_under_every_mask),
)
PACKING_SHIFTED = Fault(
    id="packing-shifted",
    sentence="the rows of a block-diagonal mask are shifted by one, or dropped: sequences see into each other",
    clauses=(masking.PACKED_SEQUENCES_DO_NOT_MIX,),
    source="experience (a packing that was made from cumulative lengths, off by one)",
    written="mask.roll(1, -2)",
    mend="mask",
    builds=(blocks_shifted_by_one, torch_layer_with_key_padding_only),
)
MASKS_OF_HEADS_MERGED = Fault(
    id="masks-of-heads-merged",
    sentence="a mask for each head is cut to the first, or merged by any",
    clauses=(masking.EACH_HEAD_OBEYS_ITS_OWN_MASK,),
    source="experience",
    written="mask[:, 0].unsqueeze(1)",
    mend="mask",
    builds=(first_heads_mask_for_all, any_heads_mask_for_all),
)
SOURCE_PADDING_LEFT_TO_THE_ENCODER = Fault(
    id="source-padding-left-to-the-encoder",
    sentence="the encoder hides the source's padding, and the cross-attention reads it; or hides what the target's mask says",
    clauses=(masking.SOURCE_PADDING_IS_INVISIBLE,),
    source="github.com/jadore801120/attention-is-all-you-need-pytorch (dec_enc_attn_mask, forgotten in many copies)",
    written="decoder(target, memory, target_mask)",
    mend="decoder(target, memory, target_mask, source_mask)",
    builds=(
        source_padding_hidden_from_the_encoder_only, target_mask_on_the_source, torch_decoder_layer_without_the_memory_mask,
    ),
)  # fmt: skip
PADDING_ON_THE_SIDE_THAT_WAS_NOT_MEANT = Fault(
    id="padding-on-the-side-that-was-not-meant",
    sentence="left padding is claimed, and words are counted with it; or right padding is passed, and hidden at the left",
    clauses=(masking.PADDING_MAY_STAND_WHERE_CLAIMED,),
    source="github.com/huggingface/transformers/issues/21080 (position ids under left padding)",
    written="torch.arange(time)",
    mend="mask.cumsum(-1) - 1",
    builds=(words_counted_with_their_padding, padding_looked_for_at_the_start),
)
