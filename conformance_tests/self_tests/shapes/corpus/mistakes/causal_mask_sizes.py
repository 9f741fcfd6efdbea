"""The mask is made with its sizes exchanged."""

import torch
from jaxtyping import Float
from torch import Tensor


def causal(scores: Float[Tensor, "batch q_len k_len"]) -> Float[Tensor, "batch q_len k_len"]:
    _, q_len, k_len = scores.shape
    hidden = torch.ones(k_len, q_len, dtype=torch.bool).triu(1)
    return scores.masked_fill(hidden, float("-inf"))  # error


def run() -> None:
    causal(torch.randn(2, 3, 4))
