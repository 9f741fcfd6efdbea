"""What the axis names of one scope stand for, as jaxtyping's own memo does for one call."""

import ast
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from . import axis as axes
from .axis import UNKNOWN, Axis
from .grammar import Item, Kind
from .shape import SOME_AXES, Declared, Dim, Dims, Spread, one_spread


@dataclass
class Memo:
    """The bindings of one scope: a function body, or one call.

    Attributes:
        sizes: axis name -> size.
        spreads: name of a ``*name`` -> its axes.
        integers: integers in reach of a ``{...}`` and of axes that no tensor binds:
            a parameter ``length: int`` is taken for the axis ``length``.
    """

    sizes: dict[str, Axis] = field(default_factory=dict)
    spreads: dict[str, Dims] = field(default_factory=dict)
    integers: dict[str, Axis] = field(default_factory=dict)
    signature: frozenset[str] = frozenset()
    """Every name in the function's signature, also those that only its result has."""

    def copy(self) -> "Memo":
        """A copy that binds names on its own."""
        return Memo(dict(self.sizes), dict(self.spreads), dict(self.integers), self.signature)

    def size(self, name: str) -> Axis | None:
        """What a name stands for, or None if nothing has bound it."""
        found = self.sizes.get(name)
        return self.integers.get(name) if found is None else found

    def evaluate(self, item: Item) -> Axis | None:
        """The size an item stands for; None while one of its names is unbound."""
        if item.kind is Kind.FIXED:
            return axes.number(item.size)
        if item.kind is Kind.NAME:
            return self.size(item.name)
        if item.kind is Kind.EXPRESSION and item.expression is not None:
            return _evaluate(item.expression, self)
        return UNKNOWN

    def dims(self, declared: Declared) -> Dims:
        """The axes a declared shape stands for here; what is unbound is unknown."""
        result: list[Dim] = []
        for item in declared.items:
            if item.kind is Kind.SPREAD:
                result += self._run(item)
                continue
            size = self.evaluate(item) or UNKNOWN
            result.append(Axis(size.terms, size.soft, True) if item.broadcast else size)
        return one_spread(tuple(result))

    def _run(self, item: Item) -> Dims:
        found = self.spreads.get(item.name, ANONYMOUS)
        if not item.broadcast:
            return found
        # `*#batch` beside `*batch` has the same axes, fewer, or ones.
        alone = found[0] if len(found) == 1 else None
        named = isinstance(alone, Spread) and alone.name is not None
        return (Spread(alone.name, True),) if isinstance(alone, Spread) and named else ANONYMOUS

    def spelled(self, declared: Declared) -> str:
        """The declared shape in the words of the caller; what is unbound keeps its name."""
        words: list[str] = []
        for item in declared.items:
            size = self.evaluate(item)
            if item.kind is Kind.SPREAD and item.name in self.spreads:
                words += [str(dim) for dim in self.spreads[item.name]]
            elif item.kind is Kind.NAME and size is not None and size.known:
                words.append(("#" if item.broadcast else "") + str(size).lstrip("#"))
            elif item.kind is Kind.EXPRESSION and size is not None and size.known:
                words.append(str(size))
            else:
                words.append(item.text)
        return " ".join(words)

    def declare(self, declared: Iterable[Declared]) -> None:
        """Make every name rigid: inside a function, a name is a size of its own."""
        for shape in declared:
            for item in shape.items:
                if item.kind is Kind.SPREAD and item.name:
                    self.spreads.setdefault(item.name, (Spread(item.name),))
                for name in names_of(item):
                    self.sizes.setdefault(name, axes.named(name))


ANONYMOUS: Dims = (SOME_AXES,)


def names_of(item: Item) -> set[str]:
    """The axis names in an item (of a spread none: its name lives apart)."""
    if item.kind is Kind.NAME:
        return {item.name}
    if item.expression is not None:
        called = {id(node.func) for node in ast.walk(item.expression) if isinstance(node, ast.Call)}
        return {node.id for node in ast.walk(item.expression) if isinstance(node, ast.Name) and id(node) not in called}
    return set()


def rename(memo: Memo, names: Mapping[str, Axis]) -> None:
    """Replace axis names everywhere: two sizes were found to be equal."""
    memo.sizes = {name: axes.replace(size, names) for name, size in memo.sizes.items()}
    memo.integers = {name: axes.replace(size, names) for name, size in memo.integers.items()}
    memo.spreads = {
        name: tuple(axes.replace(dim, names) if isinstance(dim, Axis) else dim for dim in dims)
        for name, dims in memo.spreads.items()
    }


def _evaluate(node: ast.expr, memo: Memo) -> Axis | None:
    """The value of an expression of axis names; UNKNOWN if it has no normal form."""
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return axes.number(node.value)
    if isinstance(node, ast.Name):
        return memo.size(node.id)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        operand = _evaluate(node.operand, memo)
        if operand is None or isinstance(node.op, ast.UAdd):
            return operand
        return axes.multiply(axes.number(-1), operand)
    if not isinstance(node, ast.BinOp):
        return UNKNOWN
    left, right = _evaluate(node.left, memo), _evaluate(node.right, memo)
    if left is None or right is None:
        return None
    return combine(type(node.op).__name__, left, right)


def combine(operator: str, left: Axis, right: Axis) -> Axis:
    """One step of whole-number arithmetic, by the operator's name in Python's `ast`."""
    if operator == "Add":
        return axes.add(left, right)
    if operator == "Sub":
        return axes.add(left, right, -1)
    if operator == "Mult":
        return axes.multiply(left, right)
    if operator == "FloorDiv":
        return axes.divide(left, right)
    if operator == "Mod":
        return axes.remainder(left, right)
    power = right.constant
    if operator == "Pow" and power is not None and 0 <= power <= 8:
        return axes.product([left] * power)
    return UNKNOWN
