"""A Transformer as tutorials write it, correct: faults and near-misses change one line of it.

Written without the reference: fused projections, einsum, ``nn.Linear``.
"""

# mypy: ignore-errors
# Other people's code, written the way they write it: without types.

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from veriformer_spec.config import Config


class Attention(nn.Module):
    """Multi-head attention with one projection for query, key and value of self-attention."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.heads = config.heads
        self.rate = config.dropout
        self.in_proj = nn.Linear(config.d_model, 3 * config.d_model)
        self.out_proj = nn.Linear(config.d_model, config.d_model)

    def scores(self, query: Tensor, key: Tensor) -> Tensor:
        return torch.einsum("bqhd,bkhd->bhqk", query, key) / math.sqrt(query.shape[-1])

    def hidden(self, scores: Tensor, mask: Tensor | None) -> Tensor:
        return scores if mask is None else scores.masked_fill(mask.logical_not(), float("-inf"))

    def weigh(self, scores: Tensor) -> Tensor:
        return F.dropout(scores.softmax(-1), self.rate, self.training)

    def forward(self, query: Tensor, memory: Tensor, mask: Tensor | None = None) -> Tensor:
        weight_q, weight_kv = self.in_proj.weight.split((query.shape[-1], 2 * query.shape[-1]))
        bias_q, bias_kv = self.in_proj.bias.split((query.shape[-1], 2 * query.shape[-1]))
        q = F.linear(query, weight_q, bias_q).unflatten(-1, (self.heads, -1))
        k, v = F.linear(memory, weight_kv, bias_kv).unflatten(-1, (2, self.heads, -1)).unbind(2)
        weights = self.weigh(self.hidden(self.scores(q, k), mask))
        return self.out_proj(torch.einsum("bhqk,bkhd->bqhd", weights, v).flatten(2))


class FeedForward(nn.Module):
    """Two linear layers with a ReLU between."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.inner = nn.Linear(config.d_model, config.d_ff)
        self.outer = nn.Linear(config.d_ff, config.d_model)

    def forward(self, x: Tensor) -> Tensor:
        return self.outer(self.inner(x).relu())


class Block(nn.Module):
    """One post-norm encoder layer."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.attention = Attention(config)
        self.mlp = FeedForward(config)
        self.norm1 = nn.LayerNorm(config.d_model)
        self.norm2 = nn.LayerNorm(config.d_model)
        self.drop = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        x = self.norm1(x + self.drop(self.attention(x, x, mask)))
        return self.norm2(x + self.drop(self.mlp(x)))


def sinusoids(length: int, d_model: int, **where: object) -> Tensor:
    """The table of "Attention Is All You Need", for even and odd ``d_model``."""
    position = torch.arange(length, dtype=torch.float64).unsqueeze(1)
    feature = torch.arange(d_model, dtype=torch.float64)
    angle = position / torch.pow(10000.0, 2 * torch.div(feature, 2, rounding_mode="floor") / d_model)
    table = torch.where(torch.arange(d_model) % 2 == 0, angle.sin(), angle.cos())
    return table.to(**{"dtype": torch.get_default_dtype(), **where})
