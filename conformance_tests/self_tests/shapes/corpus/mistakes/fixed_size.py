"""Three channels are declared, four are made."""

import torch
from jaxtyping import Float
from torch import Tensor


def gray(image: Float[Tensor, "rgb=3 height width"]) -> Float[Tensor, "height width"]:
    return image.mean(dim=0)


def run() -> None:
    gray(torch.randn(4, 5, 6))  # error
