"""Joining: from rows that were recognised to whole parameters: what does nothing is placed beside its sibling, lists are put together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from veriformer.mapping.layout import Layout, Plain, patterned
from veriformer.mapping.matching import Match
from veriformer.mapping.recipes import explained
from veriformer.mapping.symmetric import Hypothesis
from veriformer.mapping.tensors import Held
from veriformer_spec.config import Config
from veriformer_spec.role import Role


@dataclass
class Joined:
    """What was made of the matches.

    Attributes:
        layout: where everything has its place.
        reason: why not, where it has not; empty where it has.
        partial: the parameters that were recognised, and as what.
    """

    layout: Layout | None
    reason: str = ""
    partial: dict[str, str] = field(default_factory=dict)


@dataclass
class _Known:
    """One parameter: for each row the part it is of, where that is known."""

    each: Held
    which: list[str | None]
    row: Tensor


def joined(
    role: Role,
    config: Config,
    parameters: Sequence[Held],
    matches: Mapping[str, Match],
    hypothesis: Hypothesis,
    counts: Mapping[str, int],
    dead: Sequence[str],
    claims: tuple[tuple[str, object], ...],
    saying: Mapping[str, str],
) -> Joined:
    """A layout out of what each row was recognised as.

    Args:
        counts: rows of each parameter of the reference.
        dead: parameters of the reference that have rows that do nothing.
        claims: what the reference was built with besides the subject's own claims.
        saying: expressions of the module that say how many heads there are.
    """
    known = [_known(each, matches[each.name]) for each in parameters]
    strangers = [each.name for each in parameters if bool((matches[each.name].which == -2).any())]
    partial = {
        each.each.name: ", ".join(dict.fromkeys(part for part in each.which if part))
        for each in known
        if any(each.which)
    }
    if strangers:
        said = ", ".join(strangers[:3]) + (f" and {len(strangers) - 3} more" if len(strangers) > 3 else "")
        return Joined(None, f"does what no parameter of the reference does: {said}", partial)
    used = {part for each in known for part in each.which if part}
    free = [name for name in dead if name not in used]
    taken = {
        (part, int(each.row[index])) for each in known for index, part in enumerate(each.which) if part is not None
    }
    for each in known:
        _beside_its_sibling(each, known, counts, free, taken)
        _like_its_twin(each, known, counts, free, taken)
    plain: list[Plain] = []
    idle: list[str] = []
    used = {part for each in known for part in each.which if part}
    free = [name for name in dead if name not in used]
    for group in _groups(known):
        found = _explained_group(group, hypothesis, counts, free, config)
        if found is None:
            idle += [each.each.name for each in group]
            continue
        plain.append(found)
        free = [name for name in free if name not in found.parts]
    placed = [part for each in plain for part in each.parts]
    double = sorted({part for part in placed if placed.count(part) > 1})
    if double:
        return Joined(None, f"several parameters have rows of {', '.join(double[:3])}", partial)
    absent = [name for name in counts if name not in placed and name not in dead]
    if absent:
        return Joined(None, f"nothing plays the part of {', '.join(absent[:3])}", partial)
    silent = [name for name in counts if name not in placed]
    rules, names = patterned(plain, silent)
    return Joined(Layout(role, config, rules, names, tuple(idle), claims, saying), "", partial)


def _known(each: Held, match: Match) -> _Known:
    which = [match.parts[index] if index >= 0 else None for index in match.which.tolist()]
    return _Known(each, which, match.row.clone())


def _beside_its_sibling(
    each: _Known, known: Sequence[_Known], counts: Mapping[str, int], free: Sequence[str], taken: set[tuple[str, int]]
) -> None:
    """Give the rows of a bias that do nothing the order of the rows of the weight beside it."""
    if all(part is not None for part in each.which):
        return
    for other in known:
        if other.each.owner is not each.each.owner or len(other.which) != len(each.which) or not all(other.which):
            continue
        implied = [str(part).replace(".weight", ".bias") for part in other.which]
        rows = list(zip(implied, other.row.tolist(), strict=True))
        unknown = [row for own, row in zip(each.which, rows, strict=True) if own is None]
        agrees = all(own is None or (own, int(each.row[index])) == rows[index] for index, own in enumerate(each.which))
        if (
            other is not each
            and agrees
            and all(part in counts for part in implied)
            and all(row[0] in free or row[0] in each.which for row in unknown)
            and not taken & set(unknown)
        ):
            each.which, each.row = list(implied), other.row.clone()
            taken.update(unknown)
            return


def _like_its_twin(
    each: _Known, known: Sequence[_Known], counts: Mapping[str, int], free: Sequence[str], taken: set[tuple[str, int]]
) -> None:
    """Give a bias all of which does nothing the one place that is left beside a bias of the same kind: the keys' beside the queries'."""
    if any(each.which):
        return
    for other in known:
        parts = {part for part in other.which if part}
        alike = other is not each and other.each.kind == each.each.kind and other.each.shape == each.each.shape
        if not alike or len(parts) != 1 or not all(other.which):
            continue
        prefix = parts.pop().rpartition(".")[0].rpartition(".")[0]
        left = [
            name
            for name in free
            if name.rpartition(".")[0].rpartition(".")[0] == prefix
            and counts[name] == len(each.which)
            and (name, 0) not in taken
        ]
        if len(left) == 1:
            each.which, each.row = [left[0]] * len(each.which), other.row.clone()
            taken.update((left[0], int(row)) for row in each.row)
            return


def _groups(known: Sequence[_Known]) -> list[list[_Known]]:
    """Parameters that share a part of the reference, together and in the module's order."""
    groups: list[tuple[set[str], list[_Known]]] = []
    for each in known:
        own = {part for part in each.which if part}
        touching = [group for group in groups if group[0] & own]
        merged = (
            own.union(*(group[0] for group in touching)),
            [one for group in touching for one in group[1]] + [each],
        )
        groups = [group for group in groups if not any(group is one for one in touching)] + [merged]
    return [group for _, group in groups]


def _explained_group(
    group: Sequence[_Known], hypothesis: Hypothesis, counts: Mapping[str, int], dead: Sequence[str], config: Config
) -> Plain | None:
    """One group's recipe; None where all of it does nothing and has no place."""
    sources = tuple(each.each.name for each in group)
    reading = hypothesis[sources[0]].reading
    which = [part for each in group for part in each.which]
    row = torch.cat([each.row for each in group])
    vector = not reading.columns
    found = explained(
        which, row, dict(counts), [name for name in dead if name.endswith("bias") is vector or not vector], config
    )
    if found is not None and any(which):
        return Plain(sources, reading, found, found.parts, stored=len(which), flat=len(group[0].each.shape) == 1)
    if not any(which):
        return None
    parts = tuple(dict.fromkeys(part for part in which if part))
    places = []
    for part in parts:
        own = {int(row[index]): index for index, each in enumerate(which) if each == part}
        if sorted(own) != list(range(counts[part])):
            return None
        places.append(tuple(own[index] for index in range(counts[part])))
    return Plain(sources, reading, None, parts, tuple(places), len(which))
