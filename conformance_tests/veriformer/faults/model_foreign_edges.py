"""Faults of models over token ids at their edges, written without the reference: lengths, padding, the wrong side."""

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
from veriformer_spec import model


class Squeezes(Functional):
    def forward(self, ids, mask=None):
        return super().forward(ids, mask).squeeze(1)


class ShortTable(ScratchGPT):
    def __init__(self, config):
        super().__init__(config)
        self.wpe = nn.Embedding(config.max_len - 1, config.d_model)


class LongestNormalised(ScratchGPT):
    """Positions are a share of the length, so that the first of many tokens is not the first of one."""

    def embed(self, ids):
        share = torch.arange(ids.shape[1]) * (self.wpe.num_embeddings - 1) // max(1, ids.shape[1] - 1)
        return self.wte(ids) + self.wpe(share.flip(0))


@veriformer.subject("causal-lm", **FUNCTIONAL)
def squeezes_time(config):
    return Squeezes(config)


@veriformer.subject("causal-lm", **GPT)
def short_table(config):
    return ShortTable(config)


@veriformer.subject("causal-lm", **GPT)
def positions_by_the_length(config):
    return LongestNormalised(config)


EXTREME_LENGTHS_FAIL = Fault(
    id="extreme-lengths-fail",
    sentence="One token loses its axis, the longest sequence has no last position, or the first position depends on the length.",
    clauses=(model.ONE_TOKEN_AND_THE_LONGEST_LENGTH,),
    source="experience",
    written="logits.squeeze(1)",
    mend="logits",
    builds=(squeezes_time, short_table, positions_by_the_length),
)


class Wraps(ScratchGPT):
    def embed(self, ids):
        return self.wte(ids) + self.wpe(torch.arange(ids.shape[1]) % self.wpe.num_embeddings)


class Cuts(TorchBert):
    def forward(self, ids, mask=None):
        longest = self.place.num_embeddings
        return super().forward(ids[:, :longest], None if mask is None else mask[:, :longest])


@veriformer.subject("causal-lm", **GPT)
def positions_wrap(config):
    return Wraps(config)


@veriformer.subject("masked-lm", **BERT)
def sequence_cut(config):
    return Cuts(config)


TOO_LONG_AND_SILENT = Fault(
    id="too-long-and-silent",
    sentence="Positions beyond the table start again from zero, or tokens beyond it are dropped.",
    clauses=(model.BEYOND_THE_MAXIMUM_IS_TOLD,),
    source="experience",
    written="ids = ids[:, :max_len]",
    mend="raise ValueError",
    builds=(positions_wrap, sequence_cut),
)


class ReadsTheTarget(Translator):
    def forward(self, source, target, source_mask=None, target_mask=None):
        memory = self.encode(target, None if target_mask is None else ~target_mask[:, None, None, :])
        return self.logits(self.decode(target, memory, self.future(target, target_mask), None))


class SeesTheFuture(Translator):
    def future(self, ids, mask):
        return None if mask is None else ~mask[:, None, None, :]


class FirstSourceToken(Translator):
    """The decoder is given the encoder's first state alone, as if it summed up the source; the encoder is one layer of zeros."""

    def encode(self, source, hidden):
        return super().encode(source[:, :1], None if hidden is None else hidden[..., :1])

    def decode(self, target, memory, hidden, memory_hidden):
        return super().decode(target, memory, hidden, None)


@veriformer.subject("encoder-decoder", **TRANSLATOR)
def encodes_the_target(config):
    return ReadsTheTarget(config)


@veriformer.subject("encoder-decoder", norm="pre", **TRANSLATOR)
def decoder_sees_the_future(config):
    return SeesTheFuture(config)


@veriformer.subject("encoder-decoder", **TRANSLATOR)
def first_source_token_only(config):
    return FirstSourceToken(config)


WRONG_SIDE_READ = Fault(
    id="wrong-side-read",
    sentence="The encoder reads the target, the decoder the future, or the source is cut to its first token.",
    clauses=(model.THE_ENCODER_NEVER_SEES_THE_TARGET,),
    source="experience",
    written="memory = self.encode(target)",
    mend="memory = self.encode(source)",
    builds=(encodes_the_target, decoder_sees_the_future, first_source_token_only),
)


class InfiniteScores(Functional):
    def attend(self, x, n, hidden):
        q, k, v = torch.einsum("tbd,cde->ctbe", x, self.p[f"{n}_qkv"]).unflatten(-1, (self.config.heads, -1))
        scores = torch.einsum("qbhe,kbhe->bhqk", q, k) / q.shape[-1] ** 0.5
        weights = scores.masked_fill(hidden, -torch.inf).softmax(-1)
        return torch.einsum("bhqk,kbhe->qbhe", weights, v).flatten(2) @ self.p[f"{n}_o"]


class CentredOverTheBatch(TorchBert):
    """Real tokens are centred over the batch: a row of padding changes how many there are."""

    def encode(self, x, mask):
        real = torch.ones(x.shape[:2]) if mask is None else mask.to(x)
        mean = (x * real[..., None]).sum((0, 1)) / real.sum()
        return super().encode(x - mean, mask)


@veriformer.subject("causal-lm", padding_sides=("right", "left"), **{**FUNCTIONAL, "positions": "none"})
def infinite_scores(config):
    lm = InfiniteScores(config)
    lm.place = lambda x: x
    return lm


@veriformer.subject("masked-lm", **BERT)
def centred_over_the_batch(config):
    return CentredOverTheBatch(config)


PADDED_ROW_SPREADS = Fault(
    id="padded-row-spreads",
    sentence="A row of padding reaches other rows: by a mean over the batch, or by a NaN in the gradient of shared weights.",
    clauses=(model.AN_ALL_PADDED_SOURCE_STAYS_IN_ITS_ROW,),
    source="pytorch/pytorch#42323",
    written="scores.masked_fill(hidden, -inf).softmax(-1)",
    mend="scores.masked_fill(hidden, torch.finfo(scores.dtype).min).softmax(-1)",
    builds=(infinite_scores, centred_over_the_batch),
)


class StartsByItself(ScratchGPT):
    def forward(self, ids, mask=None):
        if ids.shape[1] == 0:
            return super().forward(functional.pad(ids, (1, 0)))
        return super().forward(ids, mask)


@veriformer.subject("causal-lm", **GPT)
def starts_by_itself(config):
    return StartsByItself(config)


EMPTY_GETS_AN_ANSWER = Fault(
    id="empty-gets-an-answer",
    sentence="A sequence of no tokens gets the logits of a start token.",
    clauses=(model.AN_EMPTY_SEQUENCE_IS_TOLD,),
    source="experience",
    written="ids = pad(ids, (1, 0))",
    mend="raise ValueError",
    builds=(starts_by_itself,),
)
