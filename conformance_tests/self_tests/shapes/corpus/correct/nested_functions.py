"""Functions inside functions, with axis names of their own."""

import torch
from jaxtyping import Float
from torch import Tensor


def outer(x: Float[Tensor, "batch time d"], heads: int) -> Float[Tensor, "batch time d"]:
    batch, time, d = x.shape

    def split(y: Float[Tensor, "b t w"]) -> Float[Tensor, "b h t w2"]:
        b, t, w = y.shape
        return y.reshape(b, t, heads, w // heads).transpose(1, 2)

    def flipped(d: Float[Tensor, "d batch"]) -> Float[Tensor, "batch d"]:
        return d.T

    def scale() -> Tensor:
        return x * 2

    merged = split(scale()).transpose(1, 2).reshape(batch, time, d)
    return merged + flipped(x[0])[:1, :1]


def run() -> None:
    outer(torch.randn(2, 5, 12), 3)
