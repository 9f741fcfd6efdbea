"""Another claim that fits: a legal alternative is not a bug, and is named before anything else is."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from veriformer import tolerance
from veriformer.inputs import Inputs
from veriformer.oracle import oracle
from veriformer.outcome import Violation
from veriformer.subjects import Instance
from veriformer_spec.role import Role

LOWEST, HIGHEST, STEPS = -7.0, 5.0, 25
"""Natural logarithms of the scales that are tried before the best is refined: 1e-3 to 150."""


def factor(instance: Instance) -> float:
    """What the claim ``scale`` says that scores are multiplied by; 1/sqrt(d_head) where it says nothing."""
    claimed = instance.config.scale
    if isinstance(claimed, int | float):
        return float(claimed)
    return 1.0 if claimed in ("none", "folded") else 1 / math.sqrt(instance.config.d_head)


def factor_in_words(value: float, instance: Instance, k_len: int) -> str:
    """``value``, and the mistake that usually produces it."""
    d_head, d_model = instance.config.d_head, instance.config.d_model
    known = {
        "1/sqrt(d_head)": d_head**-0.5,
        "1, which is scale=none": 1.0,
        "1/d_head, as if scaled twice": 1 / d_head,
        "1/sqrt(d_model)": d_model**-0.5,
        "1/d_model": 1 / d_model,
        "1/sqrt(number of keys)": k_len**-0.5,
        "sqrt(d_head): multiplied where it should divide": d_head**0.5,
    }
    named = [name for name, each in known.items() if abs(value - each) <= 1e-6 * each]
    return f"{value:.6g}" + (f" = {named[0]}" if named else "")


def matches(got: Tensor, expected: Tensor, instance: Instance, inputs: Inputs) -> bool:
    """Whether the two are equal within rounding."""
    try:
        tolerance.require_close(got, expected, "", dtype=instance.subject.rounds_to, again=lambda: instance(inputs))
    except Violation:
        return False
    return True


def legal_alternative(instance: Instance, inputs: Inputs, got: Tensor) -> str:
    """What to add to a message where the reference under another legal claim gives what the subject gave."""
    if instance.config.scale == "unspecified":
        return ""
    for name, value in _alternatives(instance, inputs):
        claimed = getattr(instance.config, name)
        if matches(got, oracle(instance, **{name: value})(inputs), instance, inputs):
            return f": the claim {name}={claimed} does not hold, it behaves as {name}={value}"
    return ""


def _alternatives(instance: Instance, inputs: Inputs) -> Iterator[tuple[str, object]]:
    for scale in ("inverse-root", "none"):
        if scale != instance.config.scale:
            yield "scale", scale
    if inputs.q_len == inputs.k_len:
        yield "causal", not instance.config.causal
    if instance.subject.role is Role.MULTI_HEAD_ATTENTION:
        yield "memory", "query" if instance.config.memory == "separate" else "separate"


def fitted_scale(instance: Instance, inputs: Inputs, got: Tensor) -> float | None:
    """The scale under which the reference gives what the subject gave; None where none does.

    The best of a coarse grid, refined by Gauss-Newton steps.
    """
    target = got.detach().double().cpu()
    if not bool(target.isfinite().all()):
        return None

    def at(logarithm: float) -> Tensor:
        return oracle(instance, scale=math.exp(logarithm))(inputs)

    for usual in ("inverse-root", "none"):
        if matches(got, oracle(instance, scale=usual)(inputs), instance, inputs):
            return 1.0 if usual == "none" else instance.config.d_head**-0.5
    grid = torch.linspace(LOWEST, HIGHEST, STEPS, dtype=torch.float64).tolist()
    best = min(grid, key=lambda each: float((at(each) - target).square().sum()))
    for _ in range(20):
        here = at(best)
        slope = (at(best + 1e-6) - here) / 1e-6
        step = float(((target - here) * slope).sum() / slope.square().sum().clamp(min=1e-300))
        best += max(-1.0, min(1.0, step))
        if abs(step) < 1e-14 or not LOWEST - 2 < best < HIGHEST + 2:
            break
    return math.exp(best) if matches(got, at(best), instance, inputs) else None
