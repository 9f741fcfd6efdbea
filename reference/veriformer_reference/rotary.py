"""Rotary: positions that turn pairs of features of queries and keys, and leave values alone.

At position p the pair i turns by the angle p · base^(-2i/d_head): Su et al.'s rotation matrix R, applied pair by pair.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from veriformer_spec.config import Config


def frequencies(d_head: int, base: float, device: torch.device) -> Float[Tensor, " _"]:
    """The angle by which each pair turns from one position to the next, in radians.

    θᵢ = base^(-2i/d_head), for i = 0, 1, ..., d_head/2 - 1 (equation 15).

    Raises:
        ValueError: ``d_head`` is odd, so that one feature has no partner.

    Source:
        Su et al. 2021, section 3.2.2, equation 15 (position.rotary-equals-its-equation).
    """
    if d_head % 2:
        raise ValueError(f"{d_head=} must be even, because features turn in pairs")
    even_features = torch.arange(0, d_head, 2, dtype=torch.float64, device=device)
    return base ** (-even_features / d_head)


def angles(positions: Int[Tensor, "*batch time"], d_head: int, config: Config) -> Float[Tensor, "*batch time _"]:
    """How far each pair turns at each position, in radians: (p / scaling) · θᵢ.

    Source:
        Su et al. 2021, section 3.2.2; Chen et al. 2023, equation 4, for scaling
        (position.rotary-equals-its-equation, position.rotary-starts-at-the-cached-length).
    """
    scaled = positions.double() / config.rotary_scaling
    return scaled[..., None] * frequencies(d_head, config.rotary_base, positions.device)


def pairs(
    x: Float[Tensor, "*batch time d_head"], pairing: str
) -> tuple[Float[Tensor, "*batch time _"], Float[Tensor, "*batch time _"]]:
    """The first and the second feature of every pair.

    Halves: i with i + d_head/2. Adjacent: 2i with 2i + 1.

    Source:
        Su et al. 2021, section 3.4.2, equation 34, adjacent; Black et al. 2022, section 2.1.1, halves
        (position.rotary-pairs-as-claimed).
    """
    if pairing == "adjacent":
        return x[..., 0::2], x[..., 1::2]
    half = x.shape[-1] // 2
    return x[..., :half], x[..., half:]


def join(
    first: Float[Tensor, "*batch time _"], second: Float[Tensor, "*batch time _"], pairing: str
) -> Float[Tensor, "*batch time d_head"]:
    """Put the features back where they stood: the inverse of ``pairs``.

    Source:
        Su et al. 2021, section 3.4.2, equation 34 (position.rotary-pairs-as-claimed).
    """
    if pairing == "adjacent":
        return torch.stack((first, second), dim=-1).flatten(-2)
    return torch.cat((first, second), dim=-1)


def turn(
    x: Float[Tensor, "*batch time d_head"], angles: Float[Tensor, "*#batch time _"], pairing: str
) -> Float[Tensor, "*batch time d_head"]:
    """Turn every pair by its angle, counterclockwise.

    (a cos φ - b sin φ, a sin φ + b cos φ). The angles are float64 and their sines and cosines are cast once.

    Source:
        Su et al. 2021, section 3.4.2, equation 34 (position.rotary-equals-its-equation, position.rotary-keeps-norms).
    """
    first, second = pairs(x, pairing)
    cosine, sine = torch.cos(angles).to(x.dtype), torch.sin(angles).to(x.dtype)
    return join(first * cosine - second * sine, first * sine + second * cosine, pairing)


def rotate(
    x: Float[Tensor, "batch heads time d_head"], positions: Int[Tensor, "#batch time"], config: Config
) -> Float[Tensor, "batch heads time d_head"]:
    """Turn each token's features, in every head, as its position says.

    f(x, p) = R(p) x, so that the product of a turned query and a turned key knows the difference of positions alone.

    Source:
        Su et al. 2021, section 3.1, equation 11, and section 3.2.2, equation 14
        (position.rotary-depends-only-on-the-difference, position.rotary-starts-at-the-cached-length).
    """
    every_head = angles(positions, x.shape[-1], config)[:, None]
    return turn(x, every_head, config.rotary_pairing)


class RotaryEncoding(nn.Module):
    """No parameters: the angles are made afresh at each call."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config

    def forward(
        self, x: Float[Tensor, "batch heads time d_head"], start: int = 0
    ) -> Float[Tensor, "batch heads time d_head"]:
        """``x`` turned as at positions ``start``, ``start + 1``, ..."""
        positions = torch.arange(start, start + x.shape[-2], device=x.device)
        return rotate(x, positions[None], self.config)
