"""Passing a mask on: the specification's mask in the shape, and with the sense, that somebody else's module wants it in.

The specification's masks are boolean, ``batch heads q_len k_len`` with axes of size one (of models over ids: ``batch time``), and
True means may attend. An adapter says in one line what its module wants instead::

    module(x, src_mask=passing.fitted(mask, "batch q_len k_len", "True hides", query=x))

What the shape cannot say is refused with ``Unsupported``, and another mask is drawn.
"""

import math

import torch
from torch import Tensor

from veriformer.errors import Unsupported

SHAPES = (
    "batch heads q_len k_len",
    "batch*heads q_len k_len",
    "batch q_len k_len",
    "q_len k_len batch",
    "q_len k_len",
    "batch 1 1 k_len",
    "batch 1 k_len",
    "batch k_len",
    "k_len batch",
    "batch q_len lengths",
    "batch lengths",
)
"""Shapes in which a mask is passed, those that can say most first; ``lengths`` are numbers of keys that may be seen."""
EVERY_QUERY = ("batch 1 1 k_len", "batch 1 k_len", "batch k_len", "k_len batch", "batch lengths")
"""Shapes that hide a key from all queries or from none."""
EVERY_ROW = ("q_len k_len",)
"""Shapes that say the same for the whole batch."""

POINTS = ("True keeps", "True hides", "1 keeps", "1 hides", "1.0 keeps", "1.0 hides", "added")
"""What the numbers mean: booleans, whole numbers, floating-point numbers; ``added`` to the scores are 0 and minus infinity."""


def fitted(
    mask: Tensor | None,
    shape: str,
    points: str,
    *,
    query: Tensor,
    key: Tensor | None = None,
    heads: int = 1,
    causal: bool = False,
    always: bool = False,
) -> Tensor | None:
    """The specification's mask as ``shape`` and ``points`` say; None stays None.

    Args:
        query: what the queries are computed from: ids, ``batch time d_model`` or ``batch heads time d_head``.
        key: the same of the keys, where they are other tokens.
        heads: over which ``batch*heads`` is repeated.
        causal: hide the future, too: for a model that leaves this to its caller.
        always: a module that must be passed a mask is passed one that hides nothing in the place of None.

    Raises:
        Unsupported: the shape cannot say what the mask says.
    """
    if mask is None and not causal and not always:
        return None
    key = query if key is None else key
    batch, q_len, k_len = query.shape[0], _length(query), _length(key)
    if mask is None:
        grid = torch.ones(1, 1, 1, k_len, dtype=torch.bool, device=query.device)
    else:
        grid = mask if mask.dim() == 4 else mask[:, None, None, :]
    if causal:
        grid = grid & torch.ones(q_len, k_len, dtype=torch.bool, device=query.device).tril(k_len - q_len)
    grid = grid.expand(batch, -1, q_len, k_len)
    return _pointing(_shaped(grid, shape, heads), points, query)


def parted(mask: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
    """A mask as one that is the same for every row and one that is the same for every query, which a module takes apart.

    Raises:
        Unsupported: it is more than both together.
    """
    if mask is None:
        return None, None
    every_row, every_query = mask.amax(0, keepdim=True), mask.amax(2, keepdim=True)
    if not torch.equal((every_row & every_query).expand(mask.shape), mask):
        raise Unsupported("a mask that hides other keys from each query in each row: two masks cannot say it")
    return every_row, every_query


def _length(tokens: Tensor) -> int:
    return tokens.shape[1] if tokens.dim() == 2 else tokens.shape[-2]


def _shaped(grid: Tensor, shape: str, heads: int) -> Tensor:
    """``batch heads-or-1 q_len k_len`` in another shape; still True where one may attend, or as lengths."""
    if shape == "batch heads q_len k_len":
        return grid.clone()
    if shape == "batch*heads q_len k_len":
        return grid.expand(-1, heads, -1, -1).flatten(0, 1)
    one = _alike(grid, 1, "one mask for all heads")[:, 0]
    if shape == "batch q_len k_len":
        return one.clone()
    if shape == "q_len k_len batch":
        return one.permute(1, 2, 0).clone()
    if shape == "batch q_len lengths":
        return _lengths(one)
    if shape in EVERY_ROW:
        return _alike(one, 0, "one mask for the whole batch")[0].clone()
    keys = _alike(one, 1, "one mask for all queries")[:, 0]
    if shape == "batch lengths":
        return _lengths(keys)
    if shape == "k_len batch":
        return keys.T.clone()
    if shape == "batch 1 k_len":
        return keys[:, None].clone()
    return keys[:, None, None].clone() if shape == "batch 1 1 k_len" else keys.clone()


def _alike(grid: Tensor, axis: int, words: str) -> Tensor:
    if not bool((grid == grid.narrow(axis, 0, 1)).all()):
        raise Unsupported(f"the module takes {words}, and this one differs")
    return grid.narrow(axis, 0, 1)


def _lengths(grid: Tensor) -> Tensor:
    counted = grid.sum(-1)
    if not torch.equal(torch.arange(grid.shape[-1], device=grid.device) < counted[..., None], grid):
        raise Unsupported("the module takes numbers of visible keys, and those that this mask shows are not the first")
    return counted


def _pointing(grid: Tensor, points: str, query: Tensor) -> Tensor:
    if grid.dtype is not torch.bool:
        return grid  # lengths
    number = query.dtype if query.is_floating_point() else torch.get_default_dtype()
    if points == "added":
        return torch.zeros(grid.shape, dtype=number, device=grid.device).masked_fill(~grid, -math.inf)
    shown = grid if points.endswith("keeps") else ~grid
    return shown.to({"True": torch.bool, "1": torch.long, "1.0": number}[points.partition(" ")[0]])
