"""Near-misses of embedding: legal, unusual, correct."""

# mypy: ignore-errors
# Other people's code, written the way they write it: without types.

import math

import torch
from torch import nn
from torch.nn import functional as F

import veriformer
from veriformer.faults.embedding_entrance_foreign import Entrance
from veriformer.faults.embedding_foreign import LittleModel, Segmented, Words
from veriformer.faults.fault import NearMiss
from veriformer_spec import embedding


@veriformer.subject("token-embedding", padding_row="frozen", weights=lambda m: {"table": m.words.weight})
def with_a_padding_index(config):
    return Words(config, padding_idx=config.pad_id)


class PaddedTable(nn.Module):
    """As many rows as the next multiple of 64; ids are checked by hand; rows are picked by a product with one-hot vectors."""

    def __init__(self, config):
        super().__init__()
        self.vocab = config.vocab
        self.rows = nn.Parameter(torch.randn(-(-config.vocab // 64) * 64, config.d_model))

    def forward(self, ids):
        if bool(((ids < 0) | (ids >= self.vocab)).any()):
            raise IndexError("an id that is no word")
        hot = F.one_hot(ids, len(self.rows)).to(self.rows)
        return hot @ self.rows * math.sqrt(self.rows.shape[1])


@veriformer.subject("token-embedding", embedding_scale="root-d_model")
def padded_table(config):
    return PaddedTable(config)


class SmallThenLarge(nn.Module):
    """As in ALBERT: a small table, and a matrix that all words share."""

    def __init__(self, config):
        super().__init__()
        self.small = nn.Embedding(config.vocab, 3)
        self.large = nn.Linear(3, config.d_model, bias=False)

    def forward(self, ids):
        return self.large(self.small(ids))


@veriformer.subject("token-embedding")
def small_then_large(config):
    return SmallThenLarge(config)


class ScaledSegments(Segmented):
    def forward(self, ids, segments=None):
        scaled = self.words(ids).mul(self.root)
        return scaled + (self.kinds.weight[0] if segments is None else self.kinds(segments))


@veriformer.subject("token-embedding", segments=True, embedding_scale="root-d_model")
def scaled_segments(config):
    return ScaledSegments(config)


class TiedHead(LittleModel):
    def tie(self):
        del self.head

    def forward(self, ids, mask=None):
        return F.linear(self.states(ids, mask), self.words.weight)


@veriformer.subject("causal-lm", tied=True)
def head_without_a_module(config):
    return TiedHead(config)


class TiedModules(LittleModel):
    def tie(self):
        self.head.weight = self.words.weight


@veriformer.subject("causal-lm", tied=True)
def one_parameter_in_two_modules(config):
    return TiedModules(config)


@veriformer.subject("causal-lm")
def two_tables(config):
    return LittleModel(config)


class PointConvolution(Entrance):
    """A convolution over one position is the same linear map everywhere."""

    def __init__(self, config):
        super().__init__(config)
        self.project = nn.Conv1d(config.d_input, config.d_model, 1)

    def enter(self, x):
        return self.project(x.mT).mT


@veriformer.subject("encoder", entrance="projection")
def point_convolution(config):
    return PointConvolution(config)


WITH_A_PADDING_INDEX = NearMiss(
    id="embedding-with-a-padding-index",
    sentence="nn.Embedding with padding_idx, and frozen claimed",
    clauses=(embedding.PADDING_ROW_IS_AS_CLAIMED, embedding.EVERY_ID_HAS_ITS_ROW),
    build=with_a_padding_index,
)
PADDED_TABLE = NearMiss(
    id="embedding-with-a-padded-table",
    sentence="more rows than words, one-hot vectors, and a check of the ids by hand",
    clauses=(
        embedding.AN_ID_OUT_OF_RANGE_RAISES,
        embedding.SCALE_IS_AS_CLAIMED,
        embedding.SYMMETRIC_WEIGHTS_GIVE_THE_KNOWN_OUTPUT,
    ),
    build=padded_table,
)
SMALL_THEN_LARGE = NearMiss(
    id="embedding-in-two-steps",
    sentence="a small table and a matrix that every word shares",
    clauses=(embedding.EVERY_ID_HAS_ITS_ROW, embedding.PADDING_ROW_IS_AS_CLAIMED, embedding.SCALE_IS_AS_CLAIMED),
    build=small_then_large,
)
SCALED_SEGMENTS = NearMiss(
    id="embedding-scaled-beside-segments",
    sentence="words are scaled and segments are not; without segments the first row is added by broadcasting",
    clauses=(embedding.SEGMENTS_ARE_ADDED,),
    build=scaled_segments,
)
HEAD_WITHOUT_A_MODULE = NearMiss(
    id="head-without-a-module",
    sentence="the head is a product with the embedding's weight, and no module",
    clauses=(embedding.TIED_WEIGHTS_ARE_ONE_TENSOR,),
    build=head_without_a_module,
)
ONE_PARAMETER_IN_TWO_MODULES = NearMiss(
    id="one-parameter-in-two-modules",
    sentence="one parameter under two names",
    clauses=(embedding.TIED_WEIGHTS_ARE_ONE_TENSOR,),
    build=one_parameter_in_two_modules,
)
TWO_TABLES = NearMiss(
    id="a-head-of-its-own",
    sentence="head and embedding are two tensors, as claimed",
    clauses=(embedding.TIED_WEIGHTS_ARE_ONE_TENSOR,),
    build=two_tables,
)
POINT_CONVOLUTION = NearMiss(
    id="entrance-by-a-point-convolution",
    sentence="real values enter by a convolution over one position",
    clauses=(embedding.REAL_VALUES_ENTER_BY_A_PROJECTION,),
    build=point_convolution,
)
