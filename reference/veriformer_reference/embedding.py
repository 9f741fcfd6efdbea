"""Embedding: token ids become vectors, and real values enter by a projection.

Vaswani et al.'s embedding matrix is ``table`` here: one row for each id.
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from veriformer_spec.config import Config


def look_up(
    table: Float[Tensor, "vocab d_model"], ids: Int[Tensor, "batch time"]
) -> Float[Tensor, "batch time d_model"]:
    """The row of each id. An id below 0 or beyond the table raises.

    Source:
        Vaswani et al. 2017, section 3.4 (embedding.every-id-has-its-own-row, embedding.an-id-out-of-range-raises).
    """
    return functional.embedding(ids, table)


def freeze(
    vectors: Float[Tensor, "batch time d_model"], ids: Int[Tensor, "batch time"], pad_id: int
) -> Float[Tensor, "batch time d_model"]:
    """The same vectors, of which those of padding send no gradient back to the table.

    Source:
        PyTorch documentation, torch.nn.Embedding: padding_idx (embedding.the-padding-row-is-as-claimed).
    """
    return torch.where((ids == pad_id)[..., None], vectors.detach(), vectors)


def scale(vectors: Float[Tensor, "batch time d_model"], claimed: str) -> Float[Tensor, "batch time d_model"]:
    """The vectors times sqrt(d_model), where that is claimed.

    Source:
        Vaswani et al. 2017, section 3.4: we multiply those weights by sqrt(d_model) (embedding.scale-is-as-claimed).
    """
    return vectors * math.sqrt(vectors.shape[-1]) if claimed == "root-d_model" else vectors


def add_segments(
    vectors: Float[Tensor, "batch time d_model"],
    table: Float[Tensor, "segment_count d_model"],
    segments: Int[Tensor, "batch time"] | None,
) -> Float[Tensor, "batch time d_model"]:
    """Add the row of each token's segment: of segment 0, where none are passed.

    Source:
        Devlin et al. 2019, section 3 and figure 2 (embedding.segments-are-added, model.segments-reach-their-tokens).
    """
    if segments is None:
        return vectors + table[0]
    return vectors + functional.embedding(segments, table)


def embed(
    ids: Int[Tensor, "batch time"], segments: Int[Tensor, "batch time"] | None, own: "TokenEmbedding", config: Config
) -> Float[Tensor, "batch time d_model"]:
    """One vector for each id: its row, scaled and with its segment's row where claimed.

    Args:
        own: the parameters.

    Source:
        Vaswani et al. 2017, section 3.4 (embedding.every-id-has-its-own-row, embedding.scale-is-as-claimed,
        embedding.symmetric-weights-give-the-known-output).
    """
    rows = look_up(own.table, ids)
    trained = freeze(rows, ids, config.pad_id) if config.padding_row == "frozen" else rows
    scaled = scale(trained, config.embedding_scale)
    return scaled if own.segment_table is None else add_segments(scaled, own.segment_table, segments)


def enter(
    x: Float[Tensor, "batch time d_input"],
    weight: Float[Tensor, "d_model d_input"],
    bias: Float[Tensor, " d_model"] | None,
) -> Float[Tensor, "batch time d_model"]:
    """Project the real values of each position to the model's size.

    x Wᵀ + b (equation 1), the same at every position.

    Source:
        Zerveas et al. 2021, section 3.1, equation 1 (embedding.real-values-enter-by-a-projection).
    """
    return x @ weight.mT if bias is None else x @ weight.mT + bias


class TokenEmbedding(nn.Module):
    """Parameter ``table`` and, where segments are claimed, ``segment_table``."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.table = nn.Parameter(nn.init.xavier_uniform_(torch.empty(config.vocab, config.d_model)))
        segments = nn.init.xavier_uniform_(torch.empty(config.segment_count, config.d_model))
        self.segment_table = nn.Parameter(segments) if config.segments else None

    def forward(
        self, ids: Int[Tensor, "batch time"], segments: Int[Tensor, "batch time"] | None = None
    ) -> Float[Tensor, "batch time d_model"]:
        """Rows of a table; ``segments`` are passed only where they are claimed."""
        return embed(ids, segments, self, self.config)
