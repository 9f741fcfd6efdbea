"""A starred tuple in the wrong order."""

import torch
from jaxtyping import Float
from torch import Tensor


def attend(query: Float[Tensor, "q d"], key: Float[Tensor, "k d"], value: Float[Tensor, "k v"]) -> Float[Tensor, "q v"]:
    return (query @ key.T) @ value


def both(
    x: Float[Tensor, "time d"], key: Float[Tensor, "length d"], value: Float[Tensor, "length e"]
) -> Float[Tensor, "time e"]:
    pair = value, key
    return attend(x, *pair)  # error


def run() -> None:
    both(torch.randn(3, 4), torch.randn(5, 4), torch.randn(5, 6))
