"""Heads split and merged with sizes unpacked from the shape."""

import torch
from jaxtyping import Float
from torch import Tensor


def split(x: Float[Tensor, "batch time d_model"], heads: int) -> Float[Tensor, "batch heads time d_head"]:
    batch, time, d_model = x.shape
    return x.view(batch, time, heads, d_model // heads).transpose(1, 2)


def merge(x: Float[Tensor, "batch heads time d_head"]) -> Float[Tensor, "batch time heads*d_head"]:
    batch, heads, time, d_head = x.size()
    return x.transpose(1, 2).contiguous().view(batch, time, heads * d_head)


def run() -> None:
    x = torch.randn(2, 5, 12)
    assert merge(split(x, 3)).shape == x.shape
