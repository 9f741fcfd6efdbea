"""How alike two outputs are: equal in every bit, within rounding, or not."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from veriformer import tolerance
from veriformer.comparison.made import leaves_of
from veriformer.comparison.result import Likeness

BOTH = 2
"""Either of two may be as far from what is exact as rounding explains."""

Found = tuple[Likeness, float, str]
"""How alike, how many units apart, and what differs."""


def likeness(old: Any, new: Any, *, rounds_to: torch.dtype, again: Callable[[], Any] | None = None) -> Found:
    """How alike two outputs are, whatever they are made of; of several parts, the least alike counts.

    Args:
        rounds_to: the dtype whose rounding is allowed for.
        again: makes OLD's output anew, for how far rounding carries it; asked only where it is needed.
    """
    before, after = dict(leaves_of(old)), dict(leaves_of(new))
    if before.keys() != after.keys():
        return Likeness.DIFFERS, math.inf, f"OLD returns {_shape(old)}, NEW {_shape(new)}"
    worst: Found = (Likeness.EQUAL, 0.0, "")
    for path, one in before.items():
        rerun = None if again is None else lambda path=path: dict(leaves_of(again()))[path]
        found = _of_leaves(path, one, after[path], rounds_to, rerun)
        worst = max(worst, found, key=lambda each: (list(Likeness).index(each[0]), each[1]))
    return worst


def _of_leaves(path: str, old: Any, new: Any, dtype: torch.dtype, again: Callable[[], Tensor] | None) -> Found:
    if not isinstance(old, Tensor) or not isinstance(new, Tensor):
        alike = type(old) is type(new) and (not isinstance(old, int | float | str | bool) or old == new)
        said = "" if alike else f"{path}: OLD returns {_shape(old)}, NEW {_shape(new)}"
        return (Likeness.EQUAL, 0.0, "") if alike else (Likeness.DIFFERS, math.inf, said)
    if old.shape != new.shape or old.dtype != new.dtype:
        said = f"{path}: OLD has {tuple(old.shape)} in {_word(old)}, NEW {tuple(new.shape)} in {_word(new)}"
        return Likeness.DIFFERS, math.inf, said
    if same_bits(old, new):
        return Likeness.EQUAL, 0.0, ""
    far = apart(old, new)
    worst = float(far.max())
    if not old.is_floating_point():
        return Likeness.DIFFERS, math.inf, f"{path}: whole numbers differ by up to {worst:.3g}"
    finite = torch.where(old.isfinite(), old, torch.zeros_like(old))
    unit = tolerance.floor(finite, dtype)
    allowed = BOTH * tolerance.units(dtype)
    if worst > allowed * unit and again is not None and worst < tolerance.HOPELESS * unit:
        unit += tolerance.envelope(lambda: again().detach(), tolerance.roundoff(dtype))
    if worst <= allowed * unit:
        return Likeness.WITHIN_ROUNDING, worst / unit, ""
    rows = f"{int((far > allowed * unit).sum())} of {far.numel()} numbers"
    said = f"{path}: {rows} differ, by up to {worst:.3g}, where rounding explains {allowed * unit:.3g}"
    only = "; OLD is finite there and NEW is not" if _lost(old, new) else ""
    only = only or ("; NEW is finite there and OLD is not" if _lost(new, old) else "")
    return Likeness.DIFFERS, worst / unit, said + only


def same_bits(old: Tensor, new: Tensor) -> bool:
    """Whether both hold the same numbers, NaN where the other has NaN."""
    return bool(((old == new) | ((old != old) & (new != new))).all())  # noqa: PLR0124  # NaN is not itself


def apart(old: Tensor, new: Tensor) -> Tensor:
    """How far apart each two numbers are: 0 for equal ones, infinities and NaN among them; infinite where only one is finite."""
    one, other = old.detach().double().cpu(), new.detach().double().cpu()
    alike = (one == other) | (one.isnan() & other.isnan())
    return torch.where(alike, torch.zeros_like(one), (one - other).abs()).nan_to_num(nan=torch.inf, posinf=torch.inf)


def _lost(finite: Tensor, other: Tensor) -> bool:
    return bool((finite.isfinite() & ~other.isfinite()).any())


def _word(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _shape(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"a tensor of {tuple(value.shape)}"
    if isinstance(value, dict):
        return f"a {type(value).__name__} of {', '.join(map(str, value))}"
    if isinstance(value, list | tuple):
        return f"a {type(value).__name__} of {len(value)}"
    return "None" if value is None else f"{type(value).__name__} {value!r}"[:60]
