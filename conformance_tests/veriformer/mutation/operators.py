"""Operators: what may be changed at one node of a function's syntax tree.

Each yields its name and what stands in the node's place; ``None`` deletes a statement. The names are those of
``OPERATORS``, which the report prints.
"""

import ast
from collections.abc import Iterator, Mapping
from typing import Final

from veriformer.mutation.names import Scope, swapped_attributes

Change = tuple[str, ast.AST | None]

OPERATORS: Final[Mapping[str, str]] = {
    "arithmetic": "`+` and `-`, `*` and `/`, `**` and `*`, `//` and `/`, `&` and `|` exchanged; matrices multiplied the other way",
    "operand": "one operand of an arithmetic or Boolean operation alone",
    "sign": "`-x`, `~x` and `not x` without their sign",
    "comparison": "a comparison with its boundary moved, or turned round",
    "constant": "a number one larger, one smaller, doubled, zero; a Boolean turned round; a word that nobody claims",
    "condition": "a condition always true, or always false; `and` and `or` exchanged",
    "argument": "a keyword or the last argument dropped; two neighbours exchanged",
    "call": "a call replaced by what it was called on, or by its first argument; `.mT` forgotten",
    "attribute": "a name exchanged with its tempting neighbour: query and key, heads and kv_heads, min and max, sin and cos, ...",
    "variable": "a parameter or local variable exchanged with another of its kind",
    "slice": "a bound of a slice dropped or moved; an index dropped",
    "loop": "a loop that skips its first or its last round, or runs backwards",
    "default": "a default of a parameter changed, as constants are",
    "statement": "a statement deleted",
    "input returned": "the first argument returned in place of the result",
    "gradient": "the result detached from its graph",
}
"""Every operator, and what it does."""

_ARITHMETIC: Final[Mapping[type[ast.operator], type[ast.operator]]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.Pow: ast.Mult,
    ast.FloorDiv: ast.Div,
    ast.Mod: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
_COMPARISONS: Final[Mapping[type[ast.cmpop], tuple[type[ast.cmpop], ...]]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}


def changes(node: ast.AST, scope: Scope) -> Iterator[Change]:
    """Everything that may stand in the place of ``node``."""
    match node:
        case ast.BinOp():
            yield from _of_operation(node)
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
            yield from _numbers(-value)
        case ast.UnaryOp():
            yield "sign", node.operand
        case ast.Compare(left=left, ops=[operation], comparators=comparators):
            for comparison in _COMPARISONS.get(type(operation), ()):
                yield "comparison", ast.Compare(left, [comparison()], comparators)
        case ast.BoolOp(op=operation, values=values):
            yield "condition", ast.BoolOp(ast.Or() if isinstance(operation, ast.And) else ast.And(), values)
            for index in range(len(values)):
                rest = [value for at, value in enumerate(values) if at != index]
                yield "operand", rest[0] if len(rest) == 1 else ast.BoolOp(operation, rest)
        case ast.Constant():
            yield from constants(node)
        case ast.Call():
            yield from _of_call(node, scope)
        case ast.Attribute(attr="mT" | "T", value=value):
            yield "call", value
        case ast.Attribute(value=value, attr=name, ctx=ast.Load() as context):
            for other in swapped_attributes(name):
                if scope.has(value, other):
                    yield "attribute", ast.Attribute(value, other, context)
        case ast.Name(id=name, ctx=ast.Load() as context):
            for other in scope.exchangeable(name, node.lineno):
                yield "variable", ast.Name(other, context)
            for other in swapped_attributes(name):
                if scope.is_global(name) and scope.is_global(other):
                    yield "attribute", ast.Name(other, context)
        case ast.Subscript(ctx=ast.Load()):
            yield "slice", node.value
        case ast.Slice():
            yield from _of_slice(node)


def constants(node: ast.Constant) -> Iterator[Change]:
    """Other values of a constant."""
    value = node.value
    if isinstance(value, bool):
        yield "constant", ast.Constant(not value)
    elif isinstance(value, int | float):
        yield from _numbers(value)
    elif isinstance(value, str):
        yield "constant", ast.Constant(f"no {value}")


def _numbers(value: float) -> Iterator[Change]:
    for other in dict.fromkeys((value + 1, value - 1, type(value)(0), 2 * value)):
        if other != value:
            yield "constant", ast.Constant(other) if other >= 0 else ast.UnaryOp(ast.USub(), ast.Constant(-other))


def _of_operation(node: ast.BinOp) -> Iterator[Change]:
    if isinstance(node.op, ast.MatMult):
        yield "arithmetic", ast.BinOp(node.right, node.op, node.left)
    other = _ARITHMETIC.get(type(node.op))
    if other is not None:
        yield "arithmetic", ast.BinOp(node.left, other(), node.right)
    if isinstance(node.op, ast.Div | ast.Pow | ast.Sub):
        yield "operand", node.left
    else:
        yield "operand", node.left
        yield "operand", node.right


def _of_call(node: ast.Call, scope: Scope) -> Iterator[Change]:
    if scope.initialises(node):
        return
    for other in _with_other_arguments(node, scope):
        if scope.can_be_called(other):
            yield "argument", other
    if isinstance(node.func, ast.Attribute) and not scope.is_module(node.func.value):
        if ast.unparse(node.func.value) != "super()":
            yield "call", node.func.value
    elif node.args and not isinstance(node.args[0], ast.Starred) and scope.is_data(node.args[0]):
        yield "call", node.args[0]


def _with_other_arguments(node: ast.Call, scope: Scope) -> Iterator[ast.Call]:
    for index in range(len(node.keywords)):
        if node.keywords[index].arg is not None:
            yield _called(node, keywords=node.keywords[:index] + node.keywords[index + 1 :])
    if len(node.args) < 2 or any(isinstance(each, ast.Starred) for each in node.args):
        return
    yield _called(node, node.args[:-1])
    for index in range(len(node.args) - 1):
        first, second = node.args[index : index + 2]
        if scope.of_one_kind(first, second):
            yield _called(node, [*node.args[:index], second, first, *node.args[index + 2 :]])


def _called(node: ast.Call, args: list[ast.expr] | None = None, keywords: list[ast.keyword] | None = None) -> ast.Call:
    return ast.Call(node.func, node.args if args is None else args, node.keywords if keywords is None else keywords)


def _of_slice(node: ast.Slice) -> Iterator[Change]:
    lower, upper, step = node.lower, node.upper, node.step
    if lower is not None:
        yield "slice", ast.Slice(None, upper, step)
    if upper is not None:
        yield "slice", ast.Slice(lower, None, step)
    if step is not None:
        yield "slice", ast.Slice(lower, upper, None)
    for shift in (ast.Add(), ast.Sub()):
        for bound in (lower, upper):
            if bound is None or isinstance(bound, ast.Constant | ast.UnaryOp):
                continue  # numbers are changed as constants are
            moved = ast.BinOp(bound, shift, ast.Constant(1))
            yield "slice", ast.Slice(moved if bound is lower else lower, moved if bound is upper else upper, step)


def forced(_test: ast.expr) -> Iterator[ast.expr]:
    """A condition that is always true, or always false."""
    yield ast.Constant(True)
    yield ast.Constant(False)


def rounds(over: ast.expr) -> Iterator[ast.expr]:
    """What a loop runs over, without its first, without its last, and backwards."""
    everything = ast.Call(ast.Name("list", ast.Load()), [over], [])
    yield ast.Subscript(everything, ast.Slice(ast.Constant(1), None, None), ast.Load())
    yield ast.Subscript(everything, ast.Slice(None, ast.UnaryOp(ast.USub(), ast.Constant(1)), None), ast.Load())
    yield ast.Subscript(everything, ast.Slice(None, None, ast.UnaryOp(ast.USub(), ast.Constant(1))), ast.Load())
