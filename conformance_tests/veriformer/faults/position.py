"""Faults in the table of positions, planted in the reference."""

import torch
from torch import Tensor

from veriformer.faults.fault import Fault, Planted
from veriformer_reference import position as reference
from veriformer_spec import model, position, stack
from veriformer_spec.role import Role

SINUSOIDAL = Planted(role=Role.POSITIONAL_ENCODING)
LEARNED = Planted(role=Role.POSITIONAL_ENCODING, claims={"encoding": "learned"})
ENCODER = Planted(role=Role.ENCODER, claims={"positions": "sinusoidal"})
LEARNED_ENCODER = Planted(role=Role.ENCODER, claims={"positions": "learned", "norm": "pre"})

look_up = reference.look_up


def in_halves(sines: Tensor, cosines: Tensor, d_model: int) -> Tensor:
    return torch.cat((sines, cosines), dim=-1)[:, :d_model]


SINES_AND_COSINES_IN_HALVES = Fault(
    id="sines-and-cosines-in-halves",
    sentence="All sines come first and all cosines after, where they take turns.",
    clauses=(position.SINUSOIDAL_EQUALS_THE_TABLE, position.FIRST_POSITION_IS_SINE_OF_ZERO),
    source="experience: the layout of tensor2tensor",
    written="torch.cat((angles.sin(), angles.cos()), dim=-1)",
    mend="torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(-2)",
    patches=(("position.interleave", in_halves),),
    planted=(SINUSOIDAL,),
)


def half_the_exponent(d_model: int, device: torch.device) -> Tensor:
    return 10000.0 ** (-torch.arange((d_model + 1) // 2, dtype=torch.float64, device=device) / d_model)


EXPONENT_WITHOUT_THE_TWO = Fault(
    id="exponent-without-the-two",
    sentence="The exponent is i/d_model where 2i/d_model is meant.",
    clauses=(position.SINUSOIDAL_EQUALS_THE_TABLE, stack.EQUALS_THE_REFERENCE),
    source="experience",
    written="10000 ** (i / d_model)",
    mend="10000 ** (2 * i / d_model)",
    patches=(("position.frequencies", half_the_exponent),),
    planted=(SINUSOIDAL, ENCODER),
)


def base_of_a_thousand(d_model: int, device: torch.device) -> Tensor:
    return 1000.0 ** (-torch.arange(0, d_model, 2, dtype=torch.float64, device=device) / d_model)


BASE_OF_A_THOUSAND = Fault(
    id="base-of-a-thousand",
    sentence="A zero is missing: the base is 1000.",
    clauses=(position.SINUSOIDAL_EQUALS_THE_TABLE,),
    source="experience",
    written="1000 ** (2 * i / d_model)",
    mend="10000 ** (2 * i / d_model)",
    patches=(("position.frequencies", base_of_a_thousand),),
    planted=(SINUSOIDAL,),
)


def inverted(d_model: int, device: torch.device) -> Tensor:
    return 10000.0 ** (torch.arange(0, d_model, 2, dtype=torch.float64, device=device) / d_model)


FREQUENCY_INVERTED = Fault(
    id="frequency-inverted",
    sentence="The position is multiplied by 10000^(2i/d_model) where it is divided.",
    clauses=(position.SINUSOIDAL_EQUALS_THE_TABLE,),
    source="experience: the minus sign of exp(-log(10000) ...) lost",
    written="torch.exp(torch.arange(0, d_model, 2) * math.log(10000) / d_model)",
    mend="torch.exp(-torch.arange(0, d_model, 2) * math.log(10000) / d_model)",
    patches=(("position.frequencies", inverted),),
    planted=(SINUSOIDAL,),
)

POSITIONS_FROM_ONE = Fault(
    id="positions-from-one",
    sentence="Positions count from one.",
    clauses=(position.FIRST_POSITION_IS_SINE_OF_ZERO, position.SINUSOIDAL_EQUALS_THE_TABLE),
    source="arXiv 2604.28118 (DEFault++), operator PSI",
    written="torch.arange(1, length + 1)",
    mend="torch.arange(length)",
    patches=(("position.positions", lambda length, device: torch.arange(1, length + 1, device=device)),),
    planted=(SINUSOIDAL,),
)

POSITIONS_FROM_THE_END = Fault(
    id="positions-from-the-end",
    sentence="Positions count from the end of the sequence.",
    clauses=(position.LEARNED_ROWS_FOLLOW_THE_INDEX,),
    source="experience",
    written="torch.arange(length - 1, -1, -1)",
    mend="torch.arange(length)",
    patches=(("position.positions", lambda length, device: torch.arange(length - 1, -1, -1, device=device)),),
    planted=(SINUSOIDAL, LEARNED),
)

ONE_ROW_FOR_ALL_POSITIONS = Fault(
    id="one-row-for-all-positions",
    sentence="The table is indexed where it should be cut: every token gets the same row.",
    clauses=(position.SAME_FOR_EVERY_ROW,),
    source="labml-nn 0.4.126; https://github.com/labmlai/annotated_deep_learning_paper_implementations/commit/0bfb2106",
    written="x + table[len(x)]",
    mend="x + table[: x.shape[1]]",
    patches=(("position.positions", lambda length, device: torch.full((length,), min(length, 2), device=device)),),
    planted=(SINUSOIDAL, LEARNED),
)

TABLE_ADDED_TWICE = Fault(
    id="table-added-twice",
    sentence="The table is added twice.",
    clauses=(position.ADDED_ONCE, position.SYMMETRIC_WEIGHTS_GIVE_THE_KNOWN_OUTPUT, stack.EQUALS_THE_REFERENCE),
    source="experience",
    written="x = x + table; return x + table",
    mend="return x + table",
    patches=(("position.add", lambda x, table: x + 2 * table),),
    planted=(SINUSOIDAL, LEARNED, ENCODER, LEARNED_ENCODER),
)

TABLE_MULTIPLIED = Fault(
    id="table-multiplied",
    sentence="The input is multiplied by the table.",
    clauses=(position.ADDED_ONCE, stack.EQUALS_THE_REFERENCE),
    source="experience",
    written="x * table",
    mend="x + table",
    patches=(("position.add", lambda x, table: x * table),),
    planted=(SINUSOIDAL, LEARNED, ENCODER),
)

INPUT_SCALED_ON_THE_WAY = Fault(
    id="input-scaled-on-the-way",
    sentence="The input is multiplied by sqrt(d_model) where the table is added.",
    clauses=(position.ADDED_ONCE, position.SYMMETRIC_WEIGHTS_GIVE_THE_KNOWN_OUTPUT),
    source="experience: the embedding's factor copied into the encoding",
    written="x * math.sqrt(d_model) + table",
    mend="x + table",
    patches=(("position.add", lambda x, table: x * x.shape[-1] ** 0.5 + table),),
    planted=(SINUSOIDAL, LEARNED),
)

POSITIONS_NEVER_ADDED = Fault(
    id="positions-never-added",
    sentence="The table is made and never added.",
    clauses=(position.POSITIONS_BREAK_PERMUTATION_SYMMETRY, stack.EQUALS_THE_REFERENCE),
    source="arXiv 2604.28118 (DEFault++), operator POE",
    written="x = self.layers(x)",
    mend="x = self.layers(self.positions(x))",
    patches=(("position.add", lambda x, table: x),),
    planted=(ENCODER, LEARNED_ENCODER),
)

TABLE_DETACHED = Fault(
    id="table-detached",
    sentence="The learned table is cut off from the graph and is never trained.",
    clauses=(position.LEARNED_POSITIONS_ARE_TRAINED,),
    source="experience",
    written="x + self.table.data[:length]",
    mend="x + self.table[:length]",
    patches=(("position.look_up", lambda table, length: table.detach()[:length]),),
    planted=(LEARNED,),
)


def clamped(table: Tensor, length: int) -> Tensor:
    return table[torch.arange(length).clamp(max=len(table) - 1)]


POSITIONS_CLAMPED = Fault(
    id="positions-clamped",
    sentence="Positions beyond the table get its last row, and nobody is told.",
    clauses=(position.BEYOND_THE_MAXIMUM_RAISES, model.BEYOND_THE_MAXIMUM_IS_TOLD),
    source="arXiv 2604.28118 (DEFault++), operator PTL",
    written="table[positions.clamp(max=max_len - 1)]",
    mend="table[positions]",
    patches=(("position.look_up", clamped),),
    planted=(
        *(LEARNED,),
        Planted(role=Role.CAUSAL_LM, claims={"norm": "pre", "positions": "learned"}),
        Planted(role=Role.ENCODER_DECODER, claims={"positions": "learned"}),
    ),
    synonyms=("positions-clamped-in-a-model",),
)

POSITIONS_MODULO = Fault(
    id="positions-taken-modulo",
    sentence="Positions beyond the table start again at its first row.",
    clauses=(position.BEYOND_THE_MAXIMUM_RAISES,),
    source="experience",
    written="table[positions % max_len]",
    mend="table[positions]",
    patches=(("position.look_up", lambda table, length: table[torch.arange(length) % len(table)]),),
    planted=(LEARNED,),
)


def first_row_is_padding(table: Tensor, length: int) -> Tensor:
    rows = look_up(table, length)
    return rows * (torch.arange(length, device=table.device) > 0)[:, None]


FIRST_POSITION_FOR_PADDING = Fault(
    id="first-position-taken-for-padding",
    sentence="The table of positions is built with padding_idx: one position is zero, and stays so.",
    clauses=(position.LEARNED_POSITIONS_ARE_TRAINED,),
    source="https://github.com/huggingface/transformers/pull/10200",
    written="nn.Embedding(max_len, d_model, padding_idx=0)",
    mend="nn.Embedding(max_len, d_model)",
    patches=(("position.look_up", first_row_is_padding),),
    planted=(LEARNED,),
)
