"""What a condition tells: that a value is not None, that two sizes are equal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mypy.nodes import (
    CallExpr,
    ComparisonExpr,
    Expression,
    MemberExpr,
    NameExpr,
    OpExpr,
    UnaryExpr,
)

from ..language import axis as axes
from ..language.values import (
    UNKNOWN_VALUE,
    Integer,
    Nothing,
    Number,
    Optional,
    Sequence,
    Truth,
    Value,
    present,
)
from .state import path_of

if TYPE_CHECKING:
    from .expressions import Evaluator


def assume(evaluator: Evaluator, condition: Expression, truth: bool) -> bool:
    """Change the state to one where the condition holds (or fails); False if it cannot."""
    if isinstance(condition, UnaryExpr) and condition.op == "not":
        return assume(evaluator, condition.expr, not truth)
    if isinstance(condition, OpExpr) and condition.op in ("and", "or"):
        if (condition.op == "and") == truth:
            left = assume(evaluator, condition.left, truth)
            return assume(evaluator, condition.right, truth) and left
        return True
    if isinstance(condition, ComparisonExpr):
        return _compare(evaluator, condition, truth)
    if isinstance(condition, NameExpr | MemberExpr):
        value = _look(evaluator, condition)
        if isinstance(value, Truth):
            return value.value == truth
        if value == Number("bool") and isinstance(condition, NameExpr) and condition.node in evaluator.state.values:
            # A second test of the same variable goes the same way.
            evaluator.state.values[condition.node] = Truth(truth)
            return True
        return _narrow_none(evaluator, condition, not truth, sure=False)
    if isinstance(condition, CallExpr) and truth and _is_isinstance(condition):
        return _narrow_none(evaluator, condition.args[0], False, sure=False)
    return True


def _is_isinstance(call: CallExpr) -> bool:
    return isinstance(call.callee, NameExpr) and call.callee.name == "isinstance" and bool(call.args)


def _compare(evaluator: Evaluator, condition: ComparisonExpr, truth: bool) -> bool:
    operands = condition.operands
    for operator, left, right in zip(condition.operators, operands[:-1], operands[1:], strict=True):
        if operator in ("is", "is not", "==", "!="):
            holds = truth == (operator in ("is", "=="))
            if isinstance(_look(evaluator, right), Nothing):
                if not _narrow_none(evaluator, left, holds, sure=True):
                    return False
            elif holds and operator in ("==", "!=") and (truth or len(operands) == 2):
                _equate(evaluator, _look(evaluator, left), _look(evaluator, right))
    return True


def _equate(evaluator: Evaluator, left: Value, right: Value) -> None:
    left, right = present(left), present(right)
    if isinstance(left, Integer) and isinstance(right, Integer):
        # What was evaluated before a name was replaced may still have it.
        known = evaluator.state.equal
        evaluator.state.equate(axes.replace(left.size, known), axes.replace(right.size, known))
    elif isinstance(left, Sequence) and isinstance(right, Sequence):
        pairs = list(zip(left.items, right.items, strict=False))
        for one, other in pairs if len(left.items) == len(right.items) else ():
            _equate(evaluator, one, other)


def _narrow_none(evaluator: Evaluator, place: Expression, none: bool, *, sure: bool) -> bool:
    """Take None out of a variable's value, or leave only None."""
    value = _look(evaluator, place)
    key: object = None
    if isinstance(place, NameExpr):
        key = place.node
    elif isinstance(place, MemberExpr):
        key = path_of(place)
    if none:
        if sure and not isinstance(value, Optional | Nothing) and value != UNKNOWN_VALUE:
            return False
        narrowed: Value = Nothing() if sure and value != UNKNOWN_VALUE else value
    else:
        if isinstance(value, Nothing):
            return False
        narrowed = present(value)
    if key is not None and narrowed != value:
        evaluator.state.values[key] = narrowed  # type: ignore[index]  # a node or a path
    return True


def _look(evaluator: Evaluator, expression: Expression) -> Value:
    with evaluator.report.muted():
        return evaluator.evaluate(expression)
