"""The suite's own formulas for positions, against tables written by hand."""

import pytest
import torch

from veriformer.suite import test_position_bias as bias
from veriformer.suite import test_position_rotary as rotary
from veriformer_spec.config import Config

T5_ENCODER = [*range(8), *[8] * 4, *[9] * 4, *[10] * 7, *[11] * 9, *[12] * 14, *[13] * 18, *[14] * 27, *[15] * 40]
"""Buckets of distances 0, 1, 2, ... on one side, of 32 in all up to distance 128: shared ones begin at 8, 12, 16, 23, 32, 46, 64, 91."""
SMALL = [0, 1, 2, 3, 4, 4, 5, 5, 6, 6, 6, 6, *[7] * 10]
"""Of 8 in all for the past alone, up to distance 16."""


def test_buckets_are_those_of_the_hand_written_tables() -> None:
    assert [bias.bucket(each, 16, 128) for each in range(len(T5_ENCODER))] == T5_ENCODER
    assert [bias.bucket(each, 8, 16) for each in range(len(SMALL))] == SMALL


def test_only_distances_where_a_bucket_begins_exactly_are_on_a_border() -> None:
    assert [each for each in range(200) if bias.on_a_border(each, 16, 128)] == [16, 32, 64]
    assert [each for each in range(40) if bias.on_a_border(each, 8, 16)] == [8]


def test_the_future_has_the_second_half() -> None:
    config = Config(direction="bidirectional", buckets=32, max_distance=128)
    assert [bias.expected_row(config, each) for each in (0, 1, 127, -1, -127)] == [0, 1, 15, 17, 31]


@pytest.mark.parametrize("heads", sorted(bias.EXPONENTS))
def test_slopes_by_hand_are_those_of_the_rule(heads: int) -> None:
    by_hand, rule = bias.EXPONENTS[heads], dict(bias.EXPONENTS)
    try:
        bias.EXPONENTS.clear()
        assert bias.exponents(heads) == by_hand
    finally:
        bias.EXPONENTS.update(rule)


def test_a_quarter_turn_by_hand() -> None:
    turning = rotary.Turning(base=2.0, scaling=2 / torch.pi)  # position 1 turns the first pair by a right angle
    x = torch.tensor([[1.0, 0.0]], dtype=torch.float64).expand(1, 1, 2, 2)
    expected = torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    assert torch.allclose(turning(x)[0, 0], expected)
    assert torch.allclose(turning.rounded(x)[0, 0], expected)
