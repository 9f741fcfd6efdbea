"""Token ids handed to a function of embeddings."""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def norm(x: Float[Tensor, "batch time"]) -> Float[Tensor, "batch time"]:
    return x / x.norm(dim=-1, keepdim=True)


def encode(ids: Int[Tensor, "batch time"]) -> Float[Tensor, "batch time"]:
    return norm(ids)  # error


def run() -> None:
    encode(torch.zeros(2, 5, dtype=torch.long))
