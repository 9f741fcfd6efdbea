"""Answers: what came back when something was asked, and how far two answers are apart."""

import dataclasses
import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from veriformer import tolerance

Answer = Mapping[str, Tensor]
"""Numbers by the name of what they are, in float64 on the CPU; ``RAISED`` alone where asking raised."""

RAISED = "raised"
"""The one part of the answer of a call that raised; its number says what kind of exception it was."""


@dataclasses.dataclass(frozen=True)
class Distance:
    """How far one answer is from another.

    Attributes:
        units: of rounding, beyond those that a correct implementation may be away: 1 is the most that equals; infinite where shapes
            differ, or where one of the two raised.
        relative: the largest difference as a share of the largest number, at most 1.
    """

    units: float
    relative: float

    @property
    def equal(self) -> bool:
        """Whether rounding explains it."""
        return self.units <= 1

    def or_further(self, other: "Distance") -> "Distance":
        """The larger of both, each by itself."""
        return Distance(max(self.units, other.units), max(self.relative, other.relative))


NOTHING = Distance(0.0, 0.0)
APART = Distance(math.inf, 1.0)
"""Of answers that cannot be compared."""

Envelope = Callable[[], Mapping[str, float]]
"""How far each part of an answer moves when every operation rounds; asked for only where it decides."""


def numbers(values: Mapping[str, Tensor]) -> Answer:
    """As answers are kept."""
    return {name: each.detach().double().cpu() for name, each in values.items()}


def apart(got: Answer, expected: Answer, dtype: torch.dtype, envelope: Envelope | None = None) -> Distance:
    """How far ``got`` is from ``expected``, at the precision of ``dtype``.

    Rounding is that of the largest number in the whole answer: the gradient towards the keys' bias is zero, as the softmax takes
    no notice of it, and what stands in its place is what remained of larger ones.
    """
    if got.keys() != expected.keys():
        return APART
    if RAISED in got:
        return NOTHING
    largest = NOTHING
    floor = max((tolerance.floor(wanted, dtype) for wanted in expected.values() if wanted.numel()), default=0.0)
    for name, wanted in expected.items():
        seen = got[name]
        if seen.shape != wanted.shape:
            return APART
        if seen.numel() == 0:
            continue
        off = _largest_difference(seen, wanted)
        if off == 0:
            continue
        unit = floor * tolerance.units(dtype)
        if unit < off < tolerance.HOPELESS * unit and envelope is not None:
            unit += tolerance.units(dtype) * envelope().get(name, 0.0)
        size = _size(wanted)
        relative = 1.0 if not math.isfinite(off) else min(1.0, off / max(size, off))
        largest = largest.or_further(Distance(off / unit, relative))
    return largest


def _largest_difference(got: Tensor, expected: Tensor) -> float:
    """Infinite where one is a number and the other is none."""
    if torch.equal(got, expected):
        return 0.0
    same = (got == expected) | (got.isnan() & expected.isnan())
    difference = torch.where(same, torch.zeros_like(got), (got - expected).abs())
    return float(torch.nan_to_num(difference, nan=torch.inf).max())


def _size(tensor: Tensor) -> float:
    finite = tensor[tensor.isfinite()]
    return float(finite.abs().max()) if finite.numel() else 0.0
