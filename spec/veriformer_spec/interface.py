"""The call of each role, with shapes in words from one glossary.

An adapter translates to these conventions: batch first; a mask is boolean and **True means may attend**; attention works on
``*batch heads time d_head``. Each Protocol declares ``forward``, so that ``nn.Module`` subclasses satisfy it by structure.
"""

from collections.abc import Callable
from typing import Any, Protocol

from jaxtyping import Bool, Float, Int
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
    "d_input": "features of a real-valued input, before its projection",
    "vocab": "words of the vocabulary",
    "source": "tokens of the source, in positions",
    "target": "tokens of the target, in positions",
    "past": "tokens read before this call, in positions",
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


class SelfAttention(Protocol):
    """softmax(X Xᵀ) X, head by head, without projections: the first step of every tutorial."""

    def forward(
        self,
        x: Float[Tensor, "batch time d_model"],
        mask: Bool[Tensor, "#batch #heads #time time"] | None = None,
    ) -> Float[Tensor, "batch time d_model"]:
        """Queries, keys and values are the tokens themselves."""
        ...


class AdditiveAttention(Protocol):
    """vᵀ tanh(W query + U memory) scores the memory; the context is its weighted sum."""

    def forward(
        self,
        query: Float[Tensor, "batch q_len d_model"],
        memory: Float[Tensor, "batch k_len d_model"],
        mask: Bool[Tensor, "#batch #heads #q_len k_len"] | None = None,
    ) -> Float[Tensor, "batch q_len d_model"]:
        """One context for each query."""
        ...


class RotaryEncoding(Protocol):
    """Turns pairs of features of queries or keys by an angle that grows with the position."""

    def forward(
        self, x: Float[Tensor, "batch heads time d_head"], start: int = 0
    ) -> Float[Tensor, "batch heads time d_head"]:
        """``x`` turned as at positions ``start``, ``start + 1``, ..."""
        ...


class AttentionBias(Protocol):
    """What is added to the scores for the distance between query and key; queries stand at the end of the keys."""

    def forward(self, q_len: int, k_len: int) -> Float[Tensor, "heads q_len k_len"]:
        """The bias of every query and key, for each head."""
        ...


class TokenEmbedding(Protocol):
    """One vector for each token id."""

    def forward(
        self, ids: Int[Tensor, "batch time"], segments: Int[Tensor, "batch time"] | None = None
    ) -> Float[Tensor, "batch time d_model"]:
        """Rows of a table; ``segments`` are passed only where they are claimed."""
        ...


class DecoderLayer(Protocol):
    """Self-attention, attention to the memory, feed-forward network, each with its skip and norm."""

    def forward(
        self,
        x: Float[Tensor, "batch time d_model"],
        memory: Float[Tensor, "batch k_len d_model"],
        mask: Bool[Tensor, "#batch #heads #time time"] | None = None,
        memory_mask: Bool[Tensor, "#batch #heads #time k_len"] | None = None,
    ) -> Float[Tensor, "batch time d_model"]:
        """One layer of the decoder."""
        ...


class Decoder(Protocol):
    """A stack of decoder layers, with positions and a final norm where claimed."""

    def forward(
        self,
        x: Float[Tensor, "batch time d_model"],
        memory: Float[Tensor, "batch k_len d_model"],
        mask: Bool[Tensor, "#batch #heads #time time"] | None = None,
        memory_mask: Bool[Tensor, "#batch #heads #time k_len"] | None = None,
    ) -> Float[Tensor, "batch time d_model"]:
        """The whole stack."""
        ...


class CausalLM(Protocol):
    """Logits for the next token at every position. ``Steps`` says how it goes on from what it has read."""

    def forward(
        self, ids: Int[Tensor, "batch time"], mask: Bool[Tensor, "batch time"] | None = None
    ) -> Float[Tensor, "batch time vocab"]:
        """``mask`` is True at real tokens."""
        ...


class CachedSteps(Protocol):
    """How a causal language model goes on from what it has already read.

    Five kinds of interface fit: a cache returned with the logits, a cache passed and changed in place, buffers set up on the module and
    positions passed, a dictionary of incremental state, and the ids of the whole text with the slicing done inside.
    """

    def start(self, module: Any, batch: int, longest: int) -> Any:
        """The state before anything is read, for ``batch`` rows of up to ``longest`` tokens."""
        ...

    def step(
        self,
        module: Any,
        ids: Int[Tensor, "batch time"],
        mask: Bool[Tensor, "batch past+time"] | None,
        state: Any,
    ) -> tuple[Float[Tensor, "batch time vocab"], Any]:
        """Logits at the new ``ids``, and the state after them; ``mask`` is True at real tokens, past and new."""
        ...


class MaskedLM(Protocol):
    """Logits at every position, with the whole sequence in view."""

    def forward(
        self,
        ids: Int[Tensor, "batch time"],
        mask: Bool[Tensor, "batch time"] | None = None,
        segments: Int[Tensor, "batch time"] | None = None,
    ) -> Float[Tensor, "batch time vocab"]:
        """``mask`` is True at real tokens; ``segments`` are passed only where they are claimed."""
        ...


class EncoderDecoder(Protocol):
    """Logits for the next target token at every target position, with the whole source in view."""

    def forward(
        self,
        source: Int[Tensor, "batch source"],
        target: Int[Tensor, "batch target"],
        source_mask: Bool[Tensor, "batch source"] | None = None,
        target_mask: Bool[Tensor, "batch target"] | None = None,
    ) -> Float[Tensor, "batch target vocab"]:
        """Masks are True at real tokens; ``target`` is what the decoder reads, already offset by one."""
        ...


class Dropout(Protocol):
    """Sets features to zero at random in training."""

    def forward(self, x: Float[Tensor, "batch time d_model"]) -> Float[Tensor, "batch time d_model"]:
        """``x`` with features dropped in training, and ``x`` in evaluation."""
        ...


class Loss(Protocol):
    """How far the logits are from the targets, in nats for each real token."""

    def forward(
        self,
        logits: Float[Tensor, "batch time vocab"],
        targets: Int[Tensor, "batch time"],
        mask: Bool[Tensor, "batch time"],
    ) -> Float[Tensor, ""]:
        """``mask`` is True at real targets; where the claim ``shifts`` holds, ``targets`` are the ids that were read."""
        ...


class LearningRateSchedule(Protocol):
    """The learning rate at each step."""

    def forward(self, step: int) -> float:
        """``step`` counts from 1."""
        ...


class Generation(Protocol):
    """Writes on from a prompt."""

    def forward(
        self,
        model: Callable[[Int[Tensor, "batch time"]], Float[Tensor, "batch time vocab"]],
        prompt: Int[Tensor, "batch time"],
        *,
        strategy: str,
        max_new_tokens: int,
        min_new_tokens: int,
        end_id: int,
        pad_id: int,
        beams: int,
        temperature: float,
        top_k: int | None,
        top_p: float | None,
    ) -> Int[Tensor, "batch _"]:
        """The prompt, then the new ids, padded with ``pad_id`` where a row ended before others."""
        ...


PROTOCOLS: dict[Role, type] = {
    Role.ATTENTION: Attention,
    Role.SELF_ATTENTION: SelfAttention,
    Role.ADDITIVE_ATTENTION: AdditiveAttention,
    Role.MULTI_HEAD_ATTENTION: MultiHeadAttention,
    Role.LAYER_NORM: TokenWise,
    Role.RMS_NORM: TokenWise,
    Role.FEED_FORWARD: TokenWise,
    Role.POSITIONAL_ENCODING: PositionalEncoding,
    Role.ROTARY_ENCODING: RotaryEncoding,
    Role.ATTENTION_BIAS: AttentionBias,
    Role.TOKEN_EMBEDDING: TokenEmbedding,
    Role.ENCODER_LAYER: EncoderLayer,
    Role.ENCODER: Encoder,
    Role.DECODER_LAYER: DecoderLayer,
    Role.DECODER: Decoder,
    Role.CAUSAL_LM: CausalLM,
    Role.MASKED_LM: MaskedLM,
    Role.ENCODER_DECODER: EncoderDecoder,
    Role.DROPOUT: Dropout,
    Role.LOSS: Loss,
    Role.LEARNING_RATE_SCHEDULE: LearningRateSchedule,
    Role.GENERATION: Generation,
}
"""The call of each role."""
