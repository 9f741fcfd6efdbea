"""Position: the table that tells a sequence's positions apart, sinusoidal or learned, and its addition.

PE(pos, 2i) = sin(pos / 10000^(2i/d_model)) and PE(pos, 2i+1) = cos(pos / 10000^(2i/d_model)).
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from veriformer_spec.config import Config


def positions(length: int, device: torch.device) -> Int[Tensor, " time"]:
    """Count the positions of a sequence from zero: 0, 1, 2, ...

    Source:
        Vaswani et al. 2017, section 3.5 (position.first-position-is-sin-0-cos-0, position.rows-follow-the-index).
    """
    return torch.arange(length, device=device)


def frequencies(d_model: int, device: torch.device) -> Float[Tensor, " _"]:
    """The angle by which each pair of features turns from one position to the next, in radians.

    1 / 10000^(2i/d_model), for i = 0, 1, ... (section 3.5); an odd ``d_model`` leaves the last sine without its cosine.

    Source:
        Vaswani et al. 2017, section 3.5 (position.sinusoidal-equals-the-table).
    """
    even_features = torch.arange(0, d_model, 2, dtype=torch.float64, device=device)
    return 10000.0 ** (-even_features / d_model)


def interleave(
    sines: Float[Tensor, "time _"], cosines: Float[Tensor, "time _"], d_model: int
) -> Float[Tensor, "time d_model"]:
    """Let sines and cosines take turns: sin, cos, sin, cos, ..., cut after ``d_model`` features.

    Source:
        Vaswani et al. 2017, section 3.5 (position.sinusoidal-equals-the-table).
    """
    return torch.stack((sines, cosines), dim=-1).flatten(-2)[:, :d_model]


def sinusoidal(length: int, d_model: int, dtype: torch.dtype, device: torch.device) -> Float[Tensor, "time d_model"]:
    """The sinusoidal table: one row for each position.

    PE(pos, 2i) = sin(pos / 10000^(2i/d_model)), PE(pos, 2i+1) = cos(pos / 10000^(2i/d_model)) (section 3.5).
    Computed in float64 and cast once: bfloat16 cannot even count to 257.

    Source:
        Vaswani et al. 2017, section 3.5 (position.sinusoidal-equals-the-table, position.stale-tables-are-never-used).
    """
    angles = positions(length, device)[:, None] * frequencies(d_model, device)[None, :]
    return interleave(torch.sin(angles), torch.cos(angles), d_model).to(dtype)


def look_up(table: Float[Tensor, "max_len d_model"], length: int) -> Float[Tensor, "time d_model"]:
    """The first ``length`` rows of a learned table.

    Raises:
        ValueError: the sequence is longer than the table.

    Source:
        Gehring et al. 2017, section 3.1 (position.every-learned-row-is-trained, position.beyond-the-maximum-raises).
    """
    if length > len(table):
        raise ValueError(f"{length=} must be at most max_len={len(table)}, because later positions were never learned")
    return table[positions(length, table.device)]


def add(
    x: Float[Tensor, "*batch time d_model"], table: Float[Tensor, "*#batch time d_model"]
) -> Float[Tensor, "*batch time d_model"]:
    """Add the encoding of position 0, 1, 2, ... to the first, second, third token of every row.

    Source:
        Vaswani et al. 2017, section 3.5 (position.encoding-is-added-once, position.same-for-every-row,
        position.symmetric-weights-give-the-known-output).
    """
    return x + table


def real_positions(tokens: Bool[Tensor, "batch time"]) -> Int[Tensor, "batch time"]:
    """Count the real tokens of each row from zero; padding, which nobody looks at, keeps its index.

    So the tokens of a row have the same positions wherever its padding stands, and nothing changes where it stands right.

    Source:
        Vaswani et al. 2017, section 3.5 (masking.padding-may-stand-where-claimed).
    """
    return torch.where(tokens, tokens.cumsum(dim=-1) - 1, positions(tokens.shape[-1], tokens.device))


def place(
    x: Float[Tensor, "batch time d_model"],
    own: "SinusoidalEncoding | LearnedEncoding",
    positions: Int[Tensor, "#batch time"],
    length: int,
) -> Float[Tensor, "batch time d_model"]:
    """Add to each token the row of its own position, out of a table of ``length`` rows.

    Args:
        own: the parameters.

    Source:
        Vaswani et al. 2017, section 3.5: at the bottoms of the encoder and decoder stacks
        (position.positions-enter-once-for-every-token, model.a-length-beyond-the-maximum-raises).
    """
    if isinstance(own, LearnedEncoding):
        table = look_up(own.table, length)
    else:
        table = sinusoidal(length, x.shape[-1], x.dtype, x.device)
    return add(x, table[positions])


class SinusoidalEncoding(nn.Module):
    """No parameters: the table is made afresh at each call, for the input's length, dtype and device."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config

    def forward(self, x: Float[Tensor, "batch time d_model"]) -> Float[Tensor, "batch time d_model"]:
        """``x`` plus the sinusoidal table."""
        return add(x, sinusoidal(x.shape[-2], self.config.d_model, x.dtype, x.device))


class LearnedEncoding(nn.Module):
    """Parameter ``table``, with one row for each position up to ``config.max_len``."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.table = nn.Parameter(nn.init.xavier_uniform_(torch.empty(config.max_len, config.d_model)))

    def forward(self, x: Float[Tensor, "batch time d_model"]) -> Float[Tensor, "batch time d_model"]:
        """``x`` plus the learned table."""
        return add(x, look_up(self.table, x.shape[-2]))


def as_claimed(encoding: str, config: Config) -> SinusoidalEncoding | LearnedEncoding | None:
    """The table of that name, "sinusoidal" or "learned"; nothing for positions that live inside attention, or for none."""
    if encoding == "learned":
        return LearnedEncoding(config)
    return SinusoidalEncoding(config) if encoding == "sinusoidal" else None
