"""A whole encoder layer in functions, with a dict of weights."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

Weights = dict[str, Tensor]


def attention(x: Float[Tensor, "b t d"], weights: Weights, heads: int) -> Float[Tensor, "b t d"]:
    b, t, d = x.shape
    q, k, v = (F.linear(x, weights[name]).reshape(b, t, heads, -1).transpose(1, 2) for name in "qkv")
    scores = (q @ k.mT) / math.sqrt(q.size(-1))
    mixed = F.softmax(scores, -1) @ v
    return F.linear(mixed.transpose(1, 2).flatten(2), weights["o"])


def layer(x: Float[Tensor, "b t d"], weights: Weights, heads: int) -> Float[Tensor, "b t d"]:
    x = x + attention(F.layer_norm(x, x.shape[-1:]), weights, heads)
    hidden = F.gelu(F.layer_norm(x, (x.shape[-1],)) @ weights["up"])
    return x + hidden @ weights["down"]


def run() -> None:
    weights = {name: torch.randn(12, 12) for name in "qkvo"}
    weights |= {"up": torch.randn(12, 30), "down": torch.randn(30, 12)}
    layer(torch.randn(2, 5, 12), weights, 3)
