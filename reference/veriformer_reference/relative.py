"""Relative: what is added to the scores for the distance of query and key, by ALiBi's slopes or by T5's buckets.

A distance is query position minus key position: positive for the past, negative for the future.
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from veriformer_spec.config import Config


def distances(
    query_positions: Int[Tensor, "*batch q_len"], key_positions: Int[Tensor, "*batch k_len"]
) -> Int[Tensor, "*batch q_len k_len"]:
    """How many positions each key lies behind each query.

    Source:
        Shaw et al. 2018, section 3.2; Press et al. 2022, section 3 (position.a-bias-follows-the-difference-alone,
        position.only-the-difference-counts).
    """
    return query_positions[..., :, None] - key_positions[..., None, :]


def aligned_positions(
    q_len: int, k_len: int, device: torch.device, alignment: str = "end"
) -> tuple[Int[Tensor, "1 q_len"], Int[Tensor, "1 k_len"]]:
    """The positions of queries and keys, in one row for all: queries fewer than keys stand at their end.

    Args:
        alignment: "start" where the claim says that the queries stand at the beginning of the keys.

    Source:
        Press et al. 2022, section 3 (position.a-bias-follows-the-difference-alone,
        masking.fewer-queries-than-keys-align-as-claimed).
    """
    first = 0 if alignment == "start" else k_len - q_len
    return torch.arange(first, first + q_len, device=device)[None], torch.arange(k_len, device=device)[None]


def power_of_two_slopes(heads: int) -> list[float]:
    """The slopes where the number of heads is a power of two: 2^(-8/n), 2^(-16/n), ..., 2^(-8).

    Source:
        Press et al. 2022, section 3 (position.alibi-slopes-and-distances).
    """
    return [2.0 ** (-8.0 * (head + 1) / heads) for head in range(heads)]


def slopes(heads: int) -> list[float]:
    """How steeply each head's scores fall with the distance.

    Where ``heads`` is no power of two: the slopes of the power below, then every second one of the power above.

    Source:
        Press et al. 2022, section 3, and its code, get_slopes (position.alibi-slopes-and-distances).
    """
    below = 2 ** int(math.log2(heads))
    return power_of_two_slopes(below) + power_of_two_slopes(2 * below)[::2][: heads - below]


def alibi(distances: Int[Tensor, "*batch q_len k_len"], heads: int) -> Float[Tensor, "*batch heads q_len k_len"]:
    """Minus slope times distance, either way, in float64.

    Source:
        Press et al. 2022, section 3 (position.alibi-slopes-and-distances).
    """
    falling = torch.tensor(slopes(heads), dtype=torch.float64, device=distances.device)
    return -falling[:, None, None] * distances.abs()[..., None, :, :]


def bucket_starts(buckets: int, max_distance: int) -> list[int]:
    """The smallest distance in each bucket of one side, nearest first.

    With n buckets, the first n/2 have one distance each. Of the others bucket n/2 + j begins where
    ln(distance / (n/2)) / ln(max_distance / (n/2)) · n/2 reaches j: compared as whole numbers, so that nothing is rounded.

    Source:
        Raffel et al. 2020, section 2.1, and its code, _relative_position_bucket
        (position.relative-buckets-follow-the-distance).
    """
    exact = buckets // 2
    shared = buckets - exact
    starts = list(range(exact))
    for j in range(shared):
        reached = max_distance**j * exact ** (shared - j)
        starts.append(next(distance for distance in range(exact, max_distance + 1) if distance**shared >= reached))
    return starts


def one_sided_bucket(
    distance: Int[Tensor, "*batch q_len k_len"], buckets: int, max_distance: int
) -> Int[Tensor, "*batch q_len k_len"]:
    """The bucket of a distance that is 0 or larger: the last one that begins at it or before.

    Source:
        Raffel et al. 2020, section 2.1 (position.relative-buckets-follow-the-distance).
    """
    starts = torch.tensor(bucket_starts(buckets, max_distance), device=distance.device)
    return (distance[..., None] >= starts).sum(dim=-1) - 1


def bucket(
    distance: Int[Tensor, "*batch q_len k_len"], *, buckets: int, max_distance: int, bidirectional: bool
) -> Int[Tensor, "*batch q_len k_len"]:
    """Which row of the table a distance reads.

    Bidirectional: the past has the first half of the buckets, the future the second. Causal: the past has all of them, and
    the future counts as distance 0.

    Source:
        Raffel et al. 2020, section 2.1, and its code (position.relative-buckets-follow-the-distance).
    """
    if not bidirectional:
        return one_sided_bucket(distance.clamp(min=0), buckets, max_distance)
    side = buckets // 2
    return one_sided_bucket(distance.abs(), side, max_distance) + side * (distance < 0)


def look_up(
    table: Float[Tensor, "buckets heads"], bucket: Int[Tensor, "*batch q_len k_len"]
) -> Float[Tensor, "*batch heads q_len k_len"]:
    """The learned bias of each bucket, for each head.

    Source:
        Raffel et al. 2020, section 2.1 (position.a-bias-follows-the-difference-alone).
    """
    return table[bucket].movedim(-1, -3)


def relative(
    distances: Int[Tensor, "*batch q_len k_len"], own: "RelativeBias", config: Config, *, bidirectional: bool
) -> Float[Tensor, "*batch heads q_len k_len"]:
    """Learned numbers for buckets of distance, one for each head.

    Args:
        own: the parameters.

    Source:
        Raffel et al. 2020, section 2.1 (position.relative-buckets-follow-the-distance).
    """
    chosen = bucket(distances, buckets=config.buckets, max_distance=config.max_distance, bidirectional=bidirectional)
    return look_up(own.table, chosen)


class AlibiBias(nn.Module):
    """No parameters."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config

    def forward(self, q_len: int, k_len: int) -> Float[Tensor, "heads q_len k_len"]:
        """The bias of every query and key, for each head."""
        positions = aligned_positions(q_len, k_len, torch.device("cpu"))
        return alibi(distances(*positions)[0], self.config.heads)


class RelativeBias(nn.Module):
    """Parameter ``table``, with one row for each bucket and one column for each head."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.table = nn.Parameter(nn.init.xavier_uniform_(torch.empty(config.buckets, config.heads)))

    def forward(self, q_len: int, k_len: int) -> Float[Tensor, "heads q_len k_len"]:
        """The bias of every query and key, for each head."""
        positions = aligned_positions(q_len, k_len, self.table.device)
        bidirectional = self.config.direction == "bidirectional"
        return relative(distances(*positions)[0], self, self.config, bidirectional=bidirectional)


def as_claimed(config: Config) -> RelativeBias | None:
    """The learned biases, where positions are claimed to be relative.

    Source:
        Raffel et al. 2020, section 2.1 (position.relative-buckets-follow-the-distance).
    """
    return RelativeBias(config) if config.positions == "relative" else None
