"""Where the subject's computation first leaves the reference's, with the same weights in both."""

import torch
from torch import nn

from veriformer.departure import departure
from veriformer.diagnosis.grounds import quietly
from veriformer.errors import Unsupported, UsageError
from veriformer.outcome import NotChecked, SubjectError
from veriformer.preflight import probe_case
from veriformer.subjects import Subject
from veriformer.understanding import copied, weights_if_known
from veriformer.verdict import Departure
from veriformer_reference.build import build
from veriformer_spec.role import PARAMETRIC

TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-4}
"""The difference, as a share of the largest number of a point, below which two points are the same."""


def first_departure(subject: Subject) -> Departure | None:
    """The first point at which they differ, on calls without a mask and then with one; None where none is seen or nothing is known."""
    if subject.role not in PARAMETRIC or subject.rounds_to not in TOLERANCE:
        return None
    try:
        case = probe_case(subject)
        instance = subject.instance(case)
        held = weights_if_known(instance, faulty=True)
        if held is None:
            return None
        reference = build(subject.role, instance.config)
        assert isinstance(reference, nn.Module)
        reference = reference.double().eval()
        copied(held, reference)
        masks = [mask for mask in ("none", "causal", "padding") if mask in ("none", *subject.masks)]
        probes = [subject.inputs(probe_case(subject, mask=mask)) for mask in masks]
        with quietly():
            return departure(instance, probes, reference, tolerance=TOLERANCE[subject.rounds_to])
    except (SubjectError, Unsupported, UsageError, NotChecked, ValueError, RuntimeError):
        return None  # it raises where the reference does not, or has not the same weights: the failures say so
