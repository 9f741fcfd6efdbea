"""Build: the reference for each role, with the claims of one configuration."""

from collections.abc import Callable
from typing import Any, assert_never

from jaxtyping import Bool, Float
from torch import Tensor, nn

from veriformer_reference import (
    decoder,
    embedding,
    feed_forward,
    generation,
    heads,
    model,
    normalization,
    position,
    recurrence,
    relative,
    rotary,
    stack,
    training,
)
from veriformer_spec.config import Config
from veriformer_spec.role import Role


def plain_attention(config: Config) -> Callable[..., Tensor]:
    """Attention without parameters, as claimed, in as many groups as there are key heads."""

    def attention(
        query: Float[Tensor, "*batch heads q_len d_head"],
        key: Float[Tensor, "*batch kv_heads k_len d_head"],
        value: Float[Tensor, "*batch kv_heads k_len d_value"],
        mask: Bool[Tensor, "*#batch #heads #q_len k_len"] | None = None,
    ) -> Float[Tensor, "*batch heads q_len d_value"]:
        """Average the values, weighting each by how well its key matches the query."""
        places = relative.aligned_positions(query.shape[-2], key.shape[-2], query.device, config.alignment)
        return heads.attend(
            query,
            key,
            value,
            heads.within_window(mask, *places, config),
            scale=config.scale,
            causal=config.causal,
            alignment=config.alignment,
            soft_cap=config.soft_cap,
        )

    return attention


def build(role: Role, config: Config) -> nn.Module | Callable[..., Any]:
    """The reference for one role: a module, or where there are no parameters a function, called as ``interface`` says."""
    match role:
        case Role.ATTENTION:
            return plain_attention(config)
        case Role.SELF_ATTENTION:
            return heads.SelfAttention(config)
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
        case Role.ROTARY_ENCODING:
            return rotary.RotaryEncoding(config)
        case Role.ATTENTION_BIAS:
            return relative.RelativeBias(config) if config.bias_kind == "relative" else relative.AlibiBias(config)
        case Role.TOKEN_EMBEDDING:
            return embedding.TokenEmbedding(config)
        case Role.ENCODER_LAYER:
            return stack.EncoderLayer(config)
        case Role.ENCODER:
            return stack.Encoder(config)
        case Role.DECODER_LAYER:
            return decoder.DecoderLayer(config)
        case Role.DECODER:
            return decoder.Decoder(config)
        case Role.CAUSAL_LM:
            return model.CausalLM(config)
        case Role.MASKED_LM:
            return model.MaskedLM(config)
        case Role.ADDITIVE_ATTENTION:
            return recurrence.AdditiveAttention(config.d_model, config.d_model, config.d_model)
        case Role.ENCODER_DECODER if config.cell == "gru":
            return recurrence.RecurrentEncoderDecoder(config)
        case Role.ENCODER_DECODER:
            return model.EncoderDecoder(config)
        case Role.DROPOUT:
            return training.Dropout(config)
        case Role.LOSS:
            return lambda logits, targets, mask: training.loss(logits, targets, mask, config)
        case Role.LEARNING_RATE_SCHEDULE:
            return lambda step: training.learning_rate(step, config.d_model, config.warmup)
        case Role.GENERATION:
            return generation.generate
        case _:
            assert_never(role)
