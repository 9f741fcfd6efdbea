"""From mypy's types to what the checker knows of a value, and back: does a value fit a type?"""

from collections.abc import Iterable, Iterator

from mypy.nodes import FuncDef
from mypy.types import (
    CallableType,
    Instance,
    LiteralType,
    NoneType,
    Overloaded,
    ProperType,
    TupleType,
    Type,
    TypeType,
    TypeVarType,
    UnionType,
    get_proper_type,
)

from ..language import axis as axes
from ..language.grammar import Kind
from ..language.memo import Memo, names_of
from ..language.shape import Declared, Dims, Spread, spread_at
from ..language.unify import Mismatch, match
from ..language.values import (
    ANY_TENSOR,
    UNKNOWN_VALUE,
    Integer,
    Nothing,
    Number,
    Optional,
    Repeated,
    Sequence,
    Tensor,
    Text,
    Truth,
    Value,
    join_all,
    present,
)
from .marks import DEEPEST, declared_of, is_tensor
from .objects import Class, Function, Mapping, Object, Overloads

SEQUENCES = frozenset(f"builtins.{name}" for name in ("list", "tuple", "set", "frozenset")) | frozenset(
    f"typing.{name}" for name in ("Sequence", "Iterable", "Iterator", "Collection", "MutableSequence", "Generator")
)
_MAPPINGS = frozenset({"builtins.dict", "typing.Mapping", "typing.MutableMapping"})
_NUMBERS = {f"builtins.{name}": name for name in ("bool", "int", "float", "complex")}


def value_of(found: Type | None, memo: Memo, path: str | None = None, depth: int = 0) -> Value:
    """What a type says of a value, its axis names read in `memo`.

    Args:
        path: the name the value goes by; an integer of that name is a size of its own.
    """
    if depth > DEEPEST:
        return UNKNOWN_VALUE
    proper = get_proper_type(found) if found is not None else None
    if isinstance(proper, Instance):
        return _of_instance(proper, memo, path, depth)
    if isinstance(proper, UnionType):
        return _of_union(proper, memo, path, depth)
    if isinstance(proper, TupleType):
        fields = named_fields(proper)
        items = tuple(value_of(item, memo, depth=depth + 1) for item in proper.items)
        return Sequence(items, " ".join(fields) if fields else "tuple")
    if isinstance(proper, NoneType):
        return Nothing()
    if isinstance(proper, LiteralType):
        return _of_literal(proper)
    if isinstance(proper, CallableType):
        if proper.is_type_obj():
            return Class(proper.type_object())
        return Function(proper.name or path or "function", proper)
    if isinstance(proper, Overloaded):
        return Overloads(proper.items[0].name or "function", tuple(proper.items))
    if isinstance(proper, TypeType) and isinstance(proper.item, Instance):
        return Class(proper.item.type)
    if isinstance(proper, TypeVarType):
        bound = get_proper_type(proper.upper_bound)
        if isinstance(bound, Instance) and bound.type.fullname != "builtins.object":
            return value_of(bound, memo, path, depth + 1)
    return UNKNOWN_VALUE


def named_fields(found: TupleType) -> list[str] | None:
    """The field names of a NamedTuple."""
    metadata = found.partial_fallback.type.metadata.get("namedtuple")
    fields = metadata.get("fields") if isinstance(metadata, dict) else None
    return [str(name) for name in fields] if isinstance(fields, list) else None


def _of_instance(found: Instance, memo: Memo, path: str | None, depth: int) -> Value:
    if is_tensor(found):
        declared = declared_of(found)
        if declared is None:
            return ANY_TENSOR
        return Tensor(memo.dims(declared), declared.dtypes)
    fullname = found.type.fullname
    if fullname in _NUMBERS:
        kind = _NUMBERS[fullname]
        if kind == "int" and found.last_known_value is not None:
            return _of_literal(found.last_known_value)
        if kind == "int" and path is not None:
            return Integer(axes.named(path, soft=True))
        return Number(kind)
    if fullname == "torch.Size" or fullname.endswith("._C.Size"):
        return UNKNOWN_VALUE
    if fullname in SEQUENCES and found.args:
        return Repeated(value_of(found.args[0], memo, depth=depth + 1))
    if fullname in _MAPPINGS and len(found.args) == 2:
        return Mapping(value_of(found.args[1], memo, depth=depth + 1))
    return Object(found, path)


def _of_union(found: UnionType, memo: Memo, path: str | None, depth: int) -> Value:
    proper = [get_proper_type(item) for item in found.items]
    some = [item for item in proper if not isinstance(item, NoneType)]
    values = [value_of(item, memo, path, depth + 1) for item in some]
    if len(some) == 1:
        return Optional(values[0]) if len(some) < len(proper) else values[0]
    if values and all(isinstance(value, Tensor) for value in values):
        joined = join_all(values)
        return Optional(joined) if len(some) < len(proper) else joined
    return UNKNOWN_VALUE


def _of_literal(found: LiteralType) -> Value:
    if isinstance(found.value, bool):
        return Truth(found.value)
    if isinstance(found.value, int):
        return Integer(axes.number(found.value, soft=abs(found.value) > 1))
    return Text(found.value) if isinstance(found.value, str) else UNKNOWN_VALUE


def field_memo(found: Type | None, owner: str | None, memo: Memo, own: bool) -> Memo:
    """What the axis names in a field's annotation stand for.

    They are the class' names, not the function's: of ``other.field`` only the rank and
    the fixed sizes are sure, every name is a size of its own that may be any. Names that
    a method also uses are taken to mean the same in the fields of its own ``self``.
    """
    result = Memo()
    for declared in shapes_in(found):
        for item in declared.items:
            if item.kind is Kind.SPREAD and own and item.name in memo.spreads:
                result.spreads[item.name] = memo.spreads[item.name]
            for name in names_of(item):
                shared = memo.sizes.get(name) if own else None
                if shared is None and own and name in memo.signature:
                    shared = axes.named(name)
                fresh = axes.named(f"{owner}.{name}", soft=True) if owner else axes.UNKNOWN
                result.sizes[name] = shared if shared is not None else fresh
    return result


def shapes_in(found: Type | None, depth: int = 0) -> Iterator[Declared]:
    """Every shape in a type."""
    if depth > DEEPEST:
        return
    proper = get_proper_type(found) if found is not None else None
    inner: Iterable[Type] = ()
    if isinstance(proper, Instance):
        declared = declared_of(proper)
        if declared is not None:
            yield declared
        inner = proper.args
    elif isinstance(proper, UnionType | TupleType):
        inner = proper.items
    elif isinstance(proper, CallableType):
        inner = [*proper.arg_types, proper.ret_type]
    elif isinstance(proper, Overloaded):
        inner = proper.items
    for one in inner:
        yield from shapes_in(one, depth + 1)


class Misfitting:
    """One tensor that does not fit: what was declared, what was given, and why."""

    def __init__(self, declared: Declared, given: Tensor, expected: str, reason: str | None):
        self.declared = declared
        self.given = given
        self.expected = expected
        self.reason = reason

    def told(self, what: str, expects: str) -> str:
        """The message: ``<what> has shape "..."; <expects> "..." (axis 1 is ...)``."""
        if self.reason is None:
            return f"{what} has dtype {_dtype(self.given)}; {expects} {self.declared.dtype_name}"
        text = f'{what} has shape "{self.given}"; {expects} "{self.expected}"'
        if self.expected != str(self.declared):
            text += f' (declared "{self.declared}")'
        return f"{text}: {self.reason}"


def _dtype(tensor: Tensor) -> str:
    return tensor.reveal().removesuffix(str(tensor)).strip()


def misfit(found: Type | None, value: Value, memo: Memo) -> Misfitting | None:
    """Whether a value fits a type; the names that are free in `memo` are bound on the way."""
    proper = get_proper_type(found) if found is not None else None
    value = present(value)
    if proper is None or isinstance(value, Nothing) or value == UNKNOWN_VALUE:
        return None
    if isinstance(proper, Instance):
        if isinstance(value, Tensor):
            declared = declared_of(proper)
            return None if declared is None else tensor_misfit(declared, value, memo)
        if proper.type.fullname in SEQUENCES and proper.args:
            return _misfit_of_items(proper.args[0], value, memo)
        if isinstance(value, Mapping) and proper.type.fullname in _MAPPINGS:
            return misfit(proper.args[-1], value.item, memo)
        if isinstance(value, Function) and proper.type.is_protocol:
            return _misfit_of_function(proper, value.signature)
        return None
    if isinstance(proper, TupleType):
        if isinstance(value, Sequence) and len(value.items) == len(proper.items):
            for wanted, item in zip(proper.items, value.items, strict=True):
                found_problem = misfit(wanted, item, memo)
                if found_problem is not None:
                    return found_problem
        return None
    if isinstance(proper, UnionType):
        return _misfit_of_union(proper, value, memo)
    return None


def tensor_misfit(declared: Declared, value: Tensor, memo: Memo) -> Misfitting | None:
    """Whether a tensor fits a declared shape."""
    expected = memo.spelled(declared)
    if not declared.dtypes & value.dtypes:
        return Misfitting(declared, value, expected, None)
    problem: Mismatch | None = match(declared, value.dims, memo)
    return None if problem is None else Misfitting(declared, value, expected, problem.reason)


def _misfit_of_function(protocol: Instance, given: CallableType) -> Misfitting | None:
    """A function for a Protocol's ``__call__``: each parameter takes what the Protocol is given.

    Only the ranks are compared: the names and sizes of the two need not be the same.
    """
    symbol = protocol.type.get("__call__")
    node = symbol.node if symbol is not None else None
    wanted = get_proper_type(node.type) if isinstance(node, FuncDef) and node.type is not None else None
    if not isinstance(wanted, CallableType) or wanted.arg_names[1:] != given.arg_names:
        return None
    for called, own in zip(wanted.arg_types[1:], given.arg_types, strict=True):
        value = value_of(called, Memo())
        if isinstance(value, Tensor) and spread_at(value.dims) is None:
            found = misfit(own, Tensor(value.dims), Memo())
            if found is not None:
                return found
    return None


def _misfit_of_items(wanted: Type, value: Value, memo: Memo) -> Misfitting | None:
    if isinstance(value, Repeated):
        return misfit(wanted, value.item, memo)
    if isinstance(value, Sequence):
        for item in value.items:
            found = misfit(wanted, item, memo)
            if found is not None:
                return found
    return None


def _misfit_of_union(proper: UnionType, value: Value, memo: Memo) -> Misfitting | None:
    """A value fits a union if it fits one of its members."""
    first: Misfitting | None = None
    for item in proper.items:
        member = get_proper_type(item)
        if isinstance(member, NoneType):
            continue
        if not _concerns(member, value):
            continue
        trial = memo.copy()
        found = misfit(member, value, trial)
        if found is None:
            memo.sizes, memo.spreads = trial.sizes, trial.spreads
            return None
        first = first or found
    return first


def _concerns(member: ProperType, value: Value) -> bool:
    """Whether a member of a union can be the one that a value is meant for."""
    if isinstance(value, Tensor):
        return (isinstance(member, Instance) and is_tensor(member)) or not isinstance(
            member, Instance | TupleType | CallableType | LiteralType
        )
    return True


def without_names(value: Value) -> Value:
    """The value seen from another scope: its rank and fixed sizes, no names."""
    if isinstance(value, Tensor):
        dims: Dims = tuple(
            Spread(None) if isinstance(d, Spread) else d if d.constant is not None else axes.UNKNOWN for d in value.dims
        )
        return Tensor(dims, value.dtypes)
    if isinstance(value, Sequence):
        return Sequence(tuple(without_names(item) for item in value.items), value.kind)
    if isinstance(value, Repeated):
        return Repeated(without_names(value.item))
    if isinstance(value, Optional):
        return Optional(without_names(value.value))
    if isinstance(value, Integer):
        return Integer(value.size.softened())
    return value
