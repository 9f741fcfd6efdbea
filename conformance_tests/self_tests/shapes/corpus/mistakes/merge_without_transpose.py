"""The sizes multiply, but time and heads are in each other's place."""

import torch
from jaxtyping import Float
from torch import Tensor


def merge(x: Float[Tensor, "batch heads time d_head"]) -> Float[Tensor, "batch time heads*d_head"]:
    batch, heads, time, d_head = x.shape
    return x.reshape(batch, heads, time * d_head)  # error


def run() -> None:
    merge(torch.randn(2, 3, 4, 8))
