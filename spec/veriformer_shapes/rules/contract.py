"""Products that sum over an axis: matmul and its kin, linear, einsum, einops."""

from ..language.axis import UNKNOWN, Axis, Verdict, same
from ..language.broadcasting import Misfit, broadcast, matmul
from ..language.dtypes import promote
from ..language.shape import spelled, spread_at
from ..language.values import Repeated, Sequence, Tensor, Text, Value, present, size_of
from . import einops, einsum
from .table import Call, NotFollowed, rule


@rule("matmul bmm mm mv dot", "x y")
def product(call: Call) -> Value:
    """A matrix product: the axes that it sums over agree and go, and the batch axes of ``matmul`` broadcast."""
    x, y = call.shaped(), call.shaped("y")
    rank = {"bmm": (3, 3), "mm": (2, 2), "mv": (2, 1), "dot": (1, 1)}.get(call.name)
    for tensor, wanted in zip((x, y), rank or (), strict=False):
        if spread_at(tensor.dims) is None and len(tensor.dims) != wanted:
            raise Misfit(f'{call.name}: "{tensor}" has {len(tensor.dims)} axes, not {wanted}')
    if call.name == "bmm" and x.axes and y.axes and same(x.axes[0], y.axes[0]) is Verdict.NO:
        raise Misfit(f'bmm: "{x}" and "{y}" have the batch axes "{x.axes[0]}" and "{y.axes[0]}", which differ')
    return Tensor(matmul(x.dims, y.dims), promote(x.dtypes, y.dtypes))


@rule("addmm baddbmm", "x y z")
def added_product(call: Call) -> Value:
    """The product of the second and third, which broadcasts with the first."""
    x, y, z = call.tensor(), call.shaped("y"), call.shaped("z")
    dims = matmul(y.dims, z.dims, call.name)
    return Tensor(broadcast(x.dims, dims, call.name), promote(y.dtypes, z.dtypes))


@rule("linear", "x weight bias")
def linear(call: Call) -> Value:
    """``x @ weight.T + bias``: the weight is (out, in)."""
    x, weight = call.shaped(), call.tensor("weight")
    if weight.axes is None or len(weight.axes) != 2:
        if not weight.shapeless or not isinstance(x.dims[-1] if x.dims else None, Axis):
            raise NotFollowed
        # A weight of one axis takes the last axis away; nobody writes that.
        return Tensor((*x.dims[:-1], UNKNOWN), promote(x.dtypes, weight.dtypes))
    last, (wide, narrow) = x.dims[-1], weight.axes
    if isinstance(last, Axis) and same(last, narrow) is Verdict.NO:
        raise Misfit(f'linear: the last axis of "{x}" is "{last}", the weight "{weight}" takes "{narrow}"')
    bias = call.value("bias")
    dims = (*x.dims[:-1], wide) if isinstance(last, Axis) else (*x.dims, wide)
    if isinstance(last, Axis) and isinstance(bias, Tensor):
        dims = broadcast(dims, bias.dims, call.name)
    return Tensor(dims, promote(x.dtypes, weight.dtypes))


@rule("einsum", "equation *operands")
def torch_einsum(call: Call) -> Value:
    """What an equation of single letters says, the operands given one by one or in a list."""
    equation = call.value("equation")
    operands = [present(value) for value in (call.value("operands"), *call.rest)]
    if len(operands) == 1 and isinstance(operands[0], Sequence):
        operands = [present(value) for value in operands[0].items]
    if isinstance(equation, Tensor):
        raise Misfit("einsum: the equation comes before the tensors")
    if not isinstance(equation, Text):
        raise NotFollowed
    return einsum.contract(equation.value, operands)


@rule("einops.einsum", "*operands")
def einops_einsum(call: Call) -> Value:
    """Einops puts the pattern last and spells axes as words."""
    operands = [present(value) for value in (call.value("operands"), *call.rest)]
    pattern = call.values.get("pattern", operands[-1])
    if "pattern" not in call.values:
        operands = operands[:-1]
    if not isinstance(pattern, Text):
        raise NotFollowed
    return einsum.contract_words(pattern.value, operands)


@rule("einops.rearrange einops.reduce einops.repeat", "x pattern reduction")
def einops_pattern(call: Call) -> Value:
    """The axes that the right side of the pattern names, of the same dtype."""
    x, pattern = call.value("x"), call.value("pattern")
    name = call.name.removeprefix("einops.")
    if not isinstance(pattern, Text):
        raise NotFollowed
    if isinstance(x, Sequence) and x.items and all(isinstance(i, Tensor) for i in x.items):
        raise NotFollowed
    if isinstance(x, Repeated):
        raise NotFollowed
    if "->" not in pattern.value:
        raise Misfit(f'{name}: "{pattern.value}" is no pattern: it has no "->"')
    tensor = x if isinstance(x, Tensor) else Tensor()
    sizes = {key: size_of(value) for key, value in call.values.items() if key not in ("x", "pattern", "reduction")}
    return Tensor(einops.rearranged(name, pattern.value, tensor.dims, sizes), tensor.dtypes)


@rule("inner", "x y")
def inner(call: Call) -> Value:
    """The last axes agree and go; the other axes of both follow each other."""
    x, y = call.shaped(), call.shaped("y")
    if not x.dims or not y.dims:
        raise NotFollowed
    one, other = x.dims[-1], y.dims[-1]
    if isinstance(one, Axis) and isinstance(other, Axis) and same(one, other) is Verdict.NO:
        raise Misfit(f'inner: "{spelled(x.dims)}" and "{spelled(y.dims)}" end in different axes')
    if not isinstance(one, Axis) or not isinstance(other, Axis):
        raise NotFollowed
    return Tensor((*x.dims[:-1], *y.dims[:-1]), promote(x.dtypes, y.dtypes))


@rule("cdist", "x y")
def cdist(call: Call) -> Value:
    """The distance of each row of the one to each of the other; the features agree and go."""
    x, y = call.shaped(), call.shaped("y")
    if x.axes is None or y.axes is None or len(x.axes) < 2 or len(y.axes) < 2:
        raise NotFollowed
    if same(x.axes[-1], y.axes[-1]) is Verdict.NO:
        raise Misfit(f'cdist: "{x}" and "{y}" end in different axes')
    batch = broadcast(x.dims[:-2], y.dims[:-2], call.name)
    return Tensor((*batch, x.dims[-2], y.dims[-2]), x.dtypes)
