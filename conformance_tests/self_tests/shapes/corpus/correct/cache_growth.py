"""A key-value cache that grows by concatenation: past+new."""

import torch
from jaxtyping import Float
from torch import Tensor


def extend(
    past: Float[Tensor, "batch heads past d_head"],
    new: Float[Tensor, "batch heads new d_head"],
) -> Float[Tensor, "batch heads past+new d_head"]:
    return torch.cat([past, new], dim=2)


def step(
    past: Float[Tensor, "batch heads past d_head"],
    new: Float[Tensor, "batch heads new d_head"],
) -> Float[Tensor, "batch heads new past+new"]:
    grown = extend(past, new)
    return new @ grown.mT


def last(past: Float[Tensor, "b h p d"], new: Float[Tensor, "b h n d"]) -> Float[Tensor, "b h n d"]:
    grown = extend(past, new)
    return grown[:, :, past.shape[2] :]


def run() -> None:
    past, new = torch.randn(2, 3, 4, 8), torch.randn(2, 3, 5, 8)
    step(past, new)
    last(past, new)
