"""Logits are shifted, targets are not."""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def pick(
    logits: Float[Tensor, "batch length vocab"], target: Int[Tensor, "batch length"]
) -> Float[Tensor, "batch length"]:
    return logits.gather(-1, target.unsqueeze(-1)).squeeze(-1)


def loss(logits: Float[Tensor, "batch time vocab"], ids: Int[Tensor, "batch time"]) -> Float[Tensor, "batch time-1"]:
    return pick(logits[:, :-1], ids)  # error


def run() -> None:
    loss(torch.randn(2, 5, 7), torch.zeros(2, 5, dtype=torch.long))
