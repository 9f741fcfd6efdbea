"""Rotary embedding: halves, concatenation, broadcasting over heads."""

import torch
from jaxtyping import Float
from torch import Tensor


def angles(time: int, d_head: int) -> Float[Tensor, "time d_head"]:
    steps = torch.arange(0, d_head, 2).float() / d_head
    freqs = 1.0 / (10000**steps)
    table = torch.outer(torch.arange(time).float(), freqs)
    return torch.cat((table, table), dim=-1)


def rotate_half(x: Float[Tensor, "*batch d_head"]) -> Float[Tensor, "*batch d_head"]:
    left, right = x.chunk(2, dim=-1)
    return torch.cat((-right, left), dim=-1)


def rotate_half_slices(x: Float[Tensor, "... time d_head"]) -> Float[Tensor, "... time d_head"]:
    half = x.shape[-1] // 2
    left, right = x[..., :half], x[..., half:]
    return torch.cat([-right, left], dim=-1)


def apply(
    x: Float[Tensor, "batch heads time d_head"], table: Float[Tensor, "time d_head"]
) -> Float[Tensor, "batch heads time d_head"]:
    cos, sin = table.cos()[None, None, :, :], table.sin()[None, None]
    return x * cos + rotate_half(x) * sin + 0 * rotate_half_slices(x)


def run() -> None:
    x = torch.randn(2, 3, 5, 8)
    apply(x, angles(5, 8))
