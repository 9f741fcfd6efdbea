"""Normalization: LayerNorm and RMSNorm, over the features of one token.

Ba et al.'s gain g is ``gain`` here and their bias b is ``shift``; Zhang and Sennrich's g is ``gain`` too.
Halves are widened to float32 throughout, because a square overflows float16 above 255, and cast back at the end.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from veriformer_spec.config import Config


def mean(x: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch 1"]:
    """The mean of each token's features.

    μ = (1/d_model) Σ xᵢ (equation 3).

    Source:
        Ba et al. 2016, section 3, equation 3 (normalization.statistics-are-per-token).
    """
    return x.mean(dim=-1, keepdim=True)


def mean_square(x: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch 1"]:
    """The mean of each token's squared features.

    (1/d_model) Σ xᵢ² (equation 4).

    Source:
        Zhang and Sennrich 2019, section 4, equation 4 (normalization.rms-norm-equals-its-equation).
    """
    return x.square().mean(dim=-1, keepdim=True)


def variance(x: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch 1"]:
    """The mean squared deviation of each token's features: divided by d_model, not by d_model - 1.

    σ² = (1/d_model) Σ (xᵢ - μ)² (equation 3).

    Source:
        Ba et al. 2016, section 3, equation 3 (normalization.variance-is-biased).
    """
    return mean_square(x - mean(x))


def root(variance: Float[Tensor, "*batch 1"], eps: float) -> Float[Tensor, "*batch 1"]:
    """The number to divide by: eps stands inside the root, where it also keeps the gradient at 0 finite.

    sqrt(σ² + eps).

    Source:
        PyTorch documentation, torch.nn.LayerNorm and torch.nn.RMSNorm
        (normalization.epsilon-is-inside-the-root-and-as-claimed, normalization.constant-tokens-stay-finite).
    """
    return torch.sqrt(variance + eps)


def standardise(x: Float[Tensor, "*batch d_model"], eps: float) -> Float[Tensor, "*batch d_model"]:
    """Bring each token to mean 0 and variance 1.

    (x - μ) / sqrt(σ² + eps) (equation 4, before gain and shift).

    Source:
        Ba et al. 2016, section 3, equation 4 (normalization.output-has-mean-0-variance-1,
        normalization.shift-and-scale-change-nothing).
    """
    return (x - mean(x)) / root(variance(x), eps)


def divide_by_root_mean_square(x: Float[Tensor, "*batch d_model"], eps: float) -> Float[Tensor, "*batch d_model"]:
    """Bring each token to mean square 1; no mean is subtracted.

    x / sqrt((1/d_model) Σ xᵢ² + eps) (equation 4, before the gain).

    Source:
        Zhang and Sennrich 2019, section 4, equation 4 (normalization.rms-norm-equals-its-equation).
    """
    return x / root(mean_square(x), eps)


def apply_gain(
    x: Float[Tensor, "*batch d_model"], gain: Float[Tensor, " d_model"], claimed: str
) -> Float[Tensor, "*batch d_model"]:
    """Multiply feature by feature with the gain.

    x · w, or x · (1 + w) where the gain is claimed as one-plus-weight.

    Source:
        Ba et al. 2016, section 3, equation 4 (normalization.gain-and-shift-are-applied).
    """
    return x * (1 + gain) if claimed == "one-plus-weight" else x * gain


def apply_shift(
    x: Float[Tensor, "*batch d_model"], shift: Float[Tensor, " d_model"] | None
) -> Float[Tensor, "*batch d_model"]:
    """Add the shift, where there is one.

    x + b (the end of equation 4).

    Source:
        Ba et al. 2016, section 3, equation 4 (normalization.gain-and-shift-are-applied).
    """
    return x if shift is None else x + shift


def working_dtype(dtype: torch.dtype, computes_in: str) -> torch.dtype:
    """The dtype to normalise in: float32 for halves, and wherever it is claimed; otherwise the input's.

    Source:
        Micikevicius et al. 2018, section 3.3 (normalization.halves-are-normalised-in-float32).
    """
    if computes_in == "float32" or dtype in {torch.float16, torch.bfloat16}:
        return torch.float32
    return dtype


def layer_norm(
    x: Float[Tensor, "*batch d_model"],
    gain: Float[Tensor, " d_model"],
    shift: Float[Tensor, " d_model"] | None,
    config: Config,
) -> Float[Tensor, "*batch d_model"]:
    """Normalise each token by its own mean and variance, then stretch and shift it.

    (x - μ) / sqrt(σ² + eps) · g + b (equations 3 and 4). Computed in ``working_dtype``, and cast back at the end.

    Source:
        Ba et al. 2016, section 3, equations 3 and 4 (normalization.layer-norm-equals-its-equation,
        normalization.symmetric-weights-give-the-known-output).
    """
    wide = working_dtype(x.dtype, config.computes_in)
    wide_shift = None if shift is None else shift.to(wide)
    normal = standardise(x.to(wide), config.eps)
    return apply_shift(apply_gain(normal, gain.to(wide), config.gain), wide_shift).to(x.dtype)


def rms_norm(
    x: Float[Tensor, "*batch d_model"], gain: Float[Tensor, " d_model"], config: Config
) -> Float[Tensor, "*batch d_model"]:
    """Normalise each token by the root of its mean square, then stretch it.

    x / sqrt((1/d_model) Σ xᵢ² + eps) · g (equation 4). Computed in ``working_dtype``, and cast back at the end.

    Source:
        Zhang and Sennrich 2019, section 4, equation 4 (normalization.rms-norm-equals-its-equation).
    """
    wide = working_dtype(x.dtype, config.computes_in)
    normal = divide_by_root_mean_square(x.to(wide), config.eps)
    return apply_gain(normal, gain.to(wide), config.gain).to(x.dtype)


def initial_gain(config: Config) -> nn.Parameter:
    """A gain that multiplies by one, written as claimed: w = 1, or w = 0 in 1 + w."""
    return nn.Parameter(torch.full((config.d_model,), 0.0 if config.gain == "one-plus-weight" else 1.0))


class LayerNorm(nn.Module):
    """Parameters ``gain`` and, where claimed, ``shift``."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.gain = initial_gain(config)
        self.shift = nn.Parameter(torch.zeros(config.d_model)) if config.norm_bias else None

    def forward(self, x: Float[Tensor, "batch time d_model"]) -> Float[Tensor, "batch time d_model"]:
        """Normalise every token alone."""
        return layer_norm(x, self.gain, self.shift, self.config)


class RMSNorm(nn.Module):
    """Parameter ``gain``."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.gain = initial_gain(config)

    def forward(self, x: Float[Tensor, "batch time d_model"]) -> Float[Tensor, "batch time d_model"]:
        """Normalise every token alone."""
        return rms_norm(x, self.gain, self.config)


def as_claimed(config: Config) -> LayerNorm | RMSNorm:
    """The norm that the claim ``normalization`` names, for the layers of a stack."""
    return RMSNorm(config) if config.normalization == "rms" else LayerNorm(config)
