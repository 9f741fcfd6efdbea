"""Biases by distance have witnesses of their own: numbers from the papers, and the buckets' logarithm written out."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from veriformer_reference import relative
from veriformer_reference.build import build
from veriformer_spec.config import Config
from veriformer_spec.role import Role

Agree = Callable[[Tensor, Tensor], None]


def test_slopes_of_a_power_of_two() -> None:
    """Press et al. 2022, section 3: for 8 heads 1/2, 1/4, ..., 1/256; for 16 they start from 1/sqrt(2)."""
    assert relative.slopes(8) == [2.0**-exponent for exponent in range(1, 9)]
    assert relative.slopes(16)[:2] == [2.0**-0.5, 0.5]
    assert relative.slopes(1) == [2.0**-8]


def test_slopes_of_another_number() -> None:
    """Those of the power below, then every second one of the power above: its code, get_slopes(6) and get_slopes(3)."""
    assert relative.slopes(6) == [2.0**-2, 2.0**-4, 2.0**-6, 2.0**-8, 2.0**-1, 2.0**-3]
    assert relative.slopes(3) == [2.0**-4, 2.0**-8, 2.0**-2]


def test_alibi(assert_agree: Agree) -> None:
    """Two queries at the end of three keys; the distance either way."""
    got = build(Role.ATTENTION_BIAS, Config(heads=2))(2, 3)
    distance = torch.tensor([[1.0, 0.0, 1.0], [2.0, 1.0, 0.0]], dtype=torch.float64)
    assert_agree(got, torch.stack((-distance / 16, -distance / 256)))


@pytest.mark.parametrize(
    ("buckets", "max_distance", "starts"),
    [
        (4, 16, [0, 1, 2, 6]),
        (8, 16, [0, 1, 2, 3, 4, 6, 8, 12]),
        (16, 128, [0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 23, 32, 46, 64, 91]),
        (32, 128, [*range(16), 16, 19, 21, 24, 27, 31, 35, 40, 46, 52, 59, 67, 77, 87, 99, 113]),
    ],
)
def test_bucket_starts(buckets: int, max_distance: int, starts: list[int]) -> None:
    """T5's own sizes among them: in the middle of a bucket its logarithm, written out, has no doubt where it lies."""
    assert relative.bucket_starts(buckets, max_distance) == starts
    exact = buckets // 2
    for distance in range(exact, 2 * max_distance):
        exponent = math.log(distance / exact) / math.log(max_distance / exact) * (buckets - exact)
        expected = min(exact + math.floor(exponent + 1e-9), buckets - 1)
        got = relative.one_sided_bucket(torch.tensor([[distance]]), buckets, max_distance)
        assert got.item() == expected


def test_buckets_of_both_sides() -> None:
    """The past has the first half, the future the second; a causal bias puts the future with distance 0."""
    distance = torch.tensor([[-20, -6, -1, 0, 1, 2, 5, 6, 20]])
    both = relative.bucket(distance, buckets=8, max_distance=16, bidirectional=True)
    assert both.tolist() == [[7, 7, 5, 0, 1, 2, 2, 3, 3]]
    past = relative.bucket(distance, buckets=8, max_distance=16, bidirectional=False)
    assert past.tolist() == [[0, 0, 0, 0, 1, 2, 4, 5, 7]]


@pytest.mark.parametrize("direction", ["causal", "bidirectional"])
def test_learned_bias(direction: str) -> None:
    """Each head reads its own column."""
    bias = build(Role.ATTENTION_BIAS, Config(bias_kind="relative", direction=direction))
    assert isinstance(bias, relative.RelativeBias)
    distance = torch.tensor([[1, 0, -1], [2, 1, 0]])
    rows = relative.bucket(distance, buckets=8, max_distance=16, bidirectional=direction == "bidirectional")
    got = bias(2, 3)
    assert got.shape == (4, 2, 3)
    for head in range(4):
        assert torch.equal(got[head], bias.table[:, head][rows])
