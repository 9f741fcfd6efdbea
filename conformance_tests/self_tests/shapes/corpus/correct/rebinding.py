"""One name for tensors of different shapes, one after the other."""

import torch
from jaxtyping import Float
from torch import Tensor


def forward(x: Float[Tensor, "b t d"], w: Float[Tensor, "d e"]) -> Float[Tensor, "b e"]:
    x = x.transpose(1, 2)
    x = x.mean(-1)
    x = x @ w
    x /= x.norm(dim=-1, keepdim=True)
    x *= 2
    return x


def squeezed(x: Float[Tensor, "b 1 d"]) -> Float[Tensor, "b d"]:
    return x.squeeze(1)


def either(x: Float[Tensor, "b t"] | None, y: Float[Tensor, "b t"]) -> Float[Tensor, "b t"]:
    return (x if x is not None else y) + (x or y if x is None else x)


def run() -> None:
    forward(torch.randn(2, 5, 4), torch.randn(4, 3))
    squeezed(torch.randn(2, 1, 4))
    either(torch.randn(2, 3), torch.randn(2, 3)), either(None, torch.randn(1, 1))
