"""Segments that never arrive, or at the wrong tokens; and segments that arrive in a way of their own."""

# mypy: ignore-errors
# Patches stand in for the reference's functions; the rest is other people's code, written the way they write it: without types.

import torch
from torch import nn

import veriformer
from veriformer.faults.fault import Fault, NearMiss
from veriformer_spec import model


class Reader(nn.Module):
    """BERT by way of nn.TransformerEncoder."""

    def __init__(self, config):
        super().__init__()
        self.kinds = config.segment_count
        self.words = nn.Embedding(
            config.vocab * config.segment_count, config.d_model
        )  # one row for each word in each segment
        self.norm = nn.LayerNorm(config.d_model)
        layer = nn.TransformerEncoderLayer(
            config.d_model, config.heads, config.d_ff, config.dropout, activation="gelu", batch_first=True
        )
        self.layers = nn.TransformerEncoder(layer, config.layers, enable_nested_tensor=False)
        self.out = nn.Linear(config.d_model, config.vocab)

    def kind(self, ids, segments):
        return torch.zeros_like(ids) if segments is None else segments

    def forward(self, ids, mask=None, segments=None):
        x = self.norm(self.words(ids * self.kinds + self.kind(ids, segments)))
        return self.out(self.layers(x, src_key_padding_mask=None if mask is None else ~mask))


CLAIMS = {"activation": "gelu", "segments": True, "embedding_norm": True, "head_bias": True}


@veriformer.subject("masked-lm", **CLAIMS)
def never_used(config):
    class Deaf(Reader):
        def kind(self, ids, segments):
            return torch.zeros_like(ids)

    return Deaf(config)


@veriformer.subject("masked-lm", **CLAIMS)
def second_by_default(config):
    class Second(Reader):
        def kind(self, ids, segments):
            return torch.ones_like(ids) if segments is None else segments

    return Second(config)


@veriformer.subject("masked-lm", **CLAIMS)
def of_the_first_token(config):
    class First(Reader):
        def kind(self, ids, segments):
            return torch.zeros_like(ids) if segments is None else segments[:, :1].expand_as(ids)

    return First(config)


SEGMENTS_NEVER_USED = Fault(
    id="segments-never-used",
    sentence="the model reads its segments nowhere, for the first token only, or takes every token for the second segment's",
    clauses=(model.SEGMENTS_REACH_THEIR_TOKENS,),
    source="experience",
    written="def forward(self, ids, mask=None, segments=None): x = self.words(ids)",
    mend="x = self.words(ids) + self.kinds(segments)",
    builds=(never_used, second_by_default, of_the_first_token),
)


@veriformer.subject("masked-lm", **CLAIMS)
def words_of_each_segment(config):
    return Reader(config)


A_ROW_FOR_EACH_WORD_IN_EACH_SEGMENT = NearMiss(
    id="a-row-for-each-word-in-each-segment",
    sentence="the table holds a row for each word in each segment, in place of a sum of two rows",
    clauses=(model.SEGMENTS_REACH_THEIR_TOKENS,),
    build=words_of_each_segment,
)
