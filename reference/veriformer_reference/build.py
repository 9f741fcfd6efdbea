"""Build: the reference for each role, with the claims of one configuration."""

from collections.abc import Callable
from typing import assert_never

from jaxtyping import Bool, Float
from torch import Tensor, nn

from veriformer_reference import feed_forward, heads, normalization, position, stack
from veriformer_spec.config import Config
from veriformer_spec.role import Role


def plain_attention(config: Config) -> Callable[..., Tensor]:
    """Attention without parameters, with the claimed scale and causality, in as many groups as there are key heads."""

    def attention(
        query: Float[Tensor, "*batch heads q_len d_head"],
        key: Float[Tensor, "*batch kv_heads k_len d_head"],
        value: Float[Tensor, "*batch kv_heads k_len d_value"],
        mask: Bool[Tensor, "*#batch #heads #q_len k_len"] | None = None,
    ) -> Float[Tensor, "*batch heads q_len d_value"]:
        """Average the values, weighting each by how well its key matches the query."""
        return heads.attend(query, key, value, mask, scale=config.scale, causal=config.causal)

    return attention


def build(role: Role, config: Config) -> nn.Module | Callable[..., Tensor]:
    """The reference for one role: a module, or for plain attention a function, called as ``interface`` says."""
    match role:
        case Role.ATTENTION:
            return plain_attention(config)
        case Role.MULTI_HEAD_ATTENTION:
            return heads.MultiHeadAttention(config)
        case Role.LAYER_NORM:
            return normalization.LayerNorm(config)
        case Role.RMS_NORM:
            return normalization.RMSNorm(config)
        case Role.FEED_FORWARD:
            return feed_forward.FeedForward(config)
        case Role.POSITIONAL_ENCODING:
            if config.encoding == "learned":
                return position.LearnedEncoding(config)
            return position.SinusoidalEncoding(config)
        case Role.ENCODER_LAYER:
            return stack.EncoderLayer(config)
        case Role.ENCODER:
            return stack.Encoder(config)
        case _:
            assert_never(role)
