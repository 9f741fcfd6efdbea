"""Gradients: what flows back to the inputs and to the weights, in OLD and in NEW."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from veriformer.comparison.likeness import likeness
from veriformer.comparison.made import Call, Made, Setting, leaves_of, tree_map
from veriformer.comparison.result import Likeness, Run
from veriformer.comparison.states import weights
from veriformer.comparison.trial import Trial
from veriformer.inputs import generator
from veriformer.outcome import SubjectError

SETTING = Setting(torch.float64, grad=True)
GRADIENTS = ", gradients"
"""What stands behind a call whose gradients are compared."""


def gradients(trial: Trial, run_of: Callable[..., Run]) -> list[Run]:
    """One run: the gradients of a random sum of what comes out, for the inputs, and for the weights that have one name in both."""
    try:
        before, after = (_gradients(made, trial.call) for made in (trial.old, trial.new))
    except SubjectError:
        return []  # the calls themselves have told that it raises
    shared = {name for name in before if name in after and _shape(before[name]) == _shape(after[name])}
    one, other = ({name: each[name] for name in sorted(shared)} for each in (before, after))
    if not one or not any(isinstance(each, Tensor) for each in one.values()):
        return []
    found = likeness(one, other, rounds_to=torch.float64, again=None)
    alike, units, reason = found
    if alike is Likeness.DIFFERS and units < MOST_UNITS:
        # without an envelope: how far rounding carries a gradient is not measured, and this is no more than it may
        alike, reason = Likeness.WITHIN_ROUNDING, ""
    return [run_of(trial, SETTING, (alike, units, reason.replace("output", "gradients", 1)), GRADIENTS)]


MOST_UNITS = 2.0**24
"""Units by which gradients may differ: they are passed through everything, and squared sums with it."""


def _shape(value: Any) -> object:
    return tuple(value.shape) if isinstance(value, Tensor) else None


def _gradients(made: Made, call: Call) -> dict[str, Any]:
    inputs: list[Tensor] = []

    def leaf(tensor: Tensor) -> Tensor:
        copy = tensor.detach().clone()
        if copy.is_floating_point():
            inputs.append(copy.requires_grad_())
        return copy

    own = Call(call.words, tree_map(leaf, call.arguments), tree_map(leaf, dict(call.keywords)))
    output = made(own, SETTING, leaves=True)
    random = generator(2)
    parts = [each for _, each in leaves_of(output) if isinstance(each, Tensor) and each.requires_grad]
    parts = [call.specified(each) if isinstance(output, Tensor) else each for each in parts]
    sums = [(each * torch.randn(each.shape, generator=random, dtype=torch.float64)).sum() for each in parts]
    held = (
        {name: each for name, each in weights(made.module).items() if each.requires_grad}
        if made.module is not None
        else {}
    )
    wanted = [*inputs, *held.values()]
    found = [torch.zeros_like(each) for each in wanted]  # what nothing depends on
    if sums and wanted:
        found = list(torch.autograd.grad(torch.stack(sums).sum(), wanted, allow_unused=True, materialize_grads=True))
    names = [*(f"input {index}" for index in range(len(inputs))), *held]
    return dict(zip(names, found, strict=True))
