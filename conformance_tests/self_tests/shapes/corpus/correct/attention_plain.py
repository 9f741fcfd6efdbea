"""Scaled dot-product attention, with the scale as a power that mypy types as Any."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def attention(
    query: Float[Tensor, "*batch q_len d_head"],
    key: Float[Tensor, "*batch k_len d_head"],
    value: Float[Tensor, "*batch k_len d_value"],
    mask: Bool[Tensor, "*#batch q_len k_len"],
) -> Float[Tensor, "*batch q_len d_value"]:
    scores = query @ key.mT * (query.size(-1) ** -0.5)
    weights = torch.softmax(scores.masked_fill(~mask, -math.inf), dim=-1)
    return weights @ value


def run() -> None:
    query, key, value = torch.randn(2, 3, 4, 8), torch.randn(2, 3, 5, 8), torch.randn(2, 3, 5, 7)
    attention(query, key, value, torch.ones(4, 5, dtype=torch.bool))
    attention(query[0, 0], key[0, 0], value[0, 0], torch.ones(4, 5, dtype=torch.bool))
