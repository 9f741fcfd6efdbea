"""Assignments: what a variable, a field of an object, or an item holds from here on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mypy.nodes import (
    Context,
    Expression,
    IndexExpr,
    ListExpr,
    MemberExpr,
    NameExpr,
    StarExpr,
    TupleExpr,
    Var,
)

from ..language import axis as axes
from ..language.broadcasting import Misfit
from ..language.memo import Memo
from ..language.shape import spread_at
from ..language.values import UNKNOWN_VALUE, Integer, Number, Tensor, Value, present
from . import sequences
from .objects import Object
from .state import path_of
from .types import misfit

if TYPE_CHECKING:
    from .expressions import Evaluator


def assign(evaluator: Evaluator, target: Expression, value: Value, where: Context | None = None) -> None:
    """Give a value to a variable, a field, an item, or several of them."""
    if isinstance(target, NameExpr):
        if target.node is not None:
            evaluator.state.values[target.node] = _called(value, target.name)
    elif isinstance(target, TupleExpr | ListExpr):
        _unpack(evaluator, target.items, value, where or target)
    elif isinstance(target, StarExpr):
        assign(evaluator, target.expr, value, where)
    elif isinstance(target, MemberExpr):
        _assign_field(evaluator, target, value, where or target)
    elif isinstance(target, IndexExpr):
        _assign_item(evaluator, target, value)


def _unpack(evaluator: Evaluator, targets: list[Expression], value: Value, where: Context) -> None:
    try:
        parts = sequences.unpacked(present(value), len(targets), sequences.starred(targets))
    except Misfit as problem:
        evaluator.report.fail(str(problem), where)
        parts = [UNKNOWN_VALUE] * len(targets)
    for target, part in zip(targets, parts, strict=True):
        assign(evaluator, target, part, where)


def _assign_field(evaluator: Evaluator, target: MemberExpr, value: Value, where: Context) -> None:
    owner = present(evaluator.evaluate(target.expr))
    path = path_of(target)
    if path is not None:
        evaluator.state.values[path] = _called(value, path)
    if isinstance(owner, Object):
        symbol = owner.instance.type.get(target.name)
        if symbol is not None and isinstance(symbol.node, Var):
            # Only within itself: the names in a field belong to its class.
            problem = misfit(symbol.node.type, value, Memo())
            if problem is not None:
                evaluator.report.fail(problem.told(f'"{target.name}"', "the class declares"), where)


def _assign_item(evaluator: Evaluator, target: IndexExpr, value: Value) -> None:
    base = present(evaluator.evaluate(target.base))
    index = evaluator.evaluate(target.index)
    value = present(value)
    if isinstance(base, Tensor):
        place = evaluator.apply("getitem", [base, index], {}, target)
        if isinstance(place, Tensor) and isinstance(value, Tensor):
            _written_over(evaluator, place, value, target)
    elif isinstance(target.base, NameExpr) and target.base.node in evaluator.state.values:
        # An item of a list or dict was replaced.
        node = target.base.node
        assert node is not None
        evaluator.state.values[node] = sequences.replaced(base, index, value)


def _written_over(evaluator: Evaluator, place: Tensor, value: Tensor, where: Context) -> None:
    if spread_at(place.dims) is None and spread_at(value.dims) is None:
        evaluator.apply("add", [place, value], {}, where)


def _called(value: Value, name: str) -> Value:
    """An integer nobody knows gets the name of its variable: it equals itself."""
    if isinstance(value, Number) and value.kind == "int":
        return Integer(axes.named(name, soft=True))
    return value
