"""Faults of the table of positions, written without the reference."""

# mypy: ignore-errors
# Other people's code, written the way they write it: without types.

import math

import torch
from torch import nn

import veriformer
from veriformer.faults.fault import Fault
from veriformer.faults.tutorial_layer import TutorialEncoder
from veriformer_spec import position


def tutorial_table(length, d_model, first=0, dtype=None):
    """As the tutorial writes it, cut so that an odd number of features works."""
    table = torch.zeros(length, d_model, dtype=dtype)
    places = torch.arange(first, first + length).unsqueeze(1)
    divisors = torch.exp(
        torch.arange(0, d_model, 2, dtype=dtype or torch.get_default_dtype()) * -(math.log(10000.0) / d_model)
    )
    table[:, 0::2] = torch.sin(places * divisors)
    table[:, 1::2] = torch.cos(places * divisors)[:, : d_model // 2]
    return table


class Tutorial(nn.Module):
    """A buffer with a batch axis, cut to the sequence."""

    def __init__(self, config, first=0):
        super().__init__()
        self.register_buffer("pe", tutorial_table(config.max_len, config.d_model, first).unsqueeze(0))

    def forward(self, x):
        return x + self.pe[:, : x.size(1)]


class FromTwoOn(Tutorial):
    def __init__(self, config):
        super().__init__(config, first=1)


@veriformer.subject("positional-encoding")
def counted_from_one(config):
    return FromTwoOn(config)


COUNTED_FROM_ONE = Fault(
    id="table-counted-from-one",
    sentence="The table's first row is that of position one.",
    clauses=(position.FIRST_POSITION_IS_SINE_OF_ZERO, position.SINUSOIDAL_EQUALS_THE_TABLE),
    source="arXiv 2604.28118 (DEFault++), operator PSI",
    written="places = torch.arange(1, max_len + 1)",
    mend="places = torch.arange(max_len)",
    builds=(counted_from_one,),
)


class CutByTheBatch(nn.Module):
    """Sequence-first code, called batch first."""

    def __init__(self, config):
        super().__init__()
        self.register_buffer("pe", tutorial_table(config.max_len, config.d_model).unsqueeze(1))

    def forward(self, x):
        return x + self.pe[: x.size(0)]


@veriformer.subject("positional-encoding")
def cut_by_the_batch(config):
    return CutByTheBatch(config)


TABLE_CUT_BY_THE_BATCH = Fault(
    id="table-cut-by-the-batch",
    sentence="The table is cut by x.size(0), which is the batch where the batch comes first.",
    clauses=(position.SAME_FOR_EVERY_ROW, position.SINUSOIDAL_EQUALS_THE_TABLE),
    source="experience",
    written="x + self.pe[: x.size(0)]",
    mend="x + self.pe[:, : x.size(1)]",
    builds=(cut_by_the_batch,),
)


class ScaledAndAdded(Tutorial):
    def forward(self, x):
        return x * math.sqrt(x.size(-1)) + self.pe[:, : x.size(1)]


@veriformer.subject("positional-encoding")
def scaled_and_added(config):
    return ScaledAndAdded(config)


EMBEDDING_SCALE_IN_THE_ENCODING = Fault(
    id="embedding-scale-in-the-encoding",
    sentence="The encoding also multiplies its input by sqrt(d_model), which belongs to the embedding.",
    clauses=(position.ADDED_ONCE,),
    source="experience",
    written="x * math.sqrt(d_model) + pe",
    mend="x + pe",
    builds=(scaled_and_added,),
)


class Cached(nn.Module):
    """Makes the table at the first call, in that call's dtype, and again where a longer sequence comes."""

    def __init__(self, config):
        super().__init__()
        self.pe = None

    def forward(self, x):
        if self.pe is None or self.pe.shape[0] < x.shape[1]:
            self.pe = tutorial_table(x.shape[1], x.shape[2], dtype=x.dtype)
        return x + self.pe[: x.shape[1]]


class CachedForTheFirstLength(Cached):
    def forward(self, x):
        if self.pe is None:
            self.pe = tutorial_table(x.shape[1], x.shape[2], dtype=x.dtype)
        return x + self.pe[: x.shape[1]]


class StretchedCache(nn.Module):
    """Keeps the longest table, and resamples it for another length."""

    def __init__(self, config):
        super().__init__()
        self.longest = None

    def forward(self, x):
        if self.longest is None or len(self.longest) < x.shape[1]:
            self.longest = tutorial_table(x.shape[1], x.shape[2], dtype=x.dtype)
        rows = torch.linspace(0, len(self.longest) - 1, x.shape[1]).round().long()
        return x + self.longest[rows]


@veriformer.subject("positional-encoding")
def cached_in_the_first_dtype(config):
    return Cached(config)


@veriformer.subject("positional-encoding")
def cached_for_the_first_length(config):
    return CachedForTheFirstLength(config)


@veriformer.subject("positional-encoding")
def stretched_cache(config):
    return StretchedCache(config)


STALE_TABLE = Fault(
    id="stale-table",
    sentence="The table of an earlier call, of another length or dtype, is used again.",
    clauses=(position.STALE_TABLES_ARE_NEVER_USED,),
    source="x-transformers 0.17.2 and 0.28.2; https://github.com/lucidrains/x-transformers/commit/fbbc159",
    written="if self.pe is None: self.pe = table(x.shape[1])",
    mend="if self.pe is None or len(self.pe) < x.shape[1] or self.pe.dtype != x.dtype: self.pe = table(x.shape[1])",
    builds=(cached_in_the_first_dtype, cached_for_the_first_length, stretched_cache),
)


class Normalised(nn.Module):
    """Positions as shares of the length."""

    def __init__(self, config):
        super().__init__()
        self.table = nn.Embedding(config.max_len, config.d_model)

    def forward(self, x):
        shares = torch.linspace(0, self.table.num_embeddings - 1, x.shape[1]).long()
        return x + self.table(shares)


@veriformer.subject("positional-encoding", encoding="learned", weights=lambda m: {"table": m.table.weight})
def positions_as_shares(config):
    return Normalised(config)


POSITIONS_AS_SHARES_OF_THE_LENGTH = Fault(
    id="positions-as-shares-of-the-length",
    sentence="Positions are stretched over the whole table, whatever the length.",
    clauses=(position.LEARNED_ROWS_FOLLOW_THE_INDEX,),
    source="experience",
    written="torch.linspace(0, max_len - 1, length).long()",
    mend="torch.arange(length)",
    builds=(positions_as_shares,),
)


class Learned(nn.Module):
    def __init__(self, config, **options):
        super().__init__()
        self.table = nn.Embedding(config.max_len, config.d_model, **options)

    def rows(self, length):
        return self.table(torch.arange(length, device=self.table.weight.device))

    def forward(self, x):
        return x + self.rows(x.shape[1])[None]


@veriformer.subject("positional-encoding", encoding="learned")
def padded_table(config):
    return Learned(config, padding_idx=0)


class SharedRows(Learned):
    def rows(self, length):
        return self.table(torch.arange(length) // 2)


@veriformer.subject("positional-encoding", encoding="learned")
def two_positions_a_row(config):
    return SharedRows(config)


FIRST_ROW_IS_PADDING = Fault(
    id="first-row-is-padding",
    sentence="The table is built with padding_idx, so that one position is never trained; or two positions share a row.",
    clauses=(position.LEARNED_POSITIONS_ARE_TRAINED,),
    source="https://github.com/huggingface/transformers/pull/10200",
    written="nn.Embedding(max_len, d_model, padding_idx=0)",
    mend="nn.Embedding(max_len, d_model)",
    builds=(padded_table, two_positions_a_row),
)


class Clamped(Learned):
    def rows(self, length):
        return self.table(torch.arange(length).clamp(max=self.table.num_embeddings - 1))


@veriformer.subject("positional-encoding", encoding="learned")
def last_row_for_all_beyond(config):
    return Clamped(config)


LAST_ROW_FOR_ALL_BEYOND = Fault(
    id="last-row-for-all-beyond",
    sentence="Positions that the table lacks get its last row.",
    clauses=(position.BEYOND_THE_MAXIMUM_RAISES,),
    source="arXiv 2604.28118 (DEFault++), operator PTL",
    written="positions.clamp(max=max_len - 1)",
    mend="raise for a sequence longer than max_len",
    builds=(last_row_for_all_beyond,),
)


class PositionsLost(TutorialEncoder):
    """Embeds positions, and passes on what it had before."""

    def __init__(self, config):
        super().__init__(config)
        self.places = nn.Parameter(torch.randn(config.max_len, config.d_model))

    def forward(self, x, mask=None):
        _placed = x + self.places[: x.shape[1]]
        return super().forward(x, mask)


@veriformer.subject("encoder", positions="learned")
def positions_lost(config):
    return PositionsLost(config)


POSITIONS_LOST = Fault(
    id="positions-lost",
    sentence="The sum with the positions is computed, and the layers get the input without it.",
    clauses=(position.POSITIONS_BREAK_PERMUTATION_SYMMETRY,),
    source="arXiv 2604.28118 (DEFault++), operator POE",
    written="placed = x + positions; return layers(x)",
    mend="return layers(placed)",
    builds=(positions_lost,),
)
