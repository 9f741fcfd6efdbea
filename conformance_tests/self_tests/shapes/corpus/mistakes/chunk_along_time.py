"""Cut along time instead of the width."""

import torch
from jaxtyping import Float
from torch import Tensor


def gate(x: Float[Tensor, "batch time 2*d_ff"]) -> Float[Tensor, "batch time d_ff"]:
    left, right = x.chunk(2, dim=1)
    return left * right.sigmoid()  # error


def run() -> None:
    gate(torch.randn(2, 4, 6))
