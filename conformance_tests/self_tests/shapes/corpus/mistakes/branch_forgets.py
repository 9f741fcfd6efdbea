"""One of two branches returns the scores unmasked and transposed."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def masked(
    scores: Float[Tensor, "q_len k_len"], mask: Bool[Tensor, "q_len k_len"] | None
) -> Float[Tensor, "q_len k_len"]:
    if mask is None:
        return scores.T  # error
    return scores.masked_fill(~mask, -1e9)


def run() -> None:
    masked(torch.randn(3, 4), None)
