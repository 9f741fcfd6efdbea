"""Inquiry: from a subject and the clauses that failed to names, or to none."""

import time
from collections.abc import Mapping, Sequence

import torch

from veriformer.diagnosis import candidates, naming, pairs, ranking, signature
from veriformer.diagnosis.candidates import Candidate
from veriformer.diagnosis.grounds import Grounds, given_weights, has_weights, on_outputs, on_weights
from veriformer.diagnosis.probes import probes_of
from veriformer.diagnosis.ranking import Comparison, Match
from veriformer.faults.catalogue import FAULTS
from veriformer.outcome import NotChecked, SubjectError
from veriformer.subjects import Subject
from veriformer.verdict import Diagnosis, Status, Verdict

FAILED = (Status.FAIL, Status.ERROR)


def inquire(subject: Subject, verdicts: Sequence[Verdict], pairs_within: float) -> Diagnosis:
    """What ``diagnose`` promises."""
    started = time.perf_counter()
    failed = frozenset(each.clause for each in verdicts if each.status in FAILED)
    try:
        found = _compared(subject, failed, pairs_within)
    except (SubjectError, NotChecked) as problem:
        found = signature.guessed(subject, verdicts, str(problem))
    return naming.timed(found, time.perf_counter() - started)


def _compared(subject: Subject, failed: frozenset[str], pairs_within: float) -> Diagnosis:
    """By what the subject answers.

    Raises:
        NotChecked: nothing can be compared.
    """
    grounds = ground_of(subject)
    comparison = Comparison(grounds, probes_of(subject), subject.rounds_to)
    if not comparison.probes:
        raise NotChecked("no probe could be asked")
    everything = singles(comparison)
    if not comparison.departing:
        return naming.said(grounds.basis, [], "equals the specification wherever it was compared")
    found = ranking.exact(comparison, everything)
    if not found:
        found = pairs.exact(comparison, everything, failed, within=pairs_within)
    if found:
        return naming.named(grounds.basis, naming.ranked(found, subject.role, failed), exact=certain(subject, found, comparison))
    near = ranking.nearest(comparison, everything)
    return naming.nearest(grounds.basis, near, len(comparison.departing))


def ground_of(subject: Subject) -> Grounds:
    """The subject and the reference on the same weights, by what is known of them.

    Raises:
        NotChecked: nothing is.
    """
    if subject.claims.get("scale") == "unspecified":
        raise NotChecked("the scale is left unspecified, so the reference cannot say what comes out")
    if not has_weights(subject):
        return on_outputs(subject)
    weights = given_weights(subject)
    if weights is not None:
        return on_weights(subject, weights)
    raise NotChecked("no weights mapping")


def singles(comparison: Comparison) -> list[Candidate]:
    """Every single candidate, other legal claims first."""
    subject, case = comparison.grounds.subject, comparison.grounds.case
    claims: Mapping[str, object] = subject.claims
    others = candidates.other_claims(subject.role, claims, subject.config(case))
    return [*others, *candidates.planted(FAULTS, comparison.called)]


def certain(subject: Subject, found: Sequence[Match], comparison: Comparison) -> bool:
    """Whether what was found may be called exact."""
    if subject.dtype is not torch.float64 or not all(comparison.speaks(each.candidate) for each in found):
        return False
    return subject.rounds_to is torch.float64 or comparison.one_function([each.candidate for each in found])
