"""What is known at one point of a function, and what is left of it where two ways meet."""

from collections.abc import Mapping
from typing import TypeAlias

from mypy.nodes import Expression, MemberExpr, NameExpr, SymbolNode

from ..language import axis as axes
from ..language.axis import Axis, Verdict, same
from ..language.memo import Memo, rename
from ..language.values import (
    Integer,
    Optional,
    Repeated,
    Sequence,
    Tensor,
    Value,
    join,
)

Place: TypeAlias = SymbolNode | str
"""A variable, or the dotted path of a field (``self.keys``)."""


def path_of(expression: Expression) -> str | None:
    """``self.cache.keys`` for a chain of names; None for anything else."""
    if isinstance(expression, NameExpr):
        return expression.name
    if isinstance(expression, MemberExpr):
        base = path_of(expression.expr)
        return None if base is None else f"{base}.{expression.name}"
    return None


class State:
    """The values of variables and the meaning of axis names.

    Attributes:
        values: what each variable and field holds.
        memo: what the names in annotations stand for.
        reached: False after a return, raise, break or continue.
        equal: sizes found equal since the way split (``if q_len == k_len:``).
    """

    def __init__(self, memo: Memo | None = None) -> None:
        self.values: dict[Place, Value] = {}
        self.memo = memo or Memo()
        self.reached = True
        self.equal: dict[str, Axis] = {}

    def fork(self) -> "State":
        """A copy that changes on its own; what was found equal before the split is not taken along."""
        result = State(self.memo.copy())
        result.values = dict(self.values)
        result.reached = self.reached
        return result

    def become(self, other: "State") -> None:
        """Take over what another state knows, for those who hold on to this one."""
        self.values, self.memo, self.reached = other.values, other.memo, other.reached

    def forget_fields(self) -> None:
        """After a call of anyone's code, fields may hold something else."""
        for place in [place for place in self.values if isinstance(place, str)]:
            del self.values[place]

    def equate(self, one: Axis, other: Axis) -> None:
        """From here on two sizes are the same."""
        if same(one, other) is Verdict.YES or not one.known or not other.known:
            return
        if one.constant is not None and other.constant is not None:
            return
        for size, value in ((one, other), (other, one)):
            symbol = size.symbol
            if symbol is not None and symbol not in value.symbols():
                self.substitute({symbol: value})
                return
        # No name to solve for: let every name involved be any size.
        symbols = one.symbols() | other.symbols()
        self.substitute({name: axes.named(name, soft=True) for name in symbols})

    def substitute(self, names: Mapping[str, Axis]) -> None:
        """Replace axis names by sizes, wherever they occur, and remember that they are equal."""
        self.values = {place: replaced(value, names) for place, value in self.values.items()}
        rename(self.memo, names)
        self.equal = {name: axes.replace(size, names) for name, size in self.equal.items()}
        self.equal.update(names)


def merged(states: list[State]) -> State:
    """The state after several ways met: what all that arrive agree on."""
    arriving = [state for state in states if state.reached]
    if not arriving:
        result = states[0].fork()
        result.reached = False
        return result
    result = arriving[0]
    for state in arriving[1:]:
        result = _merged(result, state)
    if len(arriving) == 1:
        result = result.fork()
    return result


def _merged(one: State, other: State) -> State:
    result = State(
        Memo(
            _agreed(one.memo.sizes, other.memo.sizes, one, other),
            {k: v for k, v in one.memo.spreads.items() if other.memo.spreads.get(k) == v},
            dict(one.memo.integers),
            one.memo.signature,
        )
    )
    for place in one.values.keys() | other.values.keys():
        first, second = one.values.get(place), other.values.get(place)
        if first is None or second is None:
            # Assigned on one way only: whoever uses it came along that way.
            present = first if first is not None else second
            if present is not None and not isinstance(place, str):
                result.values[place] = present
            continue
        result.values[place] = _joined(first, second, one, other)
    return result


def _joined(first: Value, second: Value, one: State, other: State) -> Value:
    """Join, seeing through names that one of the ways has found to be equal."""
    if first == second:
        return first
    if one.equal and first == replaced(second, one.equal):
        return second
    if other.equal and second == replaced(first, other.equal):
        return first
    return join(first, second)


def _agreed(first: dict[str, Axis], second: dict[str, Axis], one: State, other: State) -> dict[str, Axis]:
    result: dict[str, Axis] = {}
    for name, size in first.items():
        against = second.get(name)
        if against is None:
            continue
        if against == size or (other.equal and axes.replace(size, other.equal) == against):
            result[name] = size
        elif one.equal and axes.replace(against, one.equal) == size:
            result[name] = against
        else:
            result[name] = axes.UNKNOWN
    return result


def replaced(value: Value, names: Mapping[str, Axis]) -> Value:
    """The value with axis names replaced."""
    if not names:
        return value
    if isinstance(value, Tensor):
        return Tensor(
            tuple(axes.replace(d, names) if isinstance(d, Axis) else d for d in value.dims),
            value.dtypes,
        )
    if isinstance(value, Integer):
        return Integer(axes.replace(value.size, names))
    if isinstance(value, Sequence):
        return Sequence(tuple(replaced(item, names) for item in value.items), value.kind)
    if isinstance(value, Repeated):
        return Repeated(replaced(value.item, names))
    if isinstance(value, Optional):
        return Optional(replaced(value.value, names))
    return value
