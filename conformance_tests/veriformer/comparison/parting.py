"""The first point at which NEW leaves OLD, found by the numbers that both make, whatever their parts are called.

A tensor of OLD is *shown* if NEW makes the same numbers, in any order of axes. One that is not shown, while a later one that depends
on it is, was only made otherwise (fused, or never at all).
"""

import dataclasses
import itertools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from veriformer import tolerance
from veriformer.comparison.likeness import apart, likeness
from veriformer.comparison.made import Call, Made, Setting
from veriformer.comparison.result import Likeness, Parting
from veriformer.comparison.watching import Step, trail
from veriformer.outcome import SubjectError

SLACK = 32
"""What is within this many times the tolerance of a dtype is the same number on its way."""
NEAR = 0.1
"""A share of the largest number, below which NEW's nearest numbers are taken to be meant for the same."""
SIDE = 4
"""Rows and columns of the matrices that are shown."""

Named = Callable[[Tensor], str]
"""What the specification calls a tensor of OLD; empty where it does not know it."""


@dataclasses.dataclass(frozen=True)
class _Nearest:
    step: Step
    turned: Tensor
    share: float


def parting(old: Made, new: Made, call: Call, setting: Setting, *, named: Named = lambda _: "") -> Parting | None:
    """Where NEW first leaves OLD on ``call``; None where the inside of either cannot be seen, or shows no difference."""
    if old.compiled or new.compiled:
        return None
    try:
        one, other = trail(old, call, setting), trail(new, call, setting)
    except SubjectError:
        return None
    if likeness(one.output, other.output, rounds_to=setting.dtype)[0] is not Likeness.DIFFERS:
        return None  # what is watched takes another path through a kernel, on which they agree
    before, after = [step for step in one.steps if step.fresh and step.tells], other.steps
    bound = SLACK * tolerance.units(setting.dtype) * 4 * tolerance.roundoff(setting.dtype)
    shown = [any(_same(step, other, bound) for other in after) for step in before]
    left = [index for index, each in enumerate(shown) if not each]
    left = [index for index in left if not _made_otherwise(index, before, shown, old, call, setting)]
    if not left:
        return None
    unclaimed = [other for other in after if not any(_same(step, other, bound) for step in before)]
    first = left[0]
    nearest: _Nearest | None = None
    for index in left:
        moved = [other for other in after if _holds(before[index], other, bound)]
        if moved:  # the same numbers, in another order
            first, nearest = index, _nearest(before[index], moved)
            break
        found = _nearest(before[index], unclaimed)
        if found is not None and (found.share < NEAR or found.step.operation == before[index].operation):
            first, nearest = index, found
            break
    return _told(before, shown, first, nearest or _nearest(before[first], unclaimed), named)


def _same(step: Step, other: Step, bound: float) -> bool:
    """Whether both hold the same numbers in the same order, whatever the order of their axes."""
    # sorted first: most tensors differ in that already, and it is cheap
    return _holds(step, other, bound) and arranged_alike(step.values, other.values, _within(step, bound))


def _holds(step: Step, other: Step, bound: float) -> bool:
    """Whether both hold the same numbers, in whatever order."""
    same_size = step.values.numel() == other.values.numel()
    return same_size and _far(step.sorted, other.sorted) <= _within(step, bound)


def _within(step: Step, bound: float) -> float:
    finite = step.values[step.values.isfinite()]
    return bound * max(float(finite.abs().max()) if finite.numel() else 1.0, 1e-300)


def arranged_alike(one: Tensor, other: Tensor, within: float) -> bool:
    """Whether ``other`` is ``one`` as it lies in memory, or with its axes in another order: heads merged wrongly are neither."""
    if one.numel() != other.numel():
        return False
    if _far(one.flatten(), other.flatten()) <= within:
        return True
    left, right = one.squeeze(), other.squeeze()
    if sorted(left.shape) != sorted(right.shape):
        return False
    orders = (order for order in itertools.permutations(range(right.dim())) if right.permute(order).shape == left.shape)
    return any(_far(left, right.permute(order)) <= within for order in orders)


def _far(one: Tensor, other: Tensor) -> float:
    return float(apart(one, other).max())


def _made_otherwise(
    index: int, before: Sequence[Step], shown: Sequence[bool], old: Made, call: Call, setting: Setting
) -> bool:
    """Whether something that depends on a tensor that is not shown is shown; or nothing at all depends on it."""
    changed = {step.order: step for step in trail(old, call, setting, disturbed=before[index].order).steps}
    depends = [
        at
        for at in range(index + 1, len(before))
        if (other := changed.get(before[at].order)) is None
        or other.values.shape != before[at].values.shape
        or bool((apart(other.values, before[at].values) > 0).any())
    ]
    return any(shown[at] for at in depends) or (not depends and index + 1 < len(before))


def _nearest(step: Step, others: Sequence[Step]) -> _Nearest | None:
    """The tensor of ``others`` that is nearest, with its axes as ``step`` has them."""
    found: list[_Nearest] = []
    scale = float(step.values[step.values.isfinite()].abs().max())
    for other in others:
        turned = _turned(other.values, step.values)
        if turned is not None:
            found.append(_Nearest(other, turned, float(apart(step.values, turned).max()) / max(scale, 1e-300)))
    return min(found, key=lambda each: (each.share, each.step.operation != step.operation), default=None)


def _turned(tensor: Tensor, like: Tensor) -> Tensor | None:
    """``tensor`` in the shape of ``like``: as it is, or with two axes exchanged, or as it lies in memory; the nearest of them."""
    if tensor.numel() != like.numel():
        return None
    ways = [tensor] if tensor.shape == like.shape else []
    if tensor.dim() == like.dim():
        ways += [
            turned
            for one in range(tensor.dim())
            for other in range(one + 1, tensor.dim())
            if (turned := tensor.transpose(one, other)).shape == like.shape
        ]
    ways = ways or [tensor.reshape(like.shape)]
    return min(ways, key=lambda each: float(apart(like, each).max()))


def _told(before: Sequence[Step], shown: Sequence[bool], index: int, nearest: _Nearest | None, named: Named) -> Parting:
    step = before[index]
    last = max((at for at in range(index) if shown[at]), default=None)
    if nearest is None:
        return Parting(after="" if last is None else _said(before[last], named), at=str(step), difference=float("inf"))
    far = apart(step.values, nearest.turned)
    where = [int(each) for each in torch.unravel_index(far.argmax(), far.shape)]
    return Parting(
        after="" if last is None else _said(before[last], named),
        at=str(step),
        there=str(nearest.step),
        named=named(step.values),
        difference=float(far.max()),
        old=_around(step.values, where),
        new=_around(nearest.turned, where),
        index=where,
    )


def _said(step: Step, named: Named) -> str:
    known = named(step.values)
    return f"{known} ({step})" if known else str(step)


def _around(values: Tensor, where: Sequence[int]) -> list[object]:
    """The rows and columns around one number."""
    axes = values.dim()
    window = values[tuple(where[: max(axes - 2, 0)])]
    for axis, at in enumerate(where[max(axes - 2, 0) :]):
        start = max(0, min(at - SIDE // 2, window.shape[axis] - SIDE))
        window = window.narrow(axis, start, min(SIDE, window.shape[axis]))
    listed: list[object] = window.tolist()
    return listed
