"""The view uses the number of heads where the width of a head belongs."""

import torch
from jaxtyping import Float
from torch import Tensor


def merge(x: Float[Tensor, "batch time heads d_head"]) -> Float[Tensor, "batch time heads*d_head"]:
    batch, time, heads, d_head = x.shape
    return x.view(batch, time, heads * heads)  # error


def run() -> None:
    merge(torch.randn(2, 3, 4, 5))
