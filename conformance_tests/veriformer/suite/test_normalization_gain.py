"""Normalization, tested: the gain and the shift that are seen from outside are the parameters."""

import math

import torch
from torch import Tensor

from veriformer import norm_probe, tolerance
from veriformer.bare_stack import claimed_norm
from veriformer.case import Case
from veriformer.norm_probe import EXACT, NEAR
from veriformer.outcome import Inconclusive, NotChecked, Violation
from veriformer.property import checks
from veriformer.strategies import cases
from veriformer.subjects import Subject
from veriformer.understanding import mapped_weights
from veriformer.weights import trainable
from veriformer_spec import normalization

TOKENS = cases(batch=(2, 3), q_len=(2, 4))


@checks(normalization.GAIN_AND_SHIFT_ARE_APPLIED, sentence="b8f105c9", cases=TOKENS)
def test_gain_and_shift_are_applied(subject: Subject, case: Case) -> None:
    """The gain and the shift that are seen from outside are the parameters."""
    instance = subject.instance(case)
    affine, second = norm_probe.solved(instance, case, case.seed + 5), norm_probe.solved(instance, case, case.seed + 6)
    message = "the gain is not the same for every token: it is applied before normalising, or over another axis"
    norm, length = claimed_norm(subject), case.d_model
    scale = torch.cat((affine.gain, affine.shift))
    if not _near(subject, torch.cat((second.gain, second.shift)), scale):
        raise Violation(message, expected=affine.gain, got=second.gain)
    ones, zeros = torch.ones_like(affine.gain), torch.zeros_like(affine.shift)
    if norm_probe.has_no_affine(instance):
        if (
            norm.kind == "layer"
            and norm.shift
            and subject.declaration.has_module
            and _near(subject, affine.shift, zeros)
        ):
            raise Violation(
                "norm_bias=True is claimed, but nothing is added after normalising", expected=ones, got=affine.shift
            )
        raise NotChecked("the subject has no parameters: there is no gain to apply")
    vectors = [
        each.detach().double().cpu().reshape(-1)
        for _, each in trainable(instance.module_or_not_checked())
        if each.numel() == length
    ]
    if norm.kind != "layer" or not norm.shift:
        if not _near(subject, affine.shift, zeros):
            raise Violation("a shift is added where none is claimed", expected=zeros, got=affine.shift)
    elif vectors and not any(_near(subject, affine.shift, each) for each in vectors):
        if _near(subject, affine.shift, zeros):
            raise Violation(
                "the shift is not applied: nothing is added after normalising", expected=vectors[-1], got=affine.shift
            )
        raise NotChecked("the shift that is seen is no parameter: weights not understood")
    if not vectors:
        raise NotChecked("the subject has no trainable parameter as long as a token")
    offset = 1.0 if (norm.gain == "1 + b") else 0.0
    if any(_near(subject, affine.gain, offset + each) for each in vectors):
        return
    if any(_near(subject, affine.gain, 1 - offset + each) for each in vectors):
        other = "weight" if (norm.gain == "1 + b") else "one-plus-weight"
        raise Violation(
            f"the claim gain={subject.claims['gain']} does not hold: it behaves as gain={other}", got=affine.gain
        )
    share = float(affine.gain.abs().mean())
    if bool(((affine.gain - affine.gain[0]).abs() <= EXACT * share).all()):
        raise Violation(
            "the gain is not applied: every feature is multiplied alike", expected=vectors[0], got=affine.gain
        )
    raise NotChecked("the gain that is seen is no parameter: weights not understood; give a mapping")


def _near(subject: Subject, got: Tensor, expected: Tensor) -> bool:
    """Far above rounding, far below any gain: the question is which parameter is seen, not how exactly."""
    return bool((got - expected).abs().max() <= max(NEAR, 1e3 * tolerance.floor(torch.ones(1), subject.rounds_to)))


@checks(normalization.GAIN_AND_SHIFT_ARE_APPLIED, sentence="b8f105c9", cases=TOKENS, needs_weights=True)
def test_gain_and_shift_are_applied_by_the_mapping(subject: Subject, case: Case) -> None:
    """The gain and the shift that are seen from outside are those of the mapping."""
    instance = subject.instance(case)
    named = {name: each.detach().double().cpu() for name, each in mapped_weights(instance).items()}
    affine, norm = norm_probe.solved(instance, case, case.seed + 5), claimed_norm(subject)
    gain = named["gain"] + (1 if (norm.gain == "1 + b") else 0)
    shift = named.get("shift", torch.zeros_like(gain))
    if not _near(subject, affine.shift, shift):
        raise Violation("the shift is not applied as it is stored", expected=shift, got=affine.shift)
    if _near(subject, affine.gain, gain):
        return
    ratio = affine.gain / gain
    if norm.kind == "layer" and _near(
        subject, ratio, torch.full_like(ratio, math.sqrt((case.d_model - 1) / case.d_model))
    ):
        raise Inconclusive("the output is smaller by one factor: the variance is unbiased; see that clause")
    if _near(subject, affine.gain + (-1 if (norm.gain == "1 + b") else 1), gain):
        other = "weight" if (norm.gain == "1 + b") else "one-plus-weight"
        raise Violation(
            f"the claim gain={subject.claims['gain']} does not hold: it behaves as gain={other}",
            expected=gain,
            got=affine.gain,
        )
    raise Violation("the gain is not applied as it is stored", expected=gain, got=affine.gain)
