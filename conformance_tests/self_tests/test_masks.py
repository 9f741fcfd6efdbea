"""The suite's masks: what they hide, and that nobody is left with nothing by accident."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from veriformer import masks
from veriformer.case import Case
from veriformer.inputs import generator, inputs_of
from veriformer.masks import Mask
from veriformer_spec.role import Role

SEEDS = range(40)


def case(**changes: Any) -> Case:
    return dataclasses.replace(
        Case(role=Role.ATTENTION, batch=2, q_len=4, k_len=4, heads=2, kv_heads=2, d_model=8), **changes
    )


def drawn(kind: str, *, causal: bool = False, self_attending: bool = False, **changes: Any) -> Iterator[Mask]:
    for seed in SEEDS:
        one = case(mask=kind, seed=seed, **changes)
        mask = masks.drawn_mask(one, generator(seed), torch.device("cpu"), causal=causal, self_attending=self_attending)
        assert mask is not None
        yield mask


def test_causal_grid_shows_each_query_itself_and_all_before() -> None:
    assert masks.causal_grid(3, 3).int().tolist() == [[1, 0, 0], [1, 1, 0], [1, 1, 1]]


def test_fewer_causal_queries_than_keys_are_the_last_ones() -> None:
    assert masks.causal_grid(2, 4).int().tolist() == [[1, 1, 1, 0], [1, 1, 1, 1]]


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("kind", ["padding", "arbitrary", "causal"])
def test_every_query_sees_something(kind: str, causal: bool) -> None:
    grid = masks.causal_grid(4, 4)
    for mask in drawn(kind, causal=causal):
        visible = mask & grid if causal else mask
        assert bool(visible.any(-1).all())


@pytest.mark.parametrize("kind", ["padding", "arbitrary", "causal"])
def test_most_masks_hide_something(kind: str) -> None:
    assert sum(not bool(mask.all()) for mask in drawn(kind)) > len(SEEDS) // 2


def test_padding_is_the_same_for_every_query_and_differs_between_rows() -> None:
    grids = list(drawn("padding"))
    assert all(torch.equal(mask, mask[:, :, :1].expand_as(mask)) for mask in grids)
    assert any(not torch.equal(mask[0], mask[1]) for mask in grids)


def test_padding_stands_right_left_and_in_between() -> None:
    shapes = {tuple(row[0, 0].int().tolist()) for mask in drawn("padding") for row in mask}
    assert {(1, 1, 0, 0), (0, 0, 1, 1)} <= shapes
    assert any(row[0] and row[-1] and not all(row) for row in shapes)


def test_a_token_that_attends_to_itself_sees_itself() -> None:
    for mask in drawn("arbitrary", self_attending=True):
        assert bool(mask.diagonal(dim1=-2, dim2=-1).all())


def test_two_layers_reach_further_than_one() -> None:
    chain = torch.tensor([[[True, False, False], [True, True, False], [False, True, True]]])
    assert masks.reachable(chain, 1)[0].int().tolist() == [[1, 0, 0], [1, 1, 0], [0, 1, 1]]
    assert masks.reachable(chain, 2)[0].int().tolist() == [[1, 0, 0], [1, 1, 0], [1, 1, 1]]


@pytest.mark.parametrize("sees_itself", [False, True])
def test_masks_with_axes_of_one_broadcast_and_leave_something(sees_itself: bool) -> None:
    shapes = set()
    for seed in SEEDS:
        mask = masks.with_axes_of_one(case(seed=seed), sees_itself)
        shapes.add(tuple(mask.shape))
        visible = mask & masks.causal_grid(4, 4) if sees_itself else mask
        assert bool(visible.expand(2, 2, 4, 4).any(-1).all())
    assert shapes == {(2, 1, 1, 4), (1, 1, 4, 4), (2, 1, 4, 4)}


def test_masks_for_each_head_differ_between_heads() -> None:
    assert any(
        not torch.equal(mask[:, 0], mask[:, 1])
        for mask in (masks.for_each_head(case(seed=seed), False) for seed in SEEDS)
    )


@pytest.mark.parametrize("kind", ["padding", "arbitrary"])
def test_taking_keys_takes_their_mask_along(kind: str) -> None:
    inputs = inputs_of(
        case(mask=kind, seed=3),
        causal=False,
        self_attending=False,
        unpadded=False,
        dtype=torch.float64,
        device=torch.device("cpu"),
    )
    order = torch.tensor([2, 0, 3, 1])
    taken = inputs.taking(order)
    assert taken.mask is not None
    assert inputs.mask is not None
    assert torch.equal(taken.mask, inputs.mask[..., order])
    assert torch.equal(taken.tensors[1], inputs.tensors[1][:, :, order])
    assert torch.equal(taken.tensors[0], inputs.tensors[0])


def test_taking_tokens_takes_queries_along() -> None:
    one = dataclasses.replace(case(mask="arbitrary", seed=3), role=Role.ENCODER_LAYER)
    inputs = inputs_of(
        one, causal=False, self_attending=True, unpadded=False, dtype=torch.float64, device=torch.device("cpu")
    )
    order = torch.tensor([1, 3])
    taken = inputs.taking(order)
    assert taken.mask is not None
    assert inputs.mask is not None
    assert torch.equal(taken.mask, inputs.mask[..., order, :][..., order])
    assert torch.equal(taken.tensors[0], inputs.tensors[0][:, order])
