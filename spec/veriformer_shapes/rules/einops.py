"""``rearrange``, ``reduce`` and ``repeat``: patterns such as ``b t (h d) -> b h t d``."""

import re
from typing import TypeAlias

from ..language import axis as axes
from ..language.axis import UNKNOWN, Axis, Verdict, same
from ..language.broadcasting import Misfit, total
from ..language.shape import ANY_DIMS, Dim, Dims, spelled, spread_at
from .table import NotFollowed

Group: TypeAlias = tuple[str, ...]
"""The words of one axis: one word, several in brackets, or none for ``1`` and ``()``."""

_DOTS: Group = ("...",)


def rearranged(name: str, pattern: str, dims: Dims, given: dict[str, Axis]) -> Dims:
    """The axes on the right side of the pattern.

    Args:
        given: the sizes named in the call (``h=8``).

    Raises:
        Misfit: the tensor has another rank than the left side, or one word is two sizes.
    """
    left_text, arrow, right_text = pattern.partition("->")
    if not arrow:
        raise NotFollowed
    left, right = _groups(left_text), _groups(right_text)
    if any(_DOTS[0] in group and group != _DOTS for group in (*left, *right)):
        raise NotFollowed
    what = f'{name} "{pattern}"'
    sizes, run = _read(what, left, dims, given)
    return _written(right, sizes, run)


def _groups(text: str) -> list[Group]:
    words = re.findall(r"\([^)]*\)|[^\s()]+", text)
    return [
        tuple(part for part in word[1:-1].split() if part != "1")
        if word.startswith("(")
        else (() if word == "1" else (word,))
        for word in words
    ]


def _read(what: str, left: list[Group], dims: Dims, given: dict[str, Axis]) -> tuple[dict[str, Axis], Dims]:
    """The size of every word on the left, and the axes its dots stand for."""
    sizes = dict(given)
    run: Dims = ANY_DIMS
    spread = spread_at(dims)
    if _DOTS in left:
        at = left.index(_DOTS)
        after = len(left) - at - 1
        if spread is None and len(dims) < len(left) - 1:
            raise Misfit(f'{what}: {len(left) - 1} axes or more, the tensor is "{spelled(dims)}"')
        if spread is not None and (spread < at or len(dims) - spread - 1 < after):
            return sizes, ANY_DIMS
        run = dims[at : len(dims) - after]
        dims = (*dims[:at], *dims[len(dims) - after :])
        left = [group for group in left if group != _DOTS]
    elif spread is not None:
        if len(dims) - 1 > len(left):
            raise Misfit(f'{what}: {len(left)} axes, the tensor is "{spelled(dims)}"')
        return sizes, run
    if len(dims) != len(left):
        raise Misfit(f'{what}: {len(left)} axes, the tensor is "{spelled(dims)}"')
    for group, dim in zip(left, dims, strict=True):
        assert isinstance(dim, Axis)
        _learn(what, group, dim, sizes)
    return sizes, run


def _learn(what: str, group: Group, dim: Axis, sizes: dict[str, Axis]) -> None:
    """Fit one axis to its words: a single unknown word gets what the others leave."""
    unknown = [word for word in group if not sizes.get(word, UNKNOWN).known and word != "_"]
    known = axes.product(sizes[word] for word in group if word not in unknown and word != "_")
    if "_" in group:
        return
    if not unknown:
        if same(known, dim) is Verdict.NO:
            shown = " ".join(group) or "1"
            raise Misfit(f'{what}: "{shown}" is "{known}", the tensor has "{dim}" there')
        if len(group) == 1 and dim.known and not dim.soft and not dim.maybe_one:
            sizes[group[0]] = dim
    elif len(unknown) == 1:
        sizes[unknown[0]] = dim if len(group) == 1 else axes.divide(dim, known, exactly=True)


def _written(right: list[Group], sizes: dict[str, Axis], run: Dims) -> Dims:
    result: list[Dim] = []
    for group in right:
        if group == _DOTS:
            result += run
        elif _DOTS[0] in group:
            result.append(total(run))
        else:
            # A number in `repeat` is a size, every other word was read on the left.
            result.append(
                axes.product(axes.number(int(word)) if word.isdigit() else sizes.get(word, UNKNOWN) for word in group)
            )
    return tuple(result)
