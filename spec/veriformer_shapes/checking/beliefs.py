"""What a declaration adds to a value: sizes for its names, and its shape where less is known."""

from ..language import axis as axes
from ..language.axis import Axis
from ..language.grammar import Kind
from ..language.memo import Memo, names_of
from ..language.shape import Declared, Dim, spread_at
from ..language.values import UNKNOWN_VALUE, Optional, Sequence, Tensor, Value


def bind_unbound(declared: Declared, memo: Memo) -> None:
    """A name that nothing has bound is from here on a size of its own, equal to any."""
    for item in declared.items:
        if item.kind is Kind.NAME:
            size = memo.sizes.get(item.name)
            if size is None or not size.known:
                memo.sizes[item.name] = axes.named(item.name, soft=True)
        else:
            for name in names_of(item):
                memo.sizes.setdefault(name, axes.named(name, soft=True))


def refined(value: Value, believed: Value) -> Value:
    """The value, with the declaration where less is known of it."""
    if isinstance(value, Tensor) and isinstance(believed, Tensor):
        if spread_at(value.dims) is not None or len(value.dims) != len(believed.dims):
            return believed
        dims: list[Dim] = []
        for own, said in zip(value.dims, believed.dims, strict=True):
            vague = isinstance(own, Axis) and (not own.known or own.soft)
            dims.append(said if vague and isinstance(said, Axis) and said.known else own)
        shared = value.dtypes & believed.dtypes
        return Tensor(tuple(dims), shared or believed.dtypes)
    if isinstance(value, Sequence) and isinstance(believed, Sequence):
        items = list(zip(value.items, believed.items, strict=False))
        if len(value.items) == len(believed.items):
            return Sequence(tuple(refined(a, b) for a, b in items), value.kind)
    if isinstance(believed, Optional) and not isinstance(value, Optional):
        return refined(value, believed.value) if isinstance(value, Tensor) else value
    return believed if value == UNKNOWN_VALUE else value
