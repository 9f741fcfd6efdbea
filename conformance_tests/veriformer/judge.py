"""Judge one property on one subject: draw cases, count what they could have shown, keep the smallest that fails."""

import dataclasses
import hashlib
import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import hypothesis
import msgspec
import torch
from hypothesis import HealthCheck, Phase, Verbosity, settings
from hypothesis.errors import Flaky, Unsatisfiable, UnsatisfiedAssumption
from hypothesis.strategies import SearchStrategy

from veriformer.case import Case
from veriformer.declaration import Unsupported, UsageError
from veriformer.isolation import told
from veriformer.outcome import Inconclusive, NotChecked, SubjectError, Vacuous, Violation
from veriformer.picture import axes_of
from veriformer.process_state import restored
from veriformer.property import Property
from veriformer.request import EXAMPLES
from veriformer.result import WITNESS_NOT_CHECKED
from veriformer.same_draws import from_the_seed_alone
from veriformer.subjects import Subject
from veriformer.verdict import CaseEvidence, Picture, Status, Verdict
from veriformer_spec.clause import Clause

ROUNDS = 4
"""Searches, each as long as the budget, in which a property may look for cases that could fail; one nearly always does."""

REFUSALS = 3
"""Refused configurations, as a multiple of the budget, after which the verdict is inconclusive."""

STUMBLED = "the answer made the property stop with"
"""How the reason begins where the error is a property's own: it met an answer that it was not written for."""

_WORST_FIRST = (Status.FAIL, Status.ERROR, Status.INCONCLUSIVE, Status.PASS, Status.NOT_CHECKED)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Effort:
    """How hard to look.

    Attributes:
        examples: cases drawn for each property.
        seed: 0 draws the same cases each time; others hunt.
        shrink: look for the smallest failing case.
        seconds: time for one clause after which no further case is begun: a slow subject gets a verdict on fewer cases.
    """

    examples: int = EXAMPLES["standard"]
    seed: int = 0
    shrink: bool = True
    seconds: float = math.inf


class _Stop(BaseException):
    """Ends the search at once: Hypothesis would look for a smaller case of anything that is an Exception."""

    def __init__(self, why: Exception) -> None:
        super().__init__(str(why))
        self.why = why


class _OutOfTime(BaseException):
    """Ends the search at once, because it took too long."""


def judge(clause: Clause, properties: Sequence[Property], subject: Subject, effort: Effort) -> Verdict:
    """The verdict on ``clause``: its worst property's; properties that could not run are said beside those that did."""
    started = time.perf_counter()
    if clause.needs_masks and not set(clause.needs_masks) & set(subject.masks):
        return _verdict(
            clause, Status.NOT_CHECKED, reason=f"the subject accepts no {' or '.join(clause.needs_masks)} mask"
        )
    if not properties:
        return _verdict(clause, Status.NOT_CHECKED, reason="no property tests this clause")
    each = []
    for index, one in enumerate(properties):
        left = effort.seconds - (time.perf_counter() - started)
        share = dataclasses.replace(effort, seconds=left / (len(properties) - index))
        each.append(_judge_one(one, subject, share))
    return _together(clause, each, time.perf_counter() - started)


def _together(clause: Clause, each: Sequence[Verdict], seconds: float) -> Verdict:
    """The worst of the verdicts of a clause's properties."""
    worst = min(each, key=lambda verdict: _WORST_FIRST.index(verdict.status))
    unchecked = [verdict.reason for verdict in each if verdict.status is Status.NOT_CHECKED]
    reason = worst.reason
    if worst.status is Status.PASS and unchecked:
        reason = f"{WITNESS_NOT_CHECKED}: {unchecked[0]}"
    return _verdict(
        clause,
        worst.status,
        examples=sum(verdict.examples for verdict in each),
        exercised=sum(verdict.exercised for verdict in each),
        seconds=seconds,
        evidence=worst.evidence,
        reason=reason,
    )


def not_checked(clause: Clause, reason: str) -> Verdict:
    """The verdict on a clause that could not be checked, for a reason that is said aloud."""
    return _verdict(clause, Status.NOT_CHECKED, reason=reason)


def replay(clause: Clause, properties: Sequence[Property], subject: Subject, case: Case) -> Verdict:
    """The verdict on one given case, by every property of the clause."""
    started = time.perf_counter()
    if not properties:
        return not_checked(clause, "no property tests this clause")
    each = [_replay_one(one, subject, case) for one in properties]
    return _together(clause, each, time.perf_counter() - started)


def _replay_one(one: Property, subject: Subject, case: Case) -> Verdict:
    trial = _Trial(dataclasses.replace(one, floor=1), subject, stop_at=math.inf)
    return _concluded(trial, 1, lambda: trial.run(case))


def runs_at(one: Property, effort: Effort) -> bool:
    """Whether the effort is large enough for a property that takes long."""
    return not one.deep or effort.examples >= EXAMPLES["deep"]


def _judge_one(one: Property, subject: Subject, effort: Effort) -> Verdict:
    if not runs_at(one, effort):
        return not_checked(one.clause, "needs --budget deep")
    times = 1 if one.deep else max(1, effort.examples // EXAMPLES["standard"])
    limit = effort.examples if one.most is None else min(effort.examples, one.most * times)
    trial = _Trial(one, subject, stop_at=time.perf_counter() + effort.seconds)

    def search() -> None:
        for again in range(ROUNDS):
            _search(trial.run, one.cases(subject), limit, dataclasses.replace(effort, seed=_seed(one, effort, again)))
            if trial.exercised >= trial.needed(limit) or trial.doubt or not trial.examples:
                return

    return _concluded(trial, limit, search)


def _concluded(trial: "_Trial", limit: int, search: Callable[[], None]) -> Verdict:
    """Search, and put how that ended into a verdict."""
    status, reason = Status.PASS, ""
    try:
        search()
    except NotChecked as why:
        status, reason = Status.NOT_CHECKED, str(why)
    except UsageError as mistake:
        status, reason = Status.ERROR, str(mistake)
    except _Stop as stop:
        status = Status.NOT_CHECKED if isinstance(stop.why, NotChecked) else Status.ERROR
        reason = str(stop.why)
    except _OutOfTime:
        reason = f"stopped after {trial.examples} of {limit} cases: the time limit was near"
        if trial.failure is not None:
            status = Status.FAIL if isinstance(trial.failure[1], Violation) else Status.ERROR
    except (Unsatisfiable, UnsatisfiedAssumption):
        status, reason = Status.INCONCLUSIVE, trial.why_nothing_could_be_drawn()
    except Flaky:
        status, reason = Status.INCONCLUSIVE, FLAKY
    except Violation:
        status = Status.FAIL
    except SubjectError as failure:
        status, reason = Status.ERROR, str(failure)
    except Exception as failure:  # noqa: BLE001  # what came back made the property itself stumble
        status, reason = Status.ERROR, f"{STUMBLED} {told(failure)}"
    if status is Status.PASS:
        status, reason = trial.power(limit, reason)
    return _verdict(
        trial.property.clause,
        status,
        examples=trial.examples,
        exercised=trial.exercised,
        evidence=_evidence(trial.property, *trial.failure) if trial.failure is not None else None,
        reason=reason,
    )


class _Trial:
    """One property on one subject: runs a case, and counts what cases could have shown.

    Attributes:
        examples: cases run.
        exercised: cases that could have failed.
        failure: the last case that failed, and how; once the search is over, the smallest.
    """

    def __init__(self, one: Property, subject: Subject, *, stop_at: float) -> None:
        self.property = one
        self.subject = subject
        self.stop_at = stop_at
        self.examples = self.exercised = self.refused = 0
        self.refusal = self.doubt = ""
        self.failure: tuple[Case, Exception] | None = None

    def run(self, case: Case) -> None:
        """Run one case; a failure comes out as the exception that it is."""
        if time.perf_counter() > self.stop_at:
            raise _OutOfTime
        self.subject.observe_case(case)
        self.examples += 1
        try:
            with restored():
                self.property.check(self.subject, case)
        except Vacuous:
            return
        except Unsupported as refusal:
            self.examples -= 1
            self.refused += 1
            self.refusal = str(refusal)
            hypothesis.reject()
        except Inconclusive as why:
            self.doubt = str(why)
            return
        except (NotChecked, UsageError) as why:
            raise _Stop(why) from why
        except Exception as failure:
            self.failure = (case, failure)
            raise
        self.exercised += 1

    def needed(self, limit: int) -> int:
        """Cases that could have failed, below which nothing is concluded."""
        return min(self.property.floor, limit)

    def power(self, limit: int, said: str) -> tuple[Status, str]:
        """Pass only with enough cases that could have failed, and no doubt about any."""
        if self.doubt:
            return Status.INCONCLUSIVE, self.doubt
        refused = f"{self.refused} configurations refused: {self.refusal}" if self.refused else ""
        needed = self.needed(limit)
        if self.exercised >= needed:
            return Status.PASS, "; ".join(filter(None, (said, refused)))
        if self.refused > REFUSALS * limit:
            return Status.INCONCLUSIVE, refused
        lacking = f"{self.exercised} of {self.examples} cases could have failed; {needed} are needed"
        return Status.INCONCLUSIVE, "; ".join(filter(None, (said, lacking, refused)))

    def why_nothing_could_be_drawn(self) -> str:
        """Whether it was the subject that wanted none of the cases."""
        return f"the subject refused every configuration: {self.refusal}" if self.refused else "no case could be drawn"


FLAKY = "the subject gave two answers to one case; see state.calls-are-independent"


def _search(test: Callable[[Case], None], cases: SearchStrategy[Case], examples: int, effort: Effort) -> None:
    phases = (Phase.generate, Phase.shrink) if effort.shrink else (Phase.generate,)
    configured = settings(
        max_examples=examples,
        phases=phases,
        database=None,
        deadline=None,
        derandomize=False,  # the seed below does it: Hypothesis' own would make every clause draw alike
        report_multiple_bugs=False,
        print_blob=False,
        verbosity=Verbosity.quiet,
        suppress_health_check=list(HealthCheck),
    )

    def case_taken(case: Case) -> None:
        test(case)

    with from_the_seed_alone():
        hypothesis.seed(effort.seed)(configured(hypothesis.given(cases)(case_taken)))()


def _seed(one: Property, effort: Effort, again: int) -> int:
    """Drawn from the clause's id: otherwise all clauses would draw alike."""
    digest = hashlib.sha256(f"{one.clause.id} {one.name} {effort.seed}{'+' * again}".encode()).digest()
    return int.from_bytes(digest[:8], "big")


def _evidence(one: Property, case: Case, failure: Exception) -> CaseEvidence:
    seen: Any = failure.evidence if isinstance(failure, Violation) else None
    if seen is None:
        return CaseEvidence(property=one.name, case=str(case), message=str(failure))
    return CaseEvidence(
        property=one.name,
        case=str(case),
        message=seen.message,
        expected=_sayable(seen.expected),
        got=_sayable(seen.got),
        index=seen.index,
        margin=seen.margin,
        picture=_sayable_picture(seen.picture, case) if seen.picture is not None else None,
    )


def _sayable_picture(picture: Picture, case: Case) -> Picture:
    """The same, with words for its axes and numbers as JSON can hold them."""
    fixed, rows, columns = axes_of(picture, case)
    place = ", ".join(f"{word} {index}" for word, index in zip(fixed, picture.fixed, strict=False))
    expected, got = _sayable(picture.expected), _sayable(picture.got)
    return msgspec.structs.replace(picture, rows=rows, columns=columns, place=place, expected=expected, got=got)


def _sayable(values: Any) -> Any:
    """Numbers as JSON can hold them: NaN and the infinities become words."""
    if isinstance(values, list):
        return [_sayable(each) for each in values]
    if isinstance(values, float) and not math.isfinite(values):
        return str(values)
    return values


def _verdict(
    clause: Clause,
    status: Status,
    *,
    examples: int = 0,
    exercised: int = 0,
    seconds: float = 0.0,
    evidence: CaseEvidence | None = None,
    reason: str = "",
) -> Verdict:
    return Verdict(
        clause=clause.id,
        level=clause.level.value,
        status=status,
        examples=examples,
        exercised=exercised,
        seconds=round(seconds, 4),
        evidence=evidence,
        reason=reason,
    )


def one_thread() -> None:
    """Tiny forwards are several times slower with two threads than with one; in a forked child, more threads can hang."""
    torch.set_num_threads(1)
