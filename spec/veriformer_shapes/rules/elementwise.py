"""Operations of two tensors that broadcast: arithmetic, comparisons, where."""

from ..language.broadcasting import Misfit, broadcast
from ..language.dtypes import (
    ANY_DTYPE,
    BOOL,
    COMPLEX,
    FLOAT,
    Dtypes,
    divided,
    name_of,
    promote,
    promote_number,
)
from ..language.shape import ANY_DIMS
from ..language.values import UNKNOWN_VALUE, Tensor, Value, is_number, kind_of_number
from .table import Call, NotFollowed, rule


@rule(
    "add sub mul pow mod fmod remainder maximum minimum fmax fmin subtract multiply atan2 hypot "
    "bitwise_and bitwise_or bitwise_xor floordiv floor_divide rsub lerp dist_ and or xor "
    "__iadd__ __imul__ lshift rshift",
    "x y *others",
)
def arithmetic(call: Call) -> Value:
    """Both broadcast; the wider dtype wins."""
    return _binary(call)


@rule("div truediv divide true_divide", "x y rounding_mode")
def division(call: Call) -> Value:
    """Both broadcast; whole numbers become floating point unless ``rounding_mode=`` is given."""
    result = _binary(call)
    if isinstance(result, Tensor) and not call.has("rounding_mode"):
        return Tensor(result.dims, divided(result.dtypes))
    return result


@rule("lt le gt ge eq ne less less_equal greater greater_equal not_equal isclose", "x y *others")
def comparison(call: Call) -> Value:
    """Both broadcast; the result is Bool."""
    result = _binary(call)
    return Tensor(result.dims, BOOL) if isinstance(result, Tensor) else result


@rule("logical_and logical_or logical_xor", "x y")
def logical(call: Call) -> Value:
    """Both broadcast, whatever their dtypes; the result is Bool."""
    return comparison(call)


@rule("where", "condition x y")
def where(call: Call) -> Value:
    """All three broadcast, and the condition has to be Bool (or torch's old UInt8); the dtype is that of what is chosen from."""
    condition = call.tensor("condition")
    if not call.has("x"):
        raise NotFollowed
    chosen = _binary(call)
    if not isinstance(chosen, Tensor):
        return chosen if not is_number(call.value("x")) else Tensor(condition.dims)
    if not condition.dtypes & BOOL and condition.dtypes != frozenset({"UInt8"}):
        raise Misfit(f"where: the condition is {name_of(condition.dtypes)}; expected Bool")
    return Tensor(broadcast(condition.dims, chosen.dims, call.name), chosen.dtypes)


@rule("addcmul addcdiv", "x y z")
def three(call: Call) -> Value:
    """All three broadcast; the dtype is that of the first."""
    dims = broadcast(call.tensor("y").dims, call.tensor("z").dims, call.name)
    return Tensor(broadcast(call.tensor().dims, dims, call.name), call.tensor().dtypes)


def _binary(call: Call) -> Value:
    x, y = call.value("x"), call.value("y")
    if isinstance(x, Tensor) and isinstance(y, Tensor):
        return Tensor(broadcast(x.dims, y.dims, call.name), _scalar_aware(x, y))
    tensor, other = (x, y) if isinstance(x, Tensor) else (y, x)
    if not isinstance(tensor, Tensor):
        raise NotFollowed
    if is_number(other):
        return Tensor(tensor.dims, promote_number(tensor.dtypes, kind_of_number(other)))
    if other == UNKNOWN_VALUE:
        # A number, or a tensor of any shape: what is not 1 here stays what it is.
        return Tensor(broadcast(tensor.dims, ANY_DIMS, call.name), ANY_DTYPE)
    return Tensor(ANY_DIMS, ANY_DTYPE)


def _scalar_aware(x: Tensor, y: Tensor) -> Dtypes:
    """A tensor with no axes counts as a number: it does not widen within its kind."""
    if x.dims == () or y.dims == ():
        kept = x if y.dims == () else y
        if kept.dtypes <= FLOAT | COMPLEX:
            return kept.dtypes | (promote(x.dtypes, y.dtypes) & COMPLEX)
        return promote(x.dtypes, y.dtypes) | kept.dtypes
    return promote(x.dtypes, y.dtypes)
