"""Broadcasting and matrix products: what two shapes make together, or why they cannot."""

from . import axis as axes
from .axis import ONE, UNKNOWN, Axis, Verdict, same
from .shape import SOME_AXES, Dim, Dims, Spread, axes_of, one_spread, spelled, spread_at


class Misfit(Exception):
    """An operation that fails for these shapes; the text names both and the axis at odds."""


def broadcast(first: Dims, second: Dims, what: str) -> Dims:
    """The axes of an elementwise operation.

    Raises:
        Misfit: two sizes differ and neither is 1.
    """
    _same_run_in_place(first, second, what)
    left, right, result = list(first), list(second), list[Dim]()
    while left or right:
        one = left[-1] if left else None
        other = right[-1] if right else None
        if isinstance(one, Spread) or isinstance(other, Spread):
            meeting = _meet_spreads(one, other)
            if meeting is None:
                result += _behind_run(left, right)
                break
            result.append(meeting)
        else:
            size = _wider(one or ONE, other or ONE)
            if size is None or _crossed(one, other, first, second):
                raise Misfit(
                    f'{what}: shapes "{spelled(first)}" and "{spelled(second)}" do not broadcast '
                    f'(axis "{one}" against "{other}")'
                )
            result.append(size)
        left, right = left[:-1], right[:-1]
    return one_spread(tuple(reversed(result)))


def _same_run_in_place(first: Dims, second: Dims, what: str) -> None:
    """``*batch d`` against ``*batch``: the runs do not meet, whatever ``*batch`` is."""
    one, other = spread_at(first), spread_at(second)
    if one is None or other is None:
        return
    run = first[one]
    assert isinstance(run, Spread)
    if run.name is None or run.broadcast or second[other] != run:
        return
    if len(first) - one != len(second) - other:
        raise Misfit(
            f'{what}: shapes "{spelled(first)}" and "{spelled(second)}" do not broadcast '
            f'("{run}" stands in different places)'
        )


def _crossed(one: Axis | None, other: Axis | None, first: Dims, second: Dims) -> bool:
    """Two axes of which one is soft, while each also stands elsewhere in the other tensor.

    ``time heads`` against ``heads time``, where ``heads`` is only an integer in the code:
    if both were the same size, each tensor would have that size twice.
    """
    if one is None or other is None or same(one, other) is not Verdict.MAYBE:
        return False
    if one.constant is not None or other.constant is not None:
        return False
    return one.known and other.known and one in second and other in first


def _meet_spreads(one: Dim | None, other: Dim | None) -> Spread | None:
    """Two runs of axes, or one and nothing; None if it cannot be told how they line up."""
    if isinstance(one, Spread) and isinstance(other, Spread):
        if one.name != other.name or one.name is None:
            return None
        return one if not one.broadcast else other
    alone = one or other
    if (one is None or other is None) and isinstance(alone, Spread):
        return alone
    return None


def _behind_run(left: Dims | list[Dim], right: Dims | list[Dim]) -> list[Dim]:
    """The axes left of the last, where a run of unknown length meets them, from right to left.

    Whatever the run is, an axis of the other tensor that is not 1 stays what it is.
    """
    rest = left if isinstance(right[-1] if right else None, Spread) else right
    kept: list[Dim] = []
    for dim in reversed(rest):
        if isinstance(dim, Spread):
            break
        kept.append(_wider(dim, UNKNOWN) or UNKNOWN if not dim.is_one else UNKNOWN)
    return [*kept, SOME_AXES]


def _wider(one: Axis, other: Axis) -> Axis | None:
    """The size of two axes that broadcast; None if they do not."""
    if one.is_one:
        return other
    if other.is_one:
        return one
    verdict = same(one, other)
    if verdict is Verdict.NO:
        return None
    if verdict is Verdict.YES:
        return one
    for sure, unsure in ((one, other), (other, one)):
        # A named axis stays what it is beside one that is not known, "#name" or soft.
        if sure.known and not sure.maybe_one and (not unsure.known or unsure.maybe_one):
            return sure
    if one.known and other.known and not one.maybe_one and not other.maybe_one:
        return other if one.soft else one
    return UNKNOWN


def position(dims: Dims, axis: int, what: str) -> int | None:
    """Where axis `axis` (negative counts from the end) stands; None if it cannot be told.

    Raises:
        Misfit: there is no such axis.
    """
    spread = next((at for at, dim in enumerate(dims) if isinstance(dim, Spread)), None)
    if spread is None:
        if not -len(dims) <= axis < len(dims):
            raise Misfit(f'{what}: there is no axis {axis} in "{spelled(dims)}"')
        return axis % len(dims)
    at = axis if axis >= 0 else len(dims) + axis
    if axis >= 0:
        return at if at < spread else None
    return at if at > spread else None


def matmul(first: Dims, second: Dims, what: str = "matmul") -> Dims:
    """The axes of a matrix product.

    Raises:
        Misfit: the contracted sizes differ, or the batch axes do not broadcast.
    """
    for dims in (first, second):
        if not dims:
            raise Misfit(f'{what}: "{spelled(first)}" @ "{spelled(second)}" has a side with no axis')
    left, right = first[-1], _row(second)
    if isinstance(left, Axis) and isinstance(right, Axis) and same(left, right) is Verdict.NO:
        raise Misfit(f'{what}: "{spelled(first)}" @ "{spelled(second)}" contracts axis "{left}" with "{right}"')
    if len(first) == 1 or len(second) == 1:
        return _with_vector(first, second)
    rows, columns = first[-2], second[-1]
    if not isinstance(left, Axis) or not isinstance(right, Axis):
        return (SOME_AXES,)
    if isinstance(columns, Axis) and len(second) == 2 and axes_of(second) is not None:
        return (*first[:-1], columns)
    if not isinstance(rows, Axis) or not isinstance(columns, Axis):
        return (SOME_AXES,)
    shown = f'{what}: "{spelled(first)}" @ "{spelled(second)}"'
    for one, other in zip(first[-3::-1], second[-3::-1], strict=False):
        if not isinstance(one, Axis) or not isinstance(other, Axis):
            break
        if _crossed(one, other, first, second):
            raise Misfit(f'{shown} has batch axis "{one}" against "{other}"')
    if _transposed(left, right, rows, columns):
        raise Misfit(f'{shown} contracts axis "{left}" with "{right}"')
    batch = broadcast(first[:-2], second[:-2], shown)
    return (*batch, rows, columns)


def _transposed(left: Axis, right: Axis, rows: Axis, columns: Axis) -> bool:
    """Two contracted axes that cannot be compared, of which one stands beside the other."""
    if same(left, right) is not Verdict.MAYBE or not left.known or not right.known:
        return False
    if left.constant is not None or right.constant is not None:
        return False
    return left == columns or right == rows


def _row(dims: Dims) -> Dim | None:
    """The axis that the left operand's last one meets."""
    if len(dims) == 1:
        return dims[0]
    # "*batch d" may be a vector or a matrix: what stands left of d is not known.
    return dims[-2] if isinstance(dims[-1], Axis) else None


def _with_vector(first: Dims, second: Dims) -> Dims:
    if isinstance(first[0], Spread) and len(first) == 1:
        return (SOME_AXES,)
    if isinstance(second[0], Spread) and len(second) == 1:
        return (SOME_AXES,)
    if len(second) == 1:
        return first[:-1]
    if isinstance(second[-1], Spread) or isinstance(second[-2], Spread):
        return (SOME_AXES,)
    return (*second[:-2], second[-1])


def total(dims: Dims) -> Axis:
    """How many elements a tensor has; a ``*batch`` counts as one factor."""
    factors: list[Axis] = []
    for dim in dims:
        if isinstance(dim, Axis):
            factors.append(dim)
        elif dim.name is None or dim.broadcast:
            return UNKNOWN
        else:
            factors.append(axes.named(f"*{dim.name}"))
    return axes.product(factors)
