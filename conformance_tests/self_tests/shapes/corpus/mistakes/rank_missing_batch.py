"""A batched function gets one without a batch."""

import torch
from jaxtyping import Float
from torch import Tensor


def norm(x: Float[Tensor, "batch time d_model"]) -> Float[Tensor, "batch time d_model"]:
    return x / x.norm(dim=-1, keepdim=True)


def one(x: Float[Tensor, "time d_model"]) -> Float[Tensor, "time d_model"]:
    return norm(x)  # error


def run() -> None:
    one(torch.randn(3, 4))
