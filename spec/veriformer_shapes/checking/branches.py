"""The ways of an ``if``: whether what follows is walked once for each of them."""

from mypy.nodes import ComparisonExpr, Expression, IfStmt, NameExpr, Statement, UnaryExpr, Var

from ..language.values import Tensor, Value
from .state import State


def stay_apart(statement: IfStmt, rest: list[Statement], ends: list[State]) -> bool:
    """Whether the ways of an ``if`` differ in a tensor, and what follows can tell them apart.

    It can where the same variable is tested again, or is itself what differs (``if mask is
    None: mask = ...``). Of any other condition a later one may say the same unseen.
    """
    node = _tested(statement.expr[0]) if len(statement.expr) == 1 else None
    if node is None or not rest:
        return False
    one, other = ends
    differing = [place for place, value in one.values.items() if _tensors_differ(value, other.values.get(place))]
    if node in differing:
        return True
    again = any(isinstance(later, IfStmt) and any(_tested(e) is node for e in later.expr) for later in rest)
    return again


def _tensors_differ(one: Value, other: Value | None) -> bool:
    return isinstance(one, Tensor) and isinstance(other, Tensor) and one.dims != other.dims


def _tested(condition: Expression) -> Var | None:
    """The variable of ``if flag``, ``if not flag``, ``if mask is None``."""
    if isinstance(condition, UnaryExpr) and condition.op == "not":
        return _tested(condition.expr)
    if isinstance(condition, ComparisonExpr) and condition.operators in (["is"], ["is not"]):
        left, right = condition.operands
        return _tested(left) if isinstance(right, NameExpr) and right.name == "None" else None
    return condition.node if isinstance(condition, NameExpr) and isinstance(condition.node, Var) else None
