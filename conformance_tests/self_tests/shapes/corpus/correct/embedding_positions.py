"""Token and position embeddings, summed and scaled."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


class Embed(nn.Module):
    def __init__(self, vocab: int, d_model: int, longest: int) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocab, d_model)
        self.positions = nn.Parameter(torch.zeros(longest, d_model))
        self.d_model = d_model

    def forward(self, ids: Int[Tensor, "batch time"]) -> Float[Tensor, "batch time d_model"]:
        time = ids.size(1)
        return self.tokens(ids) * math.sqrt(self.d_model) + self.positions[:time]


class Head(nn.Module):
    weight: Float[Tensor, "vocab d_model"]

    def __init__(self, vocab: int, d_model: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(vocab, d_model))

    def forward(self, x: Float[Tensor, "batch time d_model"]) -> Float[Tensor, "batch time vocab"]:
        return x @ self.weight.T


def run() -> None:
    ids = torch.randint(0, 11, (2, 5))
    Head(11, 6)(Embed(11, 6, 9)(ids))
