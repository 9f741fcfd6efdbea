"""The pattern has four axes, the tensor three."""

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor


def merge(x: Float[Tensor, "heads time d_head"]) -> Float[Tensor, "time heads*d_head"]:
    return rearrange(x, "b h t d -> b t (h d)")  # error


def run() -> None:
    merge(torch.randn(3, 4, 8))
