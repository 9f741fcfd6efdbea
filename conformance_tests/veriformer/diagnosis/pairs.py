"""Pairs: two departures at once, where no single one explains the subject.

There are thousands of pairs, and a probe costs a call of the reference. What each single candidate answered orders them: where one of
two shows and the other does not, the pair should answer as that one, and where neither shows, as the specification.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from veriformer.diagnosis.answers import apart
from veriformer.diagnosis.candidates import CORRECT, Candidate
from veriformer.diagnosis.probes import Probe
from veriformer.diagnosis.ranking import Comparison, Match

MOST = 600
"""Pairs that are tried: a number and not a time, so that a report says the same twice."""
DEPARTING, REFUTING, ELSEWHERE = 9, 4, 4
"""Probes by which pairs are ordered, the cheap ones first: at which the subject departs from the specification, at which the best
single explanation fails, and at which the subject does not depart."""


def exact(
    comparison: Comparison, singles: Sequence[Candidate], failed: frozenset[str], *, most: int = MOST
) -> list[Match]:
    """The pairs that the subject equals wherever it was asked, the likeliest first.

    Once one is found, only those that share a member with it are tried: what else is equal is that with a synonym.
    """
    shown = _shown(comparison, singles)
    for tried, pair in enumerate(_likeliest_first(shown, failed)):
        if tried >= most:
            return []
        if comparison.equal(pair, comparison.in_order) and comparison.holds(pair):
            return [_matched(comparison, pair), *_relatives(comparison, pair, shown.candidates)]
    return []


def _matched(comparison: Comparison, pair: Candidate) -> Match:
    return comparison.matched(pair, comparison.probes)


def _relatives(comparison: Comparison, pair: Candidate, singles: Sequence[Candidate]) -> list[Match]:
    """Other pairs with one of the two in them that the subject equals as well."""
    of_pair = _members(pair)
    found, seen = [], {of_pair}
    for member in singles:
        if not _members(member) < of_pair:
            continue
        for other in singles:
            joint = member.with_(other)
            if _members(joint) not in seen and member.compatible(other):
                seen.add(_members(joint))
                if comparison.equal(joint, comparison.in_order) and comparison.holds(joint):
                    found.append(_matched(comparison, joint))
    return found


def _members(candidate: Candidate) -> frozenset[str]:
    """The names of what it is made of."""
    return frozenset((*map(str, candidate.claims), *(fault.id for fault in candidate.faults)))


@dataclass(frozen=True)
class _Shown:
    """What each candidate by itself answered at the probes by which pairs are ordered.

    Attributes:
        shows: ``candidates probes``: 1 where it answers otherwise than the specification.
        equals: ``candidates probes``: 1 where it answers as the subject does.
        departs: ``probes``: 1 where the subject answers otherwise than the specification.
    """

    candidates: list[Candidate]
    shows: Tensor
    equals: Tensor
    departs: Tensor


def _telling(comparison: Comparison, singles: Sequence[Candidate]) -> list[Probe]:
    """The cheap probes; and those at which the single candidate that explains most of them is refuted, where the other one shows."""
    departing = {probe.name for probe in comparison.departing}
    first = [probe for probe in comparison.in_order if probe.name in departing][:DEPARTING]
    best = max(
        singles, key=lambda each: sum(comparison.distance(each, probe).equal for probe in first), default=CORRECT
    )
    others = [probe for probe in comparison.in_order if probe not in first]
    refuting = [probe for probe in others if not comparison.distance(best, probe).equal][:REFUTING]
    silent = [probe for probe in others if probe.name not in departing][:ELSEWHERE]
    return list({probe.name: probe for probe in (*first, *refuting, *silent)}.values())


def _shown(comparison: Comparison, singles: Sequence[Candidate]) -> _Shown:
    departing = {probe.name for probe in comparison.departing}
    probes = _telling(comparison, singles)
    candidates, shows, equals = [], [], []
    for candidate in singles:
        answers = [comparison.answer(candidate, probe) for probe in probes]
        correct = [comparison.answer(CORRECT, probe) for probe in probes]
        if any(each is None for each in (*answers, *correct)):
            continue
        pairs = zip(answers, correct, strict=True)
        own = [
            not apart(each, right, comparison.dtype).equal
            for each, right in pairs
            if each is not None and right is not None
        ]
        if any(own):
            candidates.append(candidate)
            shows.append(own)
            equals.append([comparison.distance(candidate, probe).equal for probe in probes])
    return _Shown(
        candidates,
        torch.tensor(shows, dtype=torch.float64).reshape(-1, len(probes)),
        torch.tensor(equals, dtype=torch.float64).reshape(-1, len(probes)),
        torch.tensor([probe.name in departing for probe in probes], dtype=torch.float64),
    )


def _likeliest_first(shown: _Shown, failed: frozenset[str]) -> Iterator[Candidate]:
    """Compatible pairs, by at how many probes what each of the two answered alone agrees with what the subject answers."""
    hidden, shows, right = 1 - shown.shows, shown.shows, 2 * shown.equals - 1
    neither = (hidden * (1 - 2 * shown.departs)) @ hidden.mT
    one = (shows * right) @ hidden.mT
    both = (shows * shown.equals) @ shows.mT
    known = torch.tensor(
        [sum(clause.id in failed for fault in each.faults for clause in fault.clauses) for each in shown.candidates],
        dtype=torch.float64,
    )
    score = neither + one + one.mT + 0.25 * (both + both.mT) + 0.5 * (known[:, None] + known[None])
    first, second = torch.triu_indices(len(known), len(known), 1)
    for index in score[first, second].argsort(descending=True, stable=True).tolist():
        one_of, other = shown.candidates[int(first[index])], shown.candidates[int(second[index])]
        if one_of.compatible(other):
            yield one_of.with_(other)
