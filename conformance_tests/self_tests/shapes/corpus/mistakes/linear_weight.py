"""F.linear takes the weight as (out, in)."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def project(
    x: Float[Tensor, "batch time d_model"], weight: Float[Tensor, "d_model d_ff"]
) -> Float[Tensor, "batch time d_ff"]:
    return F.linear(x, weight)  # error


def run() -> None:
    project(torch.randn(2, 3, 4), torch.randn(4, 6))
