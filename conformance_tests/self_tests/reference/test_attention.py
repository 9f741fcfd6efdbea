"""Attention has witnesses of its own: weights derived by hand, and torch's scaled_dot_product_attention."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from veriformer_reference import attention

Agree = Callable[[Tensor, Tensor], None]
Draw = Callable[..., Tensor]
LN_3 = math.log(3)


def column(*numbers: float) -> Tensor:
    """One feature for each position."""
    return torch.tensor(numbers, dtype=torch.float64)[:, None]


@pytest.mark.parametrize(
    ("d_head", "claimed", "expected"),
    [
        (16, "inverse-root", 0.25),  # 1 / sqrt(16)
        (16, "unspecified", 0.25),
        (16, "none", 1.0),
        (16, "folded", 1.0),
        (16, 0.7, 0.7),
        (16, 2, 2.0),
    ],
)
def test_scale_factor(d_head: int, claimed: str | float, expected: float) -> None:
    """Each claimed scale gives its factor, by hand."""
    factor = attention.scale_factor(d_head, claimed)
    assert factor == expected
    assert isinstance(factor, float)


def test_golden_weights(assert_agree: Agree) -> None:
    """Scores ln 1 and ln 3 give weights 1/4 and 3/4, and values 4 and 8 average to 1 + 6 = 7."""
    scores = attention.scores(column(1), column(0, LN_3), 1.0)
    weights = attention.weights(scores, None)
    assert_agree(scores, torch.tensor([[0.0, LN_3]], dtype=torch.float64))
    assert_agree(weights, torch.tensor([[0.25, 0.75]], dtype=torch.float64))
    assert_agree(attention.average(weights, column(4, 8)), column(7))


@pytest.mark.parametrize(
    ("scale", "expected"),
    [
        # The key's features sum to 2 ln 3; d_head = 4, so 1/sqrt(4) leaves ln 3: weights 1/4, 3/4 of values 0 and 28.
        ("inverse-root", 21.0),
        # No scale leaves 2 ln 3 = ln 9: weights 1/10, 9/10.
        ("none", 25.2),
        # A factor of 1.5 gives 3 ln 3 = ln 27: weights 1/28, 27/28.
        (1.5, 27.0),
    ],
)
def test_golden_scale(assert_agree: Agree, scale: str | float, expected: float) -> None:
    """The scale multiplies the scores before the softmax."""
    query = torch.ones(1, 4, dtype=torch.float64)
    key = torch.stack((torch.zeros(4, dtype=torch.float64), torch.full((4,), LN_3 / 2, dtype=torch.float64)))
    assert_agree(attention.attention(query, key, column(0, 28), scale=scale), column(expected))


def test_golden_mask(assert_agree: Agree) -> None:
    """Of scores ln 1, ln 3, ln 5, hiding the last leaves 1/4 and 3/4, hiding the first leaves 3/8 and 5/8."""
    scores = torch.tensor([[0.0, LN_3, math.log(5)]] * 2, dtype=torch.float64)
    mask = torch.tensor([[True, True, False], [False, True, True]])
    expected = torch.tensor([[1 / 4, 3 / 4, 0], [0, 3 / 8, 5 / 8]], dtype=torch.float64)
    assert_agree(attention.weights(scores, mask), expected)


@pytest.mark.parametrize("scale", ["inverse-root", 0.3])
@pytest.mark.parametrize("mask_shape", [(2, 3, 5, 7), (1, 1, 1, 7), (5, 7), None])
def test_equals_scaled_dot_product_attention(
    assert_agree: Agree, draw: Draw, scale: str | float, mask_shape: tuple[int, ...] | None
) -> None:
    """PyTorch's own function agrees, whatever the mask broadcasts along."""
    query, key, value = draw(2, 3, 5, 4), draw(2, 3, 7, 4), draw(2, 3, 7, 6)
    mask = None
    if mask_shape is not None:
        mask = draw(*mask_shape) > 0
        mask[..., 2] = True  # torch's function is undefined where nothing is visible
    expected = functional.scaled_dot_product_attention(
        query, key, value, mask, scale=None if scale == "inverse-root" else float(scale)
    )
    assert_agree(attention.attention(query, key, value, mask, scale=scale), expected)


def test_causal_equals_scaled_dot_product_attention(assert_agree: Agree, draw: Draw) -> None:
    """As many queries as keys: causal is what torch calls is_causal."""
    query, key, value = draw(2, 5, 4), draw(2, 5, 4), draw(2, 5, 4)
    expected = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
    assert_agree(attention.attention(query, key, value, causal=True), expected)


def test_last_queries_of_a_longer_sequence(assert_agree: Agree, draw: Draw) -> None:
    """Fewer queries than keys are the last ones: they return the last rows of the whole."""
    query, key, value = draw(2, 5, 4), draw(2, 5, 4), draw(2, 5, 4)
    whole = attention.attention(query, key, value, causal=True)
    assert_agree(attention.attention(query[:, 3:], key, value, causal=True), whole[:, 3:])


def test_causal_and_mask_combine(assert_agree: Agree, draw: Draw) -> None:
    """A key is seen only where the causal mask and the mask passed both allow it."""
    query, key, value = draw(2, 5, 4), draw(2, 5, 4), draw(2, 5, 4)
    mask = torch.tensor([True, True, False, True, True])[None, None, :]
    both = mask & torch.ones(5, 5, dtype=torch.bool).tril()
    expected = attention.attention(query, key, value, both)
    assert_agree(attention.attention(query, key, value, mask, causal=True), expected)


def test_large_scores(assert_agree: Agree) -> None:
    """Scores of 1e6 and 1e6 + ln 3 still give weights 1/4 and 3/4: the maximum is subtracted."""
    # 1e6 + ln 3 is itself rounded, by up to 2^-34: the expected weight is that of the rounded difference.
    high = 1e6 + LN_3
    odds = math.exp(high - 1e6)
    scores = torch.tensor([[1e6, high]], dtype=torch.float64)
    expected = torch.tensor([[1 / (1 + odds), odds / (1 + odds)]], dtype=torch.float64)
    assert_agree(attention.weights(scores, None), expected)


def nothing_visible_to_one(draw: Draw) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Three queries, of which the second sees nothing."""
    query, key, value = (draw(1, 3, 4).requires_grad_() for _ in range(3))
    mask = torch.ones(1, 3, 3, dtype=torch.bool)
    mask[:, 1] = False
    return query, key, value, mask


def test_nothing_visible_gives_zeros(assert_agree: Agree, draw: Draw) -> None:
    """The query that sees nothing returns zeros; the others what they return alone."""
    query, key, value, mask = nothing_visible_to_one(draw)
    got = attention.attention(query, key, value, mask)
    unmasked = attention.attention(query, key, value)
    assert_agree(got[:, 1], torch.zeros(1, 4, dtype=torch.float64))
    assert_agree(got[:, [0, 2]], unmasked[:, [0, 2]])


def test_nothing_visible_keeps_gradients_finite(assert_agree: Agree, draw: Draw) -> None:
    """Gradients are finite, none reaches the blind query, and the others' are what they are without it."""
    query, key, value, mask = nothing_visible_to_one(draw)
    with torch.autograd.set_detect_anomaly(True):  # no NaN even on the way
        attention.attention(query, key, value, mask).square().sum().backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    seeing = query.detach()[:, [0, 2]].requires_grad_()
    key_alone, value_alone = key.detach().clone().requires_grad_(), value.detach().clone().requires_grad_()
    attention.attention(seeing, key_alone, value_alone).square().sum().backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    gradients = [each.grad for each in (query, key, value, seeing, key_alone, value_alone)]
    of_query, of_key, of_value, of_seeing, of_key_alone, of_value_alone = [g for g in gradients if g is not None]
    assert_agree(of_query[:, 1], torch.zeros(1, 4, dtype=torch.float64))
    assert_agree(of_query[:, [0, 2]], of_seeing)
    assert_agree(of_key, of_key_alone)
    assert_agree(of_value, of_value_alone)


@pytest.mark.parametrize("claims", [{}, {"scale": "none"}, {"scale": 0.5}, {"causal": True}])
def test_gradients_are_the_derivative(draw: Draw, claims: dict[str, Any]) -> None:
    """PyTorch's gradcheck agrees with the backward pass, mask and all."""
    inputs = tuple(draw(2, 3, 2).requires_grad_() for _ in range(3))
    mask = torch.tensor([[True, True, False], [True, True, True], [False, True, True]])[None]
    assert torch.autograd.gradcheck(lambda q, k, v: attention.attention(q, k, v, mask, **claims), inputs)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_dtype_in_is_dtype_out(draw: Draw, dtype: torch.dtype) -> None:
    """In every dtype a mask gives finite outputs of that dtype."""
    query, key, value = (draw(2, 5, 4).to(dtype) for _ in range(3))
    got = attention.attention(query, key, value, torch.ones(1, 5, 5, dtype=torch.bool).tril())
    assert got.dtype == dtype
    assert got.isfinite().all()
