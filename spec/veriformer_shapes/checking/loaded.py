"""Remembers the marks in files that mypy took from its cache (see `marks.keep`)."""

from collections.abc import Iterator

from mypy.nodes import (
    Decorator,
    FuncDef,
    MypyFile,
    OverloadedFuncDef,
    SymbolNode,
    SymbolTable,
    TypeAlias,
    TypeInfo,
    Var,
)
from mypy.types import (
    CallableType,
    Instance,
    Overloaded,
    TupleType,
    Type,
    UnionType,
    get_proper_type,
)

from .marks import DEEPEST, keep

_UNMARKED = ("torch", "numpy", "builtins", "typing", "sympy", "jaxtyping", "jax", "einops", "mypy")
"""Packages that carry no shapes of jaxtyping and are large."""


def keep_marks(tree: MypyFile) -> None:
    """Remember every mark in the declarations of one file."""
    if tree.is_stub or tree.fullname.partition(".")[0] in _UNMARKED:
        return
    for found in _declared(tree.names, tree.fullname):
        for instance in _instances(found):
            keep(instance)


def _declared(names: SymbolTable, prefix: str) -> Iterator[Type]:
    for symbol in names.values():
        node = symbol.node
        if node is None or not node.fullname.startswith(prefix + "."):
            continue
        if isinstance(node, TypeInfo):
            yield from _declared(node.names, node.fullname)
            if node.tuple_type is not None:
                yield node.tuple_type
        else:
            yield from _types_of(node)


def _types_of(node: SymbolNode) -> list[Type]:
    found: list[Type | None] = []
    if isinstance(node, TypeAlias):
        found = [node.target]
    elif isinstance(node, Var | FuncDef | OverloadedFuncDef):
        found = [node.type]
    elif isinstance(node, Decorator):
        found = [node.func.type, node.var.type]
    return [one for one in found if one is not None]


def _instances(found: Type, depth: int = 0) -> Iterator[Instance]:
    if depth > DEEPEST:
        return
    proper = get_proper_type(found)
    inner: list[Type] = []
    if isinstance(proper, Instance):
        yield proper
        inner = list(proper.args)
    elif isinstance(proper, UnionType | TupleType):
        inner = list(proper.items)
    elif isinstance(proper, CallableType):
        inner = [*proper.arg_types, proper.ret_type]
    elif isinstance(proper, Overloaded):
        inner = list(proper.items)
    for one in inner:
        yield from _instances(one, depth + 1)
