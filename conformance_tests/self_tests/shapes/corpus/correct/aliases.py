"""Type aliases: plain, optional, in tuples."""

from typing import Optional, TypeAlias

import torch
from jaxtyping import Bool, Float
from torch import Tensor

Heads: TypeAlias = Float[Tensor, "batch heads time d_head"]
Scores = Float[Tensor, "batch heads time time"]
Mask = Optional[Bool[Tensor, "time time"]]
Triple = tuple[Heads, Heads, Heads]


def project(x: Float[Tensor, "batch time 3*heads*d_head"], heads: int) -> Triple:
    batch, time, width = x.shape
    query, key, value = x.view(batch, time, 3, heads, width // (3 * heads)).unbind(dim=2)
    return query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2)


def scores(query: Heads, key: Heads, mask: Mask = None) -> Scores:
    result: Scores = query @ key.mT
    return result if mask is None else result.masked_fill(~mask, float("-inf"))


def run() -> None:
    heads = torch.randn(2, 3, 5, 4)
    scores(heads, heads)
    scores(heads, heads, torch.ones(5, 5, dtype=torch.bool))
