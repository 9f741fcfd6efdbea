"""The shape of a value, and the shape an annotation declares."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias

from .axis import Axis
from .dtypes import ANY_DTYPE, DTYPES, Dtypes, name_of
from .grammar import Item, Kind, parse


@dataclass(frozen=True, slots=True)
class Spread:
    """Any number of axes: ``*name``, or ``...`` if `name` is None.

    Inside a function, the ``...`` of parameter ``x`` is a run of its own, named ``...x``.

    Attributes:
        broadcast: written ``*#name``: axes that broadcast to those of ``*name``.
    """

    name: str | None
    broadcast: bool = False

    def __str__(self) -> str:
        if self.name is None or self.name.startswith("..."):
            return "..."
        return f"*#{self.name}" if self.broadcast else f"*{self.name}"


Dim: TypeAlias = Axis | Spread
Dims: TypeAlias = tuple[Dim, ...]

SOME_AXES: Final = Spread(None)
ANY_DIMS: Final[Dims] = (SOME_AXES,)
"""The axes of a tensor of which nothing is known."""


def spelled(dims: Iterable[Dim]) -> str:
    """The axes in jaxtyping's own notation; ``?`` is an axis of unknown size."""
    return " ".join(str(dim) for dim in dims)


def spread_at(dims: Dims) -> int | None:
    """Where the run of axes of unknown number stands, if there is one."""
    return next((at for at, dim in enumerate(dims) if isinstance(dim, Spread)), None)


def axes_of(dims: Dims) -> tuple[Axis, ...] | None:
    """The axes, if their number is known."""
    axes = tuple(dim for dim in dims if isinstance(dim, Axis))
    return axes if len(axes) == len(dims) else None


def one_spread(dims: Dims) -> Dims:
    """Two runs of unknown length cannot be told apart: from the first to the last, unknown."""
    spreads = [at for at, dim in enumerate(dims) if isinstance(dim, Spread)]
    if len(spreads) < 2:
        return dims
    return (*dims[: spreads[0]], SOME_AXES, *dims[spreads[-1] + 1 :])


@dataclass(frozen=True, slots=True)
class Declared:
    """What an annotation such as ``Float[Tensor, "batch time"]`` says."""

    dtypes: Dtypes
    items: tuple[Item, ...]

    @staticmethod
    def read(dtype: str, text: str) -> "Declared":
        """Read a dtype class and a shape string.

        Raises:
            AnnotationProblem: see `grammar.parse`.
        """
        return Declared(DTYPES.get(dtype, ANY_DTYPE), parse(text))

    @property
    def dtype_name(self) -> str:
        """The name of the dtypes in jaxtyping, such as ``Float``."""
        return name_of(self.dtypes)

    @property
    def spread(self) -> int | None:
        """The place of the item that stands for any number of axes; None if there is none."""
        return next((at for at, it in enumerate(self.items) if it.kind is Kind.SPREAD), None)

    def __str__(self) -> str:
        return " ".join(item.text for item in self.items)
