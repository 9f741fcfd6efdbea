"""The call of each role, with shapes in words from one glossary.

An adapter translates to these conventions: batch first; a mask is boolean and **True means may attend**; attention works on
``*batch heads time d_head``. Each Protocol declares ``forward``, so that ``nn.Module`` subclasses satisfy it by structure.
"""

from typing import Protocol

from jaxtyping import Bool, Float
from torch import Tensor

from veriformer_spec.role import Role

AXES = {
    "batch": "independent sequences",
    "heads": "query heads",
    "kv_heads": "key and value heads; heads is a multiple of it",
    "q_len": "queries, in positions",
    "k_len": "keys and values, in positions",
    "time": "tokens, in positions, where queries and keys are the same tokens",
    "d_model": "features of a token",
    "d_head": "features of a query or a key in one head",
    "d_value": "features of a value in one head",
    "d_ff": "features inside the feed-forward network",
    "max_len": "rows of a learned table of positions",
}
"""The glossary of axes: every shape in this project is written in these words."""


class Attention(Protocol):
    """softmax(Q Kᵀ / sqrt(d_head)) V, without weights of its own."""

    def forward(
        self,
        query: Float[Tensor, "*batch heads q_len d_head"],
        key: Float[Tensor, "*batch kv_heads k_len d_head"],
        value: Float[Tensor, "*batch kv_heads k_len d_value"],
        mask: Bool[Tensor, "*#batch #heads #q_len k_len"] | None = None,
    ) -> Float[Tensor, "*batch heads q_len d_value"]:
        """Average the values, weighting each by how well its key matches the query."""
        ...


class MultiHeadAttention(Protocol):
    """Attention in several heads, with projections before and after."""

    def forward(
        self,
        query: Float[Tensor, "batch q_len d_model"],
        memory: Float[Tensor, "batch k_len d_model"],
        mask: Bool[Tensor, "#batch #heads #q_len k_len"] | None = None,
    ) -> Float[Tensor, "batch q_len d_model"]:
        """Queries from ``query``; keys and values from ``memory``."""
        ...


class TokenWise(Protocol):
    """A function of each token alone: a norm, or the feed-forward network."""

    def forward(self, x: Float[Tensor, "batch time d_model"]) -> Float[Tensor, "batch time d_model"]:
        """The same function for every token."""
        ...


class PositionalEncoding(Protocol):
    """Adds a table of positions to its input."""

    def forward(self, x: Float[Tensor, "batch time d_model"]) -> Float[Tensor, "batch time d_model"]:
        """``x`` plus the encoding of positions 0, 1, 2, ..."""
        ...


class EncoderLayer(Protocol):
    """Self-attention, then the feed-forward network, each with its skip and norm."""

    def forward(
        self,
        x: Float[Tensor, "batch time d_model"],
        mask: Bool[Tensor, "#batch #heads #time time"] | None = None,
    ) -> Float[Tensor, "batch time d_model"]:
        """One layer of the encoder."""
        ...


class Encoder(Protocol):
    """A stack of encoder layers, with positions and a final norm where claimed."""

    def forward(
        self,
        x: Float[Tensor, "batch time d_model"],
        mask: Bool[Tensor, "#batch #heads #time time"] | None = None,
    ) -> Float[Tensor, "batch time d_model"]:
        """The whole stack."""
        ...


PROTOCOLS: dict[Role, type] = {
    Role.ATTENTION: Attention,
    Role.MULTI_HEAD_ATTENTION: MultiHeadAttention,
    Role.LAYER_NORM: TokenWise,
    Role.RMS_NORM: TokenWise,
    Role.FEED_FORWARD: TokenWise,
    Role.POSITIONAL_ENCODING: PositionalEncoding,
    Role.ENCODER_LAYER: EncoderLayer,
    Role.ENCODER: Encoder,
}
"""The call of each role."""
