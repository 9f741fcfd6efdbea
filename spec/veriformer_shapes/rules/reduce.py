"""Reductions over one axis, several, or all."""

from ..language.axis import ONE, Axis
from ..language.broadcasting import position
from ..language.dtypes import ANY_DTYPE, BOOL, DTYPES, FLOAT
from ..language.shape import Dims, spread_at
from ..language.values import UNKNOWN_VALUE, Sequence, Tensor, Value, is_number, size_of
from .table import Call, NotFollowed, apply, rule


@rule("sum prod nansum", "x dim keepdim")
def total(call: Call) -> Value:
    """A sum or product; whole numbers and Bool become Int64."""
    x = call.tensor()
    whole = not x.dtypes & FLOAT and x.dtypes != ANY_DTYPE
    default = DTYPES["Int64"] if whole and x.dtypes <= DTYPES["Integer"] | BOOL else x.dtypes
    return Tensor(_reduced(call, x), call.dtypes(default))


@rule("mean logsumexp nanmean", "x dim keepdim")
def mean(call: Call) -> Value:
    """A mean of the axes, in the tensor's dtype unless ``dtype=`` says otherwise."""
    x = call.tensor()
    return Tensor(_reduced(call, x), call.dtypes(x.dtypes))


@rule("amax amin", "x dim keepdim")
def extreme(call: Call) -> Value:
    """The largest or smallest value, of the same dtype."""
    x = call.tensor()
    return Tensor(_reduced(call, x), x.dtypes)


@rule("std var", "x dim unbiased keepdim")
def spread(call: Call) -> Value:
    """The standard deviation or variance, of the same dtype."""
    x = call.tensor()
    return Tensor(_reduced(call, x), x.dtypes)


@rule("any all", "x dim keepdim")
def truth(call: Call) -> Value:
    """Whether any or all values are true, Bool."""
    return Tensor(_reduced(call, call.tensor()), BOOL)


@rule("argmax argmin", "x dim keepdim")
def place(call: Call) -> Value:
    """The index of the largest or smallest value, Int64."""
    return Tensor(_reduced(call, call.tensor()), DTYPES["Int64"])


@rule("count_nonzero", "x dim")
def count(call: Call) -> Value:
    """How many values are not zero, Int64."""
    return Tensor(_reduced(call, call.tensor()), DTYPES["Int64"])


@rule("norm", "x p dim keepdim")
def norm(call: Call) -> Value:
    """A norm over the axes, of the same dtype."""
    x = call.tensor()
    return Tensor(_reduced(call, x), x.dtypes)


@rule("vector_norm", "x ord dim keepdim")
def vector_norm(call: Call) -> Value:
    """A norm over the axes, of the same dtype; the order is named ``ord``."""
    return norm(call)


@rule("max min median mode cummax cummin", "x dim keepdim")
def with_place(call: Call) -> Value:
    """Over all: one value. Along an axis: values and indices. With a tensor: elementwise."""
    x = call.tensor()
    if isinstance(call.value("dim"), Tensor) or "other" in call.values:
        other = call.values.get("other", call.value("dim"))
        return apply("maximum", [x, other], {})
    if not call.has("dim"):
        return Tensor((), x.dtypes) if call.name in ("max", "min", "median") else UNKNOWN_VALUE
    if not is_number(call.value("dim")):
        raise NotFollowed
    if call.name.startswith("cum"):
        position(x.dims, call.integer("dim"), call.name)
        return _pair(x, x.dims)
    return _pair(x, _reduced(call, x))


@rule("sort", "x dim descending stable")
def sort(call: Call) -> Value:
    """Values and their indices, in the same shape."""
    x = call.tensor()
    return _pair(x, x.dims)


@rule("topk", "x k dim")
def topk(call: Call) -> Value:
    """Values and their indices; the axis becomes as long as there are to be values."""
    x = call.shaped()
    at = position(x.dims, call.integer("dim", -1), call.name)
    if at is None:
        raise NotFollowed
    return _pair(x, (*x.dims[:at], size_of(call.value("k")), *x.dims[at + 1 :]))


@rule("multinomial", "x num_samples replacement")
def multinomial(call: Call) -> Value:
    """The last axis, of weights, becomes one of samples, Int64."""
    x = call.shaped()
    samples = size_of(call.value("num_samples"))
    return Tensor((*x.dims[:-1], samples), DTYPES["Int64"])


def _pair(x: Tensor, dims: Dims) -> Sequence:
    """``values, indices``, which can also be had by name."""
    return Sequence((Tensor(dims, x.dtypes), Tensor(dims, DTYPES["Int64"])), "values indices")


def _reduced(call: Call, x: Tensor) -> Dims:
    """The axes that are left; with ``keepdim=True`` the others are 1."""
    keep = call.flag("keepdim")
    places = call.integers("dim") if call.has("dim") else []
    if not places:
        if not keep:
            return ()
        if spread_at(x.dims) is not None:
            raise NotFollowed
        return (ONE,) * len(x.dims)
    if x.shapeless:
        return x.dims
    gone: set[int] = set()
    for number in places:
        at = position(x.dims, number, call.name)
        if at is None:
            raise NotFollowed
        gone.add(at)
    return tuple(
        ONE if at in gone else dim
        for at, dim in enumerate(x.dims)
        if keep or at not in gone or not isinstance(dim, Axis)
    )
