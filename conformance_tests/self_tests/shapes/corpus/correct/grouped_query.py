"""Grouped-query attention: each key head serves several query heads."""

import torch
from jaxtyping import Float
from torch import Tensor


def repeat_heads(
    x: Float[Tensor, "batch kv_heads time d_head"], groups: int
) -> Float[Tensor, "batch heads time d_head"]:
    batch, kv_heads, time, d_head = x.shape
    spread = x[:, :, None, :, :].expand(batch, kv_heads, groups, time, d_head)
    return spread.reshape(batch, kv_heads * groups, time, d_head)


def attend(
    query: Float[Tensor, "batch heads q_len d_head"],
    key: Float[Tensor, "batch kv_heads k_len d_head"],
    value: Float[Tensor, "batch kv_heads k_len d_head"],
) -> Float[Tensor, "batch heads q_len d_head"]:
    groups = query.shape[1] // key.shape[1]
    key, value = (x.repeat_interleave(groups, dim=1) for x in (key, value))
    return (query @ key.mT).softmax(-1) @ value


def run() -> None:
    key = torch.randn(2, 3, 5, 4)
    repeat_heads(key, 2)
    attend(torch.randn(2, 6, 7, 4), key, key)
