"""The kill matrix: which clause catches which fault, and that no near-miss dies."""

import dataclasses
from collections.abc import Iterable, Iterator

from veriformer.declaration import Declaration
from veriformer.faults.fault import Fault, NearMiss
from veriformer.judge import Effort, judge, runs_at
from veriformer.preflight import prepared
from veriformer.property import properties
from veriformer.request import EXAMPLES
from veriformer.verdict import Status, Verdict
from veriformer_spec.chapters import CLAUSES
from veriformer_spec.clause import Clause

KILLED = (Status.FAIL, Status.ERROR)
QUICK = Effort(examples=EXAMPLES["quick"], shrink=False)
"""The matrix needs verdicts, not small cases."""


@dataclasses.dataclass(frozen=True)
class Row:
    """One fault or near-miss against every clause that applies to one of its subjects.

    Attributes:
        killed_by: the clauses that did not hold.
        survived: the clauses that must catch the fault and did not.
    """

    id: str
    subject: str
    killed_by: tuple[str, ...]
    survived: tuple[str, ...]
    verdicts: tuple[Verdict, ...]


def verdicts_in_turn(declaration: Declaration, clauses: Iterable[Clause], effort: Effort = QUICK) -> Iterator[Verdict]:
    """The verdict of each of ``clauses`` that is asked of the subject, as they are asked for."""
    subject = prepared(declaration).subject
    known = properties()
    for clause in clauses:
        if clause.selected_by(subject.role, subject.claims):
            yield judge(clause, known[clause.id], subject, effort)


def verdicts_on(declaration: Declaration, clauses: Iterable[Clause], effort: Effort = QUICK) -> list[Verdict]:
    """The verdict of each of ``clauses`` that is asked of the subject."""
    return list(verdicts_in_turn(declaration, clauses, effort))


def fault_rows(fault: Fault, *, every_clause: bool = True, effort: Effort = QUICK) -> list[Row]:
    """Judge each of the fault's subjects; by its own clauses only, where not ``every_clause``."""
    rows = []
    for declaration in fault.subjects():
        asked = CLAUSES.values() if every_clause else fault.clauses
        verdicts = verdicts_on(declaration, asked, effort)
        killed = tuple(each.clause for each in verdicts if each.status in KILLED)
        must = [
            clause.id
            for clause in fault.clauses
            if clause.selected_by(declaration.role, declaration.claims) and can_run(clause, effort)
        ]
        missed = tuple(each for each in must if each not in killed)
        rows.append(Row(fault.id, declaration.name, killed, missed, tuple(verdicts)))
    return rows


def can_run(clause: Clause, effort: Effort) -> bool:
    """Whether one of the clause's properties runs at this effort; those that take long are judged by ``nox -s learn``."""
    return any(runs_at(one, effort) for one in properties()[clause.id])


def near_miss_row(near_miss: NearMiss, effort: Effort = QUICK) -> Row:
    """Judge a near-miss by every clause."""
    declaration = near_miss.subject()
    verdicts = verdicts_on(declaration, CLAUSES.values(), effort)
    killed = tuple(
        each.clause for each in verdicts if each.status in (*KILLED, Status.INCONCLUSIVE) and each.level == "MUST"
    )
    return Row(near_miss.id, declaration.name, killed, (), tuple(verdicts))
