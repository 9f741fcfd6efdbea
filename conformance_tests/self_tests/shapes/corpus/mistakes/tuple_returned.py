"""Two results in the wrong order."""

import torch
from jaxtyping import Float
from torch import Tensor


def attend(query: Float[Tensor, "q d"], key: Float[Tensor, "k d"]) -> tuple[Float[Tensor, "q d"], Float[Tensor, "q k"]]:
    weights = (query @ key.T).softmax(-1)
    return weights, weights @ key  # error


def run() -> None:
    attend(torch.randn(3, 4), torch.randn(5, 4))
