"""Pairs: two departures at once, where no single one explains the subject.

There are thousands of pairs, and a probe costs a call of the reference. What each single candidate answered orders them: one that by
itself equals the subject at some probe is likely one of the two, and one that shows where the subject departs from nothing is neither,
unless the other hides it.
"""

from collections.abc import Iterator, Sequence

from veriformer.diagnosis.answers import apart
from veriformer.diagnosis.candidates import CORRECT, Candidate
from veriformer.diagnosis.ranking import Comparison, Match

MOST = 600
"""Pairs that are tried: a number and not a time, so that a report says the same twice."""
TELLING = 10
"""Probes by which pairs are ordered: the cheap ones."""


def exact(
    comparison: Comparison, singles: Sequence[Candidate], failed: frozenset[str], *, most: int = MOST
) -> list[Match]:
    """The pairs that the subject equals wherever it was asked, the likeliest first.

    Once one is found, only those that share a member with it are tried: what else is equal is that with a synonym.
    """
    likely = likeliest_first(comparison, singles, failed)
    for tried, pair in enumerate(_joined(likely)):
        if tried >= most:
            return []
        if comparison.equal(pair, comparison.in_order) and comparison.holds(pair):
            return [_matched(comparison, pair), *_relatives(comparison, pair, likely)]
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


def _joined(order: Sequence[Candidate]) -> Iterator[Candidate]:
    """Compatible pairs: the first with the second, then those of the first three, and so on."""
    for last in range(1, len(order)):
        for first in range(last):
            if order[first].compatible(order[last]):
                yield order[first].with_(order[last])


def likeliest_first(comparison: Comparison, singles: Sequence[Candidate], failed: frozenset[str]) -> list[Candidate]:
    """The candidates that show at a probe where the subject departs, in the order in which they are likely to be one of two."""
    scored = [(_likely(comparison, each, failed), each) for each in singles]
    ordered = sorted(((score, index) for index, (score, _) in enumerate(scored) if score is not None), reverse=True)
    return [scored[index][1] for _, index in sorted(ordered, key=lambda each: (each[0], -each[1]), reverse=True)]


def _likely(comparison: Comparison, candidate: Candidate, failed: frozenset[str]) -> tuple[float, ...] | None:
    """What speaks for the candidate as one of two, the weightiest first; None where it shows nowhere.

    At how many probes the subject departs from nothing, though the candidate would show there; at how many departures it is equal to
    the candidate alone; of how many clauses that failed the candidate is known to break.
    """
    explained, shown_in_vain, shows = 0, 0, False
    departing = {probe.name for probe in comparison.departing}
    for probe in comparison.in_order[:TELLING]:
        answer = comparison.answer(candidate, probe)
        if answer is None:
            return None
        equal = comparison.distance(candidate, probe).equal
        if probe.name in departing:
            explained += equal
            correct = comparison.answer(CORRECT, probe)
            shows = shows or correct is None or not apart(answer, correct, comparison.dtype).equal
        else:
            shown_in_vain += not equal
    if not shows:
        return None
    known = sum(clause.id in failed for fault in candidate.faults for clause in fault.clauses)
    return (-shown_in_vain, explained + known, known)
