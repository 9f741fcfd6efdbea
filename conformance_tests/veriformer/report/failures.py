"""In which order failures are told: what stopped the build, then causes, then what most likely follows from them."""

import dataclasses
from collections.abc import Iterable

from veriformer.causes import causes_first, explained_by
from veriformer.result import Result
from veriformer.verdict import Status, Verdict
from veriformer_spec.clause import Level


@dataclasses.dataclass(frozen=True)
class Failures:
    """The failures of one subject.

    Attributes:
        stopped: errors of the build, by the line that raised them: of their clauses nothing is known.
        causes: failures that no other explains; those with one and the same error stand together.
        followers: failures that a cause explains, each with the clause that does.
    """

    stopped: tuple[tuple[Verdict, ...], ...]
    causes: tuple[tuple[Verdict, ...], ...]
    followers: tuple[tuple[Verdict, str], ...]


def failures(result: Result) -> Failures:
    """The failures of ``result``, the most telling first."""
    stopped = [each for each in result.failed if _stopped_by_the_build(each)]
    failed = sorted((each for each in result.failed if each not in stopped), key=_most_telling_first)
    places: dict[str, list[Verdict]] = {}
    for each in stopped:
        places.setdefault(each.reason.partition(": ")[0], []).append(each)
    names, under_a_mask = [each.clause for each in failed], [each.clause for each in failed if _needs_a_mask(each)]
    causes, consequences = causes_first(names, under_a_mask)
    by_clause = {each.clause: each for each in failed}
    return Failures(
        tuple(map(tuple, places.values())),
        tuple(map(tuple, _cascades(by_clause[clause] for clause in causes))),
        tuple((by_clause[clause], explained_by(clause, names, under_a_mask) or "") for clause in consequences),
    )


def _stopped_by_the_build(verdict: Verdict) -> bool:
    """Whether the subject could not be built for one of the clause's cases: that says nothing about the clause."""
    return verdict.status is Status.ERROR and verdict.reason.startswith("build ")


def _needs_a_mask(verdict: Verdict) -> bool:
    """Whether the smallest case that fails has a mask: cases shrink towards none."""
    case = verdict.evidence.case if verdict.evidence is not None else ""
    return "mask=" in case and "mask=none" not in case


def _most_telling_first(verdict: Verdict) -> tuple[bool, bool, bool, bool]:
    """MUSTs before SHOULDs, failures before errors; the device last; what fails without any mask before what needs one."""
    return (
        verdict.level != Level.MUST,
        verdict.status is Status.ERROR,
        verdict.clause.startswith("device."),
        _needs_a_mask(verdict),
    )


def _cascades(failed: Iterable[Verdict]) -> list[list[Verdict]]:
    """Errors with the same words are one error that many clauses met."""
    groups: dict[object, list[Verdict]] = {}
    for each in failed:
        key = each.reason if each.status is Status.ERROR and each.reason else each.clause
        groups.setdefault(key, []).append(each)
    return list(groups.values())
