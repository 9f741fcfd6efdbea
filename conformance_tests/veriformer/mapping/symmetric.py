"""Symmetric weights: every parameter of one shape gets one value, and all heads share one block.

Then what a right implementation returns is known without knowing which parameter is which. Vectors of ``d_model`` (gains,
shifts and biases alike) hold one positive vector; matrices whose rows belong to heads repeat one block of ``d_head`` rows, so
that it does not matter which rows are queries, keys or values, nor of which head; a table of positions has equal rows.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import torch
from torch import Tensor, nn

from veriformer.inputs import generator
from veriformer.mapping.tensors import WHOLE, Held, Reading, changed, held, readings
from veriformer_reference import position
from veriformer_spec.config import Config

EQUAL_COLUMNS = ("relative.table",)
"""Tables of the reference with a column for each head."""


@lru_cache(maxsize=1024)
def _drawn(shape: tuple[int, ...], *, positive: bool) -> Tensor:
    """Generic numbers that depend on the shape alone, and that float32 holds exactly."""
    random = generator(101 + hash(shape) % 99991)
    if positive:
        return (torch.rand(shape, generator=random, dtype=torch.float64) + 0.5).float().double()
    return (torch.randn(shape, generator=random, dtype=torch.float64) / math.sqrt(shape[-1])).float().double()


def tiled(rows: int, base: int, inner: int) -> Tensor:
    """Which row of a block of ``base`` rows stands where: each ``inner`` times in a row, and the whole over and over."""
    return (torch.arange(rows) // inner) % base


def vector(length: int, base: int, inner: int = 1) -> Tensor:
    """A vector that repeats ``base`` positive numbers."""
    return _drawn((base,), positive=True)[tiled(length, base, inner)]


def matrix(rows: int, columns: int, base: int, inner: int = 1) -> Tensor:
    """A matrix that repeats ``base`` rows."""
    return _drawn((base, columns), positive=False)[tiled(rows, base, inner)]


def equal_rows(rows: int, columns: int) -> Tensor:
    """A matrix with one row over and over."""
    return _drawn((1, columns), positive=True).expand(rows, columns) - 0.75


def equal_columns(rows: int, columns: int) -> Tensor:
    """A matrix with one column over and over."""
    return (_drawn((rows,), positive=True) - 1)[:, None].expand(rows, columns)


def _has_equal_rows(module: nn.Module, name: str) -> bool:
    """Whether all rows of a table are filled alike: nobody knows from which row on an implementation reads its positions."""
    owner = module.get_submodule(name.rpartition(".")[0])
    return isinstance(owner, position.LearnedEncoding) or name.endswith("segment_table")


def is_vector(shape: tuple[int, ...]) -> bool:
    """Whether at most one axis is longer than one."""
    return math.prod(shape) == max(shape, default=1)


@dataclass(frozen=True)
class Places:
    """The shapes that the reference has places for.

    Attributes:
        vectors: lengths of its vectors.
        matrices: for each number of columns, the numbers of rows.
        tables: (rows, columns) of tables with equal rows.
        biases: (buckets, heads) of tables with equal columns.
    """

    d_model: int
    d_head: int
    heads: int
    kv_heads: int
    vectors: frozenset[int]
    tables: frozenset[tuple[int, int]]
    biases: frozenset[tuple[int, int]]
    matrices: Mapping[int, frozenset[int]] = field(hash=False)
    totals: Mapping[int, int] = field(default_factory=dict, hash=False)

    @property
    def any(self) -> bool:
        """Whether there is a place for anything."""
        return bool(self.vectors or self.matrices or self.tables or self.biases)

    def base(self, rows: int, known: frozenset[int]) -> int:
        """How many rows the block has that so many rows repeat; 0 where none is known."""
        if rows % self.d_head == 0 and any(each % self.d_head == 0 for each in known):
            return self.d_head
        if rows in known:
            return rows
        return next((each for each in sorted(known, reverse=True) if each > 1 and rows % each == 0), 0)

    def inner(self, rows: int, columns: int, base: int) -> Iterator[int]:
        """How often each row of a block may stand in a row: once; as many times as there are heads, parts, or both.

        Only what reads tokens (or a fused gate) has parts or heads; whatever returns tokens has the tokens' own order.
        """
        if base == self.d_head and columns != self.d_model:
            yield 1
            return
        blocks = rows // base
        parts = {blocks // each for each in (self.heads, self.kv_heads) if blocks % each == 0}
        wanted = [1, blocks, self.heads, self.kv_heads, *sorted(parts)] if base == self.d_head else [1, blocks]
        yield from dict.fromkeys(each for each in wanted if blocks % each == 0)


def places(module: nn.Module, config: Config) -> Places:
    """What places a reference has."""
    vectors, tables, biases = set(), set(), set()
    matrices: dict[int, set[int]] = {}
    totals: dict[int, int] = {}
    for name, parameter in module.named_parameters():
        shape = tuple(parameter.shape)
        if name.endswith(EQUAL_COLUMNS):
            biases.add((shape[0], shape[1]))
        elif _has_equal_rows(module, name):
            tables.add((shape[0], shape[1]))
        elif is_vector(shape):
            vectors.add(parameter.numel())
            totals[0] = totals.get(0, 0) + parameter.numel()
        else:
            matrices.setdefault(shape[1], set()).add(shape[0])
            totals[shape[1]] = totals.get(shape[1], 0) + shape[0]
    return Places(
        config.d_model,
        config.d_head,
        config.heads,
        config.kv_heads,
        frozenset(vectors),
        frozenset(tables),
        frozenset(biases),
        {columns: frozenset(rows) for columns, rows in matrices.items()},
        totals,
    )


@torch.no_grad()
def fill_reference(module: nn.Module, config: Config) -> None:
    """Give a reference its symmetric weights."""
    known = places(module, config)
    for name, parameter in module.named_parameters():
        shape = tuple(parameter.shape)
        if name.endswith(EQUAL_COLUMNS):
            value = equal_columns(shape[0], shape[1])
        elif _has_equal_rows(module, name):
            value = equal_rows(shape[0], shape[1])
        elif is_vector(shape):
            value = vector(parameter.numel(), known.base(parameter.numel(), known.vectors)).reshape(shape)
        else:
            value = matrix(shape[0], shape[1], known.base(shape[0], known.matrices[shape[1]]))
        parameter.copy_(value)


@dataclass(frozen=True)
class Choice:
    """How one parameter is read and filled."""

    reading: Reading
    fill: str
    base: int = 0
    inner: int = 1

    def value(self, shape: tuple[int, ...]) -> Tensor:
        """What its rows are filled with."""
        sizes = torch.empty(shape, device="meta")
        rows = self.reading.of(sizes).shape
        if self.fill == "vector":
            return vector(rows[0], self.base, self.inner)
        if self.fill == "matrix":
            return matrix(rows[0], rows[1], self.base, self.inner)
        return equal_rows(*rows) if self.fill == "equal-rows" else equal_columns(*rows)


Hypothesis = Mapping[str, Choice]
"""A choice for each parameter, by its name in the module."""


def choices(each: Held, known: Places) -> list[Choice]:
    """Every way in which a parameter may stand in one of the places; likely ones first."""
    found: list[Choice] = []
    shape, count = each.shape, each.tensor.numel()
    if not each.is_vector:
        for reading in readings(shape, set(known.matrices) | {columns for _, columns in known.tables | known.biases}):
            rows, columns = reading.of(torch.empty(shape, device="meta")).shape
            found += _matrix_choices(each, reading, rows, columns, known)
    # biases of a fused projection may have an axis for its parts, and one for its heads: like a table of so many rows
    rows = len(shape) == 2 or any(one.fill != "equal-rows" for one in found)
    base = known.base(count, known.vectors) if known.vectors and not (found and rows) else 0
    if base and not (isinstance(each.owner, nn.Linear) and not each.is_vector):
        found.insert(0, Choice(WHOLE, "vector", base))
    return found


def _matrix_choices(each: Held, reading: Reading, rows: int, columns: int, known: Places) -> Iterator[Choice]:
    table = columns in {width for _, width in known.tables}
    own = known.matrices.get(columns, frozenset())
    base = known.base(rows, own) if rows <= known.totals.get(columns, 0) else 0
    looked_up = isinstance(each.owner, nn.Embedding)
    longer = max((each for each in own if each < rows and each % known.d_head), default=0)
    if not base and not isinstance(each.owner, nn.Linear):
        base = longer  # a vocabulary with room to grow
    if (rows, columns) in known.biases:
        yield Choice(reading, "equal-columns")
    if table and looked_up and rows not in own:
        yield Choice(reading, "equal-rows")
    if base:
        for inner in known.inner(rows, columns, base) if not looked_up else (1,):
            yield Choice(reading, "matrix", base, inner)
    fewest = min((count for count, width in known.tables if width == columns), default=0)
    likely = not base or (rows != columns and rows >= fewest)
    if table and likely and not (looked_up and rows not in own) and not isinstance(each.owner, nn.Linear):
        yield Choice(reading, "equal-rows")


@torch.no_grad()
def fill_subject(module: nn.Module, hypothesis: Hypothesis) -> None:
    """Give a subject its symmetric weights, as one hypothesis has it."""
    for each in held(module):
        choice = hypothesis.get(each.name)
        if choice is not None:
            choice.reading.put(each.tensor.data, choice.value(each.shape).to(each.tensor))
    changed(module)
