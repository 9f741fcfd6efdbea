"""Concatenation along time of tensors whose widths differ."""

import torch
from jaxtyping import Float
from torch import Tensor


def joined(x: Float[Tensor, "time d"], y: Float[Tensor, "length e"]) -> Float[Tensor, "time+length d"]:
    return torch.cat((x, y))  # error


def run() -> None:
    joined(torch.randn(3, 4), torch.randn(5, 6))
