"""Operators: the rule of the table that each stands for on tensors, and what they do to numbers."""

from ..language.memo import combine
from ..language.values import Integer, Number, Value

OPERATORS = {
    "+": "add",
    "-": "sub",
    "*": "mul",
    "/": "div",
    "//": "floordiv",
    "%": "mod",
    "**": "pow",
    "@": "matmul",
    "&": "bitwise_and",
    "|": "bitwise_or",
    "^": "bitwise_xor",
    "<<": "lshift",
    ">>": "rshift",
    "<": "lt",
    "<=": "le",
    ">": "gt",
    ">=": "ge",
    "==": "eq",
    "!=": "ne",
}

_ARITHMETIC = {"+": "Add", "-": "Sub", "*": "Mult", "//": "FloorDiv", "%": "Mod", "**": "Pow"}


def arithmetic(operator: str, left: Value, right: Value) -> Value:
    """A binary operator between two numbers: the size it gives where both are known, or else its kind."""
    name = _ARITHMETIC.get(operator)
    if name is not None and isinstance(left, Integer) and isinstance(right, Integer):
        size = combine(name, left.size, right.size)
        if size.known:
            return Integer(size)
        if operator != "**":
            return Number("int")
    if operator in ("/", "**"):
        return Number("float")
    kinds = {getattr(value, "kind", "int") for value in (left, right)}
    if "float" in kinds:
        return Number("float")
    return Number("int") if kinds <= {"int", "bool"} else Number(None)
