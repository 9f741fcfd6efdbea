"""``x[...]``: numbers, slices, None, ``...``, and tensors of indices."""

from ..language import axis as axes
from ..language.axis import ONE, UNKNOWN, Axis, Verdict, same
from ..language.broadcasting import Misfit, broadcast
from ..language.dtypes import BOOL
from ..language.shape import Dim, Dims, Spread, spread_at
from ..language.values import (
    Dots,
    Integer,
    Nothing,
    Number,
    Sequence,
    Slice,
    Tensor,
    Truth,
    Value,
    present,
    size_of,
)
from .table import Call, NotFollowed, resized, rule


@rule("getitem", "x index")
def getitem(call: Call) -> Value:
    """The axes that the index leaves, of the same dtype."""
    x = call.shaped()
    index = call.value("index")
    items = index.items if isinstance(index, Sequence) and index.kind == "tuple" else (index,)
    return resized(x, indexed(x.dims, [present(item) for item in items]))


def indexed(dims: Dims, items: list[Value]) -> Dims:
    """The axes after an index.

    Raises:
        Misfit: the index has more axes than the tensor, or an index tensor does not fit.
    """
    used = sum(_width(item) for item in items)
    spread = spread_at(dims)
    if spread is None and used > len(dims):
        shown = " ".join(str(dim) for dim in dims)
        raise Misfit(f'index: {used} axes are indexed, "{shown}" has {len(dims)}')
    dots = next((at for at, item in enumerate(items) if isinstance(item, Dots)), len(items))
    before, after = items[:dots], items[dots + 1 :]
    left = sum(_width(item) for item in before)
    right = sum(_width(item) for item in after)
    if spread is not None and (left > spread or right > len(dims) - spread - 1):
        raise NotFollowed
    end = len(dims) - right
    picked: list[tuple[Value, Dims]] = [*_taken(before, dims[:left])]
    picked.append((Dots(), dims[left:end]))
    picked += _taken(after, dims[end:])
    return _result(picked)


def _width(item: Value) -> int:
    """How many axes one part of an index uses up."""
    if isinstance(item, Nothing | Dots):
        return 0
    if isinstance(item, Tensor) and item.dtypes <= BOOL:
        if item.axes is None:
            raise NotFollowed
        return len(item.axes)
    if isinstance(item, Integer | Number | Slice | Tensor | Truth):
        if isinstance(item, Truth) or (isinstance(item, Number) and item.kind != "int"):
            raise NotFollowed
        if isinstance(item, Tensor) and item.dtypes & BOOL:
            raise NotFollowed
        return 1
    raise NotFollowed


def _taken(items: list[Value], dims: Dims) -> list[tuple[Value, Dims]]:
    result: list[tuple[Value, Dims]] = []
    at = 0
    for item in items:
        width = _width(item)
        result.append((item, dims[at : at + width]))
        at += width
    return result


def _result(picked: list[tuple[Value, Dims]]) -> Dims:
    tensors = [at for at, (item, _) in enumerate(picked) if isinstance(item, Tensor)]
    chosen: Dims = ()
    for at in tensors:
        chosen = broadcast(chosen, _chosen(*picked[at]), "index")
    # Index tensors that stand apart move their axes to the front.
    numbers = [at for at, (item, _) in enumerate(picked) if isinstance(item, Integer | Number)]
    advanced = sorted(tensors + numbers) if tensors else []
    together = advanced == list(range(advanced[0], advanced[-1] + 1)) if advanced else True
    result: list[Dim] = [] if together else list(chosen)
    for at, (item, dims) in enumerate(picked):
        if isinstance(item, Tensor):
            if together and at == tensors[0]:
                result += chosen
        elif isinstance(item, Nothing):
            result.append(ONE)
        elif isinstance(item, Dots):
            result += dims
        elif isinstance(item, Slice):
            result.append(sliced(dims[0], item))
    return tuple(result)


def _chosen(item: Value, dims: Dims) -> Dims:
    """The axes an index tensor puts in the place of those it uses up."""
    assert isinstance(item, Tensor)
    if not item.dtypes <= BOOL:
        return item.dims
    for one, other in zip(item.dims, dims, strict=True):
        if isinstance(one, Axis) and isinstance(other, Axis) and same(one, other) is Verdict.NO:
            raise Misfit(f'index: the mask has axis "{one}" where the tensor has "{other}"')
    return (UNKNOWN,)


def sliced(dim: Dim, part: Slice) -> Axis:
    """The length of a slice. A start or stop given by a name is taken to lie within the axis."""
    if isinstance(dim, Spread):
        return UNKNOWN
    if _given(part.step) and size_of(part.step or Nothing()).constant != 1:
        return UNKNOWN
    if not _given(part.start) and not _given(part.stop):
        return dim
    if dim.constant is not None:
        return _counted(dim.constant, part, dim.soft)
    start = size_of(part.start) if part.start is not None and _given(part.start) else axes.number(0)
    stop = size_of(part.stop) if part.stop is not None and _given(part.stop) else dim
    sure = _sure(start, dim) and _sure(stop, dim)
    length = axes.add(_from_end(stop, dim), _from_end(start, dim), -1)
    if length.constant == 1:
        return ONE
    return length if sure else length.softened()


def _given(value: Value | None) -> bool:
    return value is not None and not isinstance(value, Nothing)


def _sure(bound: Axis, dim: Axis) -> bool:
    """Whether a bound lies within the axis: small numbers do, names may not."""
    if bound.constant is not None:
        return abs(bound.constant) <= 1
    rest = axes.add(dim, bound, -1)
    within = rest.terms is not None and all(value > 0 for _, value in rest.terms)
    return within or axes.divide(dim, axes.number(2)) == bound


def _from_end(bound: Axis, dim: Axis) -> Axis:
    if bound.constant is not None:
        return axes.add(dim, bound) if bound.constant < 0 else bound
    negative = bound.terms is not None and all(value < 0 for _, value in bound.terms)
    return axes.add(dim, bound) if negative else bound


def _counted(length: int, part: Slice, soft: bool) -> Axis:
    bounds: list[int | None] = []
    for bound in (part.start, part.stop):
        if bound is None or not _given(bound):
            bounds.append(None)
            continue
        constant = size_of(bound).constant
        if constant is None:
            return UNKNOWN
        bounds.append(constant)
    return axes.number(len(range(length)[slice(*bounds)]), soft=soft)
