"""Starred arguments and shapes."""

import torch
from jaxtyping import Float
from torch import Tensor


def attend(query: Float[Tensor, "q d"], key: Float[Tensor, "k d"], value: Float[Tensor, "k v"]) -> Float[Tensor, "q v"]:
    return (query @ key.T) @ value


def flat_heads(x: Float[Tensor, "*batch heads d_head"]) -> Float[Tensor, "*batch heads*d_head"]:
    *batch, heads, d_head = x.shape
    return x.reshape(*batch, heads * d_head)


def grown(x: Float[Tensor, "*batch d"], n: int) -> Float[Tensor, "*batch n d"]:
    return x.unsqueeze(-2).expand(*x.shape[:-1], n, x.shape[-1])


def total(*parts: Float[Tensor, "a b"]) -> Float[Tensor, "a b"]:
    result = parts[0]
    for part in parts[1:]:
        result = result + part
    return result


def run() -> None:
    pair = torch.randn(5, 4), torch.randn(5, 3)
    attend(torch.randn(2, 4), *pair)
    arguments = {"key": pair[0], "value": pair[1]}
    attend(torch.randn(2, 4), **arguments)
    flat_heads(torch.randn(2, 3, 4, 5))
    total(pair[0], pair[0])
