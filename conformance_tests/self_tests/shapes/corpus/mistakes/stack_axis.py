"""Stacked in front instead of behind."""

import torch
from jaxtyping import Float
from torch import Tensor


def paired(x: Float[Tensor, "time d"], y: Float[Tensor, "time d"]) -> Float[Tensor, "time d 2"]:
    return torch.stack((x, y))  # error


def run() -> None:
    paired(torch.randn(3, 4), torch.randn(3, 4))
