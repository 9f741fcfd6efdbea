"""Masking has witnesses of its own: masks small enough to write down."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from veriformer_reference import masking

Agree = Callable[[Tensor, Tensor], None]
CPU = torch.device("cpu")


def grid(*rows: str) -> Tensor:
    """A mask drawn by hand: x is True."""
    return torch.tensor([[mark == "x" for mark in row] for row in rows])


@pytest.mark.parametrize(
    ("q_len", "k_len", "rows"),
    [
        (1, 1, ["x"]),
        (3, 3, ["x..", "xx.", "xxx"]),
        (2, 3, ["xx.", "xxx"]),  # the last two queries of three
        (1, 4, ["xxxx"]),  # the last query sees everything
        (3, 2, ["..", "x.", "xx"]),  # the first query stands before the first key
    ],
)
def test_causal(q_len: int, k_len: int, rows: list[str]) -> None:
    """A query sees its own position and all before it, ends aligned."""
    assert torch.equal(masking.causal(q_len, k_len, CPU), grid(*rows))


def test_combine_is_conjunction() -> None:
    """Both must allow; None hides nothing."""
    padding, future = grid("xx.")[None], grid("x..", "xx.", "xxx")
    both = masking.combine(padding, future)
    assert both is not None
    assert torch.equal(both, grid("x..", "xx.", "xx.")[None])
    assert masking.combine(padding, None) is padding
    assert masking.combine(None, future) is future
    assert masking.combine(None, None) is None


def test_hide_sets_minus_infinity() -> None:
    """Hidden scores become minus infinity, visible ones stay, and the argument is not touched."""
    scores = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    hidden = masking.hide(scores, grid("x.", ".x"))
    assert hidden.tolist() == [[1.0, -math.inf], [-math.inf, 4.0]]
    assert scores.tolist() == [[1.0, 2.0], [3.0, 4.0]]


def test_some_key_visible() -> None:
    """One visible key is enough."""
    assert masking.some_key_visible(grid("..", ".x", "xx")).tolist() == [[False], [True], [True]]


def test_open_empty_rows() -> None:
    """A row with nothing visible is opened, the others stay."""
    assert torch.equal(masking.open_empty_rows(grid("..", ".x")), grid("xx", ".x"))


def test_empty_empty_rows() -> None:
    """A row with nothing visible weighs nothing, the others stay."""
    weights = torch.tensor([[0.5, 0.5], [0.25, 0.75]])
    assert masking.empty_empty_rows(weights, grid("..", ".x")).tolist() == [[0.0, 0.0], [0.25, 0.75]]
    assert masking.empty_empty_rows(weights, grid("..")).tolist() == [[0.0, 0.0], [0.0, 0.0]]
