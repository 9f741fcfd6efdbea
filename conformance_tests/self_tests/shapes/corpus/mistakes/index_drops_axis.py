"""An index takes an axis away that a slice would have kept."""

import torch
from jaxtyping import Float
from torch import Tensor


def last(logits: Float[Tensor, "batch time vocab"]) -> Float[Tensor, "batch 1 vocab"]:
    return logits[:, -1]  # error


def run() -> None:
    last(torch.randn(2, 3, 4))
