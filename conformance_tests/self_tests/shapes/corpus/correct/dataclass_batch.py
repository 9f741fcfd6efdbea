"""Fields of a dataclass and of a NamedTuple."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass
class Batch:
    ids: Int[Tensor, "batch time"]
    mask: Bool[Tensor, "batch time"]


class Cache(NamedTuple):
    key: Float[Tensor, "batch heads past d_head"]
    value: Float[Tensor, "batch heads past d_head"]


def lengths(batch: Batch) -> Int[Tensor, " batch"]:
    return batch.mask.sum(dim=1)


def attend(query: Float[Tensor, "batch heads new d_head"], cache: Cache) -> Float[Tensor, "batch heads new d_head"]:
    scores = query @ cache.key.mT
    return scores.softmax(-1) @ cache.value


def run() -> None:
    ids = torch.zeros(2, 5, dtype=torch.long)
    lengths(Batch(ids, ids == 0))
    past = torch.randn(2, 3, 5, 4)
    attend(torch.randn(2, 3, 1, 4), Cache(past, past))
    key, value = Cache(past, past)
    attend(torch.randn(2, 3, 1, 4), Cache(key=key, value=value))
