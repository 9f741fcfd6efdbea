"""Heads by einops, there and back, and a pooled mean."""

import torch
from einops import einsum, rearrange, reduce, repeat
from jaxtyping import Float
from torch import Tensor


def split(x: Float[Tensor, "batch time d_model"], heads: int) -> Float[Tensor, "batch heads time d_head"]:
    return rearrange(x, "b t (h d) -> b h t d", h=heads)


def merge(x: Float[Tensor, "batch heads time d_head"]) -> Float[Tensor, "batch time heads*d_head"]:
    return rearrange(x, "b h t d -> b t (h d)")


def pooled(x: Float[Tensor, "batch time d_model"]) -> Float[Tensor, "batch d_model"]:
    return reduce(x, "b t d -> b d", "mean")


def tiled(x: Float[Tensor, "time d_model"], batch: int) -> Float[Tensor, "batch time d_model"]:
    return repeat(x, "t d -> b t d", b=batch)


def scores(query: Float[Tensor, "b h i d"], key: Float[Tensor, "b h j d"]) -> Float[Tensor, "b h i j"]:
    return einsum(query, key, "b h i d, b h j d -> b h i j")


def run() -> None:
    x = torch.randn(2, 5, 12)
    heads = split(x, 3)
    assert merge(heads).shape == x.shape
    pooled(x), tiled(x[0], 7), scores(heads, heads)
