"""A module whose cache is a field that grows."""

from typing import Optional

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Cached(nn.Module):
    keys: Optional[Float[Tensor, "batch time d"]]

    def __init__(self) -> None:
        super().__init__()
        self.keys = None

    def forward(self, new: Float[Tensor, "batch time d"]) -> Float[Tensor, "batch time d"]:
        if self.keys is None:
            self.keys = new
        else:
            self.keys = torch.cat([self.keys, new], dim=1)
        return (new @ self.keys.mT).softmax(-1) @ self.keys


def run() -> None:
    module = Cached()
    module(torch.randn(2, 3, 4)), module(torch.randn(2, 1, 4))
