"""Reach: which lines of the reference each clause runs in each subject, measured on the right reference.

A mutant is judged only by pairs of a subject and a clause that run its line while the subject's own call runs: no other
pair can see it.
"""

import contextlib
import dataclasses
import functools
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import veriformer_reference
from veriformer.adapters import reference
from veriformer.declaration import Declaration
from veriformer.faults.matrix import QUICK, can_run
from veriformer.judge import Effort, judge
from veriformer.mutation.subjects import subjects
from veriformer.preflight import prepared
from veriformer.property import properties
from veriformer.verdict import Status
from veriformer_spec.chapters import CLAUSES

_ONE = Effort(examples=1, shrink=False)
"""One case shows which lines a clause runs; few run other lines in the next."""

_HOME = str(Path(veriformer_reference.__file__).parent)


@dataclasses.dataclass(frozen=True, eq=False)
class Pair:
    """A clause asked of a subject, and what that runs.

    Attributes:
        seconds: what a case takes, traced.
        lines: of the reference, by chapter.
    """

    subject: str
    clause: str
    seconds: float
    lines: Mapping[str, frozenset[int]]

    def runs(self, chapter: str, lines: range) -> bool:
        """Whether any of these lines is among them."""
        return not self.lines.get(chapter, frozenset()).isdisjoint(lines)


def measured(declarations: tuple[Declaration, ...] | None = None) -> Iterator[Pair]:
    """Every pair, by one case on the right reference; one that fails even there could tell no mutant, and is left out."""
    known = properties()
    for declaration in subjects() if declarations is None else declarations:
        seen: set[tuple[str, int]] = set()
        subject = prepared(dataclasses.replace(declaration, during=functools.partial(_watched, seen))).subject
        for clause in CLAUSES.values():
            if not clause.selected_by(subject.role, subject.claims) or not can_run(clause, QUICK):
                continue
            seen.clear()
            started = time.perf_counter()
            verdict = judge(clause, known[clause.id], subject, _ONE)
            if verdict.status not in (Status.PASS, Status.INCONCLUSIVE) or not verdict.examples:
                continue
            lines: dict[str, set[int]] = {}
            for chapter, line in seen:
                lines.setdefault(chapter, set()).add(line)
            seconds = round(time.perf_counter() - started, 3)
            yield Pair(declaration.name, clause.id, seconds, {name: frozenset(each) for name, each in lines.items()})


def stored(path: Path) -> tuple[Pair, ...]:
    """The pairs as ``path`` keeps them; those of subjects that it lacks are measured and added."""
    lines = path.read_text().splitlines() if path.exists() else []
    kept = [Pair(subject, clause, seconds, _sets(ran)) for subject, clause, seconds, ran in map(json.loads, lines)]
    known = {pair.subject for pair in kept}
    new = list(measured(tuple(each for each in subjects() if each.name not in known)))
    if new:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            for pair in new:
                ran = {chapter: sorted(numbers) for chapter, numbers in pair.lines.items()}
                file.write(json.dumps([pair.subject, pair.clause, pair.seconds, ran]) + "\n")
    return with_children((*kept, *new))


def with_children(pairs: Sequence[Pair]) -> tuple[Pair, ...]:
    """The same pairs; one whose clause calls the subject in a child process, where nobody watches, runs what the others run."""
    everything: dict[str, dict[str, frozenset[int]]] = {}
    for pair in pairs:
        ran = everything.setdefault(pair.subject, {})
        for chapter, numbers in pair.lines.items():
            ran[chapter] = ran.get(chapter, frozenset()) | numbers
    return tuple(pair if pair.lines else dataclasses.replace(pair, lines=everything[pair.subject]) for pair in pairs)


def _sets(lines: Mapping[str, list[int]]) -> dict[str, frozenset[int]]:
    return {chapter: frozenset(numbers) for chapter, numbers in lines.items()}


@contextlib.contextmanager
def _watched(seen: set[tuple[str, int]]) -> Iterator[None]:
    """Note the lines of the reference that run meanwhile."""

    def entered(frame: FrameType, _event: str, _argument: object) -> Any:
        home, _, file = frame.f_code.co_filename.rpartition("/")
        if home != _HOME:
            return None
        chapter = file.removesuffix(".py")

        def noted(within: FrameType, event: str, _argument: object) -> Any:
            if event == "line":
                seen.add((chapter, within.f_lineno))
            return noted

        return noted

    before = sys.gettrace()
    with reference.without_shape_checks():
        sys.settrace(entered)
        try:
            yield
        finally:
            sys.settrace(before)
