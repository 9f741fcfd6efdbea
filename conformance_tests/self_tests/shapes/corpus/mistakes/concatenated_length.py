"""past+new is declared, past comes back."""

import torch
from jaxtyping import Float
from torch import Tensor


def extend(
    past: Float[Tensor, "batch past d_head"], new: Float[Tensor, "batch new d_head"]
) -> Float[Tensor, "batch past+new d_head"]:
    return torch.cat([past, new], dim=-1)  # error


def run() -> None:
    extend(torch.randn(2, 3, 8), torch.randn(2, 4, 8))
