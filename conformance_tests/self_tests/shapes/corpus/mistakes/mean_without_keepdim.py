"""The mean loses the axis it is subtracted along."""

import torch
from jaxtyping import Float
from torch import Tensor


def centred(x: Float[Tensor, "batch time d_model"]) -> Float[Tensor, "batch time d_model"]:
    return x - x.mean(dim=-1)  # error


def run() -> None:
    centred(torch.randn(2, 3, 4))
