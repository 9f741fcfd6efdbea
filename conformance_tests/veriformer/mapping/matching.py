"""Matching: which row of a subject's parameters is which row of the reference's, told by their gradients.

Under symmetric weights both compute one function, so a row's gradient is its fingerprint, whatever it is called and wherever
it is stored. Where a subject gives no gradient, or two rows have equal ones, a row is changed on both sides, and what that
does to the output is the fingerprint.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from veriformer.inputs import generator

PASSES = 3
"""Backward passes, each from another direction in the output: a number's fingerprint is as long."""
PROJECTED = 2
"""Random projections of each row's gradient in each pass."""
STEP = 0.25
"""How far a row is moved where there are no gradients: both sides go the same way, so it need not be small."""
NEAR = {torch.float64: 1e-8, torch.float32: 2e-4}
"""How far apart fingerprints of one row may be, relative to the largest."""
EQUALLY_NEAR = 4.0
"""Another row of the pool is as good as the nearest if it is at most so many times as far: rounding decides between them."""
AS_GOOD_AS_EQUAL = 1e-3
"""Or nearer than this share of how far apart fingerprints of one row may be: deep stacks have many small, different ones."""
NEIGHBOURS = 32
"""Rows along a line, on either side, with which a row is compared."""
DEAD = {torch.float64: 1e-11, torch.float32: 1e-6}
"""Below this, relative to the largest, a row does nothing."""


@dataclass(frozen=True)
class Rows:
    """Fingerprints of rows of one width.

    Attributes:
        names: the parameters, in order.
        counts: rows of each.
        prints: ``rows passes``, of all parameters below each other.
    """

    names: tuple[str, ...]
    counts: tuple[int, ...]
    prints: Tensor

    def parts(self) -> Sequence[Tensor]:
        """The fingerprints, parameter by parameter."""
        return torch.split(self.prints, list(self.counts))


Fingerprints = Mapping[int, Rows]
"""For each number of columns (0: vectors) the rows of that width."""


def directions(output: Tensor) -> Tensor:
    """Random directions in the output, ``passes *output``."""
    return torch.randn((PASSES, *output.shape), generator=generator(7), dtype=torch.float64)


def _projection(columns: int) -> Tensor:
    return torch.randn((columns, PROJECTED), generator=generator(columns + 11), dtype=torch.float64)


def from_gradients(
    parameters: Mapping[str, Tensor], rows: Callable[[str, Tensor], Tensor], output: Tensor
) -> Fingerprints | None:
    """Fingerprints out of backward passes; None where the output knows nothing of the parameters.

    Args:
        rows: reads a tensor of a parameter's shape as ``rows columns``, or ``rows`` of a vector.
    """
    if not parameters:
        return {}
    if not output.requires_grad:
        return None
    taken: dict[str, list[Tensor]] = {name: [] for name in parameters}
    for direction in directions(output):
        loss = (output * direction.to(output)).sum()
        found = torch.autograd.grad(
            loss, list(parameters.values()), retain_graph=True, allow_unused=True, materialize_grads=True
        )
        for name, gradient in zip(parameters, found, strict=True):
            dense = gradient.to_dense() if gradient.is_sparse else gradient
            own = rows(name, dense.detach().double().cpu())
            taken[name].append(own[:, None] if own.dim() == 1 else own @ _projection(own.shape[1]))
    widths = {name: _width(rows(name, parameter.detach())) for name, parameter in parameters.items()}
    return gathered({name: torch.cat(each, dim=1) for name, each in taken.items()}, widths)


def _width(rows: Tensor) -> int:
    return 0 if rows.dim() == 1 else rows.shape[1]


def gathered(prints: Mapping[str, Tensor], widths: Mapping[str, int]) -> Fingerprints:
    """The same, by width."""
    found = {}
    for width in dict.fromkeys(widths.values()):
        names = tuple(name for name in prints if widths[name] == width)
        found[width] = Rows(
            names, tuple(len(prints[name]) for name in names), torch.cat([prints[name] for name in names])
        )
    return found


@torch.no_grad()
def from_differences(
    parameters: Mapping[str, Tensor], rows: Callable[[str, Tensor], Tensor], call: Callable[[], Tensor]
) -> Fingerprints:
    """Fingerprints out of changes: each row in turn is moved, and the output moves by so much in each direction."""
    before = call().detach().double().cpu()
    weights = directions(before).flatten(1)
    prints, widths = {}, {}
    for name, parameter in parameters.items():
        index = rows(name, torch.arange(parameter.numel()).reshape(parameter.shape))
        widths[name] = _width(index)
        value = parameter.detach().clone()
        move = torch.full((1,), STEP) if index.dim() == 1 else _projection(index.shape[1])[:, 0] * STEP
        own = []
        for places in index:
            changed = value.reshape(-1).clone()
            changed[places.reshape(-1).to(changed.device)] += move.to(changed)
            parameter.data.copy_(changed.reshape(parameter.shape))
            own.append(weights @ (call().detach().double().cpu() - before).flatten())
        parameter.data.copy_(value)
        prints[name] = torch.stack(own)
    return gathered(prints, widths)


@dataclass
class Match:
    """Which row each row of one parameter of the subject is.

    Attributes:
        name: the parameter.
        parts: names of the reference's parameters that occur.
        which: for each row, the index in ``parts``; -1 where it does nothing, -2 where it is no row of the reference.
        row: for each row, the row in that parameter.
        tied: whether several rows of the reference had equal fingerprints, and the choice was free.
    """

    name: str
    parts: tuple[str, ...]
    which: Tensor
    row: Tensor
    tied: bool = False


def matched(subject: Fingerprints, reference: Fingerprints, dtype: torch.dtype) -> dict[str, Match]:
    """Every row of the subject with its row of the reference: whole parameters first, then row by row."""
    found: dict[str, Match] = {}
    for width, own in subject.items():
        theirs = reference.get(width)
        if theirs is None:
            for name, count in zip(own.names, own.counts, strict=True):
                found[name] = Match(name, (), torch.full((count,), -2), torch.zeros(count, dtype=torch.long))
        else:
            found |= _matched(own, theirs, dtype)
    return found


def _matched(own: Rows, theirs: Rows, dtype: torch.dtype) -> dict[str, Match]:
    scale = max(float(own.prints.abs().max()), float(theirs.prints.abs().max()), 1e-300)
    near, dead = NEAR[dtype] * scale, DEAD[dtype] * scale
    owner = torch.repeat_interleave(torch.arange(len(theirs.names)), torch.tensor(theirs.counts))
    place = torch.cat([torch.arange(count) for count in theirs.counts])
    starts = torch.tensor([0, *torch.tensor(theirs.counts).cumsum(0).tolist()])
    free = torch.ones(len(place), dtype=torch.bool)
    found: dict[str, Match] = {}
    rest: list[tuple[str, Tensor]] = []
    for name, prints in zip(own.names, own.parts(), strict=True):
        same = [
            index
            for index, each in enumerate(theirs.parts())
            if each.shape == prints.shape and free[starts[index]] and float((each - prints).abs().max()) < near
        ]
        if not same or float(prints.abs().max()) < dead:
            rest.append((name, prints))
            continue
        at = same[0]
        free[starts[at] : starts[at + 1]] = False
        rows = torch.arange(len(prints))
        found[name] = Match(name, theirs.names, torch.full_like(rows, at), rows, tied=len(same) > 1)
        found[name].which[prints.abs().amax(1) < dead] = -1
    for name, prints in rest:
        silent = prints.abs().amax(1) < dead
        index = torch.full((len(prints),), -1)
        index[~silent], tied = _nearest(prints[~silent], theirs.prints, free, near)
        which = torch.where(index >= 0, owner[index.clamp(min=0)], torch.full_like(index, -2))
        which[silent] = -1
        free[index[index >= 0]] = False
        found[name] = Match(name, theirs.names, which, place[index.clamp(min=0)], tied)
    return found


def _nearest(wanted: Tensor, pool: Tensor, free: Tensor, near: float) -> tuple[Tensor, bool]:
    """For each row of ``wanted`` a free row of ``pool`` that is as near as rounding; -1 where there is none.

    Sorted along one direction, only neighbours are compared: no loop over rows.
    """
    line = torch.randn((pool.shape[1],), generator=generator(3), dtype=torch.float64)
    line /= line.norm()
    slots = free.nonzero()[:, 0]
    if not len(slots) or not len(wanted):
        return torch.full((len(wanted),), -1), False
    along, order = (pool[slots] @ line).sort()
    slots = slots[order]
    reach = near * math.sqrt(pool.shape[1])
    own = wanted @ line
    first = torch.searchsorted(along, own - reach)
    last = torch.searchsorted(along, own + reach, right=True)
    middle = torch.searchsorted(along, own)
    best = torch.full((len(wanted),), math.inf, dtype=torch.float64)
    second = best.clone()
    index = torch.full((len(wanted),), -1)
    for offset in _outwards(int((last - first).max())):
        at = middle + offset
        valid = (at >= first) & (at < last)
        candidate = slots[at.clamp(min=0, max=len(slots) - 1)]
        distance = torch.where(valid, (pool[candidate] - wanted).abs().amax(1), torch.inf)
        better = (distance < near) & (distance < best)
        second = torch.where(better, best, torch.minimum(second, distance))
        best, index = torch.where(better, distance, best), torch.where(better, candidate, index)
    as_near = EQUALLY_NEAR * best + AS_GOOD_AS_EQUAL * near
    tied = bool((second <= as_near).any())
    return (_one_each(wanted, pool, slots, index, as_near) if tied else index), tied


def _outwards(reach: int) -> list[int]:
    """Steps from the middle: a row's own place is the next along the line, but for rounding, however many others are near."""
    return sorted(range(-min(reach, NEIGHBOURS), min(reach, NEIGHBOURS) + 1), key=abs)


def _one_each(wanted: Tensor, pool: Tensor, slots: Tensor, index: Tensor, as_near: Tensor) -> Tensor:
    """Where rows have equal fingerprints: each row of the pool once, in order."""
    taken: set[int] = set()
    ordered = slots.sort().values
    result = index.clone()
    for row, each in enumerate(wanted):
        if int(index[row]) < 0:
            continue
        equal = ordered[(pool[ordered] - each).abs().amax(1) <= as_near[row]].tolist()
        chosen = next((one for one in equal if one not in taken), -1)
        taken.add(chosen)
        result[row] = chosen
    return result


def require_gradients(module: nn.Module) -> None:
    """Let every weight have a gradient, frozen ones too."""
    for parameter in module.parameters():
        if parameter.is_floating_point():
            parameter.requires_grad_(True)


def silent(prints: Fingerprints, dtype: torch.dtype) -> list[str]:
    """Parameters that do nothing."""
    found = []
    for rows in prints.values():
        dead = DEAD[dtype] * max(float(rows.prints.abs().max()), 1e-300)
        parts = zip(rows.names, rows.parts(), strict=True)
        found += [name for name, each in parts if bool((each.abs().amax(1) < dead).all())]
    return found
