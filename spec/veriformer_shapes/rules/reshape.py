"""Operations that regroup the elements: view, reshape, flatten, unflatten."""

from ..language import axis as axes
from ..language.axis import Axis, Verdict, same
from ..language.broadcasting import Misfit, position, total
from ..language.shape import Dims, one_spread, spelled
from ..language.values import DtypeOf, Sequence, Value, dims_from
from .table import Call, NotFollowed, resized, rule


@rule("view reshape", "x *sizes")
def reshape(call: Call) -> Value:
    """As many elements as before; one size may be -1."""
    x = call.tensor()
    if "shape" in call.values:
        wanted = dims_from(call.value("shape"))
    elif isinstance(call.value("sizes"), DtypeOf):
        raise NotFollowed
    else:
        wanted = dims_from(Sequence(call.sizes("sizes")))
    if wanted is None:
        raise NotFollowed
    return resized(x, regrouped(x.dims, wanted, call.name, str(x)))


@rule("view_as reshape_as", "x other")
def reshape_as(call: Call) -> Value:
    """The other tensor's axes, of the same dtype; the elements are not counted."""
    return resized(call.tensor(), call.shaped("other").dims)


@rule("flatten", "x start_dim end_dim")
def flatten(call: Call) -> Value:
    """A run of axes becomes one, as long as their product."""
    x = call.shaped()
    first = position(x.dims, call.integer("start_dim", 0), call.name)
    last = position(x.dims, call.integer("end_dim", -1), call.name)
    if first is None or last is None:
        raise NotFollowed
    if first > last:
        raise Misfit(f'flatten: axis {first} of "{x}" comes after axis {last}')
    merged = total(x.dims[first : last + 1])
    return resized(x, (*x.dims[:first], merged, *x.dims[last + 1 :]))


@rule("unflatten", "x dim sizes")
def unflatten(call: Call) -> Value:
    """One axis becomes several, whose product is its length; one of them may be -1."""
    x = call.shaped()
    at = position(x.dims, call.integer("dim"), call.name)
    wanted = dims_from(call.value("sizes"))
    if at is None or wanted is None:
        raise NotFollowed
    parts = regrouped((x.dims[at],), wanted, call.name, str(x))
    return resized(x, (*x.dims[:at], *parts, *x.dims[at + 1 :]))


def regrouped(dims: Dims, wanted: Dims, what: str, shown: str) -> Dims:
    """The sizes asked for, with the -1 worked out.

    Raises:
        Misfit: the sizes do not multiply to as many elements as there are.
    """
    wanted = one_spread(wanted)
    open_at = [at for at, dim in enumerate(wanted) if isinstance(dim, Axis) and dim.constant == -1]
    before = total(dims)
    if not open_at:
        after = total(wanted)
        if same(before, after) is Verdict.NO:
            raise Misfit(f'{what}: "{shown}" has {before} elements, "{spelled(wanted)}" has {after}')
        return wanted
    if len(open_at) > 1:
        raise Misfit(f"{what}: more than one size is -1")
    given = total(tuple(dim for at, dim in enumerate(wanted) if at not in open_at))
    rest = axes.divide(before, given, exactly=True)
    if _not_a_multiple(before, given):
        raise Misfit(f'{what}: the {before} elements of "{shown}" are no multiple of {given}')
    return tuple(rest if at in open_at else dim for at, dim in enumerate(wanted))


def _not_a_multiple(before: Axis, given: Axis) -> bool:
    """Only for plain numbers: for names nobody knows."""
    return bool(before.constant is not None and given.constant and before.constant % given.constant)
