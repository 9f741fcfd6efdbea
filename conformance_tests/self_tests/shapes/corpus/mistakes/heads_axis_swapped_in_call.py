"""The heads are split without the transpose, and handed on."""

import torch
from jaxtyping import Float
from torch import Tensor


def attend(
    query: Float[Tensor, "batch heads queries d_head"],
    key: Float[Tensor, "batch heads keys d_head"],
) -> Float[Tensor, "batch heads queries keys"]:
    return query @ key.mT


def layer(
    x: Float[Tensor, "batch heads time d_head"], memory: Float[Tensor, "batch length heads d_head"]
) -> Float[Tensor, "batch heads time length"]:
    return attend(x, memory)  # error


def run() -> None:
    layer(torch.randn(2, 3, 4, 8), torch.randn(2, 5, 3, 8))
