"""Naming: what was found, in the words of a report."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from veriformer.diagnosis.candidates import Candidate, shown
from veriformer.diagnosis.ranking import Match
from veriformer.verdict import Diagnosis, Finding
from veriformer_spec.role import Role


def ranked(found: Sequence[Match], role: Role, failed: frozenset[str]) -> list[Match]:
    """Other claims first; then what is made of the fewest parts; then by how many of the failed clauses it is known to break."""

    def rank(match: Match) -> tuple[object, ...]:
        faults = match.candidate.faults
        known = sum(clause.id in failed for fault in faults for clause in fault.clauses)
        here = all(any(each.role is role for each in fault.planted) for fault in faults)
        return (match.candidate.parts, bool(faults), -known, not here)

    return sorted(found, key=rank)


def named(
    basis: str, found: Sequence[Match], claimed: Mapping[str, Any], *, exact: bool, raises: bool = False
) -> Diagnosis:
    """Candidates that equal the subject; those of one kind that equal each other are one finding.

    Args:
        claimed: by the subject.
        raises: all that it has in common with them is where it raises.
    """
    claims = [each for each in found if not each.candidate.faults]
    faults = [each for each in found if each.candidate.faults]
    findings = [_finding(each, exact=exact) for each in claims]
    if faults:
        others = [each.candidate.name for each in faults[1:]]
        findings.append(msgspec.structs.replace(_finding(faults[0], exact=exact), same=others))
    return said(basis, findings, _sentence(found, claimed, exact=exact, raises=raises))


def nearest(basis: str, found: Match | None, departing: int) -> Diagnosis:
    """What comes nearest, said as such; or that nothing does."""
    if found is None:
        return said(basis, [], "a departure that is not in the catalogue: nothing in it comes near")
    sentence = (
        f"not in the catalogue; nearest: {found.candidate.name}, which explains {found.explained} of {departing} departures "
        f"and is {found.distance.relative:.2g} of the largest number away elsewhere"
    )
    return said(basis, [_finding(found, exact=False)], sentence)


def said(basis: str, findings: list[Finding], sentence: str) -> Diagnosis:
    """A diagnosis."""
    return Diagnosis(basis=basis, findings=findings, said=sentence)


def timed(diagnosis: Diagnosis, seconds: float) -> Diagnosis:
    """It, and how long it took."""
    return msgspec.structs.replace(diagnosis, seconds=round(seconds, 3))


def _finding(match: Match, *, exact: bool) -> Finding:
    candidate = match.candidate
    first = candidate.faults[0] if candidate.faults else None
    return Finding(
        claims=claims_of(candidate),
        faults=[fault.id for fault in candidate.faults],
        exact=exact,
        distance=match.distance.relative,
        sentence="; ".join(fault.sentence for fault in candidate.faults),
        written=first.written if first else "",
        mend=first.mend if first else f"claim {', '.join(claims_of(candidate))}, if that is what is meant",
        source=first.source if first else "",
    )


def claims_of(candidate: Candidate) -> list[str]:
    """Its claims as a report says them."""
    return [f"{name}={shown(value)}" for name, value in candidate.claims]


def _sentence(found: Sequence[Match], claimed: Mapping[str, Any], *, exact: bool, raises: bool) -> str:
    first = found[0].candidate
    others = [each.candidate.name for each in found[1:]]
    alike = "raises where it would with" if raises else "behaves, as far as rounding shows, as"
    text = f"it {'behaves as' if exact else alike} {first.name}"
    if first.claims:
        made = " and ".join(f"{name}={shown(claimed.get(name))}" for name, _ in first.claims)
        text = f"the claim{'s' * (len(first.claims) > 1)} {made} do{'es' * (len(first.claims) == 1)} not hold: {text}"
    return text + (f" (here the same function: {', '.join(others)})" if others else "")
