"""#: an axis that may be 1, and *#: axes that may be missing."""

import torch
from jaxtyping import Float
from torch import Tensor


def scaled(x: Float[Tensor, "batch time d"], gain: Float[Tensor, "#batch #time d"]) -> Float[Tensor, "batch time d"]:
    return x * gain


def added(x: Float[Tensor, "*batch d"], y: Float[Tensor, "*#batch d"]) -> Float[Tensor, "*batch d"]:
    return x + y


def use(x: Float[Tensor, "batch time d"], gain: Float[Tensor, " d"]) -> Float[Tensor, "batch time d"]:
    return added(scaled(x, gain[None, None]), gain)


def run() -> None:
    use(torch.randn(2, 5, 4), torch.randn(4))
    scaled(torch.randn(2, 5, 4), torch.randn(2, 1, 4))
