"""The kill matrix: which clause catches which fault, and that no near-miss dies."""

import dataclasses
from collections.abc import Iterable, Iterator

from veriformer.declaration import Declaration
from veriformer.faults.fault import Fault, NearMiss
from veriformer.judge import STUMBLED, Effort, judge, runs_at
from veriformer.known_output import NOT_UNDERSTOOD
from veriformer.preflight import prepared
from veriformer.property import properties
from veriformer.request import EXAMPLES
from veriformer.understanding import NO_MAPPING
from veriformer.verdict import Status, Verdict
from veriformer_spec.chapters import CLAUSES
from veriformer_spec.clause import Clause

KILLED = (Status.FAIL, Status.ERROR)
QUICK = Effort(examples=EXAMPLES["quick"], shrink=False)
"""The matrix needs verdicts, not small cases."""
DEEP = dataclasses.replace(QUICK, examples=EXAMPLES["deep"])
"""For clauses that take so long that no smaller budget asks them: a training is one case."""


@dataclasses.dataclass(frozen=True)
class Row:
    """One fault or near-miss against every clause that applies to one of its subjects.

    Attributes:
        killed_by: the clauses that did not hold.
        survived: the clauses that must catch the fault and did not, or stopped for a reason that is not theirs.
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
    asked = CLAUSES.values() if every_clause else fault.clauses
    return [fault_row(fault, declaration, asked, effort) for declaration in fault.subjects()]


def fault_row(
    fault: Fault,
    declaration: Declaration,
    asked: Iterable[Clause],
    effort: Effort = QUICK,
    *,
    deep: Effort | None = None,
) -> Row:
    """Judge one of the fault's subjects by the clauses in ``asked``.

    Args:
        deep: the effort for those of the fault's own clauses that take too long for ``effort``; left out where there is none.
    """
    asked = list(asked)
    slow = [clause for clause in asked if clause in fault.clauses and not can_run(clause, effort)]
    verdicts = verdicts_on(declaration, [clause for clause in asked if clause not in slow], effort)
    if deep is not None:
        verdicts += verdicts_on(declaration, slow, deep)
    killed = tuple(each.clause for each in verdicts if each.status in KILLED and not wrongly(each))
    # without a mapping no comparison can be asked for: what else is known must catch it, or another of its subjects
    unmapped = {each.clause for each in verdicts if declaration.weights is None and NO_MAPPING in each.reason}
    missed = tuple(
        clause.id
        for clause in asked
        if clause in fault.clauses
        and clause.selected_by(declaration.role, declaration.claims)
        and not (deep is None and clause in slow)
        and clause.id not in killed
        and clause.id not in unmapped
    )
    return Row(fault.id, declaration.name, killed, missed, tuple(verdicts))


def wrongly(verdict: Verdict) -> bool:
    """Whether the clause did not hold for no reason of its own: the adapter was wrong, or the property itself stumbled."""
    return verdict.status is Status.ERROR and (verdict.evidence is None or verdict.reason.startswith(STUMBLED))


def can_run(clause: Clause, effort: Effort) -> bool:
    """Whether one of the clause's properties runs at this effort; those that take long need a larger one."""
    return any(runs_at(one, effort) for one in properties()[clause.id])


def near_miss_row(near_miss: NearMiss, effort: Effort = QUICK, *, clauses: Iterable[Clause] = ()) -> Row:
    """Judge a near-miss by ``clauses``; by every clause where none is given. That its weights are not understood is no death."""
    declaration = near_miss.subject()
    verdicts = verdicts_on(declaration, clauses or CLAUSES.values(), effort)
    open_ = [
        each for each in verdicts if each.status is Status.INCONCLUSIVE and not each.reason.startswith(NOT_UNDERSTOOD)
    ]
    killed = tuple(
        each.clause for each in verdicts if (each.status in KILLED or each in open_) and each.level == "MUST"
    )
    return Row(near_miss.id, declaration.name, killed, (), tuple(verdicts))
