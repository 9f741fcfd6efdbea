"""The default has the wrong rank (the run passes: jaxtyping does not look at defaults)."""

import torch
from jaxtyping import Float
from torch import Tensor


def scaled(
    x: Float[Tensor, "time d"],
    gain: Float[Tensor, " d"] = torch.ones(1, 4),  # error  # noqa: B008
) -> Float[Tensor, "time d"]:
    return x * gain


def run() -> None:
    scaled(torch.randn(3, 4))
