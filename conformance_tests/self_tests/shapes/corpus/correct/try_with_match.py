"""try, with, match and while around tensors."""

import contextlib

import torch
from jaxtyping import Float
from torch import Tensor


def norm(x: Float[Tensor, "time d"], kind: str) -> Float[Tensor, "time d"]:
    match kind:
        case "mean":
            y = x - x.mean(0)
        case "flip":
            y = x.flip(0)
        case _:
            y = x
    with torch.no_grad(), contextlib.suppress(ValueError):
        y = y / y.norm()
    try:
        y = y.view(-1, x.size(1))
    except RuntimeError:
        y = y.reshape(x.shape)
    finally:
        count = 0
    while count < 2:
        y = y + x
        count += 1
    return y


def run() -> None:
    norm(torch.randn(3, 4), "mean"), norm(torch.randn(3, 4), "flip")
