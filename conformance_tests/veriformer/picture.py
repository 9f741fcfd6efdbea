"""Two small matrices that a page draws side by side, cut out of what a property compared."""

from collections.abc import Sequence

import msgspec
from torch import Tensor

from veriformer.case import Case
from veriformer.verdict import Picture
from veriformer_spec.role import Role

MOST_ROWS, MOST_COLUMNS = 8, 12
"""A picture is no larger than this: of a larger matrix, the part around what the message speaks of."""

_PLAIN_OUTPUT = ("row of the batch", "token", "feature")
_BY_HEADS = ("row of the batch", "head", "token", "feature")
_HEADED = (Role.ATTENTION, Role.ROTARY_ENCODING)
_NO_TOKENS = (Role.ATTENTION_BIAS, Role.LOSS, Role.LEARNING_RATE_SCHEDULE, Role.GENERATION, Role.DROPOUT)
"""Roles whose results are no features of tokens."""


def cut(
    expected: Tensor | None, got: Tensor | None, index: Sequence[int], *, shows: str, axes: tuple[str, str]
) -> Picture | None:
    """The last two axes of two tensors of one shape, at ``index``; None where they have no two axes.

    Args:
        index: where the message points; axes before the last two are fixed by it.
    """
    if expected is None or got is None or expected.shape != got.shape or expected.dim() < 2 or not expected.numel():
        return None
    if expected.is_complex() or got.is_complex() or (expected.dim() > 2 and len(index) != expected.dim()):
        return None
    fixed = [int(each) for each in index[:-2]]
    place = tuple(fixed) if len(index) == expected.dim() else ()  # a row that was taken out already is only told
    right, seen = expected[place].detach().cpu(), got[place].detach().cpu()
    at = [int(each) for each in index[-2:]]
    if len(at) < 2 or at[0] >= right.shape[0] or at[1] >= right.shape[1]:
        at = []
    rows = _part(right.shape[0], at[0] if at else 0, MOST_ROWS)
    columns = _part(right.shape[1], at[1] if at else 0, MOST_COLUMNS)
    return Picture(
        shows=shows,
        rows=axes[0],
        columns=axes[1],
        expected=_numbers(right[rows, columns]),
        got=_numbers(seen[rows, columns]),
        at=[at[0] - rows.start, at[1] - columns.start] if at else [],
        first=[rows.start, columns.start],
        of=list(right.shape),
        fixed=fixed,
    )


def moved_down(picture: Picture | None, rows: int, axes: tuple[str, str]) -> Picture | None:
    """The same, where its first row is a later one of something longer, and what its axes are."""
    if picture is None:
        return None
    first = [picture.first[0] + rows, picture.first[1]]
    return msgspec.structs.replace(picture, first=first, rows=axes[0], columns=axes[1])


def axes_of(picture: Picture, case: Case) -> tuple[tuple[str, ...], str, str]:
    """What the axes of a picture are, where it was cut out of the subject's output, which its sizes tell; or empty words.

    Returns:
        the words for the axes that are fixed, for what goes down, and for what goes across.
    """
    if picture.rows or picture.columns:
        return ("row of the batch",) * (len(picture.fixed) == 1), picture.rows, picture.columns
    if case.role in _NO_TOKENS:
        return (), "", ""
    tokens, across = picture.of
    words = _BY_HEADS if case.role in _HEADED else _PLAIN_OUTPUT
    features = {case.d_value, case.d_head} - {case.k_len} if case.role in _HEADED else {case.d_model}
    if len(picture.fixed) != len(words) - 2 or tokens not in (case.q_len, case.k_len):
        return (), "", ""
    if case.vocab and across == case.vocab:
        return words[:-2], words[-2], "word"
    return (words[:-2], words[-2], words[-1]) if across in features else ((), "", "")


def _part(size: int, at: int, most: int) -> slice:
    """At most ``most`` indices out of ``size``, with ``at`` among them."""
    start = min(max(0, at - most // 2), max(0, size - most))
    return slice(start, min(size, start + most))


def _numbers(matrix: Tensor) -> list[list[object]]:
    values: list[list[object]] = matrix.double().tolist() if matrix.is_floating_point() else matrix.int().tolist()
    return values
