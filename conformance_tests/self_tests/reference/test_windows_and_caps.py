"""Windows, alignments, caps, biases and norms inside attention, against attention written out once more."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from veriformer_reference import attention, heads, masking, relative, rotary
from veriformer_reference.build import build
from veriformer_spec.config import Config
from veriformer_spec.role import Role

Agree = Callable[[Tensor, Tensor], None]
Draw = Callable[..., Tensor]
CPU = torch.device("cpu")


def grid(*rows: str) -> Tensor:
    """A mask drawn by hand: x is True."""
    return torch.tensor([[mark == "x" for mark in row] for row in rows])


@pytest.mark.parametrize(
    ("alignment", "window", "rows"),
    [
        ("end", False, ["xxx..", "xxxx.", "xxxxx"]),
        ("end", True, [".xx..", "..xx.", "...xx"]),
        ("start", False, ["x....", "xx...", "xxx.."]),
        ("start", True, ["x....", "xx...", ".xx.."]),
    ],
)
def test_three_causal_queries_of_five_keys(
    draw: Draw, assert_agree: Agree, alignment: str, window: bool, rows: list[str]
) -> None:
    """Aligned as claimed; a window of two sees itself and the one before."""
    query, key, value = draw(2, 4, 3, 6), draw(2, 4, 5, 6), draw(2, 4, 5, 6)
    config = Config(causal=True, alignment=alignment, sliding_window=window, window=2)
    expected = functional.scaled_dot_product_attention(query, key, value, attn_mask=grid(*rows))
    assert_agree(build(Role.ATTENTION, config)(query, key, value), expected)


def test_a_window_counts_positions_not_places() -> None:
    """Where padding stands between real tokens, the window reaches over it."""
    positions = torch.tensor([[0, 7, 1, 2]])
    assert torch.equal(masking.window(positions, positions, 2)[0, 3], torch.tensor([False, True, True, True]))


def test_a_window_without_causality_hides_nothing(draw: Draw, assert_agree: Agree) -> None:
    """The claim is one of causal subjects."""
    query, key, value = draw(2, 4, 5, 6), draw(2, 4, 5, 6), draw(2, 4, 5, 6)
    got = build(Role.ATTENTION, Config(sliding_window=True))(query, key, value)
    assert_agree(got, build(Role.ATTENTION, Config())(query, key, value))


def test_cap(draw: Draw, assert_agree: Agree) -> None:
    """Bent after the scale and before the mask: hidden keys stay hidden."""
    query, key, value = draw(2, 4, 3, 6), 9 * draw(2, 4, 5, 6), draw(2, 4, 5, 6)
    mask = torch.rand(2, 1, 3, 5, generator=torch.Generator().manual_seed(0)) < 0.7
    mask[..., 0] = True
    scores = 2.0 * torch.tanh(query @ key.mT / math.sqrt(6) / 2.0)
    expected = torch.softmax(scores.masked_fill(~mask, -math.inf), dim=-1) @ value
    assert_agree(build(Role.ATTENTION, Config(soft_cap=2.0))(query, key, value, mask), expected)
    assert_agree(attention.cap(scores, None), scores)


def test_bias_is_added_to_scores(draw: Draw, assert_agree: Agree) -> None:
    """After scale and cap; the same as torch's float mask."""
    query, key, value, bias = draw(2, 4, 3, 6), draw(2, 4, 5, 6), draw(2, 4, 5, 6), draw(4, 3, 5)
    expected = functional.scaled_dot_product_attention(query, key, value, attn_mask=bias)
    assert_agree(attention.attention(query, key, value, bias=bias), expected)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("positions", ["rotary", "alibi", "relative"])
@pytest.mark.parametrize("norm", ["none", "layer", "rms"])
def test_queries_and_keys(draw: Draw, assert_agree: Agree, positions: str, norm: str, causal: bool) -> None:
    """Projected, normalised over d_head, turned; values only projected; the bias on the scores."""
    claims: dict[str, Any] = {"positions": positions, "query_key_norm": norm, "causal": causal, "kv_heads": 4}
    config = Config(**claims)
    own = heads.MultiHeadAttention(config).double()
    with torch.no_grad():
        for parameter in own.parameters():
            parameter.add_(draw(*parameter.shape), alpha=0.3)
    x = draw(2, 5, 24)

    def head(part: Any, normed: Any) -> Tensor:
        made = functional.linear(x, part.weight, part.bias).reshape(2, 5, 4, 6).transpose(1, 2)
        if norm == "layer":
            made = functional.layer_norm(made, (6,), normed.gain, normed.shift, 1e-5)
        if norm == "rms":
            made = functional.rms_norm(made, (6,), normed.gain, 1e-5)
        return rotary.rotate(made, torch.arange(5)[None], config) if positions == "rotary" else made

    value = functional.linear(x, own.value.weight, own.value.bias).reshape(2, 5, 4, 6).transpose(1, 2)
    bias = torch.zeros(4, 5, 5, dtype=torch.float64)
    distance = torch.arange(5)[:, None] - torch.arange(5)
    if positions == "alibi":
        bias -= torch.tensor(relative.slopes(4), dtype=torch.float64)[:, None, None] * distance.abs()
    if positions == "relative":
        assert own.relative is not None
        rows = relative.bucket(distance, buckets=8, max_distance=16, bidirectional=not causal)
        bias += own.relative.table[rows].movedim(-1, 0)
    if causal:
        bias = bias.masked_fill(distance < 0, -math.inf)
    averages = functional.scaled_dot_product_attention(
        head(own.query, own.query_norm), head(own.key, own.key_norm), value, attn_mask=bias
    )
    expected = functional.linear(averages.transpose(1, 2).flatten(2), own.output.weight, own.output.bias)
    assert_agree(own(x, x), expected)


@pytest.mark.parametrize("causal", [False, True])
def test_plain_self_attention(draw: Draw, assert_agree: Agree, causal: bool) -> None:
    """Slices of the tokens are queries, keys and values, unscaled where that is claimed."""
    x = draw(2, 5, 24)
    got = build(Role.SELF_ATTENTION, Config(scale="none", causal=causal))(x)
    parts = [
        functional.scaled_dot_product_attention(part, part, part, is_causal=causal, scale=1.0)
        for part in x.chunk(4, dim=-1)
    ]
    assert_agree(got, torch.cat(parts, dim=-1))


def test_tokens_are_real_for_every_query() -> None:
    """One row of keys for all heads and queries; None hides nothing."""
    tokens = grid("xx.", "xxx")
    assert masking.for_every_query(None) is None
    visible = masking.for_every_query(tokens)
    assert visible is not None
    assert visible.shape == (2, 1, 1, 3)
    assert torch.equal(visible[:, 0, 0], tokens)
