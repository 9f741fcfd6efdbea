"""Overflow: a number that hides in float32, in which models are trained, may overflow in float64 alone.

The smallest float64 becomes minus infinity in a softmax that is computed in float32. A query with nothing visible is then NaN on the
way back, and with float32 it is not: what is not finite for that reason alone is not held against a subject.
"""

from collections.abc import Callable

import torch

from veriformer.case import Case
from veriformer.outcome import NotChecked
from veriformer.subjects import Instance, Subject


def in_float32(subject: Subject, case: Case) -> Instance | None:
    """The subject built anew in float32, in which what is not finite may be judged again; None where it already is."""
    return None if subject.dtype is torch.float32 else subject.instance(case, dtype=torch.float32)


def require_float32_to_agree(subject: Subject, case: Case, finite: Callable[[Instance], bool], words: str) -> None:
    """Go on only where gradients are not finite in float32 either.

    Args:
        finite: asks the question again, of another instance.
        words: where they are not finite.

    Raises:
        NotChecked: in float32 every gradient is finite.
    """
    narrow = in_float32(subject, case)
    if narrow is not None and finite(narrow):
        raise NotChecked(
            f"where {words} gradients are finite in float32 and not in float64, in which what hides it overflows"
        )
