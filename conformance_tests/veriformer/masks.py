"""Masks as the suite draws them: its own code, never the reference's."""

import torch
from torch import Tensor

from veriformer.case import Case
from veriformer_spec.config import PADDING_SIDES
from veriformer_spec.role import MODELS

Mask = Tensor
"""Boolean; True means may attend."""


def causal_grid(q_len: int, k_len: int, *, alignment: str = "end", window: int | None = None) -> Mask:
    """``q_len k_len``: query i sees key j where j <= i, and where j is one of the last ``window`` of those.

    Args:
        alignment: where there are fewer queries than keys, ``start`` counts both from their first; anything else from their last.
    """
    queries = torch.arange(q_len)[:, None] + (0 if alignment == "start" else k_len - q_len)
    keys = torch.arange(k_len)[None, :]
    return (keys <= queries) if window is None else (keys <= queries) & (keys > queries - window)


def real_keys(
    case: Case, random: torch.Generator, *, keeps_first: bool = False, sides: tuple[str, ...] = PADDING_SIDES
) -> Mask:
    """``batch k_len``: which keys are real, padded right, left or in between; every row keeps one or more.

    In three cases of four the rows go from the fullest to the emptiest, so that a mask taken from one row shows in the others.

    Args:
        keeps_first: the first key stays real, so that causal queries always see something.
        sides: where padding may stand.
    """
    real = torch.ones(case.batch, case.k_len, dtype=torch.bool)
    most = min(case.k_len, case.window or case.k_len)  # fewer are hidden, so that every window holds a real key
    for row in range(case.batch):
        hidden = int(torch.randint(0, most, (1,), generator=random))
        side = sides[int(torch.randint(0, len(sides), (1,), generator=random))]
        if side == "right":
            real[row, case.k_len - hidden :] = False
        elif side == "left":
            real[row, :hidden] = False
        else:
            real[row, torch.randperm(case.k_len, generator=random)[:hidden]] = False
    if most > 1 and bool(real.all()):
        real[0, 0 if sides == ("left",) else -1] = False  # a mask that hides nothing would test nothing
    if keeps_first:
        real[:, 0] = True
    return real if case.seed % 4 == 0 else real[real.sum(-1).argsort(descending=True, stable=True)]


def drawn_mask(
    case: Case,
    random: torch.Generator,
    device: torch.device,
    *,
    causal: bool,
    self_attending: bool,
    sides: tuple[str, ...] = PADDING_SIDES,
) -> Mask | None:
    """The mask of the kind that ``case.mask`` names: ``batch 1 q_len k_len``, every row with one or more visible.

    Args:
        causal: the subject hides the future by itself, so the mask must leave something before each query.
        self_attending: queries and keys are the same tokens, each of which then sees itself.
        sides: where padding may stand; a model that claims left padding is passed some, and its first queries are padding too.
    """
    shape = (case.batch, 1, case.q_len, case.k_len)
    if case.mask == "none":
        return None
    if case.mask == "causal":
        grid = causal_grid(case.q_len, case.k_len).expand(shape)
    elif case.mask == "padding":
        first = causal and not (case.role in MODELS and "left" in sides)
        grid = real_keys(case, random, keeps_first=first, sides=sides)[:, None, None, :].expand(shape)
    else:
        grid = torch.rand(shape, generator=random) < 0.6
        if (causal or self_attending) and case.q_len == case.k_len:
            grid = grid | torch.eye(case.q_len, dtype=torch.bool)
        else:
            kept = torch.randint(0, case.k_len, (case.batch, 1, case.q_len, 1), generator=random)
            grid = grid.scatter(-1, kept, True)
    return grid.clone().to(device)


def reachable(visible: Mask, layers: int) -> Mask:
    """``batch q_len k_len``: which tokens reach which after ``layers`` layers, each with a skip around its attention."""
    step = (visible | torch.eye(visible.shape[-1], dtype=torch.bool)).to(torch.float64)
    reach = step
    for _ in range(layers - 1):
        reach = (reach @ step).clamp(max=1)
    return reach > 0


def with_axes_of_one(case: Case, sees_itself: bool) -> Mask:  # noqa: FBT001  # the one question there is
    """A mask of which some of the axes batch, heads and queries have size one; the heads' axis always, as heads agree.

    Args:
        sees_itself: the first key, or each query's own, stays visible, because the subject is causal or queries are the keys.
    """
    random = torch.Generator().manual_seed(case.seed + 2)
    choice = int(torch.randint(0, 4, (1,), generator=random))
    batch, queries = ((case.batch, 1), (case.batch, 1), (1, case.q_len), (case.batch, case.q_len))[choice]
    grid = torch.rand((batch, 1, queries, case.k_len), generator=random) < 0.5
    if queries == case.k_len and sees_itself:
        return grid | torch.eye(queries, dtype=torch.bool)
    if sees_itself:
        grid[..., 0] = True
        return grid
    kept = torch.randint(0, case.k_len, (batch, 1, queries, 1), generator=random)
    return grid.scatter(-1, kept, True)


def for_each_head(case: Case, causal: bool) -> Mask:  # noqa: FBT001  # the one question there is
    """``batch heads q_len k_len``: a mask that differs from head to head; every query sees the first key."""
    random = torch.Generator().manual_seed(case.seed + 3)
    shape = (case.batch, case.heads, case.q_len, case.k_len)
    grid = torch.rand(shape, generator=random) < 0.5
    if causal:
        grid[..., 0] = True
        return grid
    return grid.scatter(-1, torch.randint(0, case.k_len, (*shape[:3], 1), generator=random), True)
