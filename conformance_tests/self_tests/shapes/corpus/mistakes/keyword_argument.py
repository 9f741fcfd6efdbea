"""Given by keyword, in another order, one of them wrong."""

import torch
from jaxtyping import Float
from torch import Tensor


def attend(
    *, query: Float[Tensor, "q d"], key: Float[Tensor, "k d"], value: Float[Tensor, "k v"]
) -> Float[Tensor, "q v"]:
    return (query @ key.T) @ value


def both(x: Float[Tensor, "time d"], y: Float[Tensor, "length d"]) -> Float[Tensor, "time d"]:
    return attend(
        value=x,
        query=x,
        key=y,  # error
    )


def run() -> None:
    both(torch.randn(3, 4), torch.randn(5, 4))
