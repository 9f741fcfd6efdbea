"""Sizes that a check makes equal."""

import torch
from jaxtyping import Float
from torch import Tensor


def added(
    x: Float[Tensor, "batch time d_model"], y: Float[Tensor, "batch length d_model"]
) -> Float[Tensor, "batch time d_model"]:
    if x.shape[1] != y.shape[1]:
        raise ValueError("the lengths differ")
    return x + y


def self_attention(query: Float[Tensor, "q_len d_q"], key: Float[Tensor, "k_len d_k"]) -> Float[Tensor, "q_len k_len"]:
    assert query.size(-1) == key.size(-1), "widths differ"
    return query @ key.T


def same_shape(x: Float[Tensor, "a b"], y: Float[Tensor, "c d"]) -> Float[Tensor, "a d"]:
    if x.shape == y.shape:
        return x - y
    return x.new_zeros(x.shape[0], y.shape[1])


def run() -> None:
    added(torch.randn(2, 5, 4), torch.randn(2, 5, 4))
    self_attention(torch.randn(3, 4), torch.randn(5, 4))
    same_shape(torch.randn(3, 4), torch.randn(3, 4))
    same_shape(torch.randn(3, 4), torch.randn(5, 6))
