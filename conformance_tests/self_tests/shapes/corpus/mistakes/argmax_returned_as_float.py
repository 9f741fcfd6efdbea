"""argmax gives indices."""

import torch
from jaxtyping import Float
from torch import Tensor


def predict(logits: Float[Tensor, "batch time vocab"]) -> Float[Tensor, "batch time"]:
    return logits.argmax(dim=-1)  # error


def run() -> None:
    predict(torch.randn(2, 5, 7))
