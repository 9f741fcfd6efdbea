"""A loop over rows hands on a row instead of the whole."""

import torch
from jaxtyping import Float
from torch import Tensor


def norm(x: Float[Tensor, "time d"]) -> Float[Tensor, "time d"]:
    return x / x.norm(dim=-1, keepdim=True)


def each(x: Float[Tensor, "batch time d"]) -> Float[Tensor, "batch time d"]:
    rows = []
    for row in x:
        rows.append(norm(row.sum(0)))  # error
    return torch.stack(rows)


def run() -> None:
    each(torch.randn(2, 3, 4))
