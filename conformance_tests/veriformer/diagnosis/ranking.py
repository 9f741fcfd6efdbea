"""Ranking: which candidates answer every probe as the subject does, and which come nearest."""

import dataclasses
import functools
import math
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence

import torch

from veriformer.diagnosis.answers import APART, NOTHING, RAISED, Answer, Distance, apart
from veriformer.diagnosis.candidates import CORRECT, Candidate
from veriformer.diagnosis.envelope import envelope
from veriformer.diagnosis.grounds import CannotCompare, Grounds
from veriformer.diagnosis.probes import Probe, answered
from veriformer.errors import UsageError
from veriformer.reach import tracing

_TABLES: "OrderedDict[object, dict[str, Answer | None]]" = OrderedDict()
"""What candidates answer, by ground and probe: the same for every subject of one role with the same claims and weights."""
_MOST_TABLES = 256
NO_NUMBER = torch.zeros(0)
FAR = 1000.0
"""Units of the specification's own rounding beyond which a candidate's need not be measured: no fault makes that so much larger."""
_CALLED: dict[object, frozenset[str]] = {}
"""The functions of the reference that a correct run calls, by role, claims and probe."""


@dataclasses.dataclass(frozen=True)
class Match:
    """How well a candidate explains the subject.

    Attributes:
        explained: probes at which the subject departs from the specification, and not from the candidate.
        broken: probes at which it departs from the candidate, of those that were asked.
    """

    candidate: Candidate
    distance: Distance
    explained: int
    broken: int


class Comparison:
    """The subject's answers, and those of any candidate beside them."""

    def __init__(self, grounds: Grounds, probes: Sequence[Probe], dtype: torch.dtype) -> None:
        self.grounds, self.dtype = grounds, dtype
        subject = grounds.subject
        self._asked_of = (
            subject.role,
            tuple(sorted((name, repr(value)) for name, value in subject.claims.items())),
            grounds.case,
        )
        self._tables: dict[str, dict[str, Answer | None]] = {}
        self._envelopes: dict[tuple[str, str], Mapping[str, float]] = {}
        self.theirs: dict[str, Answer] = {}
        self.called: frozenset[str] = frozenset()
        self.probes = tuple(probe for probe in probes if self._ask_the_subject(probe))
        self._called_at = {probe.name: self._called(probe) for probe in self.probes}
        self.called = frozenset[str]().union(*self._called_at.values())
        self.departing = tuple(probe for probe in self.probes if not self.distance(CORRECT, probe).equal)

    def _called(self, probe: Probe) -> frozenset[str]:
        """The functions of the reference that a correct run calls at one probe; found out once for a role and its claims."""
        key = (self._asked_of, probe.name)
        if key not in _CALLED:
            with tracing() as called:
                answer = self._asked(CORRECT, probe)
            if (
                answer is None
            ):  # the weights of this subject are those of another claim: nothing is learnt about the next one
                return frozenset()
            _CALLED[key] = frozenset(called)
        return _CALLED[key]

    def _ask_the_subject(self, probe: Probe) -> bool:
        """Whether the subject can be asked at all."""
        try:
            side = self.grounds.at(probe.name, probe.setting).theirs
        except UsageError:
            raise
        except Exception:  # noqa: BLE001  # it cannot be built so, or its weights cannot be found there: other probes say more
            return False
        answer = answered(probe, side)
        if probe.open_rows and any(bool(each.isnan().any()) for each in answer.values()):
            return False
        self.theirs[probe.name] = answer
        return True

    def answer(self, candidate: Candidate, probe: Probe, *, sure: bool = False) -> Answer | None:
        """What the candidate says; None where it needs weights that there are not.

        Args:
            sure: ask all of it, also where a part of it seems to be out of reach.
        """
        table = self._table(probe)
        asked = candidate if sure else self._in_reach(candidate, probe)
        if asked.name not in table or (sure and len(asked.faults) > 1):
            table[asked.name] = self._asked(asked, probe)
        return table[asked.name]

    def _in_reach(self, candidate: Candidate, probe: Probe) -> Candidate:
        """The candidate without the faults that a correct run does not come by: there it answers as it would without them.

        Of two faults, the first may call what the second replaces, though a correct run does not: what is found is asked again.
        """
        if candidate.claims:
            return candidate
        called = self._called_at[probe.name]
        reached = tuple(fault for fault in candidate.faults if any(target in called for target, _ in fault.patches))
        return candidate if len(reached) == len(candidate.faults) else Candidate(faults=reached)

    def holds(self, candidate: Candidate) -> bool:
        """Whether the subject equals the candidate at every probe, each asked in full."""
        return all(
            (answer := self.answer(candidate, probe, sure=True)) is not None
            and self._apart(answer, candidate, probe).equal
            for probe in self.probes
        )

    def _table(self, probe: Probe) -> "dict[str, Answer | None]":
        known = self._tables.get(probe.name)
        if known is None:
            key = self.grounds.at(probe.name, probe.setting).key
            known = {} if key is None else _TABLES.setdefault((self._asked_of, probe.name, key), {})
            self._tables[probe.name] = known
            while len(_TABLES) > _MOST_TABLES:
                _TABLES.popitem(last=False)
        return known

    def _asked(self, candidate: Candidate, probe: Probe) -> Answer | None:
        ground = self.grounds.at(probe.name, probe.setting)
        try:
            side = ground.ours(candidate)
        except CannotCompare:
            return None
        except Exception:  # noqa: BLE001  # a claim that contradicts others: no such reference can be built
            return None
        return answered(probe, side)

    def distance(self, candidate: Candidate, probe: Probe) -> Distance:
        """How far the subject is from the candidate at one probe."""
        expected = self.answer(candidate, probe)
        if expected is None:
            return APART
        if candidate is not CORRECT and self._speaks_alike(probe):
            rough = self._apart(expected, CORRECT, probe)
            if rough.units > FAR:
                return rough
        return self._apart(expected, candidate, probe)

    def _speaks_alike(self, probe: Probe) -> bool:
        """Whether a correct answer has the parts that the subject's has."""
        correct = self.answer(CORRECT, probe)
        return correct is not None and correct.keys() == self.theirs[probe.name].keys()

    def _apart(self, expected: Answer, rounding: Candidate, probe: Probe) -> Distance:
        """How far the subject's answer is from another, in the units of the candidate whose ``rounding`` explains a difference."""
        return apart(self.theirs[probe.name], expected, self.dtype, functools.partial(self._envelope, rounding, probe))

    def _envelope(self, candidate: Candidate, probe: Probe) -> Mapping[str, float]:
        """How far the candidate's own answer moves when each operation rounds, by its parts."""
        key = (candidate.name, probe.name)
        if key not in self._envelopes:
            ground = self.grounds.at(probe.name, probe.setting)
            self._envelopes[key] = envelope(lambda: answered(probe, ground.ours(candidate)), self.dtype)
        return self._envelopes[key]

    @functools.cached_property
    def in_order(self) -> tuple[Probe, ...]:
        """The cheap ones first; of those, the probes at which the subject departs from the specification."""
        names = {probe.name for probe in self.departing}
        return tuple(sorted(self.probes, key=lambda probe: (probe.steps, probe.name not in names)))

    def equal(self, candidate: Candidate, probes: Iterable[Probe]) -> bool:
        """Whether the subject answers all of ``probes`` as the candidate does."""
        return all(self.distance(candidate, probe).equal for probe in probes)

    def matched(self, candidate: Candidate, probes: Sequence[Probe]) -> Match:
        """The candidate beside the subject, at all of ``probes``."""
        departing = {probe.name for probe in self.departing}
        worst, explained, broken = NOTHING, 0, 0
        for probe in probes:
            here = self.distance(candidate, probe)
            worst = worst.or_further(here)
            explained += here.equal and probe.name in departing
            broken += not here.equal
        return Match(candidate, worst, explained, broken)

    def one_function(self, those: Sequence[Candidate]) -> bool:
        """Whether candidates answer every probe alike, to the last digits of float64."""
        first = those[0]
        for probe in self.probes:
            wanted = self.answer(first, probe)
            for other in those[1:]:
                answer = self.answer(other, probe)
                if wanted is None or answer is None or not apart(answer, wanted, torch.float64).equal:
                    return False
        return True

    def speaks(self, candidate: Candidate) -> bool:
        """Whether at some departing probe the subject and the candidate give the same numbers, and not only raise alike."""
        return any(
            RAISED not in self.theirs[probe.name] and self.distance(candidate, probe).equal for probe in self.departing
        )

    def raises_alike(self, candidate: Candidate) -> bool:
        """Whether the same kind of exception comes from both wherever the subject departs."""
        for probe in self.departing:
            answer = self.answer(candidate, probe)
            theirs = self.theirs[probe.name]
            if answer is None or RAISED not in theirs or not torch.equal(theirs[RAISED], answer.get(RAISED, NO_NUMBER)):
                return False
        return bool(self.departing)


def exact(comparison: Comparison, candidates: Iterable[Candidate]) -> list[Match]:
    """The candidates that the subject equals wherever it was asked, in their order."""
    return [
        comparison.matched(candidate, comparison.probes)
        for candidate in candidates
        if comparison.equal(candidate, comparison.in_order)
    ]


def nearest(comparison: Comparison, candidates: Sequence[Candidate]) -> Match | None:
    """The candidate that comes nearest, where one is near enough to be named: as nearest, never as found.

    It explains more than half of the departures and adds none, or leaves less than a twentieth of the difference.
    """
    first = comparison.departing[:3]
    ranked = sorted(
        candidates,
        key=lambda each: sum(not (d := comparison.distance(each, probe)).equal or d.relative for probe in first),
    )
    base = comparison.matched(CORRECT, comparison.probes)
    best: tuple[float, Match] | None = None
    for candidate in ranked[:12]:
        match = comparison.matched(candidate, comparison.probes)
        explains = 2 * match.explained > len(comparison.departing) and match.broken < base.broken - match.explained + 1
        close = _mean_relative(comparison, candidate) < 0.05 * max(_mean_relative(comparison, CORRECT), 1e-300)
        rank = match.broken + _mean_relative(comparison, candidate)
        if (close or (explains and comparison.speaks(candidate))) and (best is None or rank < best[0]):
            best = (rank, match)
    return None if best is None else best[1]


def _mean_relative(comparison: Comparison, candidate: Candidate) -> float:
    distances = [comparison.distance(candidate, probe).relative for probe in comparison.departing]
    return math.fsum(distances) / max(len(distances), 1)
