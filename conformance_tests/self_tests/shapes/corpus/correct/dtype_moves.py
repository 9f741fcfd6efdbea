"""Casts, comparisons and reductions that change the dtype."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


def lengths(mask: Bool[Tensor, "batch time"]) -> Int[Tensor, " batch"]:
    return mask.sum(-1)


def share(mask: Bool[Tensor, "batch time"]) -> Float[Tensor, " batch"]:
    return mask.float().mean(dim=1)


def averaged(x: Float[Tensor, "batch time d"], mask: Bool[Tensor, "batch time"]) -> Float[Tensor, "batch d"]:
    weights = mask.to(x.dtype).unsqueeze(-1)
    return (x * weights).sum(1) / weights.sum(1).clamp(min=1e-9)


def positions(mask: Bool[Tensor, "batch time"]) -> Int[Tensor, "batch time"]:
    return (mask.cumsum(-1) - 1).clamp(min=0).long()


def right(logits: Float[Tensor, "b v"], target: Int[Tensor, " b"]) -> Float[Tensor, ""]:
    return (logits.argmax(-1) == target).float().mean()


def ratio(ids: Int[Tensor, "b t"]) -> Float[Tensor, "b t"]:
    return ids / 2


def run() -> None:
    mask = torch.ones(2, 5, dtype=torch.bool)
    lengths(mask), share(mask), averaged(torch.randn(2, 5, 4), mask), positions(mask)
    right(torch.randn(2, 5), torch.zeros(2, dtype=torch.long)), ratio(torch.ones(2, 5).long())
