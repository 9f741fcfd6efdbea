"""Near-misses of rotary encoding: legal, unusual, correct."""

# mypy: ignore-errors
# Other people's code, written the way they write it: without types.

import torch
from torch import nn

import veriformer
from veriformer.errors import Unsupported
from veriformer.faults.fault import NearMiss
from veriformer.faults.position_rotary_foreign import (
    CachedTables,
    MirroredByEinsum,
    OneComplexRow,
    rotate_every_two,
    rotate_half,
)
from veriformer_spec import position


@veriformer.subject("rotary-encoding")
def hugging_face_tables(config):
    return CachedTables(config)


class Float32Tables(CachedTables):
    """Tables in float32, whatever the module is cast to, grown when a later position comes."""

    def __init__(self, config):
        nn.Module.__init__(self)
        self.dim, self.base = config.d_head, config.rotary_base
        self.cos = self.sin = None

    def rows(self, x, start):
        end = start + x.shape[-2]
        if self.cos is None or len(self.cos) < end or self.cos.device != x.device:
            inverse = 1.0 / (self.base ** (torch.arange(0, self.dim, 2, device=x.device).float() / self.dim))
            angles = torch.outer(torch.arange(2 * end, device=x.device).float(), inverse)
            both = torch.cat((angles, angles), dim=-1)
            self.cos, self.sin = both.cos(), both.sin()
        return self.cos[start:end].to(x.dtype), self.sin[start:end].to(x.dtype)


@veriformer.subject("rotary-encoding", rotary_base=500000.0)
def float32_tables(config):
    if config.d_head % 4:
        raise Unsupported("this kernel wants a d_head that is a multiple of 4")
    return Float32Tables(config)


@veriformer.subject("rotary-encoding", rotary_pairing="adjacent")
def complex_numbers(config):
    return OneComplexRow(config)


class GPTJ(nn.Module):
    """Sines first in the table, each repeated for its neighbour, positions interpolated."""

    def __init__(self, config):
        super().__init__()
        self.dim, self.base, self.scaling = config.d_head, config.rotary_base, config.rotary_scaling

    def forward(self, x, start=0):
        places = torch.arange(start, start + x.shape[2], device=x.device, dtype=torch.float64) / self.scaling
        inverse = 1.0 / (self.base ** (torch.arange(0, self.dim, 2, device=x.device, dtype=torch.float64) / self.dim))
        table = torch.einsum("i , j -> i j", places, inverse)
        sin, cos = (torch.repeat_interleave(each.to(x.dtype), 2, 1) for each in (table.sin(), table.cos()))
        return (x * cos) + (rotate_every_two(x) * sin)


@veriformer.subject("rotary-encoding", rotary_pairing="adjacent", rotary_scaling=8.0)
def gpt_j(config):
    return GPTJ(config)


@veriformer.subject("rotary-encoding")
def one_matrix_for_each_position(config):
    return MirroredByEinsum(config)


def step_by_step(x, start=0):
    """A bare function that turns all tokens by one step, again and again, as far as each has to go."""
    dim = x.shape[-1]
    inverse = 10000.0 ** (-torch.arange(0, dim, 2, dtype=x.dtype, device=x.device) / dim)
    cos, sin = inverse.cos().repeat(2), inverse.sin().repeat(2)
    result = []
    for place in range(start, start + x.shape[-2]):
        token = x[..., place - start, :]
        for _ in range(place):
            token = token * cos + rotate_half(token) * sin
        result.append(token)
    return torch.stack(result, dim=-2)


@veriformer.subject("rotary-encoding", module=None)
def turned_step_by_step(config):
    return step_by_step


HUGGING_FACE_TABLES = NearMiss(
    id="rotary-tables-in-buffers",
    sentence="cosines and sines stand in buffers, each frequency twice, and half of the features is turned round",
    clauses=(position.ROTARY_EQUALS_ITS_EQUATION, position.ROTARY_STARTS_WHERE_TOLD),
    build=hugging_face_tables,
)
ROTARY_TABLES_IN_FLOAT32 = NearMiss(
    id="rotary-tables-in-float32",
    sentence="tables are built in float32 and grow on demand; another base; odd sizes are refused",
    clauses=(position.ROTARY_EQUALS_ITS_EQUATION, position.ROTARY_KEEPS_NORMS),
    build=float32_tables,
)
COMPLEX_NUMBERS = NearMiss(
    id="rotary-by-complex-numbers",
    sentence="neighbours are read as complex numbers and multiplied by a unit",
    clauses=(position.ROTARY_PAIRS_AS_CLAIMED,),
    build=complex_numbers,
)
EVERY_TWO_INTERPOLATED = NearMiss(
    id="rotary-every-two-interpolated",
    sentence="as in GPT-J, with positions divided by eight",
    clauses=(position.ROTARY_EQUALS_ITS_EQUATION, position.ROTARY_PAIRS_AS_CLAIMED),
    build=gpt_j,
)
A_MATRIX_FOR_EACH_POSITION = NearMiss(
    id="rotary-by-a-matrix-for-each-position",
    sentence="the whole rotation matrix is written out and multiplied",
    clauses=(position.ROTARY_KEEPS_NORMS, position.ROTARY_PAIRS_AS_CLAIMED),
    build=one_matrix_for_each_position,
)
TURNED_STEP_BY_STEP = NearMiss(
    id="rotary-step-by-step",
    sentence="a bare function turns by one step as often as the position says, and gathers rounding on the way",
    clauses=(position.ROTARY_DEPENDS_ONLY_ON_THE_DIFFERENCE,),
    build=turned_step_by_step,
)
