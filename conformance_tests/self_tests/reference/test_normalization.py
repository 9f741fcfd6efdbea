"""Normalization has witnesses of its own: tokens of two features, and torch's layer_norm and rms_norm."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from veriformer_reference import normalization
from veriformer_spec.config import Config

Agree = Callable[[Tensor, Tensor], None]
Draw = Callable[..., Tensor]


def token(*features: float) -> Tensor:
    """One token."""
    return torch.tensor([features], dtype=torch.float64)


def test_golden_statistics(assert_agree: Agree) -> None:
    """Of 1 and 7: mean 4, mean square (1 + 49)/2 = 25, variance ((-3)² + 3²)/2 = 9, not 18."""
    x = token(1, 7)
    assert_agree(normalization.mean(x), token(4))
    assert_agree(normalization.mean_square(x), token(25))
    assert_agree(normalization.variance(x), token(9))
    assert_agree(normalization.root(token(9), 16), token(5))  # sqrt(9 + 16), not sqrt(9) + 16


def test_golden_layer_norm(assert_agree: Agree) -> None:
    """Of 1 and 7: deviations -3 and 3; by sqrt(9) with eps 0, by sqrt(9 + 16) with eps 16."""
    assert_agree(normalization.standardise(token(1, 7), 0.0), token(-1, 1))
    assert_agree(normalization.standardise(token(1, 7), 16.0), token(-0.6, 0.6))


def test_golden_rms_norm(assert_agree: Agree) -> None:
    """Of 1 and 7: by sqrt(25) with eps 0, by sqrt(25 + 11) with eps 11; no mean subtracted."""
    assert_agree(normalization.divide_by_root_mean_square(token(1, 7), 0.0), token(1 / 5, 7 / 5))
    assert_agree(normalization.divide_by_root_mean_square(token(1, 7), 11.0), token(1 / 6, 7 / 6))


def test_golden_gain_and_shift(assert_agree: Agree) -> None:
    """(1, 2) by w = (3, 5) is (3, 10), by 1 + w is (4, 12); plus (1, 1)."""
    x, w = token(1, 2), torch.tensor([3.0, 5.0], dtype=torch.float64)
    assert_agree(normalization.apply_gain(x, w, "weight"), token(3, 10))
    assert_agree(normalization.apply_gain(x, w, "one-plus-weight"), token(4, 12))
    assert_agree(normalization.apply_shift(x, torch.ones(2, dtype=torch.float64)), token(2, 3))
    assert_agree(normalization.apply_shift(x, None), x)


def randomised(norm: torch.nn.Module, draw: Draw) -> torch.nn.Module:
    """The norm in float64 with parameters that cannot hide: not ones and zeros."""
    norm.double()
    with torch.no_grad():
        for each in norm.parameters():
            each.copy_(draw(*each.shape))
    return norm


@pytest.mark.parametrize("eps", [1e-5, 0.5])
@pytest.mark.parametrize("gain", ["weight", "one-plus-weight"])
@pytest.mark.parametrize("norm_bias", [True, False])
def test_layer_norm_equals_torch(assert_agree: Agree, draw: Draw, eps: float, gain: str, norm_bias: bool) -> None:
    """F.layer_norm agrees for every eps, gain and shift."""
    norm = normalization.LayerNorm(Config(eps=eps, gain=gain, norm_bias=norm_bias))
    randomised(norm, draw)
    x = draw(2, 5, 24)
    weight = norm.gain + 1 if gain == "one-plus-weight" else norm.gain
    assert_agree(norm(x), functional.layer_norm(x, (24,), weight, norm.shift, eps))


@pytest.mark.parametrize("eps", [1e-5, 0.5])
@pytest.mark.parametrize("gain", ["weight", "one-plus-weight"])
def test_rms_norm_equals_torch(assert_agree: Agree, draw: Draw, eps: float, gain: str) -> None:
    """F.rms_norm agrees for every eps and gain."""
    norm = normalization.RMSNorm(Config(eps=eps, gain=gain))
    randomised(norm, draw)
    x = draw(2, 5, 24)
    weight = norm.gain + 1 if gain == "one-plus-weight" else norm.gain
    assert_agree(norm(x), functional.rms_norm(x, (24,), weight, eps))


@pytest.mark.parametrize("kind", [normalization.LayerNorm, normalization.RMSNorm])
@pytest.mark.parametrize("gain", ["weight", "one-plus-weight"])
def test_initial_gain_multiplies_by_one(
    assert_agree: Agree, draw: Draw, kind: type[torch.nn.Module], gain: str
) -> None:
    """A fresh norm stretches and shifts nothing, however its gain is written."""
    x = draw(2, 5, 24)
    fresh = kind(Config(gain=gain, eps=0.0)).double()
    expected = functional.layer_norm(x, (24,), eps=0) if kind is normalization.LayerNorm else None
    assert_agree(fresh(x), functional.rms_norm(x, (24,), eps=0) if expected is None else expected)


@pytest.mark.parametrize("kind", [normalization.LayerNorm, normalization.RMSNorm])
def test_computes_in_float32_where_claimed(draw: Draw, kind: type[torch.nn.Module]) -> None:
    """A float64 token is then rounded to float32 inside, and comes back as float64."""
    x = draw(2, 5, 24)
    claimed, exact = kind(Config(computes_in="float32")).double(), kind(Config()).double()
    narrow = kind(Config()).float()(x.float())
    got = claimed(x)
    assert got.dtype == torch.float64
    assert torch.equal(got, narrow.double())
    assert not torch.equal(got, exact(x))


@pytest.mark.parametrize("kind", [normalization.LayerNorm, normalization.RMSNorm])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_halves_are_normalised_in_float32(draw: Draw, kind: type[torch.nn.Module], dtype: torch.dtype) -> None:
    """Features as large as 1e3, whose squares overflow float16, come back rounded once."""
    x = (1e3 * draw(2, 5, 24)).to(dtype)
    got = kind(Config()).to(dtype)(x)
    assert got.dtype == dtype
    assert torch.equal(got, kind(Config())(x.float()).to(dtype))
    assert got.isfinite().all()


@pytest.mark.parametrize("kind", [normalization.LayerNorm, normalization.RMSNorm])
@pytest.mark.parametrize("feature", [0.0, 3.0])
def test_constant_tokens_have_finite_gradients(kind: type[torch.nn.Module], feature: float) -> None:
    """Where all features are equal, or zero, output and gradient are finite."""
    x = torch.full((1, 1, 24), feature, dtype=torch.float64, requires_grad=True)
    got = kind(Config()).double()(x)
    got.sum().backward()
    assert got.isfinite().all()
    assert x.grad is not None
    assert x.grad.isfinite().all()


def test_the_claimed_norm_is_made() -> None:
    """``normalization`` picks the class, and ``norm_bias`` the shift."""
    layer, rms = (normalization.as_claimed(Config(normalization=name)) for name in ("layer", "rms"))
    assert {name for name, _ in layer.named_parameters()} == {"gain", "shift"}
    assert {name for name, _ in rms.named_parameters()} == {"gain"}
    bare = normalization.as_claimed(Config(norm_bias=False))
    assert {name for name, _ in bare.named_parameters()} == {"gain"}
