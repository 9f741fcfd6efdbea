"""Heads: project, split into heads, attend in each, merge, project back.

MultiHead(Q, K, V) = Concat(head_1, ..., head_h) Wᴼ, where head_i = Attention(Q Wᵢᵠ, K Wᵢᴷ, V Wᵢⱽ).
The paper's h matrices Wᵢ stand stacked in one: head i owns rows i·d_head to (i + 1)·d_head of ``weight``.
"""

from jaxtyping import Bool, Float
from torch import Tensor, nn

from veriformer_reference import attention, parameters
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
) -> Float[Tensor, "*batch heads q_len d_value"]:
    """Attend in every head alone; where there are fewer key/value heads, in groups.

    head_i = Attention(Qᵢ, K_g, V_g), with g = i // (heads / kv_heads) (section 3.2.2).

    Source:
        Vaswani et al. 2017, section 3.2.2; Ainslie et al. 2023, section 2.2 (attention.heads-are-independent).
    """
    heads = query.shape[-3]
    return attention.attention(query, share(key, heads), share(value, heads), mask, scale=scale, causal=causal)


def keys_and_values_from(
    query: Float[Tensor, "batch q_len d_model"], memory: Float[Tensor, "batch k_len d_model"], claimed: str
) -> Float[Tensor, "batch _ d_model"]:
    """The input that keys and values are made of: the memory, or the query input where self-attention is claimed.

    Source:
        Vaswani et al. 2017, section 3.2.3
        (heads.queries-come-from-the-queries-input-keys-and-values-from-the-memory).
    """
    return query if claimed == "query" else memory


def multi_head_attention(
    query: Float[Tensor, "batch q_len d_model"],
    memory: Float[Tensor, "batch k_len d_model"],
    mask: Bool[Tensor, "#batch #heads #q_len k_len"] | None,
    own: "MultiHeadAttention",
    config: Config,
) -> Float[Tensor, "batch q_len d_model"]:
    """Attend in several heads, each with a view of its own on queries and memory.

    MultiHead(Q, K, V) = Concat(head_1, ..., head_h) Wᴼ (section 3.2.2). A query that sees nothing gets zeros from every
    head, and so the bias of the output projection.

    Args:
        mask: True where a query may look.
        own: the parameters.

    Source:
        Vaswani et al. 2017, section 3.2.2 (heads.equals-the-reference, heads.one-head-is-plain-attention,
        heads.query-and-memory-lengths-may-differ, heads.repeating-the-sequence-repeats-the-output).
    """
    source = keys_and_values_from(query, memory, config.memory)
    queries = split(project(query, own.query.weight, own.query.bias), config.heads)
    keys = split(project(source, own.key.weight, own.key.bias), config.kv_heads)
    values = split(project(source, own.value.weight, own.value.bias), config.kv_heads)
    averages = attend(queries, keys, values, mask, scale=config.scale, causal=config.causal)
    return project_back(merge(averages), own.output.weight, own.output.bias)


class MultiHeadAttention(nn.Module):
    """Parameters ``query``, ``key``, ``value`` and ``output``: each a ``weight`` and, if claimed, a ``bias``."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        query_features = config.heads * config.d_head
        key_features = config.kv_heads * config.d_head
        self.query = parameters.Linear(config.d_model, query_features, bias=config.bias)
        self.key = parameters.Linear(config.d_model, key_features, bias=config.bias)
        self.value = parameters.Linear(config.d_model, key_features, bias=config.bias)
        self.output = parameters.Linear(query_features, config.d_model, bias=config.bias)

    def forward(
        self,
        query: Float[Tensor, "batch q_len d_model"],
        memory: Float[Tensor, "batch k_len d_model"],
        mask: Bool[Tensor, "#batch #heads #q_len k_len"] | None = None,
    ) -> Float[Tensor, "batch q_len d_model"]:
        """Queries from ``query``; keys and values from ``memory``."""
        return multi_head_attention(query, memory, mask, self, self.config)
