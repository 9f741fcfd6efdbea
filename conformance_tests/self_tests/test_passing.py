"""Passing a mask on: every shape and sense, and what they cannot say is refused."""

import math

import pytest
import torch

from veriformer import passing
from veriformer.errors import Unsupported

X = torch.zeros(2, 3, 4)
CAUSAL = torch.ones(3, 3).tril().bool()[None, None].expand(2, 1, 3, 3)
PADDING = torch.tensor([[True, True, False], [True, False, False]])[:, None, None]


def fitted(mask: torch.Tensor | None, shape: str, points: str = "True keeps", **more: object) -> torch.Tensor:
    found = passing.fitted(mask, shape, points, query=X, **more)  # type: ignore[arg-type]  # keywords as they come
    assert found is not None
    return found


@pytest.mark.parametrize("shape", passing.SHAPES)
def test_padding_can_be_said_in_every_shape_but_one(shape: str) -> None:
    """One mask for the whole batch cannot say it."""
    if shape in passing.EVERY_ROW:
        with pytest.raises(Unsupported, match="one mask for the whole batch"):
            fitted(PADDING, shape)
        return
    found = fitted(PADDING, shape, heads=5)
    sizes = {"batch": 2, "heads": 1, "q_len": 3, "k_len": 3, "batch*heads": 10, "1": 1}
    assert tuple(found.shape) == tuple(sizes[word] for word in shape.split() if word != "lengths")
    if shape == "batch lengths":
        assert found.tolist() == [2, 1]


@pytest.mark.parametrize("shape", passing.SHAPES)
def test_causality_needs_a_query_axis(shape: str) -> None:
    """A mask of keys alone cannot say it."""
    if shape in passing.EVERY_QUERY:
        with pytest.raises(Unsupported, match="one mask for all queries"):
            fitted(CAUSAL, shape)
        return
    found = fitted(CAUSAL, shape)
    if shape == "q_len k_len":
        assert torch.equal(found, CAUSAL[0, 0])
    if shape == "batch q_len lengths":
        assert found.tolist() == [[1, 2, 3]] * 2


def test_the_sense_of_the_numbers() -> None:
    """Booleans, whole numbers, floating-point numbers, and what is added to scores."""
    keys = PADDING[:, 0, 0]
    assert torch.equal(fitted(PADDING, "batch k_len", "True hides"), ~keys)
    assert fitted(PADDING, "batch k_len", "1 keeps").dtype is torch.long
    assert fitted(PADDING, "batch k_len", "1.0 hides").tolist() == [[0.0, 0.0, 1.0], [0.0, 1.0, 1.0]]
    assert fitted(PADDING, "batch k_len", "added").tolist() == [[0.0, 0.0, -math.inf], [0.0, -math.inf, -math.inf]]


def test_none_stays_none_unless_a_mask_must_be_passed() -> None:
    """And a model that leaves the future to its caller gets a mask at any rate."""
    assert passing.fitted(None, "batch k_len", "True keeps", query=X) is None
    assert bool(fitted(None, "batch q_len k_len", always=True).all())
    assert torch.equal(fitted(None, "q_len k_len", causal=True), CAUSAL[0, 0])
    ids = torch.zeros(2, 3, dtype=torch.long)
    of_ids = passing.fitted(PADDING[:, 0, 0], "batch 1 1 k_len", "True keeps", query=ids)
    assert of_ids is not None
    assert torch.equal(of_ids, PADDING)


def test_what_a_shape_cannot_say_is_refused() -> None:
    """Heads that differ, and lengths of what is not at the start."""
    each_head = torch.ones(2, 5, 3, 3, dtype=torch.bool)
    each_head[0, 1, 2, 1] = False
    with pytest.raises(Unsupported, match="one mask for all heads"):
        fitted(each_head, "batch q_len k_len")
    assert fitted(each_head, "batch heads q_len k_len").shape == (2, 5, 3, 3)
    with pytest.raises(Unsupported, match="not the first"):
        fitted(~PADDING, "batch lengths")


def test_a_mask_is_taken_apart() -> None:
    """Into what every row shares and what every query shares; where that is not all, it is refused."""
    assert passing.parted(None) == (None, None)
    rows, queries = passing.parted(CAUSAL & PADDING)
    assert rows is not None
    assert queries is not None
    assert torch.equal((rows & queries).expand(2, 1, 3, 3), CAUSAL & PADDING)
    mixed = torch.eye(3).bool()[None, None].repeat(2, 1, 1, 1)
    mixed[1, 0] = mixed[1, 0].flip(0)
    with pytest.raises(Unsupported, match="two masks cannot say it"):
        passing.parted(mixed)
