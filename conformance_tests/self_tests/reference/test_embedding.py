"""Embeddings have witnesses of their own: torch.nn.Embedding, and rows read by hand."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from veriformer_reference import embedding, stack
from veriformer_spec.config import Config

Agree = Callable[[Tensor, Tensor], None]
Draw = Callable[..., Tensor]
IDS = torch.tensor([[0, 3, 3, 10], [1, 2, 0, 0]])


def built(**claims: Any) -> embedding.TokenEmbedding:
    """The reference in float64."""
    return embedding.TokenEmbedding(Config(**claims)).double()


def test_rows(assert_agree: Agree) -> None:
    """Each id has its row, times sqrt(d_model) where that is claimed."""
    plain, scaled = built(), built(embedding_scale="root-d_model")
    assert_agree(plain(IDS), plain.table[IDS])
    assert_agree(scaled(IDS), scaled.table[IDS] * math.sqrt(24))


@pytest.mark.parametrize("wrong", [-1, 11])
def test_an_id_out_of_range_raises(wrong: int) -> None:
    """On both sides of the table."""
    with pytest.raises(IndexError):
        built()(torch.tensor([[wrong]]))


@pytest.mark.parametrize("padding_row", ["trained", "frozen"])
def test_padding_row(assert_agree: Agree, padding_row: str) -> None:
    """The gradient is torch's, with padding_idx where the row is frozen; the values are the same."""
    ours = built(padding_row=padding_row, pad_id=3)
    theirs = nn.Embedding(11, 24, padding_idx=3 if padding_row == "frozen" else None).double()
    with torch.no_grad():
        theirs.weight.copy_(ours.table)
    for module in (ours, theirs):
        module(IDS).square().sum().backward()
    assert_agree(ours(IDS), theirs(IDS))
    assert ours.table.grad is not None
    assert theirs.weight.grad is not None
    assert_agree(ours.table.grad, theirs.weight.grad)


def test_segments(assert_agree: Agree) -> None:
    """Added after the scale; segment 0 where none are passed."""
    ours = built(segments=True, embedding_scale="root-d_model")
    assert ours.segment_table is not None
    segments = torch.tensor([[0, 0, 1, 1], [1, 1, 1, 0]])
    rows = ours.table[IDS] * math.sqrt(24)
    assert_agree(ours(IDS, segments), rows + ours.segment_table[segments])
    assert_agree(ours(IDS), rows + ours.segment_table[0])


@pytest.mark.parametrize("bias", [True, False])
def test_entrance(draw: Draw, assert_agree: Agree, bias: bool) -> None:
    """Real values enter the encoder by torch's linear map."""
    encoder = stack.Encoder(Config(entrance="projection", bias=bias, layers=0)).double()
    assert encoder.entrance is not None
    x = draw(2, 5, 7)
    assert_agree(encoder(x), nn.functional.linear(x, encoder.entrance.weight, encoder.entrance.bias))
