"""Operations that keep the shape: activations, rounding, casts, normalisations over an axis."""

from ..language.broadcasting import Misfit, broadcast, position
from ..language.dtypes import ANY_DTYPE, BOOL, COMPLEX, DTYPES, FLOAT, TORCH_DTYPES, name_of
from ..language.values import DtypeOf, Tensor, Value, is_number
from .table import Call, NotFollowed, rule


@rule(
    "contiguous clone detach requires_grad_ cuda cpu abs neg __neg__ clamp clamp_min clamp_max "
    "clip tril triu flip roll relu relu6 round floor ceil trunc sign __pos__ __abs__ "
    "zero_ fill_ normal_ uniform_ copy_ data grad pin_memory nan_to_num square "
    "conj resolve_conj share_memory_ dropout alpha_dropout feature_dropout identity",
    "x *others",
)
def keep(call: Call) -> Value:
    """The same shape and dtype."""
    return call.tensor()


@rule(
    "exp exp2 expm1 log log2 log10 log1p sqrt rsqrt reciprocal sin cos tan asin acos atan sinh "
    "cosh tanh sigmoid erf erfc gelu silu mish elu selu celu leaky_relu softplus softsign "
    "hardtanh hardswish hardsigmoid logsigmoid logit layer_norm rms_norm batch_norm group_norm "
    "instance_norm threshold tanhshrink softshrink rad2deg deg2rad",
    "x *others",
)
def keep_as_float(call: Call) -> Value:
    """The same shape; whole numbers become floating point."""
    x = call.tensor()
    return Tensor(x.dims, x.dtypes if x.dtypes <= FLOAT | COMPLEX else ANY_DTYPE)


@rule("softmax log_softmax softmin gumbel_softmax normalize cumsum cumprod logcumsumexp", "x dim")
def keep_along(call: Call) -> Value:
    """The same shape, computed along an axis that has to exist."""
    x = call.tensor()
    # `F.normalize(x, p, dim)` and `F.gumbel_softmax(x, tau, hard, eps, dim)` differ.
    if call.name in ("normalize", "gumbel_softmax"):
        return x
    if call.has("dim") and x.dims:
        position(x.dims, call.integer("dim"), call.name)
    return Tensor(x.dims, call.dtypes(x.dtypes))


@rule("logical_not isnan isinf isfinite isneginf isposinf isreal signbit", "x")
def test(call: Call) -> Value:
    """The same shape, Bool."""
    return Tensor(call.tensor().dims, BOOL)


@rule("__invert__ bitwise_not", "x")
def invert(call: Call) -> Value:
    """The same shape and dtype."""
    return call.tensor()


@rule("argsort", "x dim descending stable")
def argsort(call: Call) -> Value:
    """The same shape, Int64."""
    return Tensor(call.tensor().dims, DTYPES["Int64"])


@rule("zeros_like ones_like empty_like full_like rand_like randn_like randint_like", "x *others")
def like(call: Call) -> Value:
    """The same shape, and the same dtype unless ``dtype=`` says otherwise."""
    x = call.tensor()
    return Tensor(x.dims, call.dtypes(x.dtypes))


@rule("bernoulli", "x p")
def bernoulli(call: Call) -> Value:
    """The same shape and dtype."""
    return call.tensor()


@rule("float double half bfloat16 long int short bool", "x")
def cast(call: Call) -> Value:
    """``x.float()``: the method is named like the torch dtype it casts to."""
    return Tensor(call.tensor().dims, TORCH_DTYPES[call.name])


@rule("type_as to_like", "x other")
def type_as(call: Call) -> Value:
    """The same shape, and the other tensor's dtype."""
    return Tensor(call.tensor().dims, call.tensor("other").dtypes)


@rule("to type", "x target dtype *others")
def to(call: Call) -> Value:
    """``x.to(dtype)``, ``x.to(device)``, ``x.to(other)``: the shape stays."""
    x = call.tensor()
    for parameter in ("dtype", "target"):
        target = call.value(parameter)
        if isinstance(target, DtypeOf):
            return Tensor(x.dims, target.dtypes)
        if parameter in call.values and parameter == "target":
            # A device keeps the dtype, another tensor gives its own: not told apart here.
            return Tensor(x.dims, ANY_DTYPE)
    return x


@rule("masked_fill", "x mask value")
def masked_fill(call: Call) -> Value:
    """The mask is Bool and broadcasts with the tensor."""
    x = call.tensor()
    mask = call.value("mask")
    if is_number(mask):
        raise Misfit(f"{call.name}: the mask comes before the value")
    if not isinstance(mask, Tensor):
        raise NotFollowed
    if not mask.dtypes & BOOL:
        raise Misfit(f"{call.name}: the mask is {name_of(mask.dtypes)}; expected Bool")
    return Tensor(broadcast(x.dims, mask.dims, call.name), x.dtypes)


@rule("masked_scatter index_fill index_copy index_add scatter scatter_add", "x *others")
def keep_updated(call: Call) -> Value:
    """The same shape and dtype; index and source are not looked at."""
    return call.tensor()
