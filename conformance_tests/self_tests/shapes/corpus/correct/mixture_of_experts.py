"""Routing by top-k, gathering and adding back."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor


def route(
    x: Float[Tensor, "tokens d"], gate: Float[Tensor, "d experts"], k: int
) -> tuple[Float[Tensor, "tokens k"], Int[Tensor, "tokens k"]]:
    weights, chosen = torch.topk(F.softmax(x @ gate, dim=-1), k)
    return weights / weights.sum(-1, keepdim=True), chosen


def mixed(
    x: Float[Tensor, "tokens d"],
    gate: Float[Tensor, "d experts"],
    up: Float[Tensor, "experts d d_ff"],
    down: Float[Tensor, "experts d_ff d"],
) -> Float[Tensor, "tokens d"]:
    weights, chosen = route(x, gate, 2)
    result = torch.zeros_like(x)
    for expert in range(up.shape[0]):
        rows, place = torch.where(chosen == expert)
        hidden = torch.relu(x[rows] @ up[expert])
        result[rows] += weights[rows, place, None] * (hidden @ down[expert])
    return result


def run() -> None:
    mixed(torch.randn(7, 4), torch.randn(4, 3), torch.randn(3, 4, 5), torch.randn(3, 5, 4))
