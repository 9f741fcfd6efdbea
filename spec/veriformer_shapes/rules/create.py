"""Tensors made from sizes: zeros, arange, eye, one_hot."""

from ..language import axis as axes
from ..language.axis import UNKNOWN, Axis
from ..language.dtypes import ANY_DTYPE, BOOL, DTYPES, FLOAT, Dtypes
from ..language.shape import Dims, one_spread
from ..language.values import (
    Integer,
    Number,
    Sequence,
    SomeSizes,
    Tensor,
    Value,
    dims_from,
    is_number,
    kind_of_number,
    size_of,
)
from .table import Call, NotFollowed, rule


@rule("zeros ones empty rand randn", "*sizes")
def filled(call: Call) -> Value:
    """The sizes asked for; Float unless ``dtype=`` says otherwise."""
    return Tensor(_sizes(call), call.dtypes(FLOAT))


@rule("new_zeros new_ones new_empty", "x *sizes")
def filled_like(call: Call) -> Value:
    """The sizes asked for, of the tensor's dtype unless ``dtype=`` says otherwise."""
    return Tensor(_sizes(call), call.dtypes(call.tensor().dtypes))


@rule("full", "sizes fill_value")
def full(call: Call) -> Value:
    """The sizes asked for, of the dtype of the number that fills them unless ``dtype=`` says otherwise."""
    return Tensor(_sizes(call), call.dtypes(_of_number(call.value("fill_value"))))


@rule("new_full", "x sizes fill_value")
def new_full(call: Call) -> Value:
    """The sizes asked for, of the tensor's dtype whatever fills them, unless ``dtype=`` says otherwise."""
    return Tensor(_sizes(call), call.dtypes(call.tensor().dtypes))


@rule("randint", "low high sizes")
def randint(call: Call) -> Value:
    """The sizes asked for, Int64 unless ``dtype=`` says otherwise; ``low`` may be left out."""
    if "sizes" not in call.values and isinstance(call.value("high"), Sequence):
        call.values["sizes"] = call.values["high"]
    return Tensor(_sizes(call), call.dtypes(DTYPES["Int64"]))


@rule("randperm", "n")
def randperm(call: Call) -> Value:
    """One axis of the length asked for, Int64."""
    return Tensor((size_of(call.value("n")),), call.dtypes(DTYPES["Int64"]))


@rule("arange", "start end step")
def arange(call: Call) -> Value:
    """One axis, counted only in steps of 1; Int64 where all bounds are whole numbers."""
    given = [call.value(name) for name in ("start", "end", "step") if call.has(name)]
    if not all(is_number(value) for value in given):
        dtypes: Dtypes = ANY_DTYPE
    elif all(isinstance(value, Integer) for value in given):
        dtypes = DTYPES["Int64"]
    else:
        dtypes = FLOAT if any(kind_of_number(value) == "float" for value in given) else ANY_DTYPE
    return Tensor((_steps(call),), call.dtypes(dtypes))


@rule("linspace logspace", "start end steps")
def linspace(call: Call) -> Value:
    """One axis of as many steps as asked for, Float."""
    return Tensor((size_of(call.value("steps")),), call.dtypes(FLOAT))


@rule("eye", "n m")
def eye(call: Call) -> Value:
    """A matrix of the sizes asked for, square where one is left out."""
    rows = size_of(call.value("n"))
    return Tensor((rows, size_of(call.value("m")) if call.has("m") else rows), call.dtypes(FLOAT))


@rule("tensor as_tensor", "data")
def tensor(call: Call) -> Value:
    """Only numbers and lists of them; what a list of other things gives is not known."""
    value = call.value("data")
    if isinstance(value, Tensor):
        return Tensor(value.dims, call.dtypes(value.dtypes))
    dims = _nested(value)
    return Tensor(dims, call.dtypes(_of_number(value) if dims == () else ANY_DTYPE))


@rule("one_hot", "x num_classes")
def one_hot(call: Call) -> Value:
    """A last axis for the classes, Int64; of unknown length where their number is left out."""
    x = call.tensor()
    return Tensor((*x.dims, size_of(call.value("num_classes"))), DTYPES["Int64"])


@rule("outer", "x y")
def outer(call: Call) -> Value:
    """The axes of two vectors, one after the other."""
    x, y = call.shaped(), call.shaped("y")
    if len(x.dims) != 1 or len(y.dims) != 1:
        raise NotFollowed
    return Tensor((*x.dims, *y.dims), x.dtypes | y.dtypes)


@rule("diag", "x diagonal")
def diag(call: Call) -> Value:
    """Of a vector the square matrix that has it on the diagonal; of a matrix nothing is said."""
    x = call.shaped()
    if x.axes is None or call.has("diagonal"):
        raise NotFollowed
    if len(x.axes) == 1:
        return Tensor((x.axes[0], x.axes[0]), x.dtypes)
    raise NotFollowed


def _sizes(call: Call) -> Dims:
    dims = dims_from(Sequence(call.sizes("sizes")))
    if dims is None:
        raise NotFollowed
    for value in call.sizes("sizes"):
        # `torch.zeros(shape)` with a shape that is not known has any number of axes.
        if not isinstance(value, Integer | Number | SomeSizes):
            raise NotFollowed
    return one_spread(dims)


def _steps(call: Call) -> Axis:
    """How many numbers an arange has; only counted in steps of 1."""
    if call.has("step") and size_of(call.value("step")).constant != 1:
        return UNKNOWN
    if not call.has("end"):
        return size_of(call.value("start"))
    return axes.add(size_of(call.value("end")), size_of(call.value("start")), -1)


def _of_number(value: Value) -> Dtypes:
    kind = kind_of_number(value)
    if kind == "float":
        return FLOAT
    return {"int": DTYPES["Int64"], "bool": BOOL}.get(kind or "", ANY_DTYPE)


def _nested(value: Value) -> Dims:
    """The axes of nested lists of numbers, as far as they can be read off."""
    if is_number(value):
        return ()
    if isinstance(value, Sequence) and value.items:
        return (axes.number(len(value.items), soft=True), *_nested(value.items[0]))
    raise NotFollowed
