"""View gives batch time heads d_head; batch heads time d_head is declared."""

import torch
from jaxtyping import Float
from torch import Tensor


def split(x: Float[Tensor, "batch time d_model"], heads: int) -> Float[Tensor, "batch heads time d_head"]:
    batch, time, d_model = x.shape
    return x.view(batch, time, heads, d_model // heads)  # error


def run() -> None:
    split(torch.randn(2, 5, 12), 3)
