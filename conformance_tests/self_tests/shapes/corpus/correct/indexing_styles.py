"""Indexing by numbers, slices, None, dots, masks and index tensors."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


def last(x: Float[Tensor, "batch time d"]) -> Float[Tensor, "batch d"]:
    return x[:, -1]


def shifted(x: Float[Tensor, "batch time d"]) -> Float[Tensor, "batch time-1 d"]:
    return x[:, 1:] - x[:, :-1]


def picked(x: Float[Tensor, "batch time d"], at: Int[Tensor, " chosen"]) -> Float[Tensor, "batch chosen d"]:
    return x[:, at]


def looked_up(table: Float[Tensor, "vocab d"], ids: Int[Tensor, "batch time"]) -> Float[Tensor, "batch time d"]:
    return table[ids]


def kept(x: Float[Tensor, "batch time d"], mask: Bool[Tensor, "batch time"]) -> Float[Tensor, "kept d"]:
    return x[mask]


def framed(x: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch 1 d"]:
    return x[..., None, :]


def rows(x: Float[Tensor, "batch time d"], at: Int[Tensor, " batch"]) -> Float[Tensor, "batch d"]:
    return x[torch.arange(x.shape[0]), at]


def run() -> None:
    x = torch.randn(2, 5, 4)
    last(x), shifted(x), picked(x, torch.tensor([0, 2, 4]))
    looked_up(torch.randn(7, 4), torch.zeros(2, 5, dtype=torch.long))
    kept(x, torch.ones(2, 5, dtype=torch.bool)), framed(x), rows(x, torch.zeros(2, dtype=torch.long))
