"""Decorators that keep the signature."""

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import torch
from beartype import beartype
from jaxtyping import Float, jaxtyped
from torch import Tensor

P = ParamSpec("P")
R = TypeVar("R")


def logged(function: Callable[P, R]) -> Callable[P, R]:
    @functools.wraps(function)
    def inner(*args: P.args, **kwargs: P.kwargs) -> R:
        return function(*args, **kwargs)

    return inner


@jaxtyped(typechecker=beartype)
def scores(query: Float[Tensor, "q d"], key: Float[Tensor, "k d"]) -> Float[Tensor, "q k"]:
    return query @ key.T


@logged
def values(weights: Float[Tensor, "q k"], value: Float[Tensor, "k d"]) -> Float[Tensor, "q d"]:
    return weights @ value


@torch.no_grad()
def both(query: Float[Tensor, "q d"], key: Float[Tensor, "k d"]) -> Float[Tensor, "q d"]:
    return values(scores(query, key), key)


def run() -> None:
    both(torch.randn(3, 4), torch.randn(5, 4))
