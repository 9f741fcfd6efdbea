"""Gives type aliases their shapes back: ``Keys = Float[Tensor, "batch k_len d_head"]``.

mypy drops the metadata of ``Annotated`` when an alias is defined by an assignment
(python/mypy#17514) and asks no hook. The text still stands on the right side of the
assignment, so it is read from there and put on the alias' target, which is cached.
"""

from mypy.nodes import (
    AssignmentStmt,
    Expression,
    IndexExpr,
    MypyFile,
    NameExpr,
    OpExpr,
    RefExpr,
    StrExpr,
    TupleExpr,
    TypeAlias,
)
from mypy.types import (
    Instance,
    NoneType,
    TupleType,
    Type,
    UnionType,
    get_proper_type,
)

from ..language.grammar import AnnotationProblem, parse
from .annotations import ANNOTATED, dtype_behind
from .marks import declared_of, is_tensor, marked
from .state import path_of


def shaped_alias(tree: MypyFile, name: str, str_type: Instance) -> Type | None:
    """What a module-level alias stands for, with its shapes; None if it writes none.

    None too for an alias that is already restored, or whose file was not parsed in this
    run: its target comes from the cache, shapes included.
    """
    symbol = tree.names.get(name)
    alias = symbol.node if symbol is not None else None
    if not isinstance(alias, TypeAlias) or alias.module != tree.fullname or alias.alias_tvars:
        return None
    for statement in tree.defs:
        value = _value_of(statement, name)
        if value is not None:
            return _shaped(value, alias.target, tree, str_type)
    return None


def restore_shapes(tree: MypyFile, name: str, str_type: Instance) -> None:
    """Put the shapes on the alias' target, for the files that import it and for the cache.

    Only when mypy has analysed the whole file: until then it compares the target with
    what it finds each time round, and a changed one would keep it busy for ever.
    """
    target = shaped_alias(tree, name, str_type)
    symbol = tree.names.get(name)
    if target is not None and symbol is not None and isinstance(symbol.node, TypeAlias):
        symbol.node.target = target
        # mypy makes an alias without arguments anew from its class: without the shape.
        symbol.node.no_args = False


def _value_of(statement: object, name: str) -> Expression | None:
    """The right side of the assignment (or ``type`` statement) that defines the alias."""
    if isinstance(statement, AssignmentStmt):
        target = statement.lvalues[0]
        return statement.rvalue if isinstance(target, NameExpr) and target.name == name else None
    if type(statement).__name__ == "TypeAliasStmt":
        defined = getattr(statement, "name", None)
        body = getattr(getattr(statement, "value", None), "body", None)
        returned = getattr(body.body[0], "expr", None) if body is not None else None
        if isinstance(defined, NameExpr) and defined.name == name:
            return returned if isinstance(returned, Expression) else None
    return None


def _shaped(value: Expression, target: Type, tree: MypyFile, str_type: Instance) -> Type | None:
    """The target with the shapes that its expression writes; None if it writes none."""
    proper = get_proper_type(target)
    if isinstance(value, OpExpr):
        return _union(_sides(value), proper, tree, str_type)
    if not isinstance(value, IndexExpr):
        return None
    base, items = value.base, _items(value.index)
    if isinstance(base, RefExpr) and base.fullname in ANNOTATED:
        return _tensor(base, items, proper, tree, str_type)
    if isinstance(proper, UnionType):
        return _union(items, proper, tree, str_type)
    if isinstance(proper, TupleType) and len(items) == len(proper.items):
        parts = [_shaped(i, t, tree, str_type) for i, t in zip(items, proper.items, strict=True)]
        if any(part is not None for part in parts):
            kept = [p or t for p, t in zip(parts, proper.items, strict=True)]
            return proper.copy_modified(items=kept)
    if isinstance(proper, Instance) and len(items) >= len(proper.args) > 0:
        parts = [_shaped(i, t, tree, str_type) for i, t in zip(items, proper.args, strict=False)]
        if any(part is not None for part in parts):
            kept = [p or t for p, t in zip(parts, proper.args, strict=True)]
            return proper.copy_modified(args=kept)
    return None


def _tensor(base: RefExpr, items: list[Expression], target: Type, tree: MypyFile, str_type: Instance) -> Type | None:
    local = path_of(base) or ""
    dtype = dtype_behind(local, tree.imports)
    proper = get_proper_type(target)
    if dtype is None or len(items) < 2 or declared_of(proper) is not None:
        return None
    text = items[1]
    if not isinstance(text, StrExpr) or not isinstance(proper, Instance) or not is_tensor(proper):
        return None
    try:
        parse(text.value)
    except AnnotationProblem:
        return None
    return marked(proper, dtype, " ".join(text.value.split()), str_type)


def _union(items: list[Expression], target: Type, tree: MypyFile, str_type: Instance) -> Type | None:
    proper = get_proper_type(target)
    if not isinstance(proper, UnionType):
        return None
    members = [m for m in proper.items if not isinstance(get_proper_type(m), NoneType)]
    written = [i for i in items if not (isinstance(i, NameExpr) and i.name == "None")]
    if len(members) != len(written):
        return None
    shaped = {id(member): _shaped(item, member, tree, str_type) for item, member in zip(written, members, strict=True)}
    if not any(shaped.values()):
        return None
    return UnionType([shaped.get(id(m)) or m for m in proper.items], proper.line, proper.column)


def _items(index: Expression) -> list[Expression]:
    return list(index.items) if isinstance(index, TupleExpr) else [index]


def _sides(value: Expression) -> list[Expression]:
    if isinstance(value, OpExpr) and value.op == "|":
        return [*_sides(value.left), *_sides(value.right)]
    return [value]
