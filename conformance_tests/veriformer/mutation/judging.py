"""Judging: is a mutant killed, and by what? Through the ordinary door, in a child process, by the most promising clauses first."""

import dataclasses
import functools
import re
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from veriformer.declaration import Declaration
from veriformer.events import Finished, Judged
from veriformer.faults.matrix import KILLED, QUICK
from veriformer.isolation import Child, Emit, Ended
from veriformer.judge import Effort, judge
from veriformer.mutation.mutants import Mutant, planted
from veriformer.mutation.reach import Pair
from veriformer.mutation.subjects import subjects
from veriformer.preflight import prepared
from veriformer.property import properties
from veriformer.subjects import Subject
from veriformer.verdict import Status, Verdict
from veriformer_spec.chapters import CLAUSES

ONE_CASE = Effort(examples=1, shrink=False)
"""The first case of budget quick."""

EAGER = 4
"""Clauses of a subject that was declared for what a line is about, asked for each one of the others'."""

PATIENCE = 120.0
"""Seconds without a verdict after which a mutant is said to hang."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a mutant.

    Attributes:
        killed: how: a clause ``failed``, the mutant ``raised``, or it ``hung``; empty where it survived.
        subject: the subject in which it was killed.
        clause: the clause that killed it.
        pairs: of a subject and a clause that run its line.
        asked: of those, how many were judged, by one case at least.
    """

    id: str
    operator: str
    killed: str = ""
    subject: str = ""
    clause: str = ""
    pairs: int = 0
    asked: int = 0
    seconds: float = 0.0
    fingerprint: str = ""

    @property
    def never_run(self) -> bool:
        """Whether no subject runs its line at all."""
        return not self.pairs


class History:
    """Which pairs have killed other mutants of a function: they are asked first."""

    def __init__(self) -> None:
        self._kills: Counter[tuple[str, str, str]] = Counter()
        self._last: dict[str, tuple[str, str]] = {}

    def remember(self, outcome: Outcome) -> None:
        """Take note of what became of a mutant."""
        if outcome.killed:
            target = outcome.id.partition(":")[0]
            self._kills[target, outcome.subject, outcome.clause] += 1
            self._last[outcome.id] = outcome.subject, outcome.clause

    def ordered(self, mutant: Mutant, pairs: Iterable[Pair]) -> list[Pair]:
        """The pairs that run the mutant's line, the most promising first.

        Its own last killer, then its neighbours' killers; then subjects that were declared for what the line is about; then
        the best clause of each subject, because a line often stands for several claims of which a subject makes one; then the
        second best of each, and so on; the cheaper ones first.
        """
        words = set(re.findall(r"\w+", mutant.before))

        def worth(pair: Pair) -> tuple[int, float]:
            return _promise(pair.clause, mutant), pair.seconds

        seen: Counter[str] = Counter()
        turns: dict[Pair, int] = {}
        for pair in sorted((pair for pair in pairs if pair.runs(mutant.chapter, _range(mutant))), key=worth):
            turns[pair] = seen[pair.subject]
            seen[pair.subject] += 1

        def key(pair: Pair) -> tuple[bool, int, int, int, float]:
            named = pair.subject, pair.clause
            new = self._last.get(mutant.id) != named
            turn = turns[pair] // (EAGER if words & claimed(pair.subject) else 1)
            return new, -self._kills[mutant.target, *named], turn, *worth(pair)

        return sorted(turns, key=key)


def _promise(clause: str, mutant: Mutant) -> int:
    """0: a clause about what was changed; 1: of a chapter concerned, and comparing numbers; 2: one of either kind; 3: any other."""
    chapter = CLAUSES[clause].chapter
    if mutant.operator == "gradient":
        return 0 if "gradient" in clause else 3
    if mutant.before.count("device") != mutant.change.count("device") and chapter == "device":
        return 0
    if clause in mutant.cited:
        return 0
    compares = any(one.needs_weights for one in properties()[clause]) or "equal" in clause
    concerned = chapter == _HOME.get(mutant.chapter, mutant.chapter) or f"{chapter}." in mutant.before
    return 3 - compares - concerned


_HOME: Final = {"rotary": "position", "relative": "position", "decoder": "stack"}
"""The specification's chapter, where the reference splits it."""


@functools.cache
def claimed(subject: str) -> frozenset[str]:
    """The claims by which a subject is called, such as ``alignment``."""
    return frozenset(re.findall(r"(\w+)=", subject))


def _range(mutant: Mutant) -> range:
    return range(mutant.lines[0], mutant.lines[1] + 1)


def judged(mutant: Mutant, pairs: Sequence[Pair], *, seconds: float) -> Outcome:
    """Judge by one pair after another until one kills, or the time is up.

    Args:
        pairs: those that run the mutant's line, in the order to ask them.
        seconds: of processor time after which no further pair is asked.
    """
    started, asked = time.monotonic(), 0
    killed = subject = clause = ""
    with Child(lambda emit: _ask(mutant, pairs, seconds, emit)) as child:
        while not killed:
            try:
                event = child.next_event(time.monotonic() + PATIENCE)
            except (TimeoutError, Ended) as end:
                killed = "hung" if isinstance(end, TimeoutError) else "raised"
                break  # nobody knows by which clause
            if isinstance(event, Judged):
                verdict, subject = event.verdict, pairs[event.subject].subject
                asked = max(asked, event.subject + 1)
                if verdict.status in KILLED:
                    killed, clause = "failed" if verdict.status is Status.FAIL else "raised", verdict.clause
            elif isinstance(event, Finished):
                subject = clause = ""
                break
            else:
                killed, clause = "raised", ""  # what came back made the preflight itself stop
    return Outcome(
        id=mutant.id,
        operator=mutant.operator,
        killed=killed,
        subject=subject,
        clause=clause,
        pairs=len(pairs),
        asked=asked,
        seconds=round(time.monotonic() - started, 2),
    )


def warm_up() -> None:
    """Let one subject fail here, so that the children find everything imported that a failure needs."""
    mutant = Mutant("heads.merge", "", "", (0, 0), "def merge(x):\n    return x.flatten(-2)")
    subject = prepared(with_mutant(_by_name()["reference.multi-head-attention"], mutant)).subject
    for clause in ("heads.equals-the-reference", "heads.time-stays-time"):
        asked_of(subject, clause)


def _ask(mutant: Mutant, pairs: Sequence[Pair], seconds: float, emit: Emit) -> None:
    """Ask every pair for one case first, in half of the time, then for as many as budget quick has; a mistake shows in the first."""
    ready: dict[str, Subject] = {}
    for effort, limit in ((ONE_CASE, seconds / 2), (QUICK, seconds)):
        for index, pair in enumerate(pairs):
            if time.process_time() > limit:
                break
            if pair.subject not in ready:
                ready[pair.subject] = prepared(with_mutant(_by_name()[pair.subject], mutant)).subject
            emit(Judged(index, asked_of(ready[pair.subject], pair.clause, effort)))
    emit(Finished())


def asked_of(subject: Subject, clause: str, effort: Effort = QUICK) -> Verdict:
    """The verdict of one clause, without looking for a smaller case."""
    return judge(CLAUSES[clause], properties()[clause], subject, effort)


def with_mutant(declaration: Declaration, mutant: Mutant) -> Declaration:
    """A subject with a mutant in it."""
    return dataclasses.replace(
        declaration, name=f"{declaration.name} with {mutant.id}", during=functools.partial(planted, mutant)
    )


@functools.cache
def _by_name() -> Mapping[str, Declaration]:
    return {declaration.name: declaration for declaration in subjects()}
