"""The arguments of a module are exchanged."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Cross(nn.Module):
    def forward(
        self, x: Float[Tensor, "batch time d_model"], memory: Float[Tensor, "batch length d_memory"]
    ) -> Float[Tensor, "batch time length"]:
        return x.sum(-1)[:, :, None] * memory.sum(-1)[:, None, :]


class Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cross = Cross()

    def forward(
        self, x: Float[Tensor, "batch time d_model"], memory: Float[Tensor, "batch length d_memory"]
    ) -> Float[Tensor, "batch time length"]:
        return self.cross(memory, x)  # error


def run() -> None:
    Layer()(torch.randn(2, 3, 4), torch.randn(2, 5, 6))
