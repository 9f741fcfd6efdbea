"""Attention in torch.einsum, with a projection for each head."""

import torch
from jaxtyping import Float
from torch import Tensor


def project(
    x: Float[Tensor, "batch time d_model"], weight: Float[Tensor, "heads d_model d_head"]
) -> Float[Tensor, "batch heads time d_head"]:
    return torch.einsum("btm,hmd->bhtd", x, weight)


def mix(
    query: Float[Tensor, "batch heads q_len d_head"],
    key: Float[Tensor, "batch heads k_len d_head"],
    value: Float[Tensor, "batch heads k_len d_head"],
) -> Float[Tensor, "batch q_len heads d_head"]:
    scores = torch.einsum("b h i d, b h j d -> b h i j", query, key)
    return torch.einsum("...hij,...hjd->...ihd", scores.softmax(-1), value)


def run() -> None:
    x, weight = torch.randn(2, 5, 12), torch.randn(3, 12, 4)
    heads = project(x, weight)
    mix(heads, heads, heads)
