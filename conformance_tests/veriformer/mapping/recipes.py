"""Recipes: how rows of the reference's parameters lie in a subject's, said in named factors, so that it holds at any sizes.

Each part (queries, keys, values; gate and hidden) is cut into as many pieces as there are groups, and group after group stores
its piece of every part: one group is ``q q q k k k v v v``, as many groups as heads is ``q k v q k v q k v``. Inside a part the
rows run head by head, or feature by feature.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from veriformer_spec.config import Config

GROUPS = ("1", "heads", "kv_heads", "d_head", "rows")
"""Into how many pieces each part is cut: one, or as many as there are heads, features in a head, or rows."""


ROLES_OF_HEADS = ("kv_heads", "heads")
"""What counts the heads of a part: of keys and values, and of queries."""


@dataclass(frozen=True)
class Order:
    """The order in which rows are stored.

    Attributes:
        groups: one of ``GROUPS``.
        feature_first: whether a part's rows run over the heads first (feature by feature) and not head by head.
    """

    groups: str = "1"
    feature_first: bool = False

    def pieces(self, counts: Sequence[int], config: Config) -> int:
        """How many groups there are; 0 where the parts cannot be cut into so many."""
        named = {
            "1": 1,
            "heads": config.heads,
            "kv_heads": config.kv_heads,
            "d_head": config.d_head,
            "rows": min(counts),
        }
        pieces = named[self.groups]
        return pieces if all(count % pieces == 0 for count in counts) else 0

    def dealt(self, rows: Tensor, counts: Sequence[int], config: Config) -> list[Tensor]:
        """The parts, each of so many rows, in the reference's order, out of stored rows."""
        pieces = self.pieces(counts, config)
        grouped = rows.reshape(pieces, sum(counts) // pieces, *rows.shape[1:])
        cut = torch.split(grouped, [count // pieces for count in counts], dim=1)
        found = [each.reshape(count, *rows.shape[1:]) for each, count in zip(cut, counts, strict=True)]
        if self.feature_first:
            found = [
                each.reshape(config.d_head, -1, *each.shape[1:]).transpose(0, 1).reshape(each.shape) for each in found
            ]
        return found


PLAIN = Order()
"""Part after part, as the reference has them."""


def orders(counts: Sequence[int], config: Config) -> Iterator[Order]:
    """Every order that makes sense for parts of so many rows, the plainest first."""
    by_head = all(count % config.d_head == 0 for count in counts) and config.heads > 1
    groups: tuple[str, ...] = GROUPS if by_head else ("1", "rows")
    if len(counts) == 1:
        groups = ("1",)
    for feature_first in (False, True) if by_head else (False,):
        for each in groups:
            order = Order(each, feature_first)
            if order.pieces(counts, config):
                yield order


@dataclass(frozen=True)
class Found:
    """Parts in their order of storage, the order of their rows, and how many rows before them belong to nothing."""

    parts: tuple[str, ...]
    order: Order
    offset: int = 0


def explained(
    which: Sequence[str | None], row: Tensor, counts: dict[str, int], dead: Sequence[str], config: Config
) -> Found | None:
    """The recipe by which every row that is known lies where it lies.

    Args:
        which: for each stored row the part it is of; None where nothing is known of it.
        row: the row in that part.
        counts: rows of each part of the reference.
        dead: parts that do nothing, and may be where nothing is known.
    """
    seen = [each for each in dict.fromkeys(which) if each is not None]
    total = len(which)
    missing = total - sum(counts[each] for each in seen)
    known = torch.tensor([each is not None for each in which])
    if len(seen) == 1 and missing > 0 and bool(known.any()):
        first = int(known.nonzero()[0])
        offset = first - int(row[first])
        expected = torch.arange(total) - offset
        if 0 <= offset <= missing and bool((expected[known] == row[known]).all()):
            return Found((seen[0],), PLAIN, offset)
    for parts in _arrangements(seen, missing, counts, dead):
        sizes = [counts[each] for each in parts]
        for order in orders(sizes, config):
            dealt = order.dealt(torch.arange(total), sizes, config)
            if all(
                which[place] in (None, part) and (which[place] is None or int(row[place]) == index)
                for part, places in zip(parts, dealt, strict=True)
                for index, place in enumerate(places.tolist())
            ):
                return Found(tuple(parts), order)
    return None


def _arrangements(
    seen: Sequence[str], missing: int, counts: dict[str, int], dead: Sequence[str]
) -> Iterator[tuple[str, ...]]:
    """The parts that occur, in every order; where rows are left over, with silent parts of that many rows among them."""
    if missing < 0 or not (seen or missing):
        return
    extra: list[tuple[str, ...]] = [()] if missing == 0 else []
    near = sorted(dead, key=lambda name: -max((_alike(name, each) for each in seen), default=0))
    if missing:
        for size in (1, 2):
            extra += [
                each for each in itertools.combinations(near[:12], size) if sum(counts[one] for one in each) == missing
            ]
    for added in extra:
        if len(seen) + len(added) <= 4:
            yield from itertools.permutations((*seen, *added))


def _alike(name: str, other: str) -> int:
    """How many leading words two names share."""
    return sum(
        1
        for _ in itertools.takewhile(
            lambda pair: pair[0] == pair[1], zip(name.split("."), other.split("."), strict=False)
        )
    )
