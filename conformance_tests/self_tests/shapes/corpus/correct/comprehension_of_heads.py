"""One attention for each head, in a comprehension, concatenated."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Head(nn.Module):
    def __init__(self, width: int, d_head: int) -> None:
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(width, d_head) for _ in range(3))

    def forward(self, x: Float[Tensor, "b t c"]) -> Float[Tensor, "b t h"]:
        q, k, v = self.q(x), self.k(x), self.v(x)
        weights = (q @ k.transpose(-2, -1) * k.shape[-1] ** -0.5).softmax(dim=-1)
        return weights @ v


class Many(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = nn.ModuleList([Head(width, width // heads) for _ in range(heads)])
        self.proj = nn.Linear(width, width)

    def forward(self, x: Float[Tensor, "b t c"]) -> Float[Tensor, "b t c"]:
        return self.proj(torch.cat([h(x) for h in self.heads], dim=-1))


def run() -> None:
    Many(12, 3)(torch.randn(2, 5, 12))
