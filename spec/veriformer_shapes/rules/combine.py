"""Operations that make one tensor of several: cat, stack."""

from ..language import axis as axes
from ..language.axis import UNKNOWN, Axis, Verdict, same
from ..language.broadcasting import Misfit, broadcast, position
from ..language.dtypes import promote
from ..language.shape import Dim, Dims, spread_at
from ..language.values import Repeated, Sequence, Tensor, Value, present
from .structure import with_new_axis
from .table import Call, NotFollowed, rule


@rule("cat concat concatenate", "tensors dim")
def cat(call: Call) -> Value:
    """The sizes add up along one axis and agree along the others."""
    parts, complete = _parts(call)
    first = parts[0]
    dim = call.integer("dim", 0)
    if any(part.shapeless for part in parts) or _may_skip(parts):
        raise NotFollowed
    at = position(first.dims, dim, call.name)
    if at is None or any(len(part.dims) != len(first.dims) for part in parts):
        if at is not None and all(spread_at(part.dims) is None for part in parts):
            _refuse(call, parts)
        raise NotFollowed
    merged: list[Dim] = list(first.dims)
    for part in parts[1:]:
        merged = _merged(call, parts, merged, part.dims, at)
    lengths = [part.dims[at] for part in parts]
    size = axes.number(0)
    for length in lengths:
        size = axes.add(size, length) if isinstance(length, Axis) else UNKNOWN
    merged[at] = size if complete else UNKNOWN
    return Tensor(tuple(merged), _dtypes(parts))


@rule("stack", "tensors dim")
def stack(call: Call) -> Value:
    """A new axis, as long as there are tensors; they agree along every axis."""
    parts, complete = _parts(call)
    if any(part.shapeless for part in parts):
        raise NotFollowed
    if any(len(part.dims) != len(parts[0].dims) for part in parts):
        if all(spread_at(part.dims) is None for part in parts):
            _refuse(call, parts)
        raise NotFollowed
    merged: list[Dim] = list(parts[0].dims)
    for part in parts[1:]:
        merged = _merged(call, parts, merged, part.dims, None)
    count = axes.number(len(parts)) if complete else UNKNOWN
    return Tensor(with_new_axis(tuple(merged), call.integer("dim", 0), count, call.name), _dtypes(parts))


@rule("broadcast_tensors", "*tensors")
def broadcast_tensors(call: Call) -> Value:
    """All tensors with the one shape that they broadcast to, each of its own dtype."""
    given = [present(value) for value in (call.value("tensors"), *call.rest)]
    tensors = [value for value in given if isinstance(value, Tensor)]
    if len(tensors) != len(given):
        raise NotFollowed
    dims: Dims = ()
    for tensor in tensors:
        dims = broadcast(dims, tensor.dims, call.name)
    return Sequence(tuple(Tensor(dims, tensor.dtypes) for tensor in tensors))


def _parts(call: Call) -> tuple[list[Tensor], bool]:
    """The tensors, and whether they are all there is (not a list of unknown length)."""
    tensors = call.value("tensors")
    if isinstance(tensors, Repeated) and isinstance(tensors.item, Tensor):
        return [tensors.item], False
    if not isinstance(tensors, Sequence) or not tensors.items:
        raise NotFollowed
    parts = [present(item) for item in tensors.items]
    found = [part for part in parts if isinstance(part, Tensor)]
    if len(found) != len(parts):
        raise NotFollowed
    return found, True


def _may_skip(parts: list[Tensor]) -> bool:
    """An empty tensor of one axis goes with any other in torch; a named axis is not empty."""
    single = [part.dims[0] for part in parts if len(part.dims) == 1]
    if not single or len(single) == len(parts):
        return False
    return not all(isinstance(dim, Axis) and dim.known and not dim.soft and dim.constant != 0 for dim in single)


def _merged(call: Call, parts: list[Tensor], merged: list[Dim], dims: Dims, at: int | None) -> list[Dim]:
    result: list[Dim] = []
    for place, (one, other) in enumerate(zip(merged, dims, strict=True)):
        if place == at:
            result.append(one)
        elif isinstance(one, Axis) and isinstance(other, Axis):
            if same(one, other) is Verdict.NO:
                _refuse(call, parts, f' (axis {place}: "{one}" against "{other}")')
            result.append(one if one.known and not one.soft else other)
        elif one == other:
            result.append(one)
        else:
            raise NotFollowed
    return result


def _refuse(call: Call, parts: list[Tensor], where: str = " (they differ in their rank)") -> None:
    shown = " and ".join(f'"{part}"' for part in parts)
    raise Misfit(f"{call.name} of {shown}{where}")


def _dtypes(parts: list[Tensor]) -> frozenset[str]:
    dtypes = parts[0].dtypes
    for part in parts[1:]:
        dtypes = promote(dtypes, part.dtypes)
    return dtypes
