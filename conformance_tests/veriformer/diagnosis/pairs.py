"""Pairs: two departures at once, where no single one explains the subject.

There are thousands of pairs, and a probe costs a call of the reference. What the probes say one by one orders them: a fault that
by itself equals the subject at some probe where it departs is likely one of the two; and faults that show at a probe where the
subject departs from nothing are none of them, unless one hides the other.
"""

import time
from collections.abc import Iterator, Sequence

from veriformer.diagnosis import ranking
from veriformer.diagnosis.candidates import CORRECT, Candidate
from veriformer.diagnosis.ranking import Comparison, Match


def exact(comparison: Comparison, singles: Sequence[Candidate], failed: frozenset[str], *, within: float) -> list[Match]:
    """The pairs that the subject equals wherever it was asked; as many as are found in the time given, the likeliest first."""
    until = time.perf_counter() + within
    over = lambda: time.perf_counter() > until  # noqa: E731  # one line, used below
    return ranking.exact(comparison, likeliest_first(comparison, singles, failed), over)


def likeliest_first(comparison: Comparison, singles: Sequence[Candidate], failed: frozenset[str]) -> Iterator[Candidate]:
    """Compatible pairs."""
    scores = {each: _likely(comparison, each, failed) for each in singles}
    order = sorted((each for each in singles if scores[each] is not None), key=lambda each: -(scores[each] or 0.0))
    for total in range(1, 2 * len(order)):
        for first in range(max(0, total - len(order)), (total + 1) // 2):
            second = total - first
            if second < len(order) and first < second and order[first].compatible(order[second]):
                yield order[first].with_(order[second])


def _likely(comparison: Comparison, candidate: Candidate, failed: frozenset[str]) -> float | None:
    """How much speaks for the candidate as one of two; None where it shows nowhere."""
    explained = quiet = 0
    for probe in comparison.probes:
        answer = comparison.answer(candidate, probe)
        if answer is None:
            return None
        here = comparison.distance(candidate, probe)
        if probe in comparison.departing:
            explained += here.equal
        else:
            quiet += here.equal
    known = sum(clause.id in failed for fault in candidate.faults for clause in fault.clauses)
    return explained + quiet + 0.5 * known


__all__ = ["CORRECT", "exact", "likeliest_first"]
