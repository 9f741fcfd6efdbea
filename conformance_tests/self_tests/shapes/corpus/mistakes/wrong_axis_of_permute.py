"""Two axes of a permutation are exchanged."""

import torch
from jaxtyping import Float
from torch import Tensor


def heads_first(x: Float[Tensor, "batch time heads d_head"]) -> Float[Tensor, "batch heads time d_head"]:
    return x.permute(0, 2, 3, 1)  # error


def run() -> None:
    heads_first(torch.randn(2, 3, 4, 5))
