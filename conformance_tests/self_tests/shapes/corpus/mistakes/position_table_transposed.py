"""Positions are broadcast along the wrong axis."""

import torch
from jaxtyping import Float
from torch import Tensor


def table(time: int, d_model: int) -> Float[Tensor, "time d_model"]:
    return torch.zeros(time, d_model)


def added(x: Float[Tensor, "batch time d_model"]) -> Float[Tensor, "batch time d_model"]:
    return x + table(x.size(2), x.size(1))  # error


def run() -> None:
    added(torch.randn(2, 3, 4))
