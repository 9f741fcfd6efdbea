"""A multi-head attention module: fields, submodules, forward."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn


class MultiHead(nn.Module):
    def __init__(self, d_model: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.d_head = d_model // heads
        self.query = nn.Linear(d_model, d_model)
        self.key = nn.Linear(d_model, d_model)
        self.value = nn.Linear(d_model, d_model)
        self.out = nn.Linear(d_model, d_model)
        self.dropout = nn.Dropout(0.1)

    def split(self, x: Float[Tensor, "batch length d_model"]) -> Float[Tensor, "batch heads length d_head"]:
        batch, length, _ = x.shape
        return x.view(batch, length, self.heads, self.d_head).transpose(1, 2)

    def forward(
        self,
        x: Float[Tensor, "batch time d_model"],
        mask: Bool[Tensor, "time time"] | None = None,
    ) -> Float[Tensor, "batch time d_model"]:
        batch, time, d_model = x.shape
        query, key, value = (self.split(f(x)) for f in (self.query, self.key, self.value))
        scores = query @ key.transpose(-2, -1) / self.d_head**0.5
        if mask is not None:
            scores = scores.masked_fill(mask.logical_not(), float("-inf"))
        mixed = self.dropout(scores.softmax(dim=-1)) @ value
        merged = mixed.transpose(1, 2).reshape(batch, time, self.heads * self.d_head)
        return self.out(merged)


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = MultiHead(12, 3)
        self.norm = nn.LayerNorm(12)

    def forward(self, x: Float[Tensor, "batch time d_model"]) -> Float[Tensor, "batch time d_model"]:
        time = x.shape[1]
        causal = torch.ones(time, time, dtype=torch.bool).tril()
        return x + self.attention(self.norm(x), mask=causal)


def run() -> None:
    Block()(torch.randn(2, 5, 12))
    Block().forward(torch.randn(2, 5, 12))
