"""The engine behind the three doors: watch the judging process, lose no verdict, and end with one result for each subject."""

import dataclasses
import time
from collections.abc import Sequence
from typing import Any, Protocol

import msgspec
from torch import nn

from veriformer.declaration import Build, Declaration, Fixed, Weights
from veriformer.errors import CannotLoad, UsageError
from veriformer.events import (
    Begin,
    Broke,
    CaseSeen,
    Conditions,
    Diagnosed,
    Event,
    Finished,
    Judged,
    Loaded,
    Ready,
    Refused,
)
from veriformer.expectations import Expected, amended, entry_for
from veriformer.expectations import read as read_expectations
from veriformer.isolation import Child, Ended, why_no_child
from veriformer.judge import FLAKY
from veriformer.request import Request
from veriformer.result import CANNOT_RUN, WRONG_USAGE, Result, footer_of
from veriformer.steps import Steps
from veriformer.verdict import CaseEvidence, Diagnosis, Footer, Header, Missed, Status, Verdict
from veriformer.worker import JUDGED_LAST, Found, Load, Position, clauses_for, every_property, work
from veriformer_spec.chapters import CLAUSES


class Observer(Protocol):
    """Told each thing as it happens: a report, or a progress bar."""

    def header(self, header: Header, clauses: Sequence[str]) -> None:
        """A subject will be judged by these clauses."""

    def begin(self, clause: str) -> None:
        """A clause is about to be judged."""

    def verdict(self, verdict: Verdict) -> None:
        """A clause was judged."""

    def diagnosis(self, diagnosis: Diagnosis | None, missed: Missed | None) -> None:
        """All clauses were judged: what the failures look like, and what the run could have missed."""

    def footer(self, footer: Footer) -> None:
        """A subject is done."""


def check(
    build: Build | nn.Module | Declaration,
    *,
    role: str | None = None,
    weights: Weights | None = None,
    sizes: Fixed | None = None,
    steps: Steps | None = None,
    budget: str = "standard",
    device: Any = "cpu",
    dtype: Any = "float64",
    seed: int = 0,
    only: str | Sequence[str] = (),
    skip: str | Sequence[str] = (),
    case: str = "",
    expect_failures: Any = None,
    isolate: bool = True,
    time_limit: float = 60.0,
    memory: float = Request.memory,
    **claims: object,
) -> Result:
    """Judge one subject by every clause that is asked of it.

    Args:
        build: a function decorated with ``veriformer.subject``, an undecorated one with ``role`` and claims given here, or a
            module, which is judged at its own size (``sizes``) in copies: the module itself is not touched.
        role: what the subject claims to be.
        weights: a function from the module to its tensors under the reference's parameter names.
        sizes: sizes that cannot be changed.
        steps: how a causal language model goes on from what it has read, where it claims ``cache=True``.
        budget: quick, standard or deep: 5, 25 or 400 cases for each property.
        seed: 0 draws the same cases each time; another number hunts.
        only: clause ids or chapters; none means all.
        skip: clause ids or chapters to leave out.
        case: with one clause in ``only``: judge exactly this case, as a report printed it.
        expect_failures: a TOML file of failures that are known.
        isolate: judge in a child process, which no endless loop, exit or crash of the subject outlives.
        time_limit: seconds for one clause.
        memory: GiB that the child process may take beyond what it has when it starts; 0 sets no limit.
        claims: options, as in ``veriformer_spec.config.CLAIMS``.

    Raises:
        UsageError: an argument names something that does not exist, or cannot be meant.
        ClaimError: a claim does.
    """
    from veriformer.targets import found

    subject = found(build, role=role, weights=weights, sizes=sizes, steps=steps, claims=claims)
    request = Request(
        budget=budget,
        device=str(device),
        dtype=str(dtype).removeprefix("torch."),
        seed=seed,
        only=(only,) if isinstance(only, str) else tuple(only),
        skip=(skip,) if isinstance(skip, str) else tuple(skip),
        case=case,
        expected=read_expectations(expect_failures) if expect_failures is not None else (),
        isolate=isolate,
        time_limit=time_limit,
        memory=memory,
    )
    (result,) = run(lambda: [subject], request, target=subject.declaration.name)
    if result.exit_code == WRONG_USAGE:
        raise UsageError(result.footer.blocked)
    return result


def run(load: Load, request: Request, *, target: str, observers: Sequence[Observer] = ()) -> list[Result]:
    """Judge every subject that ``load`` finds.

    Args:
        target: what to call it where it cannot even be loaded.

    Raises:
        UsageError: the target is not what it should be, or none of the clauses asked for is asked of it.
        CannotLoad: the target could not be imported.
    """
    return _watched(load, request, _Watch(request, target, observers)).results()


def not_loaded(header: Header, why: Exception, observers: Sequence[Observer] = ()) -> Result:
    """The result on what could not even be loaded, so that a report accounts for everything that was to be judged."""
    code = CANNOT_RUN if isinstance(why, CannotLoad) else WRONG_USAGE
    footer = footer_of(header, (), 0.0, blocked=str(why), exit_code=code)
    for observer in observers:
        observer.header(header, ())
        observer.footer(footer)
    return Result(header, (), footer)


def _watched(load: Load, request: Request, watch: "_Watch") -> "_Watch":
    every_property()  # before the fork: no child need import the suite
    why_not = why_no_child() if request.isolate else ""
    if not request.isolate or why_not:
        watch.notes = [f"judged inside this process, without a time limit: {why_not}"] if why_not else []
        work(load, request, watch.next_position(), watch.take)
    else:
        while not watch.finished:
            _one_child(load, request, watch)
    return watch


class Session:
    """One subject, judged clause by clause as each is asked for; the preflight runs once."""

    def __init__(self, subject: Found, request: Request) -> None:
        self.subject = subject
        self.request = request
        self.clauses = clauses_for(subject.declaration, request)
        self._ready: _Subject | None = None
        self._verdicts: dict[str, Verdict] = {}

    def result(self, clause: str) -> Result:
        """The result of judging one clause; without a verdict where the subject could not be judged at all."""
        ready = self._ready
        if ready is not None and ready.footer is not None and ready.footer.blocked:
            return Result(ready.header, (), ready.footer)
        request = dataclasses.replace(self.request, only=(clause,), skip=(), diagnose=False)
        watch = _Watch(request, self.subject.declaration.name, ())
        watch.others = list(self._verdicts.values())
        if ready is not None:
            watch.headers = [ready.header]
            watch.subjects = [
                dataclasses.replace(ready, clauses=[clause], verdicts=[], footer=None, started=time.perf_counter())
            ]
        (result,) = _watched(lambda: [self.subject], request, watch).results()
        self._ready = watch.subjects[0]
        self._verdicts |= {each.clause: each for each in result.verdicts}
        return result


def _one_child(load: Load, request: Request, watch: "_Watch") -> None:
    """Fork, and take what the child says until it is done, dies, or is too slow."""
    start = watch.next_position()
    memory = request.memory if request.device == "cpu" else 0.0
    with Child(lambda emit: work(load, request, start, emit), memory=memory) as child:
        until = time.monotonic() + request.time_limit
        while not watch.finished:
            try:
                event = child.next_event(until)
            except TimeoutError:
                watch.lost(f"no answer within {request.time_limit:g} s")
                return
            except Ended as ended:
                watch.lost(str(ended))
                return
            if not isinstance(event, CaseSeen):
                until = time.monotonic() + request.time_limit
            if isinstance(event, Broke):
                watch.lost(f"the suite stopped with {event.why}")
                return
            watch.take(event)


@dataclasses.dataclass
class _Subject:
    header: Header
    clauses: list[str]
    started: float
    conditions: Conditions | None = None
    expected: tuple[Expected, ...] = ()
    verdicts: list[Verdict] = dataclasses.field(default_factory=list)
    diagnosis: Diagnosis | None = None
    missed: Missed | None = None
    footer: Footer | None = None


class _Watch:
    """What is known so far; told of events and of losses, it always knows where to go on."""

    def __init__(self, request: Request, target: str, observers: Sequence[Observer]) -> None:
        self.request = request
        self.target = target
        self.observers = observers
        self.notes: list[str] = []
        self.finished = False
        self.headers: list[Header] | None = None
        self.others: list[Verdict] = []  # judged earlier, elsewhere
        self.subjects: list[_Subject] = []
        self.clause = ""
        self.case = ""
        self.began = time.perf_counter()
        self.loaded = False

    @property
    def current(self) -> _Subject | None:
        """The subject that is being judged; None between two."""
        last = self.subjects[-1] if self.subjects else None
        return last if last is not None and last.footer is None else None

    def next_position(self) -> Position:
        """Where the next child goes on."""
        self.loaded, self.clause = False, ""
        current = self.current
        if current is None:
            return Position(len(self.subjects))
        return Position(len(self.subjects) - 1, tuple(current.verdicts), current.conditions)

    def take(self, event: Event) -> None:
        """Note what happened."""
        match event:
            case Loaded(subjects=headers):
                self.loaded = True
                self.headers = self.headers or headers
            case Refused(why=why, exit_code=code):
                raise (CannotLoad if code == CANNOT_RUN else UsageError)(why)
            case Ready():
                self._begin_subject(event)
            case Begin(clause=clause):
                self.clause, self.case, self.began = clause, "", time.perf_counter()
                self._tell("begin", clause)
            case CaseSeen(case=case):
                self.case = case
            case Judged(verdict=verdict):
                self._take_verdict(verdict)
            case Diagnosed():
                self._take_diagnosis(event.diagnosis, event.missed)
            case Finished():
                self.finished = True

    def lost(self, why: str) -> None:
        """Note that the child is gone; what it was doing gets a verdict all the same."""
        if self.headers is None:
            raise CannotLoad(f"importing {self.target}: {why}")
        current = self.current
        if current is None:
            self._block(f"{why} while it was built and called for the first time")
        elif len(current.verdicts) == len(current.clauses):
            self._take_diagnosis(Diagnosis(said=f"no diagnosis: {why}"), None)
        elif self.loaded:
            self._take_verdict(self._lost_verdict(self.clause or current.clauses[len(current.verdicts)], why))
        else:
            for clause in current.clauses[len(current.verdicts) :]:
                self._take_verdict(self._lost_verdict(clause, f"loading {self.target} once more: {why}"))
            self._take_diagnosis(None, None)
        self.finished = self.current is None and len(self.subjects) == len(self.headers)

    def results(self) -> list[Result]:
        """One for each subject."""
        if self.request.only and not any(each.clauses or each.footer.blocked for each in self.subjects if each.footer):
            roles = ", ".join(sorted({each.header.role for each in self.subjects}))
            raise UsageError(
                f"{', '.join(self.request.only)} is not asked of {roles} with these claims; `veriformer explain` says of what it is asked"
            )
        return [
            Result(each.header, tuple(each.verdicts), each.footer, each.diagnosis, each.missed)
            for each in self.subjects
            if each.footer is not None
        ]

    def _lost_verdict(self, clause: str, why: str) -> Verdict:
        return Verdict(
            clause=clause,
            level=CLAUSES[clause].level.value,
            status=Status.ERROR,
            examples=0,
            exercised=0,
            seconds=round(time.perf_counter() - self.began, 4),
            evidence=CaseEvidence(property="", case=self.case, message=why) if self.case else None,
            reason=why,
        )

    def _begin_subject(self, ready: Ready) -> None:
        assert self.headers is not None
        header = msgspec.structs.replace(
            self.headers[ready.subject], notes=[*ready.notes, *self.notes], places=ready.places
        )
        expected = (*self.request.expected, *ready.expected)
        self.subjects.append(_Subject(header, ready.clauses, time.perf_counter(), ready.conditions, expected))
        self._tell("header", header, ready.clauses)
        if ready.blocked or not ready.clauses:
            self._end_subject(blocked=ready.blocked, exit_code=ready.exit_code)

    def _block(self, why: str) -> None:
        """The child was lost before the subject's first clause."""
        assert self.headers is not None
        self.subjects.append(_Subject(self.headers[len(self.subjects)], [], time.perf_counter()))
        self._tell("header", self.subjects[-1].header, ())
        self._end_subject(blocked=why)

    def _take_verdict(self, verdict: Verdict) -> None:
        current = self.current
        assert current is not None
        if verdict.clause == JUDGED_LAST:
            verdict = _with_flakiness(verdict, [*self.others, *current.verdicts])
        verdict = amended(verdict, entry_for(current.expected, verdict.clause, current.header.subject))
        current.verdicts.append(verdict)
        self.clause = self.case = ""
        self._tell("verdict", verdict)

    def _take_diagnosis(self, diagnosis: Diagnosis | None, missed: Missed | None) -> None:
        current = self.current
        assert current is not None
        current.diagnosis, current.missed = diagnosis, missed
        self._tell("diagnosis", diagnosis, missed)
        self._end_subject()

    def _end_subject(self, *, blocked: str = "", exit_code: int = CANNOT_RUN) -> None:
        current = self.current
        assert current is not None
        seconds = time.perf_counter() - current.started
        current.footer = footer_of(current.header, current.verdicts, seconds, blocked=blocked, exit_code=exit_code)
        self._tell("footer", current.footer)

    def _tell(self, what: str, *said: object) -> None:
        for observer in self.observers:
            getattr(observer, what)(*said)


def _with_flakiness(verdict: Verdict, others: Sequence[Verdict]) -> Verdict:
    """Two answers to one case, in whatever clause, break the clause on independent calls."""
    flaky = next((each for each in others if each.reason == FLAKY), None)
    if flaky is None or verdict.status is Status.FAIL:
        return verdict
    return msgspec.structs.replace(
        verdict,
        status=Status.FAIL,
        evidence=flaky.evidence,
        reason=f"one case gave two answers while {flaky.clause} was judged",
    )
