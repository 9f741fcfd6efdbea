"""masked_fill wants a Bool mask."""

import torch
from jaxtyping import Float
from torch import Tensor


def hide(scores: Float[Tensor, "q_len k_len"], mask: Float[Tensor, "q_len k_len"]) -> Float[Tensor, "q_len k_len"]:
    return scores.masked_fill(mask, -1e9)  # error


def run() -> None:
    hide(torch.randn(4, 5), torch.ones(4, 5))
