"""The dtype half of an annotation: which concrete dtypes each jaxtyping class stands for.

A set of dtypes is what the checker knows about a tensor's dtype. Two classes
disagree only if their sets have nothing in common (``Int`` given for ``Float``);
`ANY_DTYPE` is both jaxtyping's ``Shaped`` and "not known".
"""

from typing import Final, TypeAlias

Dtypes: TypeAlias = frozenset[str]

BOOL: Final[Dtypes] = frozenset({"Bool"})
UINT: Final[Dtypes] = frozenset({"UInt2", "UInt4", "UInt8", "UInt16", "UInt32", "UInt64"})
INT: Final[Dtypes] = frozenset({"Int2", "Int4", "Int8", "Int16", "Int32", "Int64"})
FLOAT: Final[Dtypes] = frozenset(
    {"BFloat16", "Float16", "Float32", "Float64", "Float4e2m1fn", "Float8e4m3b11fnuz"}
    | {"Float8e4m3fn", "Float8e4m3fnuz", "Float8e5m2", "Float8e5m2fnuz"}
)
COMPLEX: Final[Dtypes] = frozenset({"Complex64", "Complex128"})
KEY: Final[Dtypes] = frozenset({"Key"})
ANY_DTYPE: Final[Dtypes] = BOOL | UINT | INT | FLOAT | COMPLEX | KEY

_KINDS: Final = (BOOL, UINT, INT, FLOAT, COMPLEX)
"""From the narrowest to the widest: what torch promotes to is the wider kind of the two."""

_NOT_WIDENED_BY: Final = {
    "bool": _KINDS,
    "int": _KINDS[1:],
    "float": _KINDS[3:],
    "complex": _KINDS[4:],
}
"""The kinds of tensor that keep their dtype beside a Python number of this kind."""

DTYPES: Final[dict[str, Dtypes]] = {
    **{name: frozenset({name}) for name in sorted(ANY_DTYPE)},
    "Bool": BOOL,
    "UInt": UINT,
    "Int": INT,
    "Integer": INT | UINT,
    "Float": FLOAT,
    "Complex": COMPLEX,
    "Inexact": FLOAT | COMPLEX,
    "Real": FLOAT | INT | UINT,
    "Num": FLOAT | COMPLEX | INT | UINT,
    "Key": KEY,
    "Shaped": ANY_DTYPE,
}
"""jaxtyping's dtype classes by name."""

TORCH_DTYPES: Final[dict[str, Dtypes]] = {
    **{name: DTYPES[name.capitalize()] for name in ["int8", "int16", "int32", "int64"]},
    **{name: DTYPES[name.capitalize()] for name in ["float16", "float32", "float64"]},
    **{f"uint{bits}": DTYPES[f"UInt{bits}"] for bits in (8, 16, 32, 64)},
    **{name: DTYPES[name.capitalize()] for name in ["bool", "complex64", "complex128"]},
    "bfloat16": DTYPES["BFloat16"],
    "half": DTYPES["Float16"],
    "float": DTYPES["Float32"],
    "double": DTYPES["Float64"],
    "short": DTYPES["Int16"],
    "int": DTYPES["Int32"],
    "long": DTYPES["Int64"],
    "cfloat": DTYPES["Complex64"],
    "cdouble": DTYPES["Complex128"],
}
"""``torch.float32`` and its kin, by the name after ``torch.``."""


def name_of(dtypes: Dtypes) -> str:
    """The shortest class name that says exactly these dtypes, or the names with ``|``."""
    for name, members in DTYPES.items():
        if members == dtypes:
            return name
    return "|".join(sorted(dtypes))


def promote(first: Dtypes, second: Dtypes) -> Dtypes:
    """The dtypes of an operation over two tensors: the wider kind wins."""
    if first == second:
        return first
    result: Dtypes = frozenset()
    for one in _kinds(first):
        for other in _kinds(second):
            wider = max(one, other)
            # Of one kind in the wider operand the exact dtype is only kept
            # if the other operand cannot widen it.
            exact = first if wider == one != other else second if wider == other != one else None
            result |= (exact & _KINDS[wider]) if exact is not None else _KINDS[wider]
    return result or ANY_DTYPE


def promote_number(dtypes: Dtypes, kind: str | None) -> Dtypes:
    """The dtypes of a tensor combined with a Python number of `kind` (bool, int, float)."""
    if kind is None:
        return dtypes if dtypes <= FLOAT | COMPLEX else ANY_DTYPE
    if not _kinds(dtypes) or dtypes == ANY_DTYPE:
        return ANY_DTYPE
    number = {"bool": BOOL, "int": INT, "float": FLOAT, "complex": COMPLEX}[kind]
    # A number never widens a tensor within its own kind, and unsigned stays unsigned.
    widened = {own: dtypes & _KINDS[own] if _KINDS[own] in _NOT_WIDENED_BY[kind] else number for own in _kinds(dtypes)}
    return frozenset().union(*widened.values())


def divided(dtypes: Dtypes) -> Dtypes:
    """The dtypes of a true division: whole numbers become floating point."""
    whole = dtypes & (BOOL | INT | UINT)
    return (dtypes - whole) | FLOAT if whole else dtypes


def _kinds(dtypes: Dtypes) -> list[int]:
    return [level for level, kind in enumerate(_KINDS) if dtypes & kind]
