"""Faults in cross-attention and in bounded scores, written without the reference; and a well-known tutorial's head merge."""

# mypy: ignore-errors
# Other people's code, written the way they write it: without types.

import math

import torch
import torch.nn.functional as F
from torch import nn

import veriformer
from veriformer.faults.decoder_styles import TRANSLATOR, Look, OneLayer, Reader, ReadingLayer, Translator
from veriformer.faults.fault import Fault
from veriformer.faults.heads_styles import Tutorial, tutorial_weights
from veriformer.faults.hundred_lines import HundredLines, HundredLinesTranslator
from veriformer_spec import heads


class ReadingOtherwise(ReadingLayer):
    """A reading layer whose second attention is replaced."""

    look = Look

    def __init__(self, config, *, reads_memory):
        super().__init__(config, reads_memory=reads_memory)
        if reads_memory:
            self.other = self.look(config)


def with_look(base, kind):
    """``base`` with another second attention."""
    layer = type("Layer", (ReadingOtherwise,), {"look": kind})
    return type("Subject", (base,), {"layer": layer})


class ValuesOfTheDecoder(Look):
    def forward(self, x, memory, hidden=None):
        q = self.ask(x).unflatten(-1, (self.heads, -1))
        k = self.tell(memory).unflatten(-1, (2, self.heads, -1))[:, :, 0]
        v = self.tell(x if x.shape == memory.shape else memory).unflatten(-1, (2, self.heads, -1))[:, :, 1]
        scores = torch.einsum("bqhe,bkhe->bhqk", q, k) / q.shape[-1] ** 0.5
        scores = scores if hidden is None else scores.masked_fill(hidden, -1e30)
        return self.out(torch.einsum("bhqk,bkhe->bqhe", scores.softmax(-1), v).flatten(2))


class QueriesOfTheEncoder(Look):
    def forward(self, x, memory, hidden=None):
        return super().forward(memory, memory, hidden)


class OntoItself(Look):
    def forward(self, x, memory, hidden=None):
        return super().forward(x, x)


class SplitWithoutTranspose(Look):
    def forward(self, x, memory, hidden=None):
        q = self.ask(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        k, v = (each.reshape(len(memory), self.heads, memory.shape[1], -1) for each in self.tell(memory).chunk(2, -1))
        scores = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5
        scores = scores if hidden is None else scores.masked_fill(hidden, -1e30)
        return self.out((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))


class PlacedMemory(Look):
    def forward(self, x, memory, hidden=None):
        place = torch.linspace(0, 1, memory.shape[1], dtype=memory.dtype)[:, None]
        return super().forward(x, memory + place, hidden)


@veriformer.subject("decoder-layer")
def decoder_with_values_of_its_own(config):
    return with_look(OneLayer, ValuesOfTheDecoder)(config)


@veriformer.subject("encoder-decoder", **TRANSLATOR)
def translator_with_values_of_its_own(config):
    return with_look(Translator, ValuesOfTheDecoder)(config)


@veriformer.subject("encoder-decoder", **TRANSLATOR)
def translator_that_reads_itself(config):
    return with_look(Translator, OntoItself)(config)


@veriformer.subject("decoder", norm="pre")
def decoder_with_queries_of_the_encoder(config):
    return with_look(Reader, QueriesOfTheEncoder)(config)


@veriformer.subject("encoder-decoder", **TRANSLATOR)
def translator_with_queries_of_the_encoder(config):
    return with_look(Translator, QueriesOfTheEncoder)(config)


@veriformer.subject("decoder-layer")
def memory_split_without_transpose(config):
    return with_look(OneLayer, SplitWithoutTranspose)(config)


@veriformer.subject("decoder", causal=True)
def memory_with_places(config):
    return with_look(Reader, PlacedMemory)(config)


@veriformer.subject("encoder-decoder", positions="sinusoidal", masks=("none",))
def queries_viewed_with_the_source_length(config):
    return HundredLinesTranslator(config)


@veriformer.subject("encoder-layer", masks=("none",))
def values_reshaped_without_permuting_back(config):
    return HundredLines(config, permutes_back=False)


class NormedBeforeTheSplit(Tutorial):
    def __init__(self, config):
        super().__init__(config)
        self.q_norm, self.k_norm = nn.RMSNorm(config.d_model, eps=1e-5), nn.RMSNorm(config.d_model, eps=1e-5)

    def forward(self, query, memory, mask=None):
        q, k = self.q_norm(self.w_q(query)), self.k_norm(self.w_k(memory))
        q, k, v = (self.split_heads(each, query) for each in (q, k, self.w_v(memory)))
        scores = q @ k.transpose(-2, -1) / math.sqrt(self.d_k)
        return self.finish(self.combine_heads(self.weigh(scores, mask) @ v), query)


@veriformer.subject("multi-head-attention")
def norm_that_is_not_claimed(config):
    return NormedBeforeTheSplit(config)


@veriformer.subject("multi-head-attention", query_key_norm="rms")
def norm_of_queries_alone(config):
    class QueriesOnly(Tutorial):
        def split_heads(self, x, like):
            return super().split_heads(x, like)

        def forward(self, query, memory, mask=None):
            q, k, v = (self.split_heads(each, query) for each in (self.w_q(query), self.w_k(memory), self.w_v(memory)))
            scores = F.rms_norm(q, q.shape[-1:], eps=1e-5) @ k.transpose(-2, -1) / math.sqrt(self.d_k)
            return self.finish(self.combine_heads(self.weigh(scores, mask) @ v), query)

    return QueriesOnly(config)


@veriformer.subject("attention", module=None, soft_cap=3.0)
def cap_behind_the_mask(config):
    def attend(q, k, v, mask=None):
        scores = q @ k.mT / config.d_head**0.5
        if mask is not None:
            scores = scores.masked_fill(~mask, -1e9)
        return (3.0 * torch.tanh(scores / 3.0)).softmax(-1) @ v

    return attend


@veriformer.subject("attention", module=None, soft_cap=3.0)
def cap_before_the_scale(config):
    def attend(q, k, v, mask=None):
        scores = 3.0 * torch.tanh(q @ k.mT / 3.0) / config.d_head**0.5
        return (scores if mask is None else scores.masked_fill(~mask, float("-inf"))).softmax(-1) @ v

    return attend


@veriformer.subject("multi-head-attention", soft_cap=4.0, weights=tutorial_weights)
def cap_forgotten_by_a_kernel(config):
    return Tutorial(config)


VALUES_OR_MEMORY_FROM_THE_WRONG_SIDE = Fault(
    id="values-or-memory-from-the-wrong-side",
    sentence="the cross-attention takes its values from the decoder, or looks at the decoder altogether",
    clauses=(heads.CROSS_ATTENTION_READS_THE_MEMORY,),
    source="experience (attention(q, k, v) with its arguments mixed up)",
    written="self.cross(x, memory, x)",
    mend="self.cross(x, memory, memory)",
    builds=(decoder_with_values_of_its_own, translator_with_values_of_its_own, translator_that_reads_itself),
)
QUERIES_FROM_THE_ENCODER = Fault(
    id="queries-from-the-encoder",
    sentence="the cross-attention asks with the memory, and each target position gets what the source position beside it asked for",
    clauses=(heads.TARGET_AND_MEMORY_LENGTHS_MAY_DIFFER, heads.MEMORY_ORDER_DOES_NOT_MATTER),
    source="experience",
    written="self.cross(memory, memory, memory)",
    mend="self.cross(x, memory, memory)",
    builds=(decoder_with_queries_of_the_encoder, translator_with_queries_of_the_encoder),
)
MEMORY_TOLD_APART = Fault(
    id="memory-told-apart",
    sentence="the memory's positions are told apart once more: heads split by a reshape, or places added to a memory that has its own",
    clauses=(heads.MEMORY_ORDER_DOES_NOT_MATTER,),
    source="experience",
    written="k.reshape(batch, heads, k_len, d_head)",
    mend="k.reshape(batch, k_len, heads, d_head).transpose(1, 2)",
    builds=(memory_split_without_transpose, memory_with_places),
)
QUERIES_VIEWED_WITH_THE_SOURCE_LENGTH = Fault(
    id="queries-viewed-with-the-source-length",
    sentence="cross-attention cuts the queries into heads with the source's length",
    clauses=(heads.TARGET_AND_MEMORY_LENGTHS_MAY_DIFFER,),
    source="github.com/ajhalthor/Transformer-Neural-Network (multi-head cross-attention)",
    written="batch, time, _ = memory.size(); q = self.q_layer(x).reshape(batch, time, heads, d_head)",
    mend="q.reshape(batch, x.size(1), heads, d_head)",
    builds=(queries_viewed_with_the_source_length,),
)
VALUES_RESHAPED_WITHOUT_PERMUTING_BACK = Fault(
    id="values-reshaped-without-permuting-back",
    sentence="batch x heads x time x d_head is reshaped to batch x time x d_model: the tutorial in a hundred lines",
    clauses=(heads.TIME_STAYS_TIME, heads.EVERY_LENGTH_IS_ONE_FUNCTION),
    source="github.com/ajhalthor/Transformer-Neural-Network/pull/4",
    written="values.reshape(batch, time, heads * d_head)",
    mend="values.permute(0, 2, 1, 3).reshape(batch, time, heads * d_head)",
    builds=(values_reshaped_without_permuting_back,),
)
NORM_OF_QUERIES_AND_KEYS_UNSAID = Fault(
    id="norm-of-queries-and-keys-unsaid",
    sentence="queries and keys are normalised before the split and nobody says so; or queries alone where both are claimed",
    clauses=(heads.QUERY_AND_KEY_NORM_IS_AS_CLAIMED,),
    source="experience",
    written="q = F.rms_norm(q, (d_head,))",
    mend="normalise both, head by head, and claim it",
    builds=(norm_that_is_not_claimed, norm_of_queries_alone),
)
CAP_IN_THE_WRONG_PLACE = Fault(
    id="cap-in-the-wrong-place",
    sentence="the cap comes after the mask, so that hidden keys come back; before the scale; or not at all",
    clauses=(heads.SCORES_ARE_CAPPED_AS_CLAIMED,),
    source="experience (Gemma 2's soft-capping, rewritten)",
    written="cap * torch.tanh(scores.masked_fill(~mask, -1e9) / cap)",
    mend="(cap * torch.tanh(scores / cap)).masked_fill(~mask, -inf)",
    builds=(cap_behind_the_mask, cap_before_the_scale, cap_forgotten_by_a_kernel),
)
