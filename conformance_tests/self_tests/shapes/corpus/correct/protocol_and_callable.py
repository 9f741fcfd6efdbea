"""Protocols, callables and modules handed around."""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn


@runtime_checkable
class Attention(Protocol):
    def __call__(self, query: Float[Tensor, "b q d"], key: Float[Tensor, "b k d"]) -> Float[Tensor, "b q k"]: ...


def dot(query: Float[Tensor, "b q d"], key: Float[Tensor, "b k d"]) -> Float[Tensor, "b q k"]:
    return query @ key.mT


def twice(
    attend: Attention, x: Float[Tensor, "batch time width"], act: Callable[[Tensor], Tensor]
) -> Float[Tensor, "batch time time"]:
    return act(attend(x, x)) + attend(query=x, key=x)


def run() -> None:
    twice(dot, torch.randn(2, 5, 4), nn.ReLU())
