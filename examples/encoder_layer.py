"""An encoder layer as one writes it on an evening, with one line wrong; and the adapter that has it judged.

veriformer check examples/encoder_layer.py:build         finds the line
veriformer check examples/encoder_layer.py:build_mended  has nothing to say
"""

import math

import torch
from torch import Tensor, nn

import veriformer


class SelfAttention(nn.Module):
    """Self-attention in several heads, fused projections."""

    def __init__(self, d_model: int, heads: int, *, mended: bool) -> None:
        super().__init__()
        self.heads = heads
        self.mended = mended
        self.qkv = nn.Linear(d_model, 3 * d_model)
        self.out = nn.Linear(d_model, d_model)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """The one line: heads must move behind time before they are merged."""
        batch, time, d_model = x.shape
        q, k, v = self.qkv(x).reshape(batch, time, self.heads, -1).permute(0, 2, 1, 3).chunk(3, dim=-1)
        scores = q @ k.transpose(-2, -1) / math.sqrt(q.size(-1))
        if mask is not None:
            scores = scores.masked_fill(~mask, -math.inf)
        seen = torch.softmax(scores, dim=-1) @ v
        if self.mended:
            seen = seen.transpose(1, 2)
        return self.out(seen.reshape(batch, time, d_model))


class EncoderLayer(nn.Module):
    """Post-norm, ReLU, as in the paper."""

    def __init__(self, d_model: int, heads: int, d_ff: int, *, mended: bool = False) -> None:
        super().__init__()
        self.attention = SelfAttention(d_model, heads, mended=mended)
        self.norm1 = nn.LayerNorm(d_model)
        self.ffn = nn.Sequential(nn.Linear(d_model, d_ff), nn.ReLU(), nn.Linear(d_ff, d_model))
        self.norm2 = nn.LayerNorm(d_model)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Each sublayer with its skip and norm."""
        x = self.norm1(x + self.attention(x, mask))
        return self.norm2(x + self.ffn(x))


@veriformer.subject("encoder-layer", norm="post", activation="relu")
def build(config):
    return EncoderLayer(config.d_model, config.heads, config.d_ff)


@veriformer.subject("encoder-layer", norm="post", activation="relu")
def build_mended(config):
    return EncoderLayer(config.d_model, config.heads, config.d_ff, mended=True)
