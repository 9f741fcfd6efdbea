"""One letter for two sizes."""

import torch
from jaxtyping import Float
from torch import Tensor


def scores(
    query: Float[Tensor, "batch heads q_len d_head"], key: Float[Tensor, "batch heads k_len d_head"]
) -> Float[Tensor, "batch heads q_len k_len"]:
    return torch.einsum("bhqd,bhdk->bhqk", query, key)  # error


def run() -> None:
    scores(torch.randn(2, 3, 4, 8), torch.randn(2, 3, 5, 8))
