"""Faults in rotary encoding, planted in the reference."""

import dataclasses

import torch
from torch import Tensor

from veriformer.faults.fault import Fault, Planted
from veriformer_reference import rotary
from veriformer_spec import position
from veriformer_spec.config import Config
from veriformer_spec.role import Role

HALVES = Planted(role=Role.ROTARY_ENCODING)
ADJACENT = Planted(role=Role.ROTARY_ENCODING, claims={"rotary_pairing": "adjacent", "rotary_base": 500000.0})
STRETCHED = Planted(role=Role.ROTARY_ENCODING, claims={"rotary_scaling": 4.0})

pairs, join, angles, turn, rotate = rotary.pairs, rotary.join, rotary.angles, rotary.turn, rotary.rotate
frequencies = rotary.frequencies


TURNED_THE_OTHER_WAY = Fault(
    id="turned-the-other-way",
    relabels=True,
    sentence="The minus sign stands at the wrong sine: every pair turns clockwise.",
    clauses=(position.ROTARY_EQUALS_ITS_EQUATION,),
    source="experience: rotate_half written as cat((x2, -x1))",
    written="x * cos + torch.cat((x2, -x1), dim=-1) * sin",
    mend="x * cos + torch.cat((-x2, x1), dim=-1) * sin",
    patches=(("rotary.turn", lambda x, angles, pairing: turn(x, -angles, pairing)),),
    planted=(HALVES, ADJACENT),
)

ROTARY_EXPONENT_WITHOUT_THE_TWO = Fault(
    id="rotary-exponent-without-the-two",
    sentence="The exponent is i/d_head where 2i/d_head is meant.",
    clauses=(position.ROTARY_EQUALS_ITS_EQUATION,),
    source="experience",
    written="base ** (-torch.arange(d_head // 2) / d_head)",
    mend="base ** (-torch.arange(0, d_head, 2) / d_head)",
    patches=(("rotary.frequencies", lambda d_head, base, device: frequencies(d_head, base, device).sqrt()),),
    planted=(HALVES, ADJACENT),
)


def by_the_model(positions: Tensor, d_head: int, config: Config) -> Tensor:
    base = config.rotary_base ** (d_head / config.d_model)
    return angles(positions, d_head, dataclasses.replace(config, rotary_base=base))


FREQUENCIES_OF_THE_MODEL = Fault(
    id="rotary-frequencies-of-the-model",
    sentence="The frequencies divide by d_model where d_head is meant.",
    clauses=(position.ROTARY_EQUALS_ITS_EQUATION,),
    source="experience",
    written="base ** (-torch.arange(0, d_head, 2) / d_model)",
    mend="base ** (-torch.arange(0, d_head, 2) / d_head)",
    patches=(("rotary.angles", by_the_model),),
    planted=(HALVES, ADJACENT),
)

ROTARY_BASE_IGNORED = Fault(
    id="rotary-base-ignored",
    sentence="The base is 10000, whatever is configured.",
    clauses=(position.ROTARY_EQUALS_ITS_EQUATION,),
    source="torchtune; https://github.com/pytorch/torchtune/pull/997",
    written="10000 ** (-torch.arange(0, d_head, 2) / d_head)",
    mend="config.rope_theta ** (-torch.arange(0, d_head, 2) / d_head)",
    patches=(("rotary.frequencies", lambda d_head, base, device: frequencies(d_head, 10000.0, device)),),
    planted=(ADJACENT,),
)


def multiplied(positions: Tensor, d_head: int, config: Config) -> Tensor:
    return angles(positions, d_head, dataclasses.replace(config, rotary_scaling=1 / config.rotary_scaling))


SCALING_MULTIPLIED = Fault(
    id="rotary-scaling-multiplied",
    sentence="Positions are multiplied by the scaling where they are divided.",
    clauses=(position.ROTARY_EQUALS_ITS_EQUATION,),
    source="experience",
    written="positions * scaling",
    mend="positions / scaling",
    patches=(("rotary.angles", multiplied),),
    planted=(STRETCHED,),
)

ROTARY_FROM_ONE = Fault(
    id="rotary-from-one",
    sentence="The first position turns by one step: positions count from one.",
    clauses=(position.ROTARY_EQUALS_ITS_EQUATION, position.ROTARY_KEEPS_NORMS),
    source="experience",
    written="torch.arange(1, length + 1)",
    mend="torch.arange(length)",
    patches=(("rotary.rotate", lambda x, positions, config: rotate(x, positions + 1, config)),),
    planted=(HALVES, ADJACENT),
)

ROTARY_START_IGNORED = Fault(
    id="rotary-start-ignored",
    sentence="Every chunk counts from zero: where it starts is not asked.",
    clauses=(position.ROTARY_STARTS_WHERE_TOLD,),
    source="experience: the cached length not passed on",
    written="positions = torch.arange(x.shape[-2])",
    mend="positions = torch.arange(start, start + x.shape[-2])",
    patches=(("rotary.rotate", lambda x, positions, config: rotate(x, torch.arange(x.shape[-2])[None], config)),),
    planted=(HALVES, ADJACENT),
)


def mirrored(x: Tensor, turned_by: Tensor, pairing: str) -> Tensor:
    first, second = pairs(x, pairing)
    cosine, sine = torch.cos(turned_by).to(x.dtype), torch.sin(turned_by).to(x.dtype)
    return join(first * cosine + second * sine, first * sine + second * cosine, pairing)


ROTARY_SIGN_LOST = Fault(
    id="rotary-sign-lost",
    sentence="Both sines are added, so that pairs are stretched and not turned.",
    clauses=(position.ROTARY_KEEPS_NORMS, position.ROTARY_EQUALS_ITS_EQUATION),
    source="experience: rotate_half without its minus",
    written="x * cos + torch.cat((x2, x1), dim=-1) * sin",
    mend="x * cos + torch.cat((-x2, x1), dim=-1) * sin",
    patches=(("rotary.turn", mirrored),),
    planted=(HALVES, ADJACENT),
)


def other(pairing: str) -> str:
    return "halves" if pairing == "adjacent" else "adjacent"


THE_OTHER_PAIRS = Fault(
    id="rotary-pairs-of-the-other-convention",
    relabels=True,
    sentence="Weights made for halves meet code that turns neighbours, or the other way round.",
    clauses=(position.ROTARY_PAIRS_AS_CLAIMED,),
    source="https://github.com/huggingface/transformers/issues/25199",
    written="x1, x2 = x[..., ::2], x[..., 1::2]",
    mend="x1, x2 = x.chunk(2, dim=-1)",
    patches=(("rotary.turn", lambda x, turned_by, pairing: turn(x, turned_by, other(pairing))),),
    planted=(HALVES, ADJACENT),
)


def joined_otherwise(first: Tensor, second: Tensor, pairing: str) -> Tensor:
    return join(first, second, other(pairing))


JOINED_OTHERWISE = Fault(
    id="rotary-pairs-joined-otherwise",
    relabels=True,
    sentence="Pairs are taken by one convention and put back by the other.",
    clauses=(position.ROTARY_EQUALS_ITS_EQUATION, position.ROTARY_PAIRS_AS_CLAIMED, position.ROTARY_KEEPS_NORMS),
    source="experience: torch.cat where torch.stack(...).flatten(-2) is meant",
    written="torch.cat((turned_first, turned_second), dim=-1)  # after x[..., ::2], x[..., 1::2]",
    mend="torch.stack((turned_first, turned_second), dim=-1).flatten(-2)",
    patches=(("rotary.join", joined_otherwise),),
    planted=(
        Planted(role=Role.ROTARY_ENCODING, claims={"rotary_pairing": "adjacent"}),
        Planted(role=Role.ROTARY_ENCODING),
    ),
)


def added(x: Tensor, positions: Tensor, config: Config) -> Tensor:
    turned_by = angles(positions, x.shape[-1], config)[:, None]
    return x + join(turned_by.sin(), turned_by.cos(), config.rotary_pairing).to(x.dtype)


TABLE_ADDED_IN_PLACE_OF_TURNING = Fault(
    id="table-added-in-place-of-turning",
    sentence="Sines and cosines are added to queries and keys, as an absolute table, where they turn them.",
    clauses=(
        position.ROTARY_DEPENDS_ONLY_ON_THE_DIFFERENCE,
        position.ROTARY_EQUALS_ITS_EQUATION,
        position.ROTARY_KEEPS_NORMS,
    ),
    source="experience",
    written="q + table, k + table",
    mend="q * cos + rotate_half(q) * sin, and the same for k",
    patches=(("rotary.rotate", added),),
    planted=(HALVES, ADJACENT),
)

POSITIONS_CLAMPED_TO_A_TABLE = Fault(
    id="rotary-positions-clamped",
    sentence="Positions beyond the table turn as its last one does, and nobody is told.",
    clauses=(position.ROTARY_DEPENDS_ONLY_ON_THE_DIFFERENCE, position.ROTARY_STARTS_WHERE_TOLD),
    source="experience",
    written="cos[positions.clamp(max=len(cos) - 1)]",
    mend="cos[positions]",
    patches=(("rotary.rotate", lambda x, positions, config: rotate(x, positions.clamp(max=4), config)),),
    planted=(HALVES, ADJACENT),
)


def in_whole_numbers(positions: Tensor, d_head: int, config: Config) -> Tensor:
    whole = torch.div(positions, config.rotary_scaling, rounding_mode="floor")
    return angles(whole, d_head, dataclasses.replace(config, rotary_scaling=1.0))


SCALED_IN_WHOLE_NUMBERS = Fault(
    id="rotary-positions-in-whole-numbers",
    sentence="Positions are divided by the scaling in whole numbers: neighbours share a position.",
    clauses=(position.ROTARY_EQUALS_ITS_EQUATION,),
    source="experience",
    written="positions // scaling",
    mend="positions / scaling",
    patches=(("rotary.angles", in_whole_numbers),),
    planted=(STRETCHED,),
)


def tables_of_the_other_layout(x: Tensor, angles: Tensor, pairing: str) -> Tensor:
    half = torch.cat((angles, angles), dim=-1)
    taking_turns = angles.repeat_interleave(2, dim=-1)
    first, second = pairs(x, pairing)
    own = half if pairing == "adjacent" else taking_turns
    turned = join(-second, first, pairing)
    return x * own.cos().to(x.dtype) + turned * own.sin().to(x.dtype)


TABLES_OF_THE_OTHER_LAYOUT = Fault(
    id="rotary-tables-of-the-other-layout",
    sentence="The two features of a pair are turned by different angles: the tables are laid out for the other pairing.",
    clauses=(position.ROTARY_EQUALS_ITS_EQUATION, position.ROTARY_KEEPS_NORMS),
    source="rotary-embedding-torch 0.0.11; https://github.com/lucidrains/rotary-embedding-torch/commit/204cb02",
    written="freqs = repeat(freqs, 'n f -> n (f 2)'); x * freqs.cos() + rotate_half(x) * freqs.sin()",
    mend="torch.cat((freqs, freqs), dim=-1) for halves; each angle twice in a row for neighbours",
    patches=(("rotary.turn", tables_of_the_other_layout),),
    planted=(HALVES, ADJACENT),
)


def cut_into_halves(x: Tensor, angles: Tensor, pairing: str) -> Tensor:
    table = torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(-2).to(x.dtype)
    sine, cosine = table.chunk(2, dim=-1)
    first, second = pairs(x, pairing)
    return join(first * cosine - second * sine, first * sine + second * cosine, pairing)


TABLE_CUT_INTO_HALVES = Fault(
    id="rotary-table-cut-into-halves",
    sentence="Sines and cosines take turns in the table, and it is cut into halves as if the one came after the other.",
    clauses=(position.ROTARY_EQUALS_ITS_EQUATION, position.ROTARY_KEEPS_NORMS),
    source="performer-pytorch 1.0.0; https://github.com/lucidrains/performer-pytorch/commit/87951d0",
    written="sine, cosine = sinusoids(time, d_head).chunk(2, dim=-1)  # which are interleaved",
    mend="sine, cosine = table[:, 0::2], table[:, 1::2]",
    patches=(("rotary.turn", cut_into_halves),),
    planted=(HALVES, ADJACENT),
)
