"""Heads: project, split into heads, attend in each, merge, project back.

MultiHead(Q, K, V) = Concat(head_1, ..., head_h) Wᴼ, where head_i = Attention(Q Wᵢᵠ, K Wᵢᴷ, V Wᵢⱽ).
The paper's h matrices Wᵢ stand stacked in one: head i owns rows i·d_head to (i + 1)·d_head of ``weight``.
"""

import dataclasses

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from veriformer_reference import attention, masking, normalization, parameters, relative, rotary
from veriformer_spec.config import Config


def project(
    x: Float[Tensor, "*batch time d_model"], weight: Float[Tensor, "_ d_model"], bias: Float[Tensor, " _"] | None
) -> Float[Tensor, "*batch time _"]:
    """Make the queries, keys or values of all heads at once.

    x Wᵀ + b, with one row of the weight for each feature that comes out.

    Source:
        Vaswani et al. 2017, section 3.2.2: Q Wᵠ, K Wᴷ, V Wⱽ (heads.equals-the-reference).
    """
    return x @ weight.mT if bias is None else x @ weight.mT + bias


def project_back(
    x: Float[Tensor, "*batch time _"], weight: Float[Tensor, "d_model _"], bias: Float[Tensor, " d_model"] | None
) -> Float[Tensor, "*batch time d_model"]:
    """Mix what the heads found.

    Concat(head_1, ..., head_h) Wᴼ (section 3.2.2).

    Source:
        Vaswani et al. 2017, section 3.2.2 (heads.the-output-projection-is-applied).
    """
    return x @ weight.mT if bias is None else x @ weight.mT + bias


def split(x: Float[Tensor, "*batch time _"], heads: int) -> Float[Tensor, "*batch heads time d_head"]:
    """Give each head its own neighbouring features, of every token.

    head_i = features i·d_head to (i + 1)·d_head. The reshape cuts the features; only then do heads move before time.

    Source:
        Vaswani et al. 2017, section 3.2.2 (heads.each-head-reads-its-own-slice, heads.time-stays-time).
    """
    return x.reshape(*x.shape[:-1], heads, -1).transpose(-3, -2)


def merge(x: Float[Tensor, "*batch heads time d_head"]) -> Float[Tensor, "*batch time heads*d_head"]:
    """Put each token's heads side by side again: the inverse of ``split``.

    Concat(head_1, ..., head_h) (section 3.2.2). Time moves back before heads first, or the reshape would mix tokens.

    Source:
        Vaswani et al. 2017, section 3.2.2 (heads.time-stays-time).
    """
    return x.transpose(-3, -2).flatten(-2)


def share(key_or_value: Float[Tensor, "*batch kv_heads k_len _"], heads: int) -> Float[Tensor, "*batch heads k_len _"]:
    """Lend each key/value head to its group of neighbouring query heads.

    Query head i reads key/value head i // (heads / kv_heads): 0 0 1 1, not 0 1 0 1.

    Source:
        Ainslie et al. 2023, section 2.2 (heads.grouped-queries-share-keys-in-order).
    """
    return key_or_value.repeat_interleave(heads // key_or_value.shape[-3], dim=-3)


def attend(
    query: Float[Tensor, "*batch heads q_len d_head"],
    key: Float[Tensor, "*batch kv_heads k_len d_head"],
    value: Float[Tensor, "*batch kv_heads k_len d_value"],
    mask: Bool[Tensor, "*#batch #heads #q_len k_len"] | None = None,
    *,
    scale: str | float = "inverse-root",
    causal: bool = False,
    alignment: str = "end",
    soft_cap: float | None = None,
    bias: Float[Tensor, "*#batch heads q_len k_len"] | None = None,
) -> Float[Tensor, "*batch heads q_len d_value"]:
    """Attend in every head alone; where there are fewer key/value heads, in groups.

    head_i = Attention(Qᵢ, K_g, V_g), with g = i // (heads / kv_heads) (section 3.2.2).

    Source:
        Vaswani et al. 2017, section 3.2.2; Ainslie et al. 2023, section 2.2 (attention.heads-are-independent).
    """
    heads = query.shape[-3]
    return attention.attention(
        query,
        share(key, heads),
        share(value, heads),
        mask,
        scale=scale,
        causal=causal,
        alignment=alignment,
        soft_cap=soft_cap,
        bias=bias,
    )


def self_attention(
    x: Float[Tensor, "batch time d_model"],
    mask: Bool[Tensor, "#batch #heads #time time"] | None,
    config: Config,
) -> Float[Tensor, "batch time d_model"]:
    """Let tokens look at each other as they are, each head in its own slice of the features.

    softmax(Xᵢ Xᵢᵀ · scale) Xᵢ, side by side: no projection anywhere.

    Source:
        Vaswani et al. 2017, equation 1, with Q = K = V = X (attention.plain-self-attention-equals-its-equation).
    """
    slices = split(x, config.heads)
    return merge(attend(slices, slices, slices, mask, scale=config.scale, causal=config.causal))


def keys_and_values_from(
    query: Float[Tensor, "batch q_len d_model"], memory: Float[Tensor, "batch k_len d_model"], claimed: str
) -> Float[Tensor, "batch _ d_model"]:
    """The input that keys and values are made of: the memory, or the query input where self-attention is claimed.

    Source:
        Vaswani et al. 2017, section 3.2.3
        (heads.queries-come-from-the-queries-input-keys-and-values-from-the-memory,
        heads.cross-attention-reads-keys-and-values-from-the-memory).
    """
    return query if claimed == "query" else memory


def normalise(
    x: Float[Tensor, "batch heads time d_head"], norm: normalization.LayerNorm | normalization.RMSNorm | None
) -> Float[Tensor, "batch heads time d_head"]:
    """Normalise each head's queries or keys over their own features, where that is claimed.

    Source:
        Henry et al. 2020, section 3; Dehghani et al. 2023, section 2 (heads.query-and-key-norm-is-as-claimed).
    """
    if norm is None:
        return x
    if isinstance(norm, normalization.RMSNorm):
        return normalization.rms_norm(x, norm.gain, norm.config)
    return normalization.layer_norm(x, norm.gain, norm.shift, norm.config)


def place(
    x: Float[Tensor, "batch heads time d_head"], positions: Int[Tensor, "#batch time"], config: Config
) -> Float[Tensor, "batch heads time d_head"]:
    """Turn queries or keys by their positions, where rotary positions are claimed. Values are never passed here.

    Source:
        Su et al. 2021, section 3.2.2, equation 16 (position.rotary-leaves-values-alone).
    """
    return rotary.rotate(x, positions, config) if config.positions == "rotary" else x


def queries(
    x: Float[Tensor, "batch q_len d_model"],
    positions: Int[Tensor, "#batch q_len"],
    own: "MultiHeadAttention",
    config: Config,
) -> Float[Tensor, "batch heads q_len d_head"]:
    """The queries of all heads, normalised and placed as claimed.

    Source:
        Vaswani et al. 2017, section 3.2.2: Q Wᵠ (heads.equals-the-reference, heads.query-and-key-norm-is-as-claimed).
    """
    projected = split(project(x, own.query.weight, own.query.bias), config.heads)
    return place(normalise(projected, own.query_norm), positions, config)


def keys(
    x: Float[Tensor, "batch k_len d_model"],
    positions: Int[Tensor, "#batch k_len"],
    own: "MultiHeadAttention",
    config: Config,
) -> Float[Tensor, "batch kv_heads k_len d_head"]:
    """The keys of all heads, normalised and placed as claimed.

    Source:
        Vaswani et al. 2017, section 3.2.2: K Wᴷ (heads.equals-the-reference, heads.query-and-key-norm-is-as-claimed).
    """
    projected = split(project(x, own.key.weight, own.key.bias), config.kv_heads)
    return place(normalise(projected, own.key_norm), positions, config)


def values(
    x: Float[Tensor, "batch k_len d_model"], own: "MultiHeadAttention", config: Config
) -> Float[Tensor, "batch kv_heads k_len d_head"]:
    """The values of all heads: neither normalised nor placed.

    Source:
        Vaswani et al. 2017, section 3.2.2: V Wⱽ (heads.equals-the-reference, position.rotary-leaves-values-alone).
    """
    return split(project(x, own.value.weight, own.value.bias), config.kv_heads)


def bias(
    query_positions: Int[Tensor, "#batch q_len"],
    key_positions: Int[Tensor, "#batch k_len"],
    own: "MultiHeadAttention",
    config: Config,
    dtype: torch.dtype,
) -> Float[Tensor, "#batch heads q_len k_len"] | None:
    """What the scores get for the distance of query and key, where that is claimed.

    Buckets tell the future apart unless attention is causal.

    Source:
        Press et al. 2022, section 3; Raffel et al. 2020, section 2.1 (position.only-the-difference-counts).
    """
    distances = relative.distances(query_positions, key_positions)
    if own.relative is not None:
        return relative.relative(distances, own.relative, config, bidirectional=not config.causal)
    return relative.alibi(distances, config.heads).to(dtype) if config.positions == "alibi" else None


def within_window(
    mask: Bool[Tensor, "*#batch #heads #q_len k_len"] | None,
    query_positions: Int[Tensor, "#batch q_len"],
    key_positions: Int[Tensor, "#batch k_len"],
    config: Config,
) -> Bool[Tensor, "*#batch #heads #q_len k_len"] | None:
    """The mask, and where a causal subject claims a sliding window nothing further back than it reaches.

    Source:
        Beltagy et al. 2020, section 3.1 (masking.sliding-window-sees-exactly-its-width).
    """
    if not (config.causal and config.sliding_window):
        return mask
    return masking.combine(mask, masking.window(query_positions, key_positions, config.window)[:, None])


def look(
    queries: Float[Tensor, "batch heads q_len d_head"],
    keys: Float[Tensor, "batch kv_heads k_len d_head"],
    values: Float[Tensor, "batch kv_heads k_len d_head"],
    mask: Bool[Tensor, "#batch #heads #q_len k_len"] | None,
    query_positions: Int[Tensor, "#batch q_len"],
    key_positions: Int[Tensor, "#batch k_len"],
    own: "MultiHeadAttention",
    config: Config,
) -> Float[Tensor, "batch q_len d_model"]:
    """Attend in every head, put the heads side by side, and mix what they found.

    Concat(head_1, ..., head_h) Wᴼ (section 3.2.2). Causal queries fewer than keys are the last ones.

    Source:
        Vaswani et al. 2017, section 3.2.2 (heads.equals-the-reference, heads.scores-are-capped-as-claimed).
    """
    averages = attend(
        queries,
        keys,
        values,
        within_window(mask, query_positions, key_positions, config),
        scale=config.scale,
        causal=config.causal,
        soft_cap=config.soft_cap,
        bias=bias(query_positions, key_positions, own, config, queries.dtype),
    )
    return project_back(merge(averages), own.output.weight, own.output.bias)


def multi_head_attention(
    query: Float[Tensor, "batch q_len d_model"],
    memory: Float[Tensor, "batch k_len d_model"],
    mask: Bool[Tensor, "#batch #heads #q_len k_len"] | None,
    own: "MultiHeadAttention",
    config: Config,
    positions: Int[Tensor, "#batch k_len"] | None = None,
) -> Float[Tensor, "batch q_len d_model"]:
    """Attend in several heads, each with a view of its own on queries and memory.

    MultiHead(Q, K, V) = Concat(head_1, ..., head_h) Wᴼ (section 3.2.2). A query that sees nothing gets zeros from every
    head, and so the bias of the output projection.

    Args:
        mask: True where a query may look.
        own: the parameters.
        positions: of the keys; the queries are the last of them. 0, 1, 2, ... where there are none.

    Source:
        Vaswani et al. 2017, section 3.2.2 (heads.equals-the-reference, heads.one-head-is-plain-attention,
        heads.query-and-memory-lengths-may-differ, heads.repeating-the-sequence-repeats-the-output,
        heads.symmetric-weights-give-the-known-output).
    """
    source = keys_and_values_from(query, memory, config.memory)
    query_positions, key_positions = relative.aligned_positions(query.shape[1], source.shape[1], query.device)
    if positions is not None:
        query_positions = key_positions = positions
    return look(
        queries(query, query_positions, own, config),
        keys(source, key_positions, own, config),
        values(source, own, config),
        mask,
        query_positions,
        key_positions,
        own,
        config,
    )


class MultiHeadAttention(nn.Module):
    """Parameters ``query``, ``key``, ``value`` and ``output``: each a ``weight`` and, if claimed, a ``bias``.

    Where claimed, those of ``query_norm`` and ``key_norm`` over the features of one head; and those of ``relative``, made
    here unless the stack passes the one that all its layers share.
    """

    def __init__(self, config: Config, shared: relative.RelativeBias | None = None) -> None:
        super().__init__()
        self.config = config
        query_features = config.heads * config.d_head
        key_features = config.kv_heads * config.d_head
        self.query = parameters.Linear(config.d_model, query_features, bias=config.bias)
        self.key = parameters.Linear(config.d_model, key_features, bias=config.bias)
        self.value = parameters.Linear(config.d_model, key_features, bias=config.bias)
        self.output = parameters.Linear(query_features, config.d_model, bias=config.bias)
        self.query_norm = head_norm(config)
        self.key_norm = head_norm(config)
        self.relative = shared or relative.as_claimed(config)

    def forward(
        self,
        query: Float[Tensor, "batch q_len d_model"],
        memory: Float[Tensor, "batch k_len d_model"],
        mask: Bool[Tensor, "#batch #heads #q_len k_len"] | None = None,
        positions: Int[Tensor, "#batch k_len"] | None = None,
    ) -> Float[Tensor, "batch q_len d_model"]:
        """Queries from ``query``; keys and values from ``memory``, at ``positions``."""
        return multi_head_attention(query, memory, mask, self, self.config, positions)


class SelfAttention(nn.Module):
    """No parameters."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config

    def forward(
        self,
        x: Float[Tensor, "batch time d_model"],
        mask: Bool[Tensor, "#batch #heads #time time"] | None = None,
    ) -> Float[Tensor, "batch time d_model"]:
        """Queries, keys and values are the tokens themselves."""
        return self_attention(x, mask, self.config)


def head_norm(config: Config) -> normalization.LayerNorm | normalization.RMSNorm | None:
    """The norm that the claim ``query_key_norm`` names, over the features of one head; the same for all heads.

    Source:
        Henry et al. 2020, section 3 (heads.query-and-key-norm-is-as-claimed).
    """
    if config.query_key_norm == "none":
        return None
    sizes = dataclasses.replace(config, d_model=config.d_head, normalization=config.query_key_norm)
    return normalization.as_claimed(sizes)
