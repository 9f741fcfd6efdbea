"""What of the kill matrix is asked for: one subject with the clauses it is judged by; filtered, split, dearest first."""

import dataclasses
from collections.abc import Collection, Iterator, Sequence

from veriformer.declaration import Declaration
from veriformer.faults.catalogue import FAULTS, NEAR_MISSES
from veriformer.faults.matrix import DEEP, QUICK, Row, can_run, fault_row, near_miss_row
from veriformer_spec.chapters import CLAUSES
from veriformer_spec.clause import Clause
from veriformer_spec.role import LAYERED

TRAINING = 500
"""What a training costs, in clauses that are judged at budget quick."""
MODEL = 3
"""What a clause costs of a subject of several layers, in those that it costs of others."""


@dataclasses.dataclass(frozen=True)
class Piece:
    """One subject of a fault, or a near-miss, and what it is judged by: small enough to be sent to a process.

    Attributes:
        id: the fault's or the near-miss's.
        index: which of the fault's subjects; 0 for a near-miss.
        clauses: ids of those that are asked of it, in the specification's order.
        cost: a guess from the catalogue alone, so that every machine deals the pieces out alike.
    """

    id: str
    index: int
    clauses: tuple[str, ...]
    cost: int

    @property
    def faulty(self) -> bool:
        """Whether it must die."""
        return self.id in FAULTS

    def row(self) -> Row:
        """Judge it: by the faults' clauses that take long, too, which no near-miss is judged by."""
        declaration, clauses = _subjects(self.id)[self.index], [CLAUSES[each] for each in self.clauses]
        if self.faulty:
            return fault_row(FAULTS[self.id], declaration, clauses, deep=DEEP)
        return near_miss_row(NEAR_MISSES[self.id], clauses=clauses)


def pieces(
    names: Sequence[str],
    *,
    roles: Collection[str] = (),
    chapters: Collection[str] = (),
    every_clause: bool = False,
) -> list[Piece]:
    """The faults and near-misses named, subject by subject. The roles share out the subjects, the chapters the clauses: nothing is left out.

    Args:
        names: ids of faults and near-misses.
        roles: those whose subjects are asked for; empty means every role.
        chapters: those whose clauses are asked; empty means every chapter.
        every_clause: judge a fault by every clause that is asked of its subject, not by those alone that must catch it.
    """
    return [piece for name in names for piece in _pieces_of(name, roles, chapters, every_clause=every_clause)]


def _pieces_of(name: str, roles: Collection[str], chapters: Collection[str], *, every_clause: bool) -> Iterator[Piece]:
    own = {clause.id for clause in FAULTS[name].clauses} if name in FAULTS else set()
    for index, declaration in enumerate(_subjects(name)):
        if roles and declaration.role not in roles:
            continue
        asked = [
            clause
            for clause in CLAUSES.values()
            if (not own or every_clause or clause.id in own)
            and (not chapters or clause.chapter in chapters)
            and clause.selected_by(declaration.role, declaration.claims)
        ]
        if asked:
            cost = sum(_cost(clause, declaration, trained=clause.id in own) for clause in asked)
            yield Piece(name, index, tuple(clause.id for clause in asked), cost)


def _subjects(name: str) -> tuple[Declaration, ...]:
    return FAULTS[name].subjects() if name in FAULTS else (NEAR_MISSES[name].subject(),)


def _cost(clause: Clause, declaration: Declaration, *, trained: bool) -> int:
    if trained and not can_run(clause, QUICK):
        return TRAINING
    return MODEL if declaration.role in LAYERED else 1


def dearest_first(asked: Sequence[Piece]) -> list[Piece]:
    """So that no process is left with a long one when the others are done."""
    return sorted(asked, key=lambda each: -each.cost)


def shard(asked: Sequence[Piece], number: int, of: int) -> list[Piece]:
    """The ``number``-th of ``of`` parts, about equally dear; together they are ``asked``, and no two overlap."""
    dealt = set(dearest_first(asked)[number - 1 :: of])
    return [each for each in asked if each in dealt]
