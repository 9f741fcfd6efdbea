"""What a run could have missed: catalogued faults that none of the clauses that ran is known to find."""

from collections.abc import Mapping, Sequence
from typing import Any

from veriformer.faults.kills import Kill, kills, unusual
from veriformer.result import RAN, WITNESS_NOT_CHECKED
from veriformer.subjects import Subject
from veriformer.verdict import Missed, Status, Verdict
from veriformer_spec.chapters import CLAUSES
from veriformer_spec.config import CLAIMS

MAPPING, BUDGET, ASKED, BROKEN = (
    "a weights mapping",
    "--budget deep",
    "the clauses that were left out",
    "clauses that came to no verdict",
)
"""What may close part of the gap."""

_FREE = ("masks", "nothing_visible", "padded_rows", "computes_in", "dropout", "padding_sides", "strategies")
"""Claims about what a subject takes or leaves open: they do not decide which faults it may have."""


def missed(subject: Subject, verdicts: Sequence[Verdict]) -> Missed:
    """The catalogued faults that would have passed unnoticed, and what would have found them.

    A clause that ran finds the faults that it is known to kill in the role; a clause one of whose witnesses was not checked is
    counted with those that did not run, so that nothing is promised that was not looked at.
    """
    possible: dict[str, set[str]] = {}
    for kill in kills():
        if kill.role == subject.role and _may_be_had(kill, unusual(subject.role, subject.claims)):
            asked_of_it = {each for each in kill.clauses if CLAUSES[each].selected_by(subject.role, subject.claims)}
            if asked_of_it:
                possible.setdefault(kill.fault, set()).update(asked_of_it)
    ended = {each.clause: each for each in verdicts}
    ran = {clause for clause, each in ended.items() if each.status in RAN and WITNESS_NOT_CHECKED not in each.reason}
    unnoticed = [fault for fault, killers in possible.items() if not killers & ran]
    closing: dict[str, int] = {}
    for fault in unnoticed:
        ways = {_way(ended.get(clause)) for clause in possible[fault]} - {""}
        for way in sorted(ways):
            closing[way] = closing.get(way, 0) + 1
    return Missed(faults=sorted(unnoticed), known=len(possible), closing=closing)


def _may_be_had(kill: Kill, claimed: Mapping[str, Any]) -> bool:
    """Whether a subject with these claims may have the fault: it was seen where nothing else was claimed."""
    names = {*kill.claims, *claimed} & set(CLAIMS) - set(_FREE)
    return all(kill.claims[name] == claimed.get(name) for name in names if name in kill.claims)


def _way(verdict: Verdict | None) -> str:
    """What would make a clause run that did not."""
    if verdict is None:
        return ASKED
    if verdict.status is Status.NOT_CHECKED or WITNESS_NOT_CHECKED in verdict.reason:
        if "budget deep" in verdict.reason:
            return BUDGET
        return MAPPING if "weights" in verdict.reason or "mapping" in verdict.reason else ""
    return BROKEN if verdict.status in (Status.ERROR, Status.INCONCLUSIVE) else ""
