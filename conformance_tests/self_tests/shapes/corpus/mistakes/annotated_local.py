"""A local annotation that the value does not fit."""

import torch
from jaxtyping import Float
from torch import Tensor


def weights(query: Float[Tensor, "q_len d"], key: Float[Tensor, "k_len d"]) -> Float[Tensor, "q_len k_len"]:
    scores: Float[Tensor, "k_len q_len"] = query @ key.T  # error
    return scores.T


def run() -> None:
    weights(torch.randn(3, 4), torch.randn(5, 4))
