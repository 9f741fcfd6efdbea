"""A dataclass gets two fields that do not go together."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, jaxtyped
from beartype import beartype
from torch import Tensor


@jaxtyped(typechecker=beartype)
@dataclass
class Batch:
    x: Float[Tensor, "batch time d_model"]
    mask: Bool[Tensor, "batch time"]


def padded(x: Float[Tensor, "batch time d_model"]) -> Batch:
    mask = torch.ones(x.shape[1], x.shape[0], dtype=torch.bool)
    return Batch(x, mask)  # error


def run() -> None:
    padded(torch.randn(2, 3, 4))
