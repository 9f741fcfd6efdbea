"""The tolerance of ``veriformer_spec.numerics``: how far from exact a correct result may be."""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from veriformer.dispatch import Watch, mapped
from veriformer.outcome import Violation
from veriformer_spec.numerics import UNIT_ROUNDOFF, UNITS

DRAWS = 4
"""Noisy runs behind one envelope."""

HOPELESS = 2.0**28
"""Units beyond which no conditioning is worth measuring: the envelope would not reach there, and costs a hundred forwards."""


WHOLE = 2**10
"""Whole numbers up to here come from whole numbers, and whatever made them rounded nothing."""


def roundoff(dtype: torch.dtype) -> float:
    """The unit roundoff of ``dtype``."""
    return UNIT_ROUNDOFF[str(dtype).removeprefix("torch.")]


def units(dtype: torch.dtype) -> int:
    """How many units a correct implementation in ``dtype`` may be away."""
    return UNITS[str(dtype).removeprefix("torch.")]


def floor(exact: Tensor, dtype: torch.dtype) -> float:
    """The unit without its measured part: 4 eps max|exact|; never zero, so that a ratio exists."""
    scale = float(exact.detach().abs().max()) if exact.numel() else 0.0
    if not math.isfinite(scale):
        scale = _largest(exact.detach().abs())
    return 4 * roundoff(dtype) * max(scale, 1e-300)


class Noise(Watch):
    """Multiply what every operation returns by ``1 + eps u``, u uniform in [-1, 1]: one rounding error each."""

    def __init__(self, eps: float, seed: int) -> None:
        super().__init__()
        self.eps = eps
        self.random = torch.Generator().manual_seed(seed)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Iterable[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run ``func``; results that own their memory come back with noise."""
        result = func(*args, **(kwargs or {}))
        if any(each.alias_info is not None for each in func._schema.returns):  # noqa: SLF001  # no public way to ask for aliasing
            return result  # a view, or an argument written in place: noise would cut it off from what it shares
        return mapped(self._noisy, result)

    def _noisy(self, value: Any) -> Any:
        if not isinstance(value, Tensor) or not value.is_floating_point():
            return value
        factor = torch.rand(value.shape, generator=self.random, dtype=torch.float64) * 2 - 1
        # small whole numbers are counts and masks: they are exact, and code may well ask whether one equals another
        factor = factor.to(value.device).masked_fill((value == value.round()) & (value.abs() <= WHOLE), 0)
        return value * (1 + self.eps * factor).to(device=value.device, dtype=value.dtype)


def envelope(run: Callable[[], Tensor], eps: float, *, draws: int = DRAWS) -> float:
    """The largest deviation of ``run`` when each of its operations makes a rounding error of ``eps``."""
    with torch.no_grad():
        return envelopes(lambda: {"": run()}, eps, draws=draws)[""]


def envelopes(
    run: Callable[[], Mapping[str, Tensor]], eps: float, *, draws: int = DRAWS, noise: type[Noise] = Noise
) -> Mapping[str, float]:
    """The same of an answer of several parts, for each of them; parts that change their shape under noise are left out.

    Args:
        noise: which errors are made.
    """
    used = max(
        eps, 2.0**-46
    )  # smaller noise would itself be rounded in float64; to first order the deviation is linear in it
    calm = run()
    largest = dict.fromkeys(calm, 0.0)
    for draw in range(draws):
        with noise(used, draw):
            shaken = run()
        for name, each in shaken.items():
            if name in calm and each.shape == calm[name].shape:
                largest[name] = max(largest[name], _largest((each - calm[name]).abs()))
    return {name: each * eps / used for name, each in largest.items()}


def _largest(values: Tensor) -> float:
    finite = values[values.isfinite()]
    return float(finite.max()) if finite.numel() else 0.0


def require_close(
    got: Tensor,
    expected: Tensor,
    message: str,
    *,
    dtype: torch.dtype,
    again: Callable[[], Tensor] | None = None,
) -> None:
    """Fail if ``got`` is further from ``expected`` than ``units(dtype)`` units.

    Args:
        dtype: whose rounding is allowed for.
        again: computes one of the two anew, in float64; the envelope comes from it, and only where it is needed: most
            correct results lie within the floor.

    Raises:
        Violation: they differ by more.
    """
    if got.shape != expected.shape:
        raise Violation(f"{message}: shape {tuple(got.shape)}, expected {tuple(expected.shape)}")
    if got.numel() == 0:
        return
    got, expected = got.detach().double().cpu(), expected.detach().double().cpu()
    if torch.equal(got, expected):
        return
    difference = torch.where(got == expected, torch.zeros_like(got), (got - expected).abs())
    difference = torch.where(got.isnan() & expected.isnan(), torch.zeros_like(got), difference)
    difference = torch.nan_to_num(difference, nan=torch.inf)
    worst = float(difference.max())
    unit = floor(expected, dtype)
    if worst <= units(dtype) * unit:
        return
    if again is not None and worst < HOPELESS * unit:
        unit += envelope(again, roundoff(dtype))
        if worst <= units(dtype) * unit:
            return
        unit = max(unit, floor(expected, dtype) + envelope(again, roundoff(dtype), draws=8 * DRAWS))
        if worst <= units(dtype) * unit:
            return
    position = int(difference.flatten().argmax())
    index = tuple(int(each) for each in torch.unravel_index(torch.tensor(position), difference.shape))
    raise Violation(
        message,
        expected=expected[index[:-1]] if difference.dim() > 1 else expected,
        got=got[index[:-1]] if difference.dim() > 1 else got,
        index=index,
        whole=(expected, got),
        margin=f"{worst:.3g} off, where rounding explains {units(dtype) * unit:.3g}",
    )
