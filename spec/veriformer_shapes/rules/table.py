"""The table of rules, and how a rule reads the arguments of its call."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from ..language.axis import Axis
from ..language.dtypes import Dtypes
from ..language.shape import Dims
from ..language.values import (
    UNKNOWN_VALUE,
    DtypeOf,
    Integer,
    Nothing,
    Sequence,
    Tensor,
    Truth,
    Value,
    present,
    size_of,
)


class NotFollowed(Exception):
    """A rule cannot tell what this call gives: the result is unknown."""


@dataclass(frozen=True, slots=True)
class Call:
    """The arguments of one call, by the rule's parameter names.

    Attributes:
        name: the operation, for messages: ``transpose``, ``add``.
        values: parameter -> value; what the call left out is absent.
        rest: the surplus positional arguments, for a rule with a ``*`` parameter.
    """

    name: str
    values: dict[str, Value]
    rest: tuple[Value, ...] = ()

    def has(self, parameter: str) -> bool:
        """Whether the argument was given, and is not None."""
        return not isinstance(self.values.get(parameter, Nothing()), Nothing)

    def value(self, parameter: str) -> Value:
        """The argument, without the chance of being None; unknown if it was left out."""
        return present(self.values.get(parameter, UNKNOWN_VALUE))

    def tensor(self, parameter: str = "x") -> Tensor:
        """The argument, which has to be a tensor for the rule to go on."""
        value = self.value(parameter)
        if not isinstance(value, Tensor):
            raise NotFollowed
        return value

    def shaped(self, parameter: str = "x") -> Tensor:
        """The argument, which has to be a tensor of which something is known."""
        value = self.tensor(parameter)
        if value.shapeless:
            raise NotFollowed
        return value

    def integer(self, parameter: str, default: int | None = None) -> int:
        """The argument, which has to be a number written in the code."""
        if parameter not in self.values and default is not None:
            return default
        size = size_of(self.value(parameter)).constant
        if size is None:
            raise NotFollowed
        return size

    def integers(self, parameter: str) -> list[int]:
        """An argument that is one number or a sequence of them, or the ``*`` parameter."""
        value = self.value(parameter)
        if isinstance(value, Integer):
            items: tuple[Value, ...] = (value, *self.rest)
        elif isinstance(value, Sequence) and not self.rest:
            items = value.items
        elif parameter not in self.values:
            items = ()
        else:
            raise NotFollowed
        found = [size_of(item).constant for item in items]
        numbers = [number for number in found if number is not None]
        if len(numbers) != len(found):
            raise NotFollowed
        return numbers

    def sizes(self, parameter: str) -> tuple[Value, ...]:
        """Sizes given one by one (``x.view(a, b)``) or as one sequence (``x.view((a, b))``)."""
        if parameter not in self.values:
            return ()
        value = self.value(parameter)
        if isinstance(value, Sequence) and not self.rest:
            return value.items
        return (value, *self.rest)

    def flag(self, parameter: str, default: bool = False) -> bool:
        """A True or False written in the code."""
        if parameter not in self.values:
            return default
        value = self.value(parameter)
        if not isinstance(value, Truth):
            raise NotFollowed
        return value.value

    def dtypes(self, default: Dtypes) -> Dtypes:
        """What ``dtype=`` asks for."""
        if not self.has("dtype"):
            return default
        value = self.value("dtype")
        if not isinstance(value, DtypeOf):
            raise NotFollowed
        return value.dtypes


Body: TypeAlias = Callable[[Call], Value]


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of the table: the parameters in order, and what the operation gives."""

    parameters: tuple[str, ...]
    body: Body

    def bind(self, name: str, positional: list[Value], named: dict[str, Value]) -> Call:
        """Give each argument to its parameter; a parameter ``*sizes`` takes what is left."""
        values: dict[str, Value] = dict(named)
        rest: tuple[Value, ...] = ()
        for parameter, value in zip(self.parameters, positional, strict=False):
            values[parameter.lstrip("*")] = value
        if len(positional) > len(self.parameters):
            if not self.parameters or not self.parameters[-1].startswith("*"):
                raise NotFollowed
            rest = tuple(positional[len(self.parameters) :])
        return Call(name, values, rest)


_TABLE: Final[dict[str, Rule]] = {}

_ALIASES: Final = {"input": "x", "self": "x", "axis": "dim", "tensor": "x", "size": "sizes"}
"""torch's own names for a parameter, where the table has one word for all."""


def rule(names: str, parameters: str) -> Callable[[Body], Body]:
    """Enter a rule for one or more operations (names and parameters set off by blanks)."""

    def enter(body: Body) -> Body:
        """Enter ``body`` under each of the names."""
        for name in names.split():
            _TABLE[name] = Rule(tuple(parameters.split()), body)
        return body

    return enter


def knows(name: str) -> bool:
    """Whether there is a rule of exactly this name."""
    return name in _TABLE


def apply(name: str, positional: list[Value], named: dict[str, Value]) -> Value:
    """What the operation gives; unknown if there is no rule or it cannot follow the call.

    Raises:
        Misfit: the operation fails for these shapes.
    """
    # `x.add_(y)` gives what `x.add(y)` gives.
    found = _TABLE.get(name) or _TABLE.get(name.rstrip("_")) or _TABLE.get(name.strip("_"))
    if found is None:
        return UNKNOWN_VALUE
    renamed = {key if key in found.parameters else _ALIASES.get(key, key): value for key, value in named.items()}
    try:
        return found.body(found.bind(name.strip("_"), positional, renamed))
    except NotFollowed:
        return UNKNOWN_VALUE


def resized(x: Tensor, dims: Dims | tuple[Axis, ...]) -> Tensor:
    """The same dtype, other axes."""
    return Tensor(tuple(dims), x.dtypes)
