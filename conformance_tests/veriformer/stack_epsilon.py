"""The eps of a stack's norms, seen from outside: at tokens as small as eps, with sublayers silenced."""

import dataclasses
import math

import torch
from torch import Tensor, nn

from veriformer import bare_stack, norm_probe, tolerance
from veriformer.arrangements import Norm
from veriformer.bare_stack import claimed_norm
from veriformer.case import Case
from veriformer.norm_probe import call
from veriformer.outcome import NotChecked, Violation
from veriformer.subjects import Instance, Subject
from veriformer.weights import is_untouched_gain, trainable
from veriformer_spec.role import LAYERED

LARGE = 1e5
"""Size of tokens beside which no usual eps shows, and a sublayer's output keeps ten digits."""

SILENT = 1e-2
"""Output below which a sublayer says nothing."""


def require_epsilon_of_a_stack(subject: Subject, case: Case) -> None:
    """Fail if the norms that are left when sublayers return a constant have another eps, or have it elsewhere.

    Raises:
        Violation: they have.
        NotChecked: the weights are not understood.
    """
    seen = bare_stack.look(subject, case)
    claimed = claimed_norm(subject)
    if seen.departure:
        norm = seen.departure.norm
        if norm.eps != claimed.eps or norm.outside:
            raise seen.violation(
                f"the claim eps={claimed.eps:g}, inside the root, does not hold: {seen.departure.words}"
            )
    if not seen.departure and not seen.unexplained and not seen.as_claimed:
        raise seen.violation(
            f"the claim eps={claimed.eps:g}, inside the root, does not hold: no usual eps explains the output"
        )
    if subject.config(case).norm == "pre":
        _require_epsilon_before_sublayers(subject, case)


def _require_epsilon_before_sublayers(subject: Subject, case: Case) -> None:
    """Shrink the tokens and raise the gains to match: the sublayers then get the same input, if eps is as claimed."""
    case = dataclasses.replace(case, layers=1, d_ff=_other_size(subject, case))
    if subject.config(case).ends_in_norm and subject.role in LAYERED:
        return  # the final norm was seen, and hides the others
    eps = float(subject.claims["eps"])
    variances = (eps, 16 * eps) if eps else (1e-10, 1e-6)
    for sublayer in ("attention", "feed-forward network"):
        instance = subject.instance(case, random_weights=False)
        gains = _only(instance, case, sublayer)
        if not gains:
            return

        def seen(norm: Norm, gains: list[nn.Parameter] = gains, instance: Instance = instance) -> list[Tensor]:
            outputs = []
            for variance in variances:
                x = norm_probe.of_variance(case, variance, case.seed, subject)
                shrinks = math.sqrt(float(norm.normalised(x).square().mean()))
                with torch.no_grad():
                    for gain in gains:
                        gain.fill_(1 / shrinks)
                outputs.append(call(instance, case, x) - x)
            return outputs

        norm = claimed_norm(subject)
        if _same(subject, *seen(norm)):
            continue
        for words, other in norm_probe.other_norms(norm):
            if _same(subject, *seen(other)):
                raise Violation(
                    f"the claim eps={eps:g} does not hold in the norm before the {sublayer}: it behaves as {words}"
                )
        raise NotChecked(f"the effect of eps in the norm before the {sublayer} is not understood: give a mapping")


def _same(subject: Subject, one: Tensor, other: Tensor) -> bool:
    if float(one.abs().max()) < SILENT:
        return True  # the sublayer says nothing
    return bool((one - other).abs().max() <= 1e3 * tolerance.floor(one, subject.rounds_to))


def _other_size(subject: Subject, case: Case) -> int:
    """A size for the inside of the feed-forward network that no other axis has, so that its matrices are known by it."""
    return subject.declaration.d_ff(case.d_model, 4 * case.d_model + 1)


def _only(instance: Instance, case: Case, sublayer: str) -> list[nn.Parameter]:
    """Silence the other sublayer, and every bias; returns the gains, or nothing where they were not found."""
    named = trainable(instance.module_or_not_checked())
    gains = [each for _, each in named if is_untouched_gain(each) and each.numel() == case.d_model]
    if len(gains) != 2 or instance.subject.claims["gain"] != "weight":
        return []
    with torch.no_grad():
        for _, parameter in named:
            if any(parameter is gain for gain in gains):
                continue
            inside = any(axis % case.d_ff == 0 for axis in parameter.shape)
            if parameter.dim() < 2 or inside == (sublayer == "attention"):
                parameter.zero_()
            elif inside:
                parameter.mul_(4)
    return gains


def require_a_norm_before_each_sublayer(subject: Subject, case: Case) -> None:
    """Fail if what a sublayer of a pre-norm layer adds changes when tokens far above eps grow.

    Raises:
        Violation: it does: nothing normalises the sublayer's input.
        NotChecked: the weights are not understood, or float32 leaves too few digits beside such tokens.
    """
    if subject.rounds_to is not torch.float64:
        raise NotChecked("float32 leaves too few digits beside tokens far above eps")
    case = dataclasses.replace(case, d_ff=_other_size(subject, case))
    for sublayer in ("attention", "feed-forward network"):
        instance = subject.instance(case, random_weights=False)
        if not _only(instance, case, sublayer):
            raise NotChecked("the gains of the norms were not found: weights not understood")
        x = norm_probe.tokens(case, case.seed) * LARGE
        once, more = call(instance, case, x) - x, call(instance, case, 4 * x) - 4 * x
        if float(once.abs().max()) > SILENT and not bool((once - more).abs().max() < SILENT * once.abs().max()):
            raise Violation(
                f"what the {sublayer} adds grows with its input: no norm stands before it",
                expected=once[0, 0], got=more[0, 0],
            )  # fmt: skip
