"""Decoder: three sublayers make a layer, layers make a decoder.

The right half of figure 1 of Vaswani et al. 2017, from the input embeddings (already made) upwards. The paper's output of
the encoder stack is ``memory`` here.
"""

import dataclasses
from collections.abc import Callable, Iterable
from functools import partial

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from veriformer_reference import feed_forward, heads, normalization, relative, residual, stack
from veriformer_spec.config import Config

Layer = Callable[..., Tensor]
"""A decoder layer, called with the tokens, the memory and their masks."""


def across(config: Config) -> Config:
    """The claims of cross-attention: no order of its own, neither causal nor by positions, and keys from the memory.

    Source:
        Vaswani et al. 2017, section 3.2.3; Raffel et al. 2020, section 2.1
        (heads.permuting-the-memory-changes-nothing, heads.cross-attention-reads-keys-and-values-from-the-memory).
    """
    return dataclasses.replace(config, causal=False, positions="none", memory="separate")


def decoder_layer(
    x: Float[Tensor, "batch time d_model"],
    memory: Float[Tensor, "batch k_len d_model"],
    mask: Bool[Tensor, "#batch #heads #time time"] | None,
    memory_mask: Bool[Tensor, "#batch #heads #time k_len"] | None,
    own: "DecoderLayer",
    config: Config,
    positions: Int[Tensor, "#batch time"] | None = None,
) -> Float[Tensor, "batch time d_model"]:
    """Let the tokens look at each other, then at the memory, then think about what they saw.

    Self-attention, cross-attention, FFN, each as LayerNorm(x + Sublayer(x)) or as pre-norm has it (section 3.1). The memory
    is read as it is: no norm of this layer touches it.

    Args:
        own: the parameters, and whether they are in training.
        positions: of the tokens; 0, 1, 2, ... where there are none.

    Source:
        Vaswani et al. 2017, section 3.1 and figure 1 (stack.equals-the-reference, stack.decoder-sublayers-stand-in-order,
        heads.target-and-memory-lengths-may-differ, masking.source-padding-is-invisible-to-the-target).
    """
    connect = partial(residual.connect, config.norm, rate=config.dropout, training=own.training)
    seen = connect(x, lambda tokens: own.attention(tokens, tokens, mask, positions), own.attention_norm)
    told = connect(seen, lambda tokens: own.cross_attention(tokens, memory, memory_mask), own.cross_attention_norm)
    return connect(told, own.feed_forward, own.feed_forward_norm)


def run_layers(
    x: Float[Tensor, "batch time d_model"],
    memory: Float[Tensor, "batch k_len d_model"],
    mask: Bool[Tensor, "#batch #heads #time time"] | None,
    memory_mask: Bool[Tensor, "#batch #heads #time k_len"] | None,
    layers: Iterable[Layer],
) -> Float[Tensor, "batch time d_model"]:
    """Pass the tokens through every layer, and the same memory and both masks to every layer.

    Source:
        Vaswani et al. 2017, section 3.1 (stack.every-layer-runs, stack.the-mask-reaches-every-layer,
        stack.the-memory-reaches-every-decoder-layer).
    """
    for layer in layers:
        x = layer(x, memory, mask, memory_mask)
    return x


def decoder(
    x: Float[Tensor, "batch time d_model"],
    memory: Float[Tensor, "batch k_len d_model"],
    mask: Bool[Tensor, "#batch #heads #time time"] | None,
    memory_mask: Bool[Tensor, "#batch #heads #time k_len"] | None,
    own: "Decoder",
    config: Config,
    positions: Int[Tensor, "#batch time"] | None = None,
) -> Float[Tensor, "batch time d_model"]:
    """Add positions once, at the bottom; run the layers; normalise once more at the top, where claimed.

    Args:
        own: the parameters.
        positions: of the tokens; 0, 1, 2, ... where there are none.

    Source:
        Vaswani et al. 2017, figure 1 and section 3.5; Xiong et al. 2020, section 3.2
        (stack.equals-the-reference, position.positions-enter-once-for-every-token).
    """
    layers = stack.told_positions(stack.in_order(own.layers, config), positions)
    read = stack.bottom(x, own, config, positions)
    return stack.top(run_layers(read, memory, mask, memory_mask, layers), own)


class DecoderLayer(nn.Module):
    """Parameters of ``attention``, ``cross_attention`` and ``feed_forward``, and of the norms that bear their names."""

    def __init__(self, config: Config, shared: relative.RelativeBias | None = None) -> None:
        super().__init__()
        self.config = config
        self.attention = heads.MultiHeadAttention(config, shared)
        self.attention_norm = normalization.as_claimed(config)
        self.cross_attention = heads.MultiHeadAttention(across(config))
        self.cross_attention_norm = normalization.as_claimed(config)
        self.feed_forward = feed_forward.FeedForward(config)
        self.feed_forward_norm = normalization.as_claimed(config)

    def forward(
        self,
        x: Float[Tensor, "batch time d_model"],
        memory: Float[Tensor, "batch k_len d_model"],
        mask: Bool[Tensor, "#batch #heads #time time"] | None = None,
        memory_mask: Bool[Tensor, "#batch #heads #time k_len"] | None = None,
        positions: Int[Tensor, "#batch time"] | None = None,
    ) -> Float[Tensor, "batch time d_model"]:
        """One layer of the decoder."""
        return decoder_layer(x, memory, mask, memory_mask, self, self.config, positions)


class Decoder(stack.Bottom):
    """Parameters of ``layers`` 0, 1, 2, ..., and of what stands around them."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        distinct = stack.distinct_layers(config)
        self.layers = nn.ModuleList(DecoderLayer(config, self.relative) for _ in range(distinct))

    def forward(
        self,
        x: Float[Tensor, "batch time d_model"],
        memory: Float[Tensor, "batch k_len d_model"],
        mask: Bool[Tensor, "#batch #heads #time time"] | None = None,
        memory_mask: Bool[Tensor, "#batch #heads #time k_len"] | None = None,
        positions: Int[Tensor, "#batch time"] | None = None,
    ) -> Float[Tensor, "batch time d_model"]:
        """The whole stack."""
        return decoder(x, memory, mask, memory_mask, self, self.config, positions)
