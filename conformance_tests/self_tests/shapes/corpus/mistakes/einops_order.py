"""Heads and time end up exchanged."""

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor


def split(x: Float[Tensor, "batch time d_model"]) -> Float[Tensor, "batch heads time d_head"]:
    return rearrange(x, "b t (h d) -> b t h d", h=3)  # error


def run() -> None:
    split(torch.randn(2, 5, 12))
