"""One layer in several hands: the same, refactored, and each with one subtle change."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

import veriformer


class Attention(nn.Module):
    """Self-attention, its projections fused or apart, by matrix products or by einsum."""

    def __init__(self, d_model: int, heads: int, *, fused: bool, fill: float, einsum: bool) -> None:
        super().__init__()
        self.heads, self.fused, self.fill, self.einsum = heads, fused, fill, einsum
        if fused:
            self.qkv = nn.Linear(d_model, 3 * d_model)
        else:
            self.q, self.k, self.v = (nn.Linear(d_model, d_model) for _ in range(3))
        self.out = nn.Linear(d_model, d_model)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Any:
        batch, time, d_model = x.shape
        projected = self.qkv(x).chunk(3, -1) if self.fused else (self.q(x), self.k(x), self.v(x))
        q, k, v = (each.reshape(batch, time, self.heads, -1).transpose(1, 2) for each in projected)
        scores = torch.einsum("bhqd,bhkd->bhqk", q, k) if self.einsum else q @ k.transpose(-2, -1)
        scores = scores / math.sqrt(q.size(-1))
        if mask is not None:
            scores = scores.masked_fill(~mask, self.fill)
        weights = scores.softmax(-1)
        if self.einsum:
            return self.out(torch.einsum("bhqk,bhkd->bqhd", weights, v).reshape(batch, time, d_model))
        return self.out((weights @ v).transpose(1, 2).reshape(batch, time, d_model))


class Layer(nn.Module):
    """Post-norm, GELU; its first norm may be written by hand."""

    def __init__(
        self,
        d_model: int,
        heads: int,
        d_ff: int,
        *,
        eps: float = 1e-5,
        approximate: str = "none",
        by_hand: bool = False,
        fused: bool = True,
        fill: float = -math.inf,
        einsum: bool = False,
    ) -> None:
        super().__init__()
        self.attn = Attention(d_model, heads, fused=fused, fill=fill, einsum=einsum)
        self.norm1, self.norm2 = nn.LayerNorm(d_model, eps=eps), nn.LayerNorm(d_model)
        self.ff = nn.Sequential(nn.Linear(d_model, d_ff), nn.GELU(approximate=approximate), nn.Linear(d_ff, d_model))
        self.by_hand, self.eps = by_hand, eps

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Any:
        x = x + self.attn(x, mask)
        if self.by_hand:
            mean = x.mean(-1, keepdim=True)
            variance = ((x - mean) ** 2).mean(-1, keepdim=True)
            x = (x - mean) / torch.sqrt(variance + self.eps) * self.norm1.weight + self.norm1.bias
        else:
            x = self.norm1(x)
        return self.norm2(x + self.ff(x))


def declared(**changes: Any) -> Callable[..., Any]:
    """A build function that says what it builds."""

    @veriformer.subject("encoder-layer", norm="post", activation="gelu")
    def build(config: veriformer.Config) -> nn.Module:
        return Layer(config.d_model, config.heads, config.d_ff, **changes)

    return build


def bare(**changes: Any) -> Callable[..., Any]:
    """One that says nothing."""

    def build(config: veriformer.Config) -> nn.Module:
        return Layer(config.d_model, config.heads, config.d_ff, **changes)

    return build
