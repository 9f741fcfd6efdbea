"""What the checker knows of one value: a tensor's axes, an integer that is a size, a tuple of them.

`UNKNOWN_VALUE` is everything else. No rule may claim more than its arguments tell.
"""

from dataclasses import dataclass
from typing import Final

from .axis import UNKNOWN as UNKNOWN_SIZE
from .axis import Axis, Verdict, same
from .dtypes import ANY_DTYPE, Dtypes, name_of
from .shape import ANY_DIMS, SOME_AXES, Dim, Dims, Spread, axes_of, spelled


class Value:
    """Anything; the base of what is known better."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Tensor(Value):
    """A tensor: its axes, and the dtypes that it may have."""

    dims: Dims = ANY_DIMS
    dtypes: Dtypes = ANY_DTYPE

    @property
    def axes(self) -> tuple[Axis, ...] | None:
        """The axes one by one; None if their number is not known."""
        return axes_of(self.dims)

    @property
    def shapeless(self) -> bool:
        """Whether nothing is known of the axes, not even their number."""
        return self.dims == ANY_DIMS

    def __str__(self) -> str:
        return spelled(self.dims)

    def reveal(self) -> str:
        """Dtype and shape as ``reveal_type`` shows them."""
        return f"{name_of(self.dtypes)} {self}".strip()


@dataclass(frozen=True, slots=True)
class Integer(Value):
    """A whole number whose size is known, if only by a name."""

    size: Axis


@dataclass(frozen=True, slots=True)
class Number(Value):
    """A Python number of unknown size; `kind` is bool, int, float, complex or None."""

    kind: str | None = None


@dataclass(frozen=True, slots=True)
class Truth(Value):
    """A True or False that is known."""

    value: bool


@dataclass(frozen=True, slots=True)
class Text(Value):
    """A string that is known, such as the equation of an einsum."""

    value: str


@dataclass(frozen=True, slots=True)
class DtypeOf(Value):
    """A ``torch.dtype``."""

    dtypes: Dtypes


@dataclass(frozen=True, slots=True)
class Nothing(Value):
    """``None``."""


@dataclass(frozen=True, slots=True)
class Dots(Value):
    """``...`` in an index."""


@dataclass(frozen=True, slots=True)
class Slice(Value):
    """``start:stop:step`` in an index; None where nothing is written."""

    start: Value | None
    stop: Value | None
    step: Value | None


@dataclass(frozen=True, slots=True)
class SomeSizes(Value):
    """In a sequence of sizes: those of a run of axes of unknown number."""

    spread: Spread = SOME_AXES


@dataclass(frozen=True, slots=True)
class Sequence(Value):
    """A tuple, list or ``torch.Size`` whose items are known one by one."""

    items: tuple[Value, ...]
    kind: str = "tuple"


@dataclass(frozen=True, slots=True)
class Repeated(Value):
    """A sequence of unknown length whose items are all alike."""

    item: Value


@dataclass(frozen=True, slots=True)
class Optional(Value):
    """This value or ``None``."""

    value: Value


UNKNOWN_VALUE: Final = Value()
ANY_TENSOR: Final = Tensor()


def present(value: Value) -> Value:
    """The value where it is not None."""
    return value.value if isinstance(value, Optional) else value


def sizes_of(dims: Dims) -> Sequence:
    """``x.shape`` for a tensor with these axes."""
    return Sequence(tuple(Integer(d) if isinstance(d, Axis) else SomeSizes(d) for d in dims), "size")


def dims_from(value: Value) -> Dims | None:
    """The axes a sequence of sizes asks for; None if it is not such a sequence."""
    if not isinstance(value, Sequence):
        return None
    dims: list[Dim] = []
    for item in value.items:
        if isinstance(item, SomeSizes):
            dims.append(item.spread)
        else:
            dims.append(size_of(item))
    return tuple(dims)


def size_of(value: Value) -> Axis:
    """The size an integer stands for, UNKNOWN if there is none."""
    return value.size if isinstance(value, Integer) else UNKNOWN_SIZE


def join(first: Value, second: Value) -> Value:
    """What is known where two ways meet: only what both agree on."""
    if first == second:
        return first
    if isinstance(first, Nothing) or isinstance(second, Nothing):
        other = second if isinstance(first, Nothing) else first
        return Optional(present(other)) if other != UNKNOWN_VALUE else UNKNOWN_VALUE
    if isinstance(first, Optional) or isinstance(second, Optional):
        return Optional(join(present(first), present(second)))
    if isinstance(first, Tensor) and isinstance(second, Tensor):
        return Tensor(_join_dims(first.dims, second.dims), first.dtypes | second.dtypes)
    if isinstance(first, Sequence) and isinstance(second, Sequence) and first.kind == second.kind:
        if len(first.items) == len(second.items):
            return Sequence(
                tuple(join(a, b) for a, b in zip(first.items, second.items, strict=True)),
                first.kind,
            )
        return Repeated(join_all([*first.items, *second.items]))
    if isinstance(first, Integer | Number | Truth) and isinstance(second, Integer | Number | Truth):
        return Number(_kind(first) if _kind(first) == _kind(second) else None)
    if isinstance(first, Repeated) and isinstance(second, Repeated):
        return Repeated(join(first.item, second.item))
    repeated, other = (first, second) if isinstance(first, Repeated) else (second, first)
    if isinstance(repeated, Repeated) and isinstance(other, Sequence):
        return Repeated(join_all([repeated.item, *other.items]))
    return UNKNOWN_VALUE


def join_all(values: list[Value]) -> Value:
    """What is known where any number of ways meet; unknown where there is none."""
    if not values:
        return UNKNOWN_VALUE
    result = values[0]
    for value in values[1:]:
        result = join(result, value)
    return result


def kind_of_number(value: Value) -> str | None:
    """bool, int or float, if the value is a Python number."""
    return _kind(value) if isinstance(value, Integer | Number | Truth) else None


def is_number(value: Value) -> bool:
    """Whether the value is a Python number, of known size or not."""
    return isinstance(value, Integer | Number | Truth)


def _kind(value: Integer | Number | Truth) -> str | None:
    if isinstance(value, Number):
        return value.kind
    return "int" if isinstance(value, Integer) else "bool"


def _join_dims(first: Dims, second: Dims) -> Dims:
    if len(first) != len(second):
        return ANY_DIMS
    dims: list[Dim] = []
    for one, other in zip(first, second, strict=True):
        if one == other:
            dims.append(one)
        elif isinstance(one, Axis) and isinstance(other, Axis):
            alike = same(one, other) is Verdict.YES
            dims.append(one.softened() if alike else UNKNOWN_SIZE)
        else:
            return ANY_DIMS
    return tuple(dims)
