"""Operations that move, add or drop axes and keep every element where it belongs."""

from ..language.axis import ONE, UNKNOWN, Axis, Verdict, multiply, same
from ..language.broadcasting import Misfit, position
from ..language.shape import Dims, Spread, spread_at
from ..language.values import SomeSizes, Tensor, Value, size_of
from .table import Call, NotFollowed, resized, rule


@rule("transpose swapaxes swapdims", "x dim0 dim1")
def transpose(call: Call) -> Value:
    """Two axes are exchanged."""
    x = call.shaped()
    first, second = ("axis0", "axis1") if "axis0" in call.values else ("dim0", "dim1")
    return resized(x, swapped(x.dims, call.integer(first), call.integer(second), call.name))


@rule("mT mH adjoint", "x")
def matrix_transpose(call: Call) -> Value:
    """The last two axes are exchanged."""
    x = call.shaped()
    return resized(x, swapped(x.dims, -1, -2, call.name))


@rule("T H t", "x")
def reverse(call: Call) -> Value:
    """All axes in the opposite order; ``H`` and ``t`` take no more than two."""
    x = call.shaped()
    if spread_at(x.dims) is not None:
        raise NotFollowed
    if call.name in ("H", "t") and len(x.dims) > 2:
        raise Misfit(f'{call.name}: "{x}" has {len(x.dims)} axes; expected 2 or fewer')
    return resized(x, x.dims[::-1])


@rule("permute", "x *dims")
def permute(call: Call) -> Value:
    """The axes in the order given, which has to name each of them once."""
    x = call.shaped()
    order = call.integers("dims")
    if spread_at(x.dims) is not None:
        return resized(x, (UNKNOWN,) * len(order))
    wanted = list(range(len(x.dims)))
    if len(order) != len(wanted) or sorted(at % len(wanted) for at in order) != wanted:
        raise Misfit(f'permute: {tuple(order)} is not an order of the {len(wanted)} axes of "{x}"')
    return resized(x, tuple(x.dims[at] for at in order))


@rule("movedim moveaxis", "x source destination")
def movedim(call: Call) -> Value:
    """The axes at the sources stand at the destinations; the others keep their order."""
    x = call.shaped()
    if spread_at(x.dims) is not None:
        raise NotFollowed
    sources = [_at(x, at, call) for at in call.integers("source")]
    targets = [_at(x, at, call) for at in call.integers("destination")]
    if len(sources) != len(targets):
        raise NotFollowed
    left = [dim for at, dim in enumerate(x.dims) if at not in sources]
    for target, source in sorted(zip(targets, sources, strict=True)):
        left.insert(target, x.dims[source])
    return resized(x, tuple(left))


@rule("unsqueeze", "x dim")
def unsqueeze(call: Call) -> Value:
    """A new axis of size 1."""
    x = call.shaped()
    return resized(x, with_new_axis(x.dims, call.integer("dim"), ONE))


@rule("squeeze", "x dim")
def squeeze(call: Call) -> Value:
    """Drop axes of size 1. A named axis is taken to be longer."""
    x = call.shaped()
    axes = x.axes
    if call.has("dim"):
        places = [_at(x, at, call) for at in call.integers("dim")]
    elif axes is None:
        raise NotFollowed
    else:
        places = list(range(len(axes)))
    for at in places:
        dim = x.dims[at]
        if not isinstance(dim, Axis) or not dim.known or dim.maybe_one:
            raise NotFollowed
        if dim.soft and not dim.is_one and dim.constant is None:
            raise NotFollowed
    return resized(
        x,
        tuple(dim for at, dim in enumerate(x.dims) if at not in places or not isinstance(dim, Axis) or not dim.is_one),
    )


@rule("diagonal", "x offset dim1 dim2")
def diagonal(call: Call) -> Value:
    """Two axes go, and their diagonal stands last; it is of known length where both are equal and there is no offset."""
    x = call.shaped()
    if x.axes is None:
        raise NotFollowed
    first, second = call.integer("dim1", 0), call.integer("dim2", 1)
    ends = {_at(x, first, call), _at(x, second, call)}
    kept = tuple(dim for at, dim in enumerate(x.dims) if at not in ends)
    one, other = (x.dims[at] for at in sorted(ends))
    return resized(x, (*kept, one if one == other and not call.has("offset") else UNKNOWN))


@rule("narrow", "x dim start length")
def narrow(call: Call) -> Value:
    """The axis becomes as long as asked for; whether it was long enough is not checked."""
    x = call.shaped()
    at = _at(x, call.integer("dim"), call)
    return resized(x, (*x.dims[:at], size_of(call.value("length")), *x.dims[at + 1 :]))


@rule("select", "x dim index")
def select(call: Call) -> Value:
    """The axis goes."""
    x = call.shaped()
    at = _at(x, call.integer("dim"), call)
    return resized(x, x.dims[:at] + x.dims[at + 1 :])


@rule("index_select", "x dim index")
def index_select(call: Call) -> Value:
    """The axis becomes as long as there are indices."""
    x, index = call.shaped(), call.tensor("index")
    at = _at(x, call.integer("dim"), call)
    length = index.dims[0] if len(index.dims) == 1 else UNKNOWN
    if isinstance(length, Spread):
        length = UNKNOWN
    return resized(x, (*x.dims[:at], length, *x.dims[at + 1 :]))


@rule("gather take_along_dim", "x dim index")
def gather(call: Call) -> Value:
    """The shape of the index, of the tensor's dtype; both have to be of one rank."""
    x, index = call.tensor(), call.shaped("index")
    at = position(x.dims, call.integer("dim"), call.name) if not x.shapeless else None
    if x.axes is not None and index.axes is not None and len(x.axes) != len(index.axes):
        raise Misfit(f'{call.name}: index "{index}" and tensor "{x}" differ in their rank')
    return Tensor(index.dims, x.dtypes) if at is not None or x.shapeless else index


@rule("repeat tile", "x *sizes")
def repeat(call: Call) -> Value:
    """Each axis becomes as many times as long; more factors than axes add axes in front."""
    x = call.shaped()
    if x.axes is None:
        raise NotFollowed
    factors = [size_of(value) for value in call.sizes("sizes")]
    axes = list(x.axes)
    if len(factors) < len(axes):
        if call.name == "repeat":
            raise Misfit(f'repeat: {len(factors)} factors for the {len(axes)} axes of "{x}"')
        factors = [ONE] * (len(axes) - len(factors)) + factors
    axes = [ONE] * (len(factors) - len(axes)) + axes
    return resized(x, tuple(multiply(f, a) for f, a in zip(factors, axes, strict=True)))


@rule("repeat_interleave", "x repeats dim")
def repeat_interleave(call: Call) -> Value:
    """The axis becomes as many times as long; without an axis, one of unknown length is left."""
    x = call.shaped()
    if not call.has("dim"):
        return resized(x, (UNKNOWN,))
    at = _at(x, call.integer("dim"), call)
    dim = x.dims[at]
    longer = multiply(dim, size_of(call.value("repeats"))) if isinstance(dim, Axis) else UNKNOWN
    return resized(x, (*x.dims[:at], longer, *x.dims[at + 1 :]))


@rule("expand broadcast_to", "x *sizes")
def expand(call: Call) -> Value:
    """Axes of size 1 take any size, -1 keeps an axis, more sizes add axes in front."""
    x = call.shaped()
    wanted = [size_of(value) for value in call.sizes("sizes")]
    axes = x.axes
    if axes is None or any(isinstance(value, SomeSizes) for value in call.sizes("sizes")):
        raise NotFollowed
    if len(wanted) < len(axes):
        raise Misfit(f'{call.name}: {len(wanted)} sizes for the {len(axes)} axes of "{x}"')
    old = [ONE] * (len(wanted) - len(axes)) + list(axes)
    for one, size in zip(old, wanted, strict=True):
        if same(one, size) is Verdict.MAYBE and one.symbol and one in wanted:
            raise Misfit(f'{call.name}: axis "{one}" of "{x}" cannot become "{size}"')
    return resized(x, tuple(_expanded(one, size, x, call) for one, size in zip(old, wanted, strict=True)))


@rule("expand_as", "x other")
def expand_as(call: Call) -> Value:
    """The other tensor's axes, of the same dtype; whether they fit is not checked."""
    return resized(call.tensor(), call.shaped("other").dims)


def _expanded(old: Axis, wanted: Axis, x: Tensor, call: Call) -> Axis:
    if wanted.constant == -1:
        return old
    if old.is_one or not old.known or old.maybe_one:
        return wanted if wanted.known else UNKNOWN
    if same(old, wanted) is Verdict.NO:
        raise Misfit(f'{call.name}: axis "{old}" of "{x}" cannot become "{wanted}"')
    return old if wanted.soft or not wanted.known else wanted


def swapped(dims: Dims, first: int, second: int, what: str) -> Dims:
    """The axes with two of them exchanged."""
    one, other = position(dims, first, what), position(dims, second, what)
    if one is None or other is None:
        raise NotFollowed
    result = list(dims)
    result[one], result[other] = result[other], result[one]
    return tuple(result)


def with_new_axis(dims: Dims, at: int, size: Axis, what: str = "unsqueeze") -> Dims:
    """The axes with one more, which stands at place `at` of the result."""
    spread = spread_at(dims)
    place = at if at >= 0 else len(dims) + 1 + at
    if spread is None and not 0 <= place <= len(dims):
        raise Misfit(f'{what}: there is no place {at} for an axis in "{" ".join(map(str, dims))}"')
    if spread is not None and (place > spread if at >= 0 else place <= spread):
        raise NotFollowed
    return (*dims[:place], size, *dims[place:])


def _at(x: Tensor, axis: int, call: Call) -> int:
    at = position(x.dims, axis, call.name)
    if at is None:
        raise NotFollowed
    return at
