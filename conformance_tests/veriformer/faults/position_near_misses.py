"""Near-misses of the table of positions: legal, unusual, correct."""

# mypy: ignore-errors
# Other people's code, written the way they write it: without types.

import torch
from torch import nn

import veriformer
from veriformer.faults.fault import NearMiss
from veriformer.faults.position_foreign import Learned, Tutorial, tutorial_table
from veriformer_spec import position


class Grown(nn.Module):
    """Grows its table when a longer sequence comes, and keeps one for each dtype and device."""

    def __init__(self, config):
        super().__init__()
        self.tables = {}

    def forward(self, x):
        kind = (x.dtype, x.device)
        table = self.tables.get(kind)
        if table is None or len(table) < x.shape[1]:
            table = self.tables[kind] = tutorial_table(2 * x.shape[1], x.shape[2], dtype=x.dtype).to(x.device)
        return table[: x.shape[1]].add(x)


@veriformer.subject("positional-encoding")
def grown_table(config):
    return Grown(config)


@veriformer.subject("positional-encoding")
def tutorial_buffer(config):
    return Tutorial(config)


class Float32Table(nn.Module):
    """The table built in float32, whatever the module's dtype."""

    def __init__(self, config):
        super().__init__()
        places, features = torch.arange(config.max_len).float(), torch.arange(config.d_model)
        angles = places[:, None] / torch.pow(10000.0, (2 * (features // 2)).float() / config.d_model)
        self.pe = nn.Parameter(torch.where(features % 2 == 0, angles.sin(), angles.cos()), requires_grad=False)

    def forward(self, x):
        return x + self.pe[: x.shape[1]].type_as(x)


@veriformer.subject("positional-encoding")
def table_in_float32(config):
    return Float32Table(config)


class OffsetRows(Learned):
    """Two rows more than positions, as in OPT: positions start at row two."""

    def __init__(self, config):
        super().__init__(config)
        self.table = nn.Embedding(config.max_len + 2, config.d_model)

    def rows(self, length):
        return self.table(torch.arange(2, length + 2, device=self.table.weight.device))


@veriformer.subject("positional-encoding", encoding="learned", weights=lambda m: {"table": m.table.weight[2:]})
def offset_rows(config):
    return OffsetRows(config)


@veriformer.subject("positional-encoding", encoding="learned", weights=lambda m: {"table": m.table.weight})
def learned_rows(config):
    return Learned(config)


GROWN_TABLE = NearMiss(
    id="table-grown-on-demand",
    sentence="A table is kept for each dtype, and grows when a longer sequence comes.",
    clauses=(position.STALE_TABLES_ARE_NEVER_USED,),
    build=grown_table,
)
TUTORIAL_BUFFER = NearMiss(
    id="table-in-a-buffer",
    sentence="The table is a buffer, computed by an exponential.",
    clauses=(
        position.SINUSOIDAL_EQUALS_THE_TABLE,
        position.FIRST_POSITION_IS_SINE_OF_ZERO,
        position.SAME_FOR_EVERY_ROW,
        position.ADDED_ONCE,
    ),
    build=tutorial_buffer,
)
TABLE_IN_FLOAT32 = NearMiss(
    id="table-in-float32",
    sentence="The table is built in float32, as a frozen parameter.",
    clauses=(position.SINUSOIDAL_EQUALS_THE_TABLE,),
    build=table_in_float32,
)
ROWS_WITH_AN_OFFSET = NearMiss(
    id="learned-rows-with-an-offset",
    sentence="The table has two rows more than there are positions, and its first position is row two.",
    clauses=(
        position.LEARNED_POSITIONS_ARE_TRAINED,
        position.BEYOND_THE_MAXIMUM_RAISES,
        position.SYMMETRIC_WEIGHTS_GIVE_THE_KNOWN_OUTPUT,
    ),
    build=offset_rows,
)
LEARNED_ROWS = NearMiss(
    id="learned-rows",
    sentence="An nn.Embedding of positions.",
    clauses=(position.LEARNED_ROWS_FOLLOW_THE_INDEX,),
    build=learned_rows,
)


class PlacedStack(nn.Module):
    """torch's stack behind a tutorial's table."""

    def __init__(self, config):
        super().__init__()
        layer = nn.TransformerEncoderLayer(config.d_model, config.heads, config.d_ff, config.dropout, batch_first=True)
        self.stack = nn.TransformerEncoder(layer, config.layers, enable_nested_tensor=False)
        self.register_buffer("table", tutorial_table(config.max_len, config.d_model), persistent=False)
        self.heads = config.heads

    def forward(self, x, mask=None):
        placed = x + self.table[: x.shape[1]]
        if mask is None:
            return self.stack(placed)
        batch, time, _ = x.shape
        return self.stack(placed, mask=~mask.expand(batch, self.heads, time, time).reshape(-1, time, time))


@veriformer.subject("encoder", positions="sinusoidal")
def placed_stack(config):
    return PlacedStack(config)


STACK_BEHIND_A_TABLE = NearMiss(
    id="stack-behind-a-table",
    sentence="a stack of torch's layers, with positions added in front from a table that the state_dict leaves out",
    clauses=(position.POSITIONS_BREAK_PERMUTATION_SYMMETRY,),
    build=placed_stack,
)
