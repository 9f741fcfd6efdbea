"""Local annotations that name sizes, used further down."""

import torch
from jaxtyping import Float
from torch import Tensor


def project(
    x: Float[Tensor, "batch time d_model"], weight: Float[Tensor, "d_model heads d_head"]
) -> Float[Tensor, "batch heads time d_head"]:
    flat: Float[Tensor, "d_model width"] = weight.flatten(1)
    wide: Float[Tensor, "batch time width"] = x @ flat
    split: Float[Tensor, "batch time heads d_head"] = wide.unflatten(-1, weight.shape[1:])
    result: Float[Tensor, "batch heads time d_head"] = split.movedim(2, 1)
    return result


def opaque(x: Float[Tensor, "batch time d"], layer: torch.nn.Module) -> Float[Tensor, "batch e"]:
    hidden: Float[Tensor, "batch time e"] = layer(x)
    pooled: Float[Tensor, "batch e"] = hidden.amax(dim=1)
    return pooled


def run() -> None:
    project(torch.randn(2, 5, 6), torch.randn(6, 3, 4))
    opaque(torch.randn(2, 5, 4), torch.nn.Linear(4, 7))
