"""Training, tested: gradients that are the derivative of what was computed."""

import dataclasses

import torch

from veriformer import calls, derivative
from veriformer.case import Case
from veriformer.dropout import in_training
from veriformer.outcome import NotChecked, Vacuous, Violation
from veriformer.property import checks
from veriformer.strategies import cases
from veriformer.subjects import Instance, Subject
from veriformer.weights import trainable
from veriformer_spec import training
from veriformer_spec.config import MASK_KINDS
from veriformer_spec.role import ATTENDING, Role

SEEDS = 3
"""Inputs after which a parameter without a gradient is suspect."""
MORE_SEEDS = 15
"""Inputs, each with other weights, after which it is believed to have none: tokens may be sent to other experts."""


@checks(
    training.EVERY_PARAMETER_GETS_A_GRADIENT,
    sentence="86f356fe",
    cases=cases(d_ff=(6, 12), masks=("none", "causal")),
    most=8,
)
def test_every_parameter_gets_a_gradient(subject: Subject, case: Case) -> None:
    """Backward from a random direction, in training mode: no parameter is left out, whatever the inputs."""
    instance = subject.instance(case)
    reached = _Reached(instance)
    if not reached.without:
        raise NotChecked("no parameter requires a gradient")
    for draw in range(SEEDS):
        reached.look(instance, dataclasses.replace(case, seed=case.seed + draw))
    many = case if "batch" in subject.declaration.sizes else dataclasses.replace(case, batch=8)
    for draw in range(SEEDS, MORE_SEEDS):
        if not reached.without:
            return
        other = dataclasses.replace(many, seed=case.seed + draw)
        reached.look(subject.instance(other), other)
    allowed = _may_be_dead(subject, case)
    parameters = dict(trainable(instance.module_or_not_checked()))
    for name in reached.without:
        parameter = parameters[name]
        if name in reached.touched and parameter.numel() <= case.d_model and allowed:
            allowed -= 1  # a key's bias: in the graph, and of no effect
            continue
        if name in reached.touched:
            raise Violation(f"the gradient of {name} is zero throughout, for {MORE_SEEDS} inputs")
        what = (
            "does not enter the output"
            if derivative.does_not_matter(instance, case, parameter)
            else "is cut off from it (detach? .data?)"
        )
        raise Violation(f"{name} gets no gradient: it {what}")


class _Reached:
    """Which parameters got a gradient so far.

    Attributes:
        without: those that got none, or zeros.
        touched: those that were in a graph.
    """

    def __init__(self, instance: Instance) -> None:
        self.without = [name for name, _ in trainable(instance.module_or_not_checked())]
        self.touched: set[str] = set()

    def look(self, instance: Instance, case: Case) -> None:
        """One forward and backward pass."""
        parameters = dict(trainable(instance.module_or_not_checked()))
        with in_training(instance):
            inputs = instance.subject.inputs(case)
            output = instance(inputs, grad=True)
            if (
                not output.requires_grad
            ):  # reentrant checkpoints record only where an input asks for it, as embeddings do
                output = instance(inputs.requiring_gradients(), grad=True)
            if not output.requires_grad:
                raise Violation(
                    "the output does not require a gradient: no parameter can be trained (no_grad? detach?)"
                )
            calls.backward(output, case.seed)
        for name, parameter in parameters.items():
            if parameter.grad is not None:
                self.touched.add(name)
                if name in self.without and bool((parameter.grad != 0).any()):
                    self.without.remove(name)
                parameter.grad = None


def _may_be_dead(subject: Subject, case: Case) -> int:
    """How many vectors may have no effect: one key bias for each attention."""
    if subject.role not in ATTENDING:
        return 0
    return case.layers if subject.role is Role.ENCODER else 1


@checks(training.GRADIENTS_ARE_THE_DERIVATIVE, sentence="5ae32d86", cases=cases(masks=MASK_KINDS), most=15, floor=1)
def test_gradients_are_the_derivative(subject: Subject, case: Case) -> None:
    """Move inputs and parameters along a random direction: the output changes as the gradient says, in both modes."""
    if subject.dtype is not torch.float64:
        raise NotChecked("differences are too coarse in anything but float64")
    instance = subject.instance(case)
    rounded = subject.rounds_to is not torch.float64
    for widened in (False, True) if rounded else (False,):
        wrong: list[tuple[str, str]] = []
        for attempt in range(derivative.ATTEMPTS):
            inputs = subject.inputs(dataclasses.replace(case, seed=case.seed + attempt))
            with derivative.mode(instance, training=case.seed % 2 == 1):
                point = derivative.Point(instance, inputs, case.seed + attempt, widened=widened)
                if not point.recorded:
                    raise _nothing_recorded(point)
                whole = point.compare(point.everything())
                if whole.agrees:
                    return
                if whole.informative:
                    wrong.append(_said(point, whole))
            if len(wrong) == derivative.ENOUGH:
                raise Violation(wrong[0][0], margin=wrong[0][1])
    raise Vacuous("the central difference cannot be told from rounding, or from a kink, at any point tried")


def _nothing_recorded(point: derivative.Point) -> NotChecked | Violation:
    """What it means that autograd saw nothing: of a module with parameters, another clause says so."""
    if point.parameters or not point.leaves:
        return NotChecked("the output records no gradient, though gradients are on")
    return Violation(
        "the output records no gradient towards the input, though gradients are on: nothing that stands before it can be trained "
        "(no_grad? detach? a way through numpy?)"
    )


def _said(point: derivative.Point, whole: derivative.Comparison) -> tuple[str, str]:
    """Which tensors' gradients are wrong, and by how much."""
    compared = ((name, point.compare(directions)) for name, directions in point.one_by_one())
    names = [name for name, each in compared if each.informative and not each.agrees]
    where = f" with respect to {', '.join(names[:4])}" if names else ""
    margin = f"gradient {whole.analytic:.6g}, central difference {whole.numeric:.6g}, sure to {whole.uncertainty:.2g}"
    return f"the gradient{where} is not the derivative of what was computed", margin
