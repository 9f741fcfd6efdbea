"""A band mask from index differences."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def band(length: int, width: int) -> Bool[Tensor, "length length"]:
    index = torch.arange(length)
    gap = index.unsqueeze(1) - index.unsqueeze(0)
    return (gap >= 0) & (gap < width)


def attend(x: Float[Tensor, "batch time d"]) -> Float[Tensor, "batch time d"]:
    scores = torch.bmm(x, x.transpose(1, 2))
    scores = torch.where(band(x.shape[1], 2), scores, float("-inf"))
    return torch.bmm(scores.softmax(dim=2), x)


def run() -> None:
    attend(torch.randn(2, 5, 4))
