"""scaled_dot_product_attention in the layout batch time heads."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def attend(
    query: Float[Tensor, "batch heads q_len d_head"],
    key: Float[Tensor, "batch heads k_len d_head"],
    value: Float[Tensor, "batch heads k_len d_head"],
) -> Float[Tensor, "batch heads q_len d_head"]:
    return F.scaled_dot_product_attention(query, key, value.transpose(1, 2))  # error


def run() -> None:
    attend(torch.randn(2, 3, 4, 8), torch.randn(2, 3, 5, 8), torch.randn(2, 3, 5, 8))
