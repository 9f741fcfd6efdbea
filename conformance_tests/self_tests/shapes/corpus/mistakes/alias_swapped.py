"""A type alias carries its shape to the call."""

import torch
from jaxtyping import Float
from torch import Tensor

Query = Float[Tensor, "batch heads q_len d_head"]
Key = Float[Tensor, "batch heads k_len d_head"]


def scores(query: Query, key: Key) -> Float[Tensor, "batch heads q_len k_len"]:
    return query @ key.mT


def layer(x: Float[Tensor, "batch time heads d_head"]) -> Float[Tensor, "batch heads time time"]:
    return scores(x.transpose(1, 2), x)  # error


def run() -> None:
    layer(torch.randn(2, 3, 4, 5))
