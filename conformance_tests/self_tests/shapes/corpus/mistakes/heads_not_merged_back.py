"""The heads come back as they are: no transpose, no merge."""

import torch
from jaxtyping import Float
from torch import Tensor


def combine(x: Float[Tensor, "batch heads time d_head"]) -> Float[Tensor, "batch time d_model"]:
    return x.transpose(1, 2)  # error


def run() -> None:
    combine(torch.randn(2, 3, 4, 8))
