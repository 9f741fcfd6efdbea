"""Relative position scores and the shift that aligns them."""

import torch
from jaxtyping import Float
from torch import Tensor


def shifted(x: Float[Tensor, "b h t 2*t-1"]) -> Float[Tensor, "b h t t"]:
    b, h, t, width = x.shape
    x = torch.nn.functional.pad(x, (0, 1))
    flat = x.reshape(b, h, t * (width + 1))
    flat = torch.nn.functional.pad(flat, (0, t - 1))
    return flat.view(b, h, t + 1, width)[:, :, :t, t - 1 :]


def bias(table: Float[Tensor, "buckets heads"], t: int) -> Float[Tensor, "heads t t"]:
    index = torch.arange(t)
    bucket = (index[None, :] - index[:, None]).clamp(-2, 2) + 2
    return table[bucket].permute(2, 0, 1)


def run() -> None:
    t = 5
    index = torch.randn(5, 3)
    bias(index, t)
