"""Fixed sizes with labels, anonymous axes, scalars."""

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor


def gray(image: Float[Tensor, "rgb=3 height width"]) -> Float[Tensor, "height width"]:
    red, green, blue = image
    return 0.3 * red + 0.6 * green + 0.1 * blue


def energy(x: Float[Tensor, "..."]) -> Float[Tensor, ""]:
    return x.pow(2).sum()


def count(x: Shaped[Tensor, "_ time _"]) -> Int[Tensor, ""]:
    return torch.tensor(x.shape[1])


def normalised(image: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch channels height width"]:
    mean = torch.tensor([0.5, 0.4, 0.3]).view(1, 3, 1, 1)
    return image - mean


def run() -> None:
    gray(torch.randn(3, 4, 5)), energy(torch.randn(2, 3)), count(torch.ones(2, 3, 4))
    normalised(torch.randn(2, 3, 4, 5))
