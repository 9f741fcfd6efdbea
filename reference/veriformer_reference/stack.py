"""Stack: two sublayers make a layer, layers make an encoder.

The left half of figure 1 of Vaswani et al. 2017, from the input embeddings (already made) upwards.
"""

from collections.abc import Iterable
from functools import partial

from jaxtyping import Bool, Float
from torch import Tensor, nn

from veriformer_reference import feed_forward, heads, normalization, position, residual
from veriformer_spec.config import Config


def encoder_layer(
    x: Float[Tensor, "batch time d_model"],
    mask: Bool[Tensor, "#batch #heads #time time"] | None,
    own: "EncoderLayer",
    config: Config,
) -> Float[Tensor, "batch time d_model"]:
    """Let the tokens look at each other, then think about what they saw, each step with its skip and norm.

    Self-attention, then FFN, each as LayerNorm(x + Sublayer(x)) or as pre-norm has it (section 3.1).

    Args:
        own: the parameters, and whether they are in training.

    Source:
        Vaswani et al. 2017, section 3.1 and figure 1 (stack.equals-the-reference).
    """
    connect = partial(residual.connect, config.norm, rate=config.dropout, training=own.training)
    seen = connect(x, lambda tokens: own.attention(tokens, tokens, mask), own.attention_norm)
    return connect(seen, own.feed_forward, own.feed_forward_norm)


def in_order(layers: nn.ModuleList, config: Config) -> list[nn.Module]:
    """The layers, first to last; where one set of parameters is claimed for all, the one layer over and over.

    Source:
        Vaswani et al. 2017, section 3.1: a stack of N = 6 identical layers (stack.layers-own-their-parameters).
    """
    return [layers[0]] * config.layers if config.layer_parameters == "shared" else list(layers)


def run_layers(
    x: Float[Tensor, "batch time d_model"],
    mask: Bool[Tensor, "#batch #heads #time time"] | None,
    layers: Iterable[nn.Module],
) -> Float[Tensor, "batch time d_model"]:
    """Pass the tokens through every layer, and the mask to every layer.

    Source:
        Vaswani et al. 2017, section 3.1 (stack.every-layer-runs, stack.the-mask-reaches-every-layer).
    """
    for layer in layers:
        x = layer(x, mask)
    return x


def encoder(
    x: Float[Tensor, "batch time d_model"],
    mask: Bool[Tensor, "#batch #heads #time time"] | None,
    own: "Encoder",
    config: Config,
) -> Float[Tensor, "batch time d_model"]:
    """Add positions once, at the bottom; run the layers; normalise once more at the top, where claimed.

    Args:
        own: the parameters.

    Source:
        Vaswani et al. 2017, figure 1 and section 3.5; Xiong et al. 2020, section 3.2
        (stack.equals-the-reference, position.positions-break-permutation-symmetry,
        residual.a-pre-norm-stack-ends-in-a-norm).
    """
    placed: Tensor = x if own.positions is None else own.positions(x)
    top = run_layers(placed, mask, in_order(own.layers, config))
    result: Tensor = top if own.final_norm is None else own.final_norm(top)
    return result


class EncoderLayer(nn.Module):
    """Parameters of the sublayers ``attention`` and ``feed_forward``, and of the norms that bear their names."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.attention = heads.MultiHeadAttention(config)
        self.attention_norm = normalization.as_claimed(config)
        self.feed_forward = feed_forward.FeedForward(config)
        self.feed_forward_norm = normalization.as_claimed(config)

    def forward(
        self,
        x: Float[Tensor, "batch time d_model"],
        mask: Bool[Tensor, "#batch #heads #time time"] | None = None,
    ) -> Float[Tensor, "batch time d_model"]:
        """One layer of the encoder."""
        return encoder_layer(x, mask, self, self.config)


class Encoder(nn.Module):
    """Parameters of ``layers`` 0, 1, 2, ... and, where claimed, of ``positions`` and ``final_norm``."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        distinct = 1 if config.layer_parameters == "shared" else config.layers
        self.positions = position.as_claimed(config.positions, config)
        self.layers = nn.ModuleList(EncoderLayer(config) for _ in range(distinct))
        self.final_norm = normalization.as_claimed(config) if config.ends_in_norm else None

    def forward(
        self,
        x: Float[Tensor, "batch time d_model"],
        mask: Bool[Tensor, "#batch #heads #time time"] | None = None,
    ) -> Float[Tensor, "batch time d_model"]:
        """The whole stack."""
        return encoder(x, mask, self, self.config)
