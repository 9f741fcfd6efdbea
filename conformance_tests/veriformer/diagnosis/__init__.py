"""Diagnosis: which catalogued mistake, or which other legal claim, a subject's behaviour equals.

Both are asked the same on the same weights, in float64, and an answer counts only where it is equal within rounding. A legal
alternative is named before a fault is; what is only near is said to be near; where nothing is, nothing is named.
"""

from collections.abc import Sequence

from veriformer.subjects import Subject
from veriformer.verdict import Diagnosis, Verdict


def diagnose(subject: Subject, verdicts: Sequence[Verdict] = ()) -> Diagnosis:
    """Which other legal claim, catalogued fault or pair of them the subject's behaviour equals, or comes nearest to.

    Args:
        subject: as the preflight left it.
        verdicts: of the clauses that were judged; those that failed rank what else is equal.
    """
    from veriformer.diagnosis.inquiry import inquire  # the catalogue's own files may import from this package

    return inquire(subject, verdicts)


__all__ = ["diagnose"]
