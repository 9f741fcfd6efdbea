"""Tuples, lists and ``x.shape``: indexing, slicing, unpacking, iterating, joining end to end."""

from mypy.nodes import Expression, StarExpr

from ..language.broadcasting import Misfit
from ..language.values import (
    UNKNOWN_VALUE,
    Number,
    Repeated,
    Sequence,
    Slice,
    SomeSizes,
    Tensor,
    Value,
    join_all,
    present,
    size_of,
)
from .objects import Mapping

_ANY_SIZE = Number("int")


def item(base: Sequence | Repeated, index: Value) -> Value:
    """``base[index]``."""
    if isinstance(base, Repeated):
        return base if isinstance(index, Slice) else base.item
    if isinstance(index, Slice):
        return _sliced(base, index)
    at = size_of(index).constant
    run = _run(base)
    if at is None:
        return _any_of(base)
    if run is None:
        in_range = -len(base.items) <= at < len(base.items)
        return base.items[at] if in_range else UNKNOWN_VALUE
    if 0 <= at < run or len(base.items) + at > run >= 0 > at:
        return base.items[at]
    return _ANY_SIZE


def _sliced(base: Sequence, index: Slice) -> Value:
    bounds: list[int | None] = []
    for part in (index.start, index.stop, index.step):
        constant = None if part is None else size_of(part).constant
        if part is not None and constant is None:
            return Repeated(_any_of(base))
        bounds.append(constant)
    run = _run(base)
    if run is not None:
        start, stop, step = bounds
        beyond = run - len(base.items)
        fits_start = start is None or 0 <= start <= run or beyond < start < 0
        fits_stop = stop is None or 0 <= stop <= run or beyond < stop < 0
        if not fits_start or not fits_stop or step not in (None, 1):
            return Sequence((SomeSizes(),), base.kind)
    kind = base.kind if base.kind in ("tuple", "list", "size") else "tuple"
    return Sequence(base.items[slice(*bounds)], kind)


def element(value: Value) -> Value:
    """What a loop over a value yields."""
    value = present(value)
    if isinstance(value, Repeated):
        return value.item
    if isinstance(value, Sequence):
        return _any_of(value)
    if isinstance(value, Tensor) and value.axes:
        return Tensor(value.dims[1:], value.dtypes)
    return UNKNOWN_VALUE


def operate(operator: str, left: Value, right: Value) -> Value:
    """``shape + (n,)`` and ``(n,) * 2``."""
    if operator == "+" and isinstance(left, Sequence) and isinstance(right, Sequence):
        kind = left.kind if left.kind != "size" else right.kind
        return Sequence(left.items + right.items, kind if kind in ("tuple", "list") else "tuple")
    if operator == "+":
        items = [
            part.item if isinstance(part, Repeated) else _any_of(part)
            for part in (left, right)
            if isinstance(part, Repeated | Sequence)
        ]
        return Repeated(join_all(items)) if len(items) == 2 else UNKNOWN_VALUE
    if operator == "*":
        sequence, times = (left, right) if isinstance(left, Sequence) else (right, left)
        count = size_of(times).constant
        if isinstance(sequence, Sequence):
            if count is not None and 0 <= count <= 64:
                return Sequence(sequence.items * count, sequence.kind)
            return Repeated(_any_of(sequence))
    return UNKNOWN_VALUE


def starred(targets: list[Expression]) -> int | None:
    """Which target of an unpacking takes the rest."""
    return next((at for at, t in enumerate(targets) if isinstance(t, StarExpr)), None)


def unpacked(value: Value, count: int, star: int | None) -> list[Value]:
    """The parts that go to each of `count` targets.

    Raises:
        Misfit: a tensor's sizes are more or fewer than the names for them.
    """
    if isinstance(value, Repeated):
        return [Repeated(value.item) if at == star else value.item for at in range(count)]
    if isinstance(value, Tensor):
        part = element(value)
        return [Repeated(part) if at == star else part for at in range(count)]
    if not isinstance(value, Sequence):
        return [UNKNOWN_VALUE] * count
    items, run = list(value.items), _run(value)
    if run is not None:
        return _unpacked_around_run(items, run, count, star)
    if star is None:
        if len(items) != count:
            if value.kind == "size":
                shown = " ".join(str(size_of(part)) for part in items)
                raise Misfit(f'{count} names are unpacked from the {len(items)} sizes of "{shown}"')
            return [UNKNOWN_VALUE] * count
        return items
    if len(items) < count - 1:
        return [UNKNOWN_VALUE] * count
    after = count - star - 1
    middle = Sequence(tuple(items[star : len(items) - after]), "list")
    return [*items[:star], middle, *items[len(items) - after :]]


def _unpacked_around_run(items: list[Value], run: int, count: int, star: int | None) -> list[Value]:
    """Unpack sizes of which some are a run of unknown number (``*batch``)."""
    after = len(items) - run - 1
    if star is None:
        if run + after > count:
            shown = len(items) - 1
            raise Misfit(f"{count} names are unpacked from {shown} sizes or more")
        return [*items[:run], *[_ANY_SIZE] * (count - run - after), *items[run + 1 :]]
    if star == run and count - star - 1 == after:
        return [*items[:run], Sequence((items[run],), "list"), *items[run + 1 :]]
    left, right = min(star, run), min(count - star - 1, after)
    parts: list[Value] = [_ANY_SIZE] * count
    parts[:left] = items[:left]
    if right:
        parts[count - right :] = items[len(items) - right :]
    inside = items[star : len(items) - (count - star - 1)] if star <= run else [SomeSizes()]
    parts[star] = Sequence(tuple(inside) or (SomeSizes(),), "list")
    return parts


def replaced(base: Value, index: Value, value: Value) -> Value:
    """A list or dict after ``base[index] = value``."""
    at = size_of(index).constant
    if isinstance(base, Sequence):
        if at is not None and _run(base) is None and -len(base.items) <= at < len(base.items):
            items = list(base.items)
            items[at] = value
            return Sequence(tuple(items), base.kind)
        return Repeated(join_all([*base.items, value]))
    if isinstance(base, Repeated):
        return Repeated(join_all([base.item, value]))
    if isinstance(base, Mapping):
        return Mapping(join_all([base.item, value]))
    return base if isinstance(base, Tensor) else UNKNOWN_VALUE


def _any_of(base: Value) -> Value:
    if not isinstance(base, Sequence):
        return UNKNOWN_VALUE
    if _run(base) is not None or base.kind == "size":
        return _ANY_SIZE
    return join_all(list(base.items))


def _run(base: Sequence) -> int | None:
    return next((at for at, part in enumerate(base.items) if isinstance(part, SomeSizes)), None)
