"""The directional derivative, twice: from the gradient, and from central differences of the output.

``f(t) = <output at (inputs + t u, parameters + t v), c>`` for random ``u``, ``v``, ``c``. Two step sizes give Richardson's
extrapolation, and their disagreement says how far the difference can be trusted: where a kink of a ReLU lies between the steps, or
rounding drowns the change, nothing is concluded.
"""

import contextlib
import dataclasses
import math
from collections.abc import Iterator

import torch
from torch import Tensor

from veriformer import calls, tolerance
from veriformer.case import Case
from veriformer.dropout import in_training
from veriformer.inputs import Inputs, generator, normal
from veriformer.outcome import NotChecked
from veriformer.precision import Widening
from veriformer.subjects import Instance
from veriformer.weights import trainable

ATTEMPTS = 5
"""Points tried: at one, a unit may stand so near its kink that no step is small enough; not at five."""
ENOUGH = 3
"""Points that must disagree, and none agree, before the gradient is called wrong."""
TRUST = 16.0
"""How many times the disagreement of the two step sizes the extrapolation may be off."""
TELLING = 0.02
"""What the uncertainty may be of the gradient's size, for a comparison to mean something."""

Directions = list[tuple[Tensor, Tensor]]
"""Tensors to move, each with where to."""


@dataclasses.dataclass(frozen=True)
class Comparison:
    """The derivative along one direction, from the gradient and from differences, and how sure the differences are."""

    analytic: float
    numeric: float
    uncertainty: float
    size: float

    @property
    def informative(self) -> bool:
        """Whether a wrong gradient would show."""
        return self.size > 0 and self.uncertainty < TELLING * self.size

    @property
    def agrees(self) -> bool:
        """Whether both are the same, where that means something."""
        return self.informative and abs(self.analytic - self.numeric) <= self.uncertainty


@contextlib.contextmanager
def mode(instance: Instance, *, training: bool) -> Iterator[None]:
    """Training with dropout at 0, or evaluation."""
    with in_training(instance) if training else contextlib.nullcontext():
        yield


class Point:
    """Where a derivative is taken: an instance and the inputs of one call, with the gradients there.

    Args:
        widened: what the instance computes in float32 inside is computed in float64, so that differences are sharp.
    """

    def __init__(self, instance: Instance, inputs: Inputs, seed: int, *, widened: bool = False) -> None:
        self.instance = instance
        self.seed = seed
        self.widened = widened
        self.inputs = inputs.requiring_gradients()
        distinct = self.inputs.tensors[: 1 if inputs.self_attending else None]
        self.parameters = [] if instance.module is None else trainable(instance.module)
        named = zip(calls.names_of_tensors(inputs), distinct, strict=False)
        self.leaves: dict[str, Tensor] = {name: each for name, each in named if each.requires_grad}
        self.leaves |= dict(self.parameters)
        output = self._called()
        self.weights = normal(tuple(output.shape), generator(seed + 1), output.dtype, output.device)
        self.recorded = bool(output.requires_grad)
        leaves = list(self.leaves.values())
        found: tuple[Tensor | None, ...] = (None,) * len(leaves)
        if self.recorded:
            try:
                found = torch.autograd.grad((output * self.weights).sum(), leaves, allow_unused=True)
            except RuntimeError as error:
                if "checkpoint" not in str(error).lower():
                    raise
                raise NotChecked("reentrant checkpoints work with backward() only") from error
        self.gradients = {
            name: torch.zeros_like(leaf) if gradient is None else gradient
            for (name, leaf), gradient in zip(self.leaves.items(), found, strict=True)
        }
        self.scale = float(output.detach().abs().max()) * math.sqrt(output.numel())

    def _called(self) -> Tensor:
        with Widening() if self.widened else contextlib.nullcontext():
            return self.instance(self.inputs, grad=True)

    def directions(self, names: list[str]) -> Directions:
        """A random direction for each of the named leaves."""
        random = generator(self.seed + 2)
        return [
            (
                self.leaves[name],
                normal(tuple(self.leaves[name].shape), random, self.leaves[name].dtype, self.leaves[name].device),
            )
            for name in names
        ]

    def everything(self) -> Directions:
        """All inputs and all parameters at once."""
        return self.directions(list(self.leaves))

    def one_by_one(self) -> Iterator[tuple[str, Directions]]:
        """Each input and each parameter alone, by its name."""
        for name in self.leaves:
            yield name, self.directions([name])

    def compare(self, directions: Directions) -> Comparison:
        """The derivative along ``directions``, both ways."""
        moved = {id(leaf): towards for leaf, towards in directions}
        parts = [
            (self.gradients[name], moved[id(leaf)], leaf) for name, leaf in self.leaves.items() if id(leaf) in moved
        ]
        analytic = sum(float((gradient * towards).sum()) for gradient, towards, _ in parts)
        size = math.sqrt(sum(float(gradient.double().square().sum()) for gradient, _, _ in parts))
        dtype = torch.float64 if self.widened else self.instance.subject.rounds_to
        eps = tolerance.roundoff(dtype)
        noise = (
            4
            * tolerance.units(dtype)
            * eps
            * (self.scale + size * max(float(leaf.detach().abs().max()) for _, _, leaf in parts))
        )
        step = 1e-4 if dtype is torch.float64 else 2e-2
        wide, narrow = self._difference(directions, step), self._difference(directions, step / 2)
        numeric = (4 * narrow - wide) / 3
        uncertainty = TRUST * abs(narrow - wide) + noise / step
        return Comparison(analytic, numeric, uncertainty, max(size, abs(numeric)))

    def _difference(self, directions: Directions, step: float) -> float:
        return (self._value(directions, step) - self._value(directions, -step)) / (2 * step)

    def _value(self, directions: Directions, step: float) -> float:
        before = [leaf.detach().clone() for leaf, _ in directions]
        with torch.no_grad():
            for (leaf, towards), own in zip(directions, before, strict=True):
                leaf.copy_(own + step * towards)
        try:
            return float((self._called().detach().double() * self.weights).sum())
        finally:
            with torch.no_grad():
                for (leaf, _), own in zip(directions, before, strict=True):
                    leaf.copy_(own)


def does_not_matter(instance: Instance, case: Case, parameter: torch.nn.Parameter) -> bool:
    """Whether the output stays the same when ``parameter`` is replaced."""
    inputs = instance.subject.inputs(case)
    before, kept = instance(inputs), parameter.detach().clone()
    with torch.no_grad():
        parameter.add_(normal(tuple(parameter.shape), generator(case.seed), parameter.dtype, parameter.device))
    try:
        return torch.equal(instance(inputs), before)
    finally:
        with torch.no_grad():
            parameter.copy_(kept)
