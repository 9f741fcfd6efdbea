"""Calls of torch, einops, math and builtins, and of the methods of tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mypy.nodes import CallExpr, Expression, MemberExpr, NameExpr

from ..language import axis as axes
from ..language.broadcasting import Misfit, position, total
from ..language.shape import Spread, axes_of
from ..language.values import (
    UNKNOWN_VALUE,
    Integer,
    Number,
    Repeated,
    Sequence,
    SomeSizes,
    Tensor,
    Value,
    dims_from,
    is_number,
    join_all,
    kind_of_number,
    present,
    size_of,
    sizes_of,
)
from . import sequences
from .objects import Mapping, Method

if TYPE_CHECKING:
    from .calls import Arguments
    from .expressions import Evaluator

REVEAL = "veriformer_shapes.reveal_shape"

BUILTIN_CLASSES = frozenset(
    f"builtins.{name}"
    for name in [
        "int",
        "float",
        "bool",
        "range",
        "enumerate",
        "zip",
        "reversed",
        "list",
        "tuple",
        "set",
        "map",
        "dict",
        "str",
    ]
) | {"torch.Size", "torch._C.Size"}

_TORCH = frozenset(
    {
        "torch",
        "torch._C",
        "torch._C._VariableFunctions",
        "torch._C._nn",
        "torch.functional",
        "torch.nn.functional",
        "torch.special",
        "torch.linalg",
    }
)
"""Where the functions of the table are defined; names elsewhere mean other things."""

_CHANGES = frozenset(["append", "extend", "insert", "pop", "remove", "clear", "sort", "reverse"])
"""Methods of a list that change it."""

_EINOPS = frozenset({"rearrange", "reduce", "repeat", "einsum"})


def call(evaluator: Evaluator, fullname: str, arguments: Arguments, where: CallExpr) -> Value:
    """A function of a library, by its full name."""
    if fullname == REVEAL:
        return _reveal(evaluator, arguments, where)
    module, _, name = fullname.rpartition(".")
    positional = [present(value) for value in arguments.positional]
    if module == "builtins" or fullname in BUILTIN_CLASSES:
        return _builtin(name, positional)
    if module == "math":
        return _math(name, positional)
    if fullname.startswith("einops."):
        if name not in _EINOPS:
            return UNKNOWN_VALUE
        name = f"einops.{name}"
    elif module not in _TORCH:
        return UNKNOWN_VALUE
    return _by_rule(evaluator, name, positional, arguments, where)


def call_method(evaluator: Evaluator, method: Method, arguments: Arguments, where: CallExpr) -> Value:
    """A method of a tensor, or of a tuple, list or dict."""
    owner, name = method.owner, method.name
    positional = [present(value) for value in arguments.positional]
    if isinstance(owner, Tensor):
        special = _of_tensor(evaluator, owner, name, positional, arguments, where)
        if special is not None:
            return special
        if name == "where" and positional:
            # The condition comes first in `torch.where`, the tensor in `x.where`.
            return _by_rule(evaluator, name, [positional[0], owner, *positional[1:]], arguments, where)
        return _by_rule(evaluator, name, [owner, *positional], arguments, where)
    if isinstance(owner, Sequence) and owner.kind == "size" and name == "numel":
        dims = dims_from(owner)
        return Integer(total(dims)) if dims is not None else Number("int")
    if isinstance(owner, Mapping):
        if name == "values":
            return Repeated(owner.item)
        if name == "items":
            return Repeated(Sequence((UNKNOWN_VALUE, owner.item)))
    if isinstance(owner, Sequence | Repeated) and name in _CHANGES:
        _grown(evaluator, owner, where, positional, name)
    return UNKNOWN_VALUE


def _by_rule(
    evaluator: Evaluator,
    name: str,
    positional: list[Value],
    arguments: Arguments,
    where: CallExpr,
) -> Value:
    named = {key: present(value) for key, value in arguments.named.items()}
    if not arguments.complete and not any(isinstance(v, SomeSizes) for v in positional):
        return UNKNOWN_VALUE
    return evaluator.apply(name, positional, named, where)


def _reveal(evaluator: Evaluator, arguments: Arguments, where: CallExpr) -> Value:
    value = arguments.positional[0] if arguments.positional else UNKNOWN_VALUE
    evaluator.report.note(f'Revealed shape is "{shown(value)}"', where)
    return value


def shown(value: Value) -> str:
    """What is known of a value, for people."""
    inner = present(value)
    if isinstance(inner, Tensor):
        text = inner.reveal()
    elif isinstance(inner, Integer):
        text = f"int {inner.size}"
    elif isinstance(inner, Sequence):
        text = f"({', '.join(shown(item) for item in inner.items)})"
    elif isinstance(inner, SomeSizes):
        text = str(inner.spread)
    elif isinstance(inner, Repeated):
        text = f"[{shown(inner.item)}, ...]"
    elif isinstance(inner, Number):
        text = inner.kind or "number"
    else:
        text = "not known"
    return text if inner is value else f"{text} or None"


def _of_tensor(
    evaluator: Evaluator,
    owner: Tensor,
    name: str,
    positional: list[Value],
    arguments: Arguments,
    where: CallExpr,
) -> Value | None:
    """Methods that give no tensor; None for all others."""
    if name == "size":
        dim = positional[0] if positional else arguments.named.get("dim")
        return sizes_of(owner.dims) if dim is None else _size(evaluator, owner, dim, where)
    if name in ("dim", "ndimension"):
        rank = axes_of(owner.dims)
        return Number("int") if rank is None else Integer(axes.number(len(rank), soft=True))
    if name in ("numel", "nelement"):
        count = total(owner.dims)
        return Integer(count) if count.known else Number("int")
    if name == "__len__":
        return _length(owner)
    if name in ("item", "tolist"):
        return Number(None) if name == "item" else UNKNOWN_VALUE
    if name in ("equal", "is_floating_point", "is_contiguous", "is_complex"):
        return Number("bool")
    return None


def _size(evaluator: Evaluator, owner: Tensor, dim: Value, where: CallExpr) -> Value:
    at = size_of(dim).constant
    if at is None or owner.shapeless:
        return Number("int")
    try:
        place = position(owner.dims, at, "size")
    except Misfit as problem:
        evaluator.report.fail(str(problem).capitalize(), where)
        return Number("int")
    found = owner.dims[place] if place is not None else None
    return Number("int") if found is None or isinstance(found, Spread) else Integer(found)


def _length(value: Value) -> Value:
    if isinstance(value, Tensor) and value.axes:
        return Integer(value.axes[0])
    if isinstance(value, Sequence) and not any(isinstance(i, SomeSizes) for i in value.items):
        return Integer(axes.number(len(value.items), soft=True))
    return Number("int")


def _builtin(name: str, positional: list[Value]) -> Value:
    first = positional[0] if positional else UNKNOWN_VALUE
    if name == "len":
        return _length(first)
    if name == "int":
        return first if isinstance(first, Integer) else Number("int")
    if name in ("float", "bool"):
        return Number(name)
    if name in ("isinstance", "hasattr", "callable", "issubclass"):
        return Number("bool")
    if name == "range":
        return Repeated(Number("int"))
    if name in ("list", "tuple", "reversed", "sorted", "iter", "set"):
        return _listed(name, first)
    if name == "enumerate":
        return Repeated(Sequence((Number("int"), sequences.element(first))))
    if name == "zip":
        return Repeated(Sequence(tuple(sequences.element(value) for value in positional)))
    if name in ("min", "max", "abs", "round", "sum", "pow", "divmod"):
        return _of_numbers(positional)
    return UNKNOWN_VALUE


def _listed(name: str, first: Value) -> Value:
    if isinstance(first, Sequence):
        kind = first.kind if first.kind == "size" and name == "tuple" else "list"
        if name in ("list", "tuple"):
            return Sequence(first.items, kind if name != "tuple" else "tuple")
        if name == "reversed" and not any(isinstance(i, SomeSizes) for i in first.items):
            return Sequence(first.items[::-1], "list")
    item = sequences.element(first)
    return Repeated(item) if item != UNKNOWN_VALUE else UNKNOWN_VALUE


def _of_numbers(positional: list[Value]) -> Value:
    if not positional or not all(is_number(value) for value in positional):
        return UNKNOWN_VALUE
    if len({*positional}) == 1 and len(positional) > 1:
        return positional[0]
    kinds = {kind_of_number(value) for value in positional}
    return Number(kinds.pop()) if len(kinds) == 1 else Number(None)


def _math(name: str, positional: list[Value]) -> Value:
    if name == "prod" and len(positional) == 1:
        dims = dims_from(positional[0])
        size = total(dims) if dims is not None else axes.UNKNOWN
        return Integer(size) if size.known else Number("int")
    whole = ("isqrt", "floor", "ceil", "gcd", "lcm", "comb", "factorial", "prod", "trunc")
    return Number("int" if name in whole else "float")


def _grown(evaluator: Evaluator, owner: Value, where: CallExpr, positional: list[Value], name: str) -> None:
    """``xs.append(x)``: from here on the list has items like x too, and unknown length."""
    callee = where.callee
    if not isinstance(callee, MemberExpr):
        return
    place = callee.expr.node if isinstance(callee.expr, NameExpr) else _path(callee.expr)
    if place is None:
        return
    added = positional[-1:] if name in ("append", "insert") else []
    if name == "extend":
        added = [sequences.element(value) for value in positional]
    old = (
        list(owner.items)
        if isinstance(owner, Sequence)
        else [owner.item if isinstance(owner, Repeated) else UNKNOWN_VALUE]
    )
    evaluator.state.values[place] = Repeated(join_all([*old, *added]))


def _path(expression: Expression) -> str | None:
    if isinstance(expression, MemberExpr) and isinstance(expression.expr, NameExpr):
        return f"{expression.expr.name}.{expression.name}"
    return None
