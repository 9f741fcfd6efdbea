"""Three names for four axes."""

import torch
from jaxtyping import Float
from torch import Tensor


def sizes(x: Float[Tensor, "batch heads time d_head"]) -> int:
    batch, time, d_model = x.shape  # error
    return batch * time * d_model


def run() -> None:
    sizes(torch.randn(2, 3, 4, 5))
