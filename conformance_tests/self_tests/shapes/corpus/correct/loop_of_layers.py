"""Layers in a loop, hidden states gathered in a list and stacked."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Layer(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)

    def forward(self, x: Float[Tensor, "batch time d_model"]) -> Float[Tensor, "batch time d_model"]:
        return x + self.down(torch.relu(self.up(x)))


class Stack(nn.Module):
    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList([Layer(width) for _ in range(depth)])

    def forward(self, x: Float[Tensor, "batch time d_model"]) -> Float[Tensor, "depth batch time d_model"]:
        seen: list[Tensor] = []
        for layer in self.layers:
            x = layer(x)
            seen.append(x)
        return torch.stack(seen)


def plain(layers: list[Layer], x: Float[Tensor, "b t d"]) -> Float[Tensor, "b t d"]:
    for layer in layers:
        x = layer(x)
    return x


def run() -> None:
    Stack(6, 3)(torch.randn(2, 5, 6))
    plain([Layer(6), Layer(6)], torch.randn(2, 5, 6))
