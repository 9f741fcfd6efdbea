"""What a module gives is added to something of another length."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Pool(nn.Module):
    def forward(self, x: Float[Tensor, "batch time d"]) -> Float[Tensor, "batch d"]:
        return x.mean(dim=1)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.pool = Pool()

    def forward(self, x: Float[Tensor, "batch time d"]) -> Float[Tensor, "batch time d"]:
        pooled = self.pool(x)
        return x + pooled  # error


def run() -> None:
    Net()(torch.randn(2, 3, 4))
