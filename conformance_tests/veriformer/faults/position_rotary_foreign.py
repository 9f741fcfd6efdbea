"""Faults of rotary encoding, written without the reference: caches as in Hugging Face, complex numbers as in LLaMA, einsum."""

# mypy: ignore-errors
# Other people's code, written the way they write it: without types.

import torch
from torch import nn

import veriformer
from veriformer.faults.fault import Fault
from veriformer_spec import position


def rotate_half(x):
    x1, x2 = x.chunk(2, dim=-1)
    return torch.cat((-x2, x1), dim=-1)


def rotate_every_two(x):
    """As in GPT-J."""
    x1, x2 = x[:, :, :, ::2], x[:, :, :, 1::2]
    return torch.stack((-x2, x1), dim=-1).flatten(-2)


class CachedTables(nn.Module):
    """Cosines and sines in buffers, each frequency twice, in halves."""

    def __init__(self, config):
        super().__init__()
        self.dim = config.d_head
        inverse = 1.0 / (
            config.rotary_base ** (torch.arange(0, self.dim, 2, dtype=torch.get_default_dtype()) / self.dim)
        )
        self.register_buffer("inv_freq", inverse, persistent=False)
        self.make(config.max_len)

    def make(self, length):
        places = torch.arange(length, dtype=self.inv_freq.dtype, device=self.inv_freq.device)
        angles = torch.outer(places, self.inv_freq)
        both = torch.cat((angles, angles), dim=-1)
        self.register_buffer("cos", both.cos(), persistent=False)
        self.register_buffer("sin", both.sin(), persistent=False)

    def rows(self, x, start):
        time = x.shape[-2]
        return self.cos[start : start + time], self.sin[start : start + time]

    def forward(self, x, start=0):
        cos, sin = self.rows(x, start)
        return x * cos + rotate_half(x) * sin


class SwappedTables(CachedTables):
    def rows(self, x, start):
        cos, sin = super().rows(x, start)
        return sin, cos


@veriformer.subject("rotary-encoding")
def sines_for_cosines(config):
    return SwappedTables(config)


SINES_FOR_COSINES = Fault(
    id="rotary-sines-for-cosines",
    sentence="The tables are unpacked in the wrong order: sines stand on the diagonal.",
    clauses=(position.ROTARY_EQUALS_ITS_EQUATION, position.ROTARY_KEEPS_NORMS),
    source="experience: sin, cos = self.rotary(x) where it returns cos, sin",
    written="sin, cos = self.rotary(x)",
    mend="cos, sin = self.rotary(x)",
    builds=(sines_for_cosines,),
)


class MixedStyles(CachedTables):
    """Frequencies doubled in halves, features turned in neighbours."""

    def forward(self, x, start=0):
        cos, sin = self.rows(x, start)
        return x * cos + rotate_every_two(x) * sin


@veriformer.subject("rotary-encoding", rotary_pairing="adjacent")
def tables_in_halves_features_in_turns(config):
    return MixedStyles(config)


TABLES_OF_THE_OTHER_PAIRING = Fault(
    id="rotary-tables-of-the-other-pairing",
    sentence="The tables are laid out for halves and the features turn with their neighbours: partners turn by different angles.",
    clauses=(position.ROTARY_EQUALS_ITS_EQUATION, position.ROTARY_KEEPS_NORMS),
    source="experience: rotate_every_two copied beside cat((freqs, freqs))",
    written="emb = torch.cat((freqs, freqs), dim=-1); x * emb.cos() + rotate_every_two(x) * emb.sin()",
    mend="emb = freqs.repeat_interleave(2, dim=-1)",
    builds=(tables_in_halves_features_in_turns,),
)


class LastRows(CachedTables):
    """Cuts the table to the chunk's length, from the front."""

    def rows(self, x, start):
        return self.cos[: x.shape[-2]], self.sin[: x.shape[-2]]


class StartFromTheEnd(CachedTables):
    """Told how many are cached, it steps one too far."""

    def rows(self, x, start):
        first = start + 1 if start else 0
        return self.cos[first : first + x.shape[-2]], self.sin[first : first + x.shape[-2]]


@veriformer.subject("rotary-encoding")
def every_chunk_from_zero(config):
    return LastRows(config)


@veriformer.subject("rotary-encoding", sizes=veriformer.Fixed(max_len=24))
def one_step_too_far(config):
    return StartFromTheEnd(config)


CHUNK_FROM_THE_WRONG_ROW = Fault(
    id="rotary-chunk-from-the-wrong-row",
    sentence="A later chunk reads the table from its front, or one row too late.",
    clauses=(position.ROTARY_STARTS_WHERE_TOLD,),
    source="experience: off by one where the cache meets the new tokens",
    written="cos[: x.shape[-2]]",
    mend="cos[start : start + x.shape[-2]]",
    builds=(every_chunk_from_zero, one_step_too_far),
)


class OneComplexRow(nn.Module):
    """As in LLaMA, with complex numbers; the view that aligns the table puts it along the wrong axis where sizes allow it."""

    def __init__(self, config):
        super().__init__()
        self.base, self.dim = config.rotary_base, config.d_head

    def angles(self, places):
        exponents = torch.arange(0, self.dim, 2, dtype=torch.float64, device=places.device) / self.dim
        return torch.outer(places.double(), self.base**-exponents)

    def units(self, places):
        angles = self.angles(places)
        return torch.polar(torch.ones_like(angles), angles)

    def forward(self, x, start=0):
        units = self.units(torch.arange(start, start + x.shape[-2], device=x.device))
        numbers = torch.view_as_complex(x.double().unflatten(-1, (-1, 2)).contiguous())
        return torch.view_as_real(numbers * units).flatten(-2).type_as(x)


class ConjugateComplex(OneComplexRow):
    def angles(self, places):
        return -super().angles(places)


class ComplexAlongTheHeads(OneComplexRow):
    """Written for ``batch time heads d_head``, called with heads before time."""

    def forward(self, x, start=0):
        units = self.units(torch.arange(start, start + x.shape[1], device=x.device))
        numbers = torch.view_as_complex(x.double().unflatten(-1, (-1, 2)).contiguous())
        return torch.view_as_real(numbers * units[:, None]).flatten(-2).type_as(x)


@veriformer.subject("rotary-encoding", rotary_pairing="adjacent")
def conjugate(config):
    return ConjugateComplex(config)


@veriformer.subject("rotary-encoding", rotary_pairing="adjacent")
def along_the_heads(config):
    return ComplexAlongTheHeads(config)


@veriformer.subject("rotary-encoding")
def neighbours_where_halves_are_claimed(config):
    return OneComplexRow(config)


CONJUGATE_UNITS = Fault(
    id="rotary-units-conjugated",
    sentence="Pairs are multiplied by the conjugate of their unit: they turn the other way.",
    clauses=(position.ROTARY_EQUALS_ITS_EQUATION,),
    source="experience",
    written="torch.polar(ones, -angles)",
    mend="torch.polar(ones, angles)",
    builds=(conjugate,),
)
POSITIONS_ALONG_THE_HEADS = Fault(
    id="rotary-positions-along-the-heads",
    sentence="Written for time before heads and called with heads before time: each head turns by its number.",
    clauses=(position.ROTARY_EQUALS_ITS_EQUATION, position.ROTARY_STARTS_WHERE_TOLD),
    source="experience: a library's layout option left at its default",
    written="freqs_cis[: x.shape[1]]",
    mend="freqs_cis[: x.shape[2]]",
    builds=(along_the_heads,),
)
NEIGHBOURS_FOR_HALVES = Fault(
    id="rotary-neighbours-for-halves",
    sentence="Complex numbers turn neighbours, and the checkpoint's weights are laid out for halves.",
    clauses=(position.ROTARY_PAIRS_AS_CLAIMED, position.ROTARY_EQUALS_ITS_EQUATION),
    source="https://github.com/huggingface/transformers/issues/25199",
    written="torch.view_as_complex(x.unflatten(-1, (-1, 2)))",
    mend="x * cos + rotate_half(x) * sin, or permute the weights",
    builds=(neighbours_where_halves_are_claimed,),
)


class StretchedToTheLength(OneComplexRow):
    """As NTK-aware code that takes the length of each call: the same token turns otherwise in a longer one."""

    def forward(self, x, start=0):
        places = torch.arange(start, start + x.shape[-2]) / max(1.0, (start + x.shape[-2]) / 4)
        units = self.units(places)
        numbers = torch.view_as_complex(x.double().unflatten(-1, (-1, 2)).contiguous())
        return torch.view_as_real(numbers * units).flatten(-2).type_as(x)


class MirroredByEinsum(nn.Module):
    """One matrix for each position, made by hand; the first position's is the identity."""

    def __init__(self, config):
        super().__init__()
        self.base, self.dim = config.rotary_base, config.d_head

    def matrices(self, places):
        half = torch.arange(self.dim // 2, dtype=torch.float64, device=places.device)
        angles = places.double()[:, None] * self.base ** (-2 * half / self.dim)
        result = angles.new_zeros(len(places), self.dim, self.dim)
        one = torch.arange(self.dim // 2)
        other = one + self.dim // 2
        result[:, one, one], result[:, other, other] = angles.cos(), angles.cos()
        result[:, one, other], result[:, other, one] = self.corners(angles.sin())
        return result

    def corners(self, sines):
        return -sines, sines

    def forward(self, x, start=0):
        turn = self.matrices(torch.arange(start, start + x.shape[-2], device=x.device)).to(x.dtype)
        return torch.einsum("tij,bhtj->bhti", turn, x)


class OneCornerLost(MirroredByEinsum):
    def corners(self, sines):
        return torch.zeros_like(sines), sines


@veriformer.subject("rotary-encoding", rotary_pairing="adjacent")
def stretched_to_the_length(config):
    return StretchedToTheLength(config)


@veriformer.subject("rotary-encoding")
def one_corner_lost(config):
    return OneCornerLost(config)


FREQUENCIES_FOLLOW_THE_LENGTH = Fault(
    id="rotary-frequencies-follow-the-length",
    sentence="Positions are squeezed by the length of the call: what is cached was turned otherwise.",
    clauses=(position.ROTARY_DEPENDS_ONLY_ON_THE_DIFFERENCE, position.ROTARY_STARTS_WHERE_TOLD),
    source="experience: dynamic scaling of the base, with a cache",
    written="positions * (trained_length / length)",
    mend="scale by a number that is fixed before the first token",
    builds=(stretched_to_the_length,),
)
ONE_CORNER_OF_THE_ROTATION_LOST = Fault(
    id="rotary-one-corner-lost",
    sentence="One of the two sines is never written into the matrix: pairs are sheared.",
    clauses=(
        position.ROTARY_KEEPS_NORMS,
        position.ROTARY_DEPENDS_ONLY_ON_THE_DIFFERENCE,
        position.ROTARY_EQUALS_ITS_EQUATION,
    ),
    source="experience",
    written="matrix[other, one] = sin",
    mend="matrix[one, other], matrix[other, one] = -sin, sin",
    builds=(one_corner_lost,),
)
