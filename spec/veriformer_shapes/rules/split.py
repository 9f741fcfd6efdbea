"""Operations that cut a tensor into several."""

from ..language import axis as axes
from ..language.axis import UNKNOWN, Axis, Verdict, same
from ..language.broadcasting import Misfit, position
from ..language.values import Repeated, Sequence, Tensor, Value, size_of
from .table import Call, NotFollowed, resized, rule


@rule("chunk tensor_split", "x chunks dim")
def chunk(call: Call) -> Value:
    """So many parts of equal size (where the axis does not divide, torch decides)."""
    x, at = _place(call)
    count = call.integer("chunks")
    if not 1 <= count <= 64:
        raise NotFollowed
    dim = x.dims[at]
    assert isinstance(dim, Axis)
    length = axes.divide(dim, axes.number(count))
    if dim.constant is not None and dim.constant % count:
        length = UNKNOWN
    return Sequence((_with(x, at, length),) * count)


@rule("split split_with_sizes", "x split_size_or_sections dim")
def split(call: Call) -> Value:
    """Parts of one size, or of the sizes in a list."""
    for name in ("split_size", "split_sizes"):
        if name in call.values:
            call.values["split_size_or_sections"] = call.values[name]
    x, at = _place(call)
    sections = call.value("split_size_or_sections")
    dim = x.dims[at]
    assert isinstance(dim, Axis)
    if isinstance(sections, Sequence):
        sizes = [size_of(item) for item in sections.items]
        whole = axes.number(0)
        for size in sizes:
            whole = axes.add(whole, size)
        if same(whole, dim) is Verdict.NO:
            raise Misfit(f'{call.name}: the sizes add up to {whole}, axis "{dim}" of "{x}" is cut')
        return Sequence(tuple(_with(x, at, size) for size in sizes))
    size = size_of(sections)
    if not size.known or not dim.known:
        return Repeated(_with(x, at, UNKNOWN))
    parts = axes.divide(dim, size).constant
    if parts is None or not 1 <= parts <= 64:
        # The last part may be shorter.
        return Repeated(_with(x, at, UNKNOWN))
    rest = axes.add(dim, axes.multiply(axes.number(parts), size), -1)
    lengths = [size] * parts
    if rest.constant != 0:
        lengths.append(rest)
    return Sequence(tuple(_with(x, at, length) for length in lengths))


@rule("unbind", "x dim")
def unbind(call: Call) -> Value:
    """As many tensors as the axis is long, without that axis."""
    x, at = _place(call)
    part = resized(x, x.dims[:at] + x.dims[at + 1 :])
    dim = x.dims[at]
    count = dim.constant if isinstance(dim, Axis) else None
    return Sequence((part,) * count) if count is not None and count <= 64 else Repeated(part)


def _place(call: Call) -> tuple[Tensor, int]:
    x = call.shaped()
    at = position(x.dims, call.integer("dim", 0), call.name)
    if at is None:
        raise NotFollowed
    return x, at


def _with(x: Tensor, at: int, length: Axis) -> Tensor:
    return resized(x, (*x.dims[:at], length, *x.dims[at + 1 :]))
