"""A padding mask of batch time is broadcast against heads."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def hide(
    scores: Float[Tensor, "batch heads q_len k_len"], padding: Bool[Tensor, "batch k_len"]
) -> Float[Tensor, "batch heads q_len k_len"]:
    return scores.masked_fill(~padding, float("-inf"))  # error


def run() -> None:
    hide(torch.randn(2, 3, 4, 5), torch.ones(2, 5, dtype=torch.bool))
