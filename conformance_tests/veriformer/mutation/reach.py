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
from collections.abc import Iterator, Mapping
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


@dataclasses.dataclass(frozen=True)
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
    """The pairs as ``path`` keeps them; measured and written there where it does not exist."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        pairs = [
            [p.subject, p.clause, p.seconds, {name: sorted(p.lines[name]) for name in p.lines}] for p in measured()
        ]
        path.write_text(json.dumps(pairs))
    return tuple(
        Pair(subject, clause, seconds, {name: frozenset(each) for name, each in lines.items()})
        for subject, clause, seconds, lines in json.loads(path.read_text())
    )


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
