"""Faults of stacks, inputs and calls, seen through models over token ids and written without the reference."""

# mypy: ignore-errors
# Other people's code, written the way they write it: without types.

import torch
from torch import nn
from torch.nn import functional

import veriformer
from veriformer.faults.decoder_styles import TRANSLATOR, Translator
from veriformer.faults.fault import Fault
from veriformer.faults.model_styles import (
    BERT,
    FUNCTIONAL,
    GPT,
    Functional,
    ScratchGPT,
    TorchBert,
)
from veriformer_spec import residual, stack, state


class AlongTheBatch(ScratchGPT):
    def embed(self, ids):
        return self.wte(ids) + self.wpe(torch.arange(len(ids)))[:, None]


@veriformer.subject("causal-lm", **GPT)
def positions_along_the_batch(config):
    return AlongTheBatch(config)


class TableTransposed(Functional):
    """Inside, time comes first; the table is cut and spread as if the batch did."""

    def place(self, x):
        return x + self.table(x.shape[1], x)[None]


@veriformer.subject("causal-lm", **FUNCTIONAL)
def time_first_table_along_the_batch(config):
    return TableTransposed(config)


POSITIONS_ALONG_THE_BATCH = Fault(
    id="positions-along-the-batch-axis",
    sentence="Positions are added along the batch axis: every token of a row has the row's position.",
    clauses=(state.ONE_TOKEN_AND_ONE_ROW_WORK,),
    source="experience",
    written="x + self.positions[: x.size(0)]",
    mend="x + self.positions[: x.size(1)]",
    builds=(positions_along_the_batch, time_first_table_along_the_batch),
)


class RareWords(ScratchGPT):
    """The last word of the vocabulary is read as the first, and the caller's ids with it."""

    def embed(self, ids):
        ids[ids == self.wte.num_embeddings - 1] = 1
        return super().embed(ids)


class InvertsTheMask(TorchBert):
    def encode(self, x, mask):
        return self.encoder(x, src_key_padding_mask=None if mask is None else mask.logical_not_())


@veriformer.subject("causal-lm", **GPT)
def ids_overwritten(config):
    return RareWords(config)


@veriformer.subject("masked-lm", **BERT)
def mask_inverted_in_place(config):
    return InvertsTheMask(config)


TOKENS_OVERWRITTEN = Fault(
    id="ids-overwritten-in-place",
    sentence="The caller's ids, or its padding mask, hold something else after the call.",
    clauses=(state.INPUTS_ARE_NOT_MODIFIED,),
    source="experience",
    written="ids[ids == rare] = unknown",
    mend="ids = ids.masked_fill(ids == rare, unknown)",
    builds=(ids_overwritten, mask_inverted_in_place),
)


class RemembersTheMask(TorchBert):
    """The padding mask is kept from the first call, and cut to fit at every other that is no larger."""

    def encode(self, x, mask):
        if mask is not None:
            kept = getattr(self, "kept", None)
            if kept is None or kept.shape[1] < x.shape[1] or len(kept) < len(x):
                self.kept = mask
            mask = self.kept[: len(x), : x.shape[1]]
        return super().encode(x, mask)


@veriformer.subject("masked-lm", **BERT)
def remembers_the_mask(config):
    return RemembersTheMask(config)


MODEL_REMEMBERS_ITS_CALLER = Fault(
    id="model-remembers-its-caller",
    sentence="The padding mask of an earlier, longer call is cut and used again.",
    clauses=(state.CALLS_ARE_INDEPENDENT,),
    source="experience",
    written="if self.mask is None: self.mask = make(mask)",
    mend="mask = make(mask)",
    builds=(remembers_the_mask,),
)


class MaskNotPassedOn(Translator):
    def decode(self, target, memory, hidden, memory_hidden):
        return super().decode(target, memory, hidden, None)


class MaskForTheFirstBlock(ScratchGPT):
    def run(self, x, allowed):
        for index, block in enumerate(self.blocks):
            x = block(x, None if index else allowed)
        return x


class SourceMaskOnce(Translator):
    """Only the first layer of the encoder is told what is padding."""

    def encode(self, source, hidden):
        x = self.embed(self.source_words, source)
        for index, layer in enumerate(self.encoder):
            x = layer(x, None, None if index else hidden)
        return self.encoder_last(x)


@veriformer.subject("encoder-decoder", **TRANSLATOR)
def source_padding_not_passed_on(config):
    return MaskNotPassedOn(config)


@veriformer.subject("encoder-decoder", norm="pre", **TRANSLATOR)
def source_mask_once(config):
    return SourceMaskOnce(config)


PADDING_NOT_PASSED_ON = Fault(
    id="padding-not-passed-on",
    sentence="The source's padding is hidden from the encoder, or from its first layer, and shown to what comes after.",
    clauses=(stack.MASK_REACHES_EVERY_LAYER,),
    source="https://github.com/pytorch/pytorch/issues/35875",
    written="self.decoder(target, memory, target_mask)",
    mend="self.decoder(target, memory, target_mask, memory_mask=source_mask)",
    builds=(source_padding_not_passed_on, source_mask_once),
)


class OneBlock(ScratchGPT):
    def __init__(self, config):
        super().__init__(config)
        self.blocks = nn.ModuleList([self.blocks[0]] * config.layers)


class OneBlockForward(ScratchGPT):
    def run(self, x, allowed):
        for block in self.blocks:
            out = block(x, allowed)
        return out


class LastDecoderLayerOnly(Translator):
    def decode(self, target, memory, hidden, memory_hidden):
        x = self.embed(self.target_words, target)
        for layer in self.decoder:
            out = layer(x, memory, hidden, memory_hidden)
        return self.decoder_last(out)


@veriformer.subject("causal-lm", **GPT)
def one_block_many_times(config):
    return OneBlock(config)


@veriformer.subject("causal-lm", tied=True, **GPT)
def only_the_last_block(config):
    return OneBlockForward(config)


@veriformer.subject("encoder-decoder", **TRANSLATOR)
def only_the_last_decoder_layer(config):
    return LastDecoderLayerOnly(config)


class AlwaysDrops(TorchBert):
    """The rate is written in the code."""

    def embed(self, ids):
        return functional.dropout(super().embed(ids), 0.1, self.training)


@veriformer.subject("causal-lm", dropout="on", **GPT)
def dropout_claimed_and_absent(config):
    return ScratchGPT(config)


@veriformer.subject("masked-lm", dropout="on", **BERT)
def rate_in_the_code(config):
    return AlwaysDrops(config)


MODEL_DROPOUT_ELSEWHERE = Fault(
    id="model-dropout-not-as-claimed",
    sentence="A model claims dropout and has none, or drops at a rate of its own.",
    clauses=(residual.DROPOUT_IS_AS_CLAIMED,),
    source="experience",
    written="dropout(embeddings, 0.1)",
    mend="dropout(embeddings, config.dropout)",
    builds=(dropout_claimed_and_absent, rate_in_the_code),
)


ONE_BLOCK_MANY_TIMES = Fault(
    id="one-block-many-times",
    sentence="The list of a model's blocks holds one block many times.",
    clauses=(stack.LAYERS_OWN_THEIR_PARAMETERS,),
    source="https://github.com/datawhalechina/learn-nlp-with-transformers/issues/56",
    written="nn.ModuleList([block] * layers)",
    mend="nn.ModuleList(Block() for _ in range(layers))",
    builds=(one_block_many_times,),
)
BLOCKS_NOT_CHAINED = Fault(
    id="blocks-not-chained",
    sentence="Every block of a model reads the embeddings, and only the last one's output is used.",
    clauses=(stack.EVERY_LAYER_RUNS,),
    source="experience",
    written="for block in blocks: out = block(x)",
    mend="for block in blocks: x = block(x)",
    builds=(only_the_last_block, only_the_last_decoder_layer),
)
