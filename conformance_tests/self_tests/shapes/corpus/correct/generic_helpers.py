"""Helpers without annotations, lambdas, partial: unknown, and silent."""

from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor


def swap(x, a=-2, b=-1):  # type: ignore[no-untyped-def]
    return x.transpose(a, b)


def scores(q: Float[Tensor, "q d"], k: Float[Tensor, "k d"]) -> Float[Tensor, "q k"]:
    flip = partial(swap, a=0, b=1)
    twice = lambda x: x * 2  # noqa: E731
    return twice(q) @ flip(k) / 2


def run() -> None:
    scores(torch.randn(3, 4), torch.randn(5, 4))
