"""A bias that grows with distance, one slope a head."""

import torch
from jaxtyping import Float
from torch import Tensor


def slopes(heads: int) -> Float[Tensor, " heads"]:
    return 2.0 ** -(torch.arange(1, heads + 1) * 8 / heads)


def bias(q_len: int, k_len: int, heads: int) -> Float[Tensor, "heads q_len k_len"]:
    distance = torch.arange(k_len)[None, :] - torch.arange(q_len)[:, None]
    return slopes(heads)[:, None, None] * distance


def scored(scores: Float[Tensor, "batch heads q_len k_len"]) -> Float[Tensor, "batch heads q_len k_len"]:
    _, heads, q_len, k_len = scores.shape
    return scores + bias(q_len, k_len, heads)


def run() -> None:
    scored(torch.randn(2, 3, 4, 5))
