"""Inquiry: from a subject and the clauses that failed to names, or to none."""

import time
from collections.abc import Mapping, Sequence

import msgspec
import torch

from veriformer.diagnosis import candidates, naming, pairs, ranking, signature
from veriformer.diagnosis.candidates import Candidate
from veriformer.diagnosis.grounds import Grounds, has_weights, possible_case
from veriformer.diagnosis.probes import probes_of
from veriformer.diagnosis.ranking import Comparison, Match
from veriformer.diagnosis.weighing import Weights, hypotheses, on_outputs, on_symmetric_weights, on_weights
from veriformer.diagnosis.where import first_departure
from veriformer.errors import Unsupported
from veriformer.faults.catalogue import FAULTS
from veriformer.outcome import NotChecked, SubjectError
from veriformer.subjects import Subject
from veriformer.verdict import Diagnosis, Status, Verdict
from veriformer_spec.role import Role

NOTHING_DEPARTS = "equals the specification wherever it was compared"
FAILED = (Status.FAIL, Status.ERROR)
EXACT = (torch.float64, torch.float32)
"""In 16 bits, rounding hides what tells one fault from another."""
MOST_HYPOTHESES = 6
"""Ways to read the parameters of a subject of which nothing is known."""


def inquire(
    subject: Subject, verdicts: Sequence[Verdict], *, symmetric: bool = False, most_pairs: int = pairs.MOST
) -> Diagnosis:
    """What ``diagnose`` promises.

    Args:
        symmetric: as if nothing were known of the weights.
        most_pairs: that are tried where nothing single is equal.
    """
    started = time.perf_counter()
    failed = frozenset(each.clause for each in verdicts if each.status in FAILED)
    try:
        found = _compared(subject, failed, most_pairs, symmetric=symmetric)
    except (SubjectError, NotChecked, Unsupported) as problem:
        found = signature.guessed(subject, verdicts, str(problem))
    if found.basis != signature.BASIS and not symmetric and found.said != NOTHING_DEPARTS:
        found = msgspec.structs.replace(found, departure=first_departure(subject))
    return naming.timed(found, time.perf_counter() - started)


def _compared(subject: Subject, failed: frozenset[str], most_pairs: int, *, symmetric: bool) -> Diagnosis:
    """By what the subject answers.

    Raises:
        NotChecked: nothing can be compared.
    """
    probes = probes_of(subject)
    ordinary = [probe for probe in probes if not probe.free]
    best: Comparison | None = None
    for grounds in grounds_of(subject, symmetric=symmetric):
        comparison = Comparison(grounds, ordinary, subject.rounds_to)
        if not comparison.departing and _taste_matters(subject, failed):
            comparison = Comparison(grounds, probes, subject.rounds_to)
        if not comparison.probes:
            raise NotChecked("no probe could be asked")
        if not comparison.departing:
            return naming.said(grounds.basis, [], NOTHING_DEPARTS)
        found = [each for each in ranking.exact(comparison, singles(comparison)) if _believed(comparison, each, failed)]
        if found:
            return _named(comparison, found, failed)
        best = best or comparison
    assert best is not None
    everything = singles(best)
    found = pairs.exact(best, everything, failed, most=most_pairs)
    if found:
        return _named(best, found, failed)
    return naming.nearest(best.grounds.basis, ranking.nearest(best, everything), len(best.departing))


def _believed(comparison: Comparison, match: Match, failed: frozenset[str]) -> bool:
    """Whether equality means something: two that only raise alike are the same where the same clauses failed, and nowhere else."""
    known = {clause.id for fault in match.candidate.faults for clause in fault.clauses}
    return not failed or bool(known & failed) or comparison.speaks(match.candidate)


def _taste_matters(subject: Subject, failed: frozenset[str]) -> bool:
    """Whether to ask what is a matter of taste elsewhere: where dropout falls, and what a narrow beam keeps."""
    if subject.role is Role.GENERATION:
        return True
    return subject.claims.get("dropout") == "on" or any("dropout" in clause for clause in failed)


def _named(comparison: Comparison, found: Sequence[Match], failed: frozenset[str]) -> Diagnosis:
    subject, basis = comparison.grounds.subject, comparison.grounds.basis
    return naming.named(
        basis,
        naming.ranked(found, subject.role, failed),
        subject.claims,
        exact=certain(subject, found, comparison),
    )


def grounds_of(subject: Subject, *, symmetric: bool) -> list[Grounds]:
    """The subject and the reference on the same weights, by what is known of them; several where there are several ways to read it.

    Raises:
        NotChecked: nothing is known.
    """
    if subject.claims.get("scale") == "unspecified":
        raise NotChecked("the scale is left unspecified, so the reference cannot say what comes out")
    if subject.declaration.beyond:
        raise NotChecked(f"beyond what claims can say: {subject.declaration.beyond}")
    case = possible_case(subject)
    if not has_weights(subject.role, subject.config(case)):
        return [on_outputs(subject)]
    weights = None if symmetric else _weights(subject)
    if weights is not None:
        return [on_weights(subject, weights)]
    possible = hypotheses(subject, case, MOST_HYPOTHESES)
    if not possible:
        raise NotChecked("no weights mapping, and a parameter that has no place in the claimed function")
    return [on_symmetric_weights(subject, each, case) for each in possible]


def _weights(subject: Subject) -> Weights | None:
    """What the adapter says of the weights, or what was found out about them."""
    given = subject.declaration.weights
    if given is not None:
        return lambda module, _: given(module)
    from veriformer.mapping import Understood, automatic

    found = automatic(subject)
    return found.layout.weights if isinstance(found, Understood) else None


def singles(comparison: Comparison) -> list[Candidate]:
    """Every single candidate, other legal claims first."""
    subject, case = comparison.grounds.subject, comparison.grounds.case
    claims: Mapping[str, object] = subject.claims
    others = candidates.other_claims(subject.role, claims, subject.config(case))
    verified = _mapped_as(subject)
    if verified is not None and verified not in others:
        others.insert(0, verified)
    return [*others, *candidates.planted(FAULTS, comparison.called)]


def _mapped_as(subject: Subject) -> Candidate | None:
    """The other claims under which its weights were found, where they were looked for: any number, or two at once."""
    if subject.declaration.weights is not None or not subject.declaration.has_module:
        return None
    from veriformer.mapping import Understood, automatic

    found = automatic(subject)
    return Candidate(found.variant.claims) if isinstance(found, Understood) and found.variant.claims else None


def certain(subject: Subject, found: Sequence[Match], comparison: Comparison) -> bool:
    """Whether what was found may be called exact."""
    if subject.dtype not in EXACT or not all(comparison.speaks(each.candidate) for each in found):
        return False
    return subject.rounds_to is torch.float64 or comparison.one_function([each.candidate for each in found])
