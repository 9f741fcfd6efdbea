"""`tensor * (n ** -0.5)` is Any to mypy, yet the swapped axes behind it are seen."""

import torch
from jaxtyping import Float
from torch import Tensor


def scores(
    query: Float[Tensor, "heads q_len d_head"], key: Float[Tensor, "heads k_len d_head"]
) -> Float[Tensor, "heads q_len k_len"]:
    scaled = key @ query.mT * (query.size(-1) ** -0.5)
    return scaled  # error


def run() -> None:
    scores(torch.randn(3, 4, 8), torch.randn(3, 5, 8))
