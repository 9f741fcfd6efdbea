"""The work itself, in a child process or in this one: load, prepare, judge, and say each thing as it happens."""

import dataclasses
import functools
import platform
from collections.abc import Callable, Mapping, Sequence

import torch

import veriformer
from veriformer.case import Case
from veriformer.declaration import Declaration
from veriformer.errors import CannotLoad, UsageError
from veriformer.events import Begin, CaseSeen, Conditions, Diagnosed, Finished, Judged, Loaded, Ready, Refused
from veriformer.expectations import Expected, checked, entry_for
from veriformer.isolation import Emit, told
from veriformer.judge import Effort, judge, not_checked, one_thread, replay
from veriformer.preflight import Prepared, prepared
from veriformer.process_state import restored
from veriformer.property import Property, properties
from veriformer.request import EXAMPLES, Request
from veriformer.result import WRONG, specification_version
from veriformer.subjects import Subject
from veriformer.verdict import Diagnosis, Header, Missed, Status, Verdict
from veriformer_spec.chapters import CLAUSES
from veriformer_spec.config import ClaimError

JUDGED_LAST = "state.calls-are-independent"
"""A subject that gave two answers to one case, in whatever clause, breaks this one; so it is decided when the others are known."""

SHARE_OF_THE_LIMIT = 0.7
"""Part of a clause's time after which no further case is begun; what is left is for the case that is running."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Found:
    """A subject, and what was typed to get it.

    Attributes:
        target: what to type to judge this subject again.
        options: what else was typed that changes the subject, such as ``--set norm=pre``.
    """

    declaration: Declaration
    target: str
    options: tuple[str, ...] = ()

    @property
    def expected(self) -> tuple[Expected, ...]:
        """The failures that the subject itself declares."""
        known = self.declaration.expected_failures.items()
        return checked(
            [Expected(clause=clause, reason=reason) for clause, reason in known], where=self.declaration.name
        )


Load = Callable[[], Sequence[Found]]


@dataclasses.dataclass(frozen=True)
class Position:
    """Where to go on: a subject, the verdicts on the clauses that are done, and what its preflight found where it is done."""

    subject: int = 0
    verdicts: tuple[Verdict, ...] = ()
    conditions: Conditions | None = None


def work(load: Load, request: Request, start: Position, emit: Emit) -> None:
    """Judge every subject of ``load``, from ``start`` on."""
    with restored():
        one_thread()
        try:
            found = load()
        except (UsageError, ClaimError) as mistake:
            emit(Refused(str(mistake), 2))
            return
        except CannotLoad as failure:
            emit(Refused(str(failure), 3))
            return
        emit(Loaded([header_of(each, request) for each in found]))
        for index in range(start.subject, len(found)):
            known = start if index == start.subject else Position(index)
            _judge_subject(found[index], request, known, emit)
        emit(Finished())


def _judge_subject(found: Found, request: Request, start: Position, emit: Emit) -> None:
    if start.conditions is None:
        ready, subject = _made_ready(found, request, start.subject)
        emit(ready)
        if ready.blocked or not ready.clauses:
            return
    else:
        subject = _subject(found.declaration, request, start.conditions)
    subject.observe_case = lambda case: emit(CaseSeen(str(case)))
    expected = (*request.expected, *found.expected)
    verdicts = list(start.verdicts)
    for clause in clauses_for(found.declaration, request)[len(verdicts) :]:
        emit(Begin(start.subject, clause))
        verdicts.append(
            verdict_on(clause, subject, request, entry_for(expected, clause, found.declaration.name)),
        )
        emit(Judged(start.subject, verdicts[-1]))
    subject.observe_case = lambda _: None
    new = [each for each in verdicts if entry_for(expected, each.clause, found.declaration.name) is None]
    unknown = any(each.status in WRONG for each in new)
    emit(_diagnosed(start.subject, subject, verdicts, unknown=unknown, request=request))


def _diagnosed(
    index: int, subject: Subject, verdicts: Sequence[Verdict], *, unknown: bool, request: Request
) -> Diagnosed:
    """What the failures look like, and what could have been missed; where that stumbles, it says so and hides no verdict.

    Args:
        unknown: something fails that nobody expected; of what is known, the reason is known too.
    """
    if not request.diagnose:
        return Diagnosed(subject=index)
    diagnosis: Diagnosis | None = None
    if unknown:
        try:
            # the catalogue and all it needs: not loaded for those who are right
            from veriformer.diagnosis import diagnose

            with restored():
                diagnosis = diagnose(subject, verdicts)
        except Exception as error:  # noqa: BLE001  # it calls code of which nothing is known, and is no reason to lose a report
            diagnosis = Diagnosis(said=f"no diagnosis: it stopped with {told(error)}")
    return Diagnosed(subject=index, diagnosis=diagnosis, missed=_missed(subject, verdicts))


def _missed(subject: Subject, verdicts: Sequence[Verdict]) -> Missed:
    from veriformer.missed import missed

    return missed(subject, verdicts)


def clauses_for(declaration: Declaration, request: Request) -> list[str]:
    """What a subject is judged by, in this order."""
    asked = [each for each in request.clauses if CLAUSES[each].selected_by(declaration.role, declaration.claims)]
    return sorted(asked, key=lambda clause: clause == JUDGED_LAST)


def verdict_on(clause: str, subject: Subject, request: Request, expected: Expected | None = None) -> Verdict:
    """The verdict on one clause; a mistake of the suite itself is a verdict, too, and stops nothing."""
    if subject.device.type == "cuda" and not torch.cuda.is_available():
        return not_checked(CLAUSES[clause], "no CUDA device")
    tested_by = every_property()[clause]
    effort = Effort(
        examples=EXAMPLES[request.budget],
        seed=request.seed,
        shrink=expected is None,
        seconds=request.time_limit * SHARE_OF_THE_LIMIT,
    )
    if request.case:
        return replay(CLAUSES[clause], tested_by, subject, Case.parse(subject.role, request.case))
    if expected is not None and expected.case:
        again = replay(CLAUSES[clause], tested_by, subject, Case.parse(subject.role, expected.case))
        if again.status in (Status.FAIL, Status.ERROR):
            return again
    return judge(CLAUSES[clause], tested_by, subject, effort)


@functools.cache
def every_property() -> dict[str, tuple[Property, ...]]:
    """The suite's properties, looked for once."""
    return dict(properties())


def _made_ready(found: Found, request: Request, index: int) -> tuple[Ready, Subject]:
    declaration = found.declaration
    dtype, device = _dtype(request.dtype), torch.device(request.device)
    blocked, exit_code = "", 0
    ready = Prepared(Subject(declaration, dtype=dtype, device=device, rounds_to=dtype), [])
    if device.type == "cpu" or torch.cuda.is_available():
        try:
            if request.case:
                Case.parse(declaration.role, request.case)
            ready = prepared(declaration, dtype=dtype, device=device)
            blocked, exit_code = ready.blocked, 3
        except UsageError as mistake:
            blocked, exit_code = str(mistake), 2
        except Exception as error:  # noqa: BLE001  # the preflight calls code of which nothing is known
            blocked, exit_code = f"the preflight stopped with {type(error).__name__}: {error}", 3
    else:
        ready.notes.append(f"no CUDA device here: nothing can be checked on {request.device}")
    subject = ready.subject
    conditions = Conditions(_name(subject.dtype), _name(subject.rounds_to), subject.neutralise_dropout)
    said = Ready(
        subject=index,
        notes=ready.notes,
        conditions=conditions,
        clauses=[] if blocked else clauses_for(declaration, request),
        expected=list(found.expected),
        blocked=blocked,
        exit_code=exit_code if blocked else 0,
        places=ready.places,
    )
    return said, subject


def _subject(declaration: Declaration, request: Request, conditions: Conditions) -> Subject:
    return Subject(
        declaration,
        dtype=_dtype(conditions.dtype),
        device=torch.device(request.device),
        rounds_to=_dtype(conditions.rounds_to),
        neutralise_dropout=conditions.neutralise_dropout,
    )


def _dtype(name: str) -> torch.dtype:
    found: torch.dtype = getattr(torch, name)
    return found


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def header_of(found: Found, request: Request) -> Header:
    """What the report says first: what is judged, by what."""
    declaration = found.declaration
    return Header(
        versions=_versions(),
        target=found.target,
        options=list(found.options),
        subject=declaration.name,
        role=str(declaration.role),
        claims={name: _plain(value) for name, value in declaration.claims.items()},
        sizes=dict(declaration.sizes),
        device=request.device,
        dtype=request.dtype,
        budget=request.budget,
        seed=request.seed,
        assumed=list(declaration.assumed),
    )


def header_of_target(
    target: str, request: Request, *, role: str | None, claims: Mapping[str, object], sizes: Mapping[str, int]
) -> Header:
    """The same for what could not even be loaded: of it nothing is known but what was typed."""
    options = ["--as", role] if role is not None else []
    for name, value in claims.items():
        options += ["--set", f"{name}={value}"]
    for name, size in sizes.items():
        options += ["--size", f"{name}={size}"]
    return Header(
        versions=_versions(),
        target=target,
        options=options,
        subject=target,
        role=role or "",
        claims={name: _plain(value) for name, value in claims.items()},
        sizes=dict(sizes),
        device=request.device,
        dtype=request.dtype,
        budget=request.budget,
        seed=request.seed,
    )


def _versions() -> dict[str, str]:
    return {
        "veriformer": veriformer.__version__,
        "spec": specification_version(),
        "torch": str(torch.__version__),
        "python": platform.python_version(),
    }


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value
