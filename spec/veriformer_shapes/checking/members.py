"""What ``value.name`` is: an attribute of a tensor, a field of an object, a method."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mypy.nodes import (
    Decorator,
    FuncDef,
    MemberExpr,
    OverloadedFuncDef,
    SymbolNode,
    TypeInfo,
    Var,
)
from mypy.subtypes import is_same_type
from mypy.types import CallableType, Instance, Overloaded, Type, get_proper_type

from ..language import axis as axes
from ..language.memo import Memo
from ..language.shape import axes_of
from ..language.values import (
    UNKNOWN_VALUE,
    DtypeOf,
    Integer,
    Number,
    Sequence,
    Tensor,
    Value,
    present,
    sizes_of,
)
from .objects import Class, Function, Library, Method, Object, Overloads
from .types import field_memo, shapes_in, value_of

if TYPE_CHECKING:
    from .expressions import Evaluator

_SAME_SHAPE = frozenset({"data", "grad", "real", "imag"})
_TRANSPOSED = frozenset({"T", "H", "mT", "mH"})

_CACHED = frozenset({"functools._lru_cache_wrapper"})
"""Types of decorated functions that still take the arguments of the function inside."""


def attribute(evaluator: Evaluator, owner: Value, expression: MemberExpr, path: str | None) -> Value:
    """The value of an attribute."""
    name = expression.name
    owner = present(owner)
    if isinstance(owner, Tensor):
        return _of_tensor(evaluator, owner, expression)
    if isinstance(owner, Sequence):
        fields = owner.kind.split()
        if name in fields and len(fields) == len(owner.items):
            return owner.items[fields.index(name)]
        return Method(owner, name)
    if isinstance(owner, Object):
        info = owner.instance.type
        symbol = info.get(name)
        return of_symbol(evaluator, symbol.node if symbol else None, owner, name, path)
    if isinstance(owner, Class):
        symbol = owner.info.get(name)
        node = symbol.node if symbol else None
        if isinstance(node, FuncDef | OverloadedFuncDef | Decorator):
            return function_of(node, bound=_is_class_method(node))
        return value_of(node.type, Memo(), name) if isinstance(node, Var) else UNKNOWN_VALUE
    if isinstance(owner, Library):
        return UNKNOWN_VALUE
    return Method(owner, name)


def _of_tensor(evaluator: Evaluator, owner: Tensor, expression: MemberExpr) -> Value:
    name = expression.name
    if name == "shape":
        return sizes_of(owner.dims)
    if name in _SAME_SHAPE:
        return owner
    if name in _TRANSPOSED:
        return evaluator.apply(name, [owner], {}, expression)
    if name in ("ndim", "itemsize", "nbytes"):
        rank = axes_of(owner.dims)
        known = rank is not None and name == "ndim"
        return Integer(axes.number(len(rank or ()), soft=True)) if known else Number("int")
    if name == "dtype":
        return DtypeOf(owner.dtypes)
    return Method(owner, name)


def of_symbol(
    evaluator: Evaluator,
    node: SymbolNode | None,
    owner: Object,
    name: str,
    path: str | None = None,
) -> Value:
    """A member of an object, found in its class."""
    if owner.path == "self" and name in evaluator.made and not _has_shapes(node):
        return evaluator.made[name]
    if isinstance(node, Var):
        return _field(evaluator, node.type, owner, path)
    if isinstance(node, Decorator) and node.var.is_property:
        signature = get_proper_type(node.func.type) if node.func.type is not None else None
        returned = signature.ret_type if isinstance(signature, CallableType) else None
        return _field(evaluator, returned, owner, path)
    if isinstance(node, OverloadedFuncDef) and node.is_property:
        getter = node.items[0]
        return of_symbol(evaluator, getter, owner, name, path)
    if isinstance(node, FuncDef | OverloadedFuncDef | Decorator):
        return function_of(node, bound=not _is_static(node))
    if isinstance(node, TypeInfo):
        return Class(node)
    return UNKNOWN_VALUE


def _has_shapes(node: SymbolNode | None) -> bool:
    return isinstance(node, Var) and any(True for _ in shapes_in(node.type))


def _field(evaluator: Evaluator, declared: Type | None, owner: Object, path: str | None) -> Value:
    own = owner.path == "self"
    memo = field_memo(declared, owner.path, evaluator.state.memo, own)
    for name, size in owner.sizes:
        memo.sizes[name] = size
    return value_of(declared, memo, path)


def function_of(node: FuncDef | OverloadedFuncDef | Decorator, *, bound: bool = False) -> Value:
    """A function as a value; of a method, without ``self``."""
    found = get_proper_type(_signature(node))
    if isinstance(found, CallableType):
        return Function(node.name, without_self(found) if bound else found)
    if isinstance(found, Overloaded):
        items = tuple(without_self(item) if bound else item for item in found.items)
        return Overloads(node.name, items)
    return UNKNOWN_VALUE


def _signature(node: FuncDef | OverloadedFuncDef | Decorator) -> Type | None:
    if not isinstance(node, Decorator):
        return node.type
    # Only what mypy writes to its cache may decide: a second run has to find the same.
    decorated = get_proper_type(node.var.type) if node.var.type is not None else None
    if isinstance(decorated, Instance) and decorated.type.fullname in _CACHED:
        return node.func.type
    if isinstance(decorated, CallableType) and _same_signature(decorated, node.func.type):
        # The shapes may have been lost on the way through the decorator's type variables.
        return node.func.type
    if isinstance(decorated, Instance):
        call = decorated.type.get("__call__")
        inside = node.func.type
        if call is not None and any(shapes_in(inside)) and _passes_on(call.node):
            return inside
    return decorated


def _same_signature(decorated: CallableType, inside: Type | None) -> bool:
    plain = get_proper_type(inside) if inside is not None else None
    if not isinstance(plain, CallableType) or plain.arg_kinds != decorated.arg_kinds:
        return False
    pairs = zip([*plain.arg_types, plain.ret_type], [*decorated.arg_types, decorated.ret_type], strict=True)
    return all(is_same_type(one, other) for one, other in pairs)


def _passes_on(call: SymbolNode | None) -> bool:
    """Whether ``__call__`` takes ``*args: P.args, **kwargs: P.kwargs`` and gives the result."""
    found = getattr(call, "type", None)
    proper = get_proper_type(found) if isinstance(found, Type) else None
    return isinstance(proper, CallableType) and proper.param_spec() is not None


def without_self(signature: CallableType) -> CallableType:
    """The signature of a bound method."""
    if not signature.arg_types or signature.arg_kinds[0].is_star():
        return signature
    return signature.copy_modified(
        arg_types=signature.arg_types[1:],
        arg_kinds=signature.arg_kinds[1:],
        arg_names=signature.arg_names[1:],
    )


def _is_static(node: FuncDef | OverloadedFuncDef | Decorator) -> bool:
    inner = node.func if isinstance(node, Decorator) else node
    return inner.is_static


def _is_class_method(node: FuncDef | OverloadedFuncDef | Decorator) -> bool:
    inner = node.func if isinstance(node, Decorator) else node
    return inner.is_class
