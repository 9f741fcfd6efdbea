"""Two ways that meet with different shapes, and only the common part used."""

import torch
from jaxtyping import Float
from torch import Tensor


def oriented(x: Float[Tensor, "rows columns"], flip: bool) -> Float[Tensor, "first second"]:
    if flip:
        x = x.T
    return x


def maybe_batched(
    x: Float[Tensor, "time d_model"] | Float[Tensor, "batch time d_model"],
) -> Float[Tensor, "some time d_model"]:
    if x.ndim == 2:
        x = x.unsqueeze(0)
    return x


def twice(x: Float[Tensor, "batch time d"], flip: bool) -> Float[Tensor, "batch time d"]:
    if flip:
        x = x.transpose(1, 2)
    y = x * 2
    if flip:
        y = y.transpose(1, 2)
    return y


def run() -> None:
    x = torch.randn(4, 5)
    oriented(x, True), maybe_batched(x), twice(torch.randn(2, 4, 5), True)
