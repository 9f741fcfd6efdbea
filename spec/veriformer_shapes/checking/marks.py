"""Where a shape is kept: on mypy's own type of the annotation.

``Float[Tensor, "b t"]`` is to mypy an ``Instance`` of Tensor. Its ``extra_attrs`` (which
mypy uses for the attributes of modules) carry the annotation. That field takes no part
in subtyping, so no ordinary error appears or vanishes; and it is written to both cache
formats, sent to workers, and compared by the daemon.
"""

import functools

from mypy.types import ExtraAttrs, Instance, LiteralType, ProperType, Type, get_proper_type

from ..language.grammar import AnnotationProblem
from ..language.shape import Declared

_KEY = "__jaxtyping__"

DEEPEST = 8
"""How far to look into a type: a recursive alias has no end."""

TENSORS = frozenset({"torch._tensor.Tensor", "torch.Tensor"})


def is_tensor(found: ProperType) -> bool:
    """Whether a type is Tensor or a class derived from it."""
    return isinstance(found, Instance) and any(base.fullname in TENSORS for base in found.type.mro)


def marked(found: Instance, dtype: str, text: str, str_type: Instance) -> Instance:
    """The same type with a shape on it."""
    result = found.copy_modified()
    attrs = dict(found.extra_attrs.attrs) if found.extra_attrs else {}
    attrs[_KEY] = LiteralType(f"{dtype} {text}", str_type)
    result.extra_attrs = ExtraAttrs(attrs, None, None)
    keep(result)
    return result


_kept: list[tuple[Instance, ExtraAttrs]] = []


def forget_all() -> None:
    """A new run of mypy begins."""
    _kept.clear()


def keep(found: Instance) -> None:
    """Remember a mark, because mypy may take it off again.

    ``a if c else b`` makes a union of two tensor types. If their attributes differ, mypy
    erases them, on the very object that stands in the declaration of ``a``.
    """
    if found.extra_attrs is not None and _KEY in found.extra_attrs.attrs:
        _kept.append((found, found.extra_attrs))


def put_back() -> None:
    """Put every mark back where it was."""
    for found, attrs in _kept:
        found.extra_attrs = attrs


def declared_of(found: Type | None) -> Declared | None:
    """The shape on a type, if it has one."""
    proper = get_proper_type(found) if found is not None else None
    if not isinstance(proper, Instance) or proper.extra_attrs is None:
        return None
    literal = proper.extra_attrs.attrs.get(_KEY)
    if not isinstance(literal, LiteralType) or not isinstance(literal.value, str):
        return None
    return _read(literal.value)


@functools.cache
def _read(text: str) -> Declared | None:
    dtype, _, shape = text.partition(" ")
    try:
        return Declared.read(dtype, shape)
    except AnnotationProblem:
        return None
