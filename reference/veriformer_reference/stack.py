"""Stack: two sublayers make a layer, layers make an encoder.

The left half of figure 1 of Vaswani et al. 2017, from the input embeddings (already made) upwards.
"""

from collections.abc import Callable, Iterable
from functools import partial

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from veriformer_reference import embedding, feed_forward, heads, normalization, parameters, position, relative, residual
from veriformer_spec.config import Config

Layer = Callable[..., Tensor]
"""An encoder layer, called with the tokens and the mask."""


def encoder_layer(
    x: Float[Tensor, "batch time d_model"],
    mask: Bool[Tensor, "#batch #heads #time time"] | None,
    own: "EncoderLayer",
    config: Config,
    positions: Int[Tensor, "#batch time"] | None = None,
) -> Float[Tensor, "batch time d_model"]:
    """Let the tokens look at each other, then think about what they saw, each step with its skip and norm.

    Self-attention, then FFN, each as LayerNorm(x + Sublayer(x)) or as pre-norm has it (section 3.1).

    Args:
        own: the parameters, and whether they are in training.
        positions: of the tokens; 0, 1, 2, ... where there are none.

    Source:
        Vaswani et al. 2017, section 3.1 and figure 1 (stack.equals-the-reference,
        stack.symmetric-weights-give-the-known-output).
    """
    connect = partial(residual.connect, config.norm, rate=config.dropout, training=own.training)
    seen = connect(x, lambda tokens: own.attention(tokens, tokens, mask, positions), own.attention_norm)
    return connect(seen, own.feed_forward, own.feed_forward_norm)


def distinct_layers(config: Config) -> int:
    """How many sets of layer parameters there are: one for each layer, or one that all share, as claimed.

    Source:
        Vaswani et al. 2017, section 3.1: a stack of N = 6 identical layers (stack.layers-own-their-parameters).
    """
    return 1 if config.layer_parameters == "shared" else config.layers


def in_order(layers: nn.ModuleList, config: Config) -> list[nn.Module]:
    """The layers, first to last; where one set of parameters is claimed for all, the one layer over and over.

    Source:
        Vaswani et al. 2017, section 3.1: a stack of N = 6 identical layers (stack.layers-own-their-parameters).
    """
    return [layers[0]] * config.layers if config.layer_parameters == "shared" else list(layers)


def told_positions(layers: Iterable[Layer], positions: Int[Tensor, "#batch time"] | None) -> list[Layer]:
    """The same layers, each of which knows the positions of its tokens: they are counted once, and never change.

    Source:
        Su et al. 2021, section 3.2.2 (masking.padding-may-stand-where-claimed).
    """
    return [partial(layer, positions=positions) for layer in layers]


def run_layers(
    x: Float[Tensor, "batch time d_model"],
    mask: Bool[Tensor, "#batch #heads #time time"] | None,
    layers: Iterable[Layer],
) -> Float[Tensor, "batch time d_model"]:
    """Pass the tokens through every layer, and the mask to every layer.

    Source:
        Vaswani et al. 2017, section 3.1 (stack.every-layer-runs, stack.the-mask-reaches-every-layer).
    """
    for layer in layers:
        x = layer(x, mask)
    return x


def bottom(
    x: Float[Tensor, "batch time _"],
    own: "Bottom",
    config: Config,
    positions: Int[Tensor, "#batch time"] | None = None,
    length: int | None = None,
) -> Float[Tensor, "batch time d_model"]:
    """What the first layer reads: the input, projected where it is real-valued, with its positions, normalised where claimed.

    Dropout falls on the sum of embeddings and positional encodings (section 5.4).

    Args:
        own: the parameters, and whether they are in training.
        positions: of the tokens; 0, 1, 2, ... where there are none.
        length: positions there are in all, where some were read before.

    Source:
        Vaswani et al. 2017, figure 1, sections 3.5 and 5.4; Devlin et al. 2019, figure 2
        (position.positions-enter-once-for-every-token, embedding.real-values-enter-by-a-projection).
    """
    entered = x if own.entrance is None else embedding.enter(x, own.entrance.weight, own.entrance.bias)
    placed: Tensor = entered
    if own.positions is not None and positions is None:
        placed = own.positions(entered)
    elif own.positions is not None and positions is not None:
        placed = position.place(entered, own.positions, positions, length or x.shape[1])
    normal: Tensor = placed if own.embedding_norm is None else own.embedding_norm(placed)
    return residual.drop(normal, rate=config.dropout, training=own.training) if own.drops else normal


def top(x: Float[Tensor, "batch time d_model"], own: "Bottom") -> Float[Tensor, "batch time d_model"]:
    """What the last layer returns, normalised once more where claimed.

    Args:
        own: the parameters.

    Source:
        Xiong et al. 2020, section 3.2; Radford et al. 2019, section 2.3 (residual.a-pre-norm-stack-ends-in-a-norm,
        model.a-final-norm-is-as-claimed).
    """
    result: Tensor = x if own.final_norm is None else own.final_norm(x)
    return result


def encoder(
    x: Float[Tensor, "batch time _"],
    mask: Bool[Tensor, "#batch #heads #time time"] | None,
    own: "Encoder",
    config: Config,
    positions: Int[Tensor, "#batch time"] | None = None,
) -> Float[Tensor, "batch time d_model"]:
    """Add positions once, at the bottom; run the layers; normalise once more at the top, where claimed.

    Args:
        own: the parameters.
        positions: of the tokens; 0, 1, 2, ... where there are none.

    Source:
        Vaswani et al. 2017, figure 1 and section 3.5; Xiong et al. 2020, section 3.2
        (stack.equals-the-reference, position.positions-break-permutation-symmetry,
        residual.a-pre-norm-stack-ends-in-a-norm).
    """
    layers = told_positions(in_order(own.layers, config), positions)
    return top(run_layers(bottom(x, own, config, positions), mask, layers), own)


class EncoderLayer(nn.Module):
    """Parameters of the sublayers ``attention`` and ``feed_forward``, and of the norms that bear their names."""

    def __init__(self, config: Config, shared: relative.RelativeBias | None = None) -> None:
        super().__init__()
        self.config = config
        self.attention = heads.MultiHeadAttention(config, shared)
        self.attention_norm = normalization.as_claimed(config)
        self.feed_forward = feed_forward.FeedForward(config)
        self.feed_forward_norm = normalization.as_claimed(config)

    def forward(
        self,
        x: Float[Tensor, "batch time d_model"],
        mask: Bool[Tensor, "#batch #heads #time time"] | None = None,
        positions: Int[Tensor, "#batch time"] | None = None,
    ) -> Float[Tensor, "batch time d_model"]:
        """One layer of the encoder."""
        return encoder_layer(x, mask, self, self.config, positions)


class Bottom(nn.Module):
    """What encoder and decoder have around their layers.

    Parameters, where claimed, of ``entrance``, ``positions``, ``embedding_norm``, ``relative`` (one table of biases for all
    layers) and ``final_norm``.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        projects = config.entrance == "projection"
        self.entrance = parameters.Linear(config.d_input, config.d_model, bias=config.bias) if projects else None
        self.positions = position.as_claimed(config.positions, config)
        self.embedding_norm = normalization.as_claimed(config) if config.embedding_norm else None
        self.relative = relative.as_claimed(config)
        self.final_norm = normalization.as_claimed(config) if config.ends_in_norm else None
        self.drops = self.positions is not None


class Encoder(Bottom):
    """Parameters of ``layers`` 0, 1, 2, ..., and of what stands around them."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.layers = nn.ModuleList(EncoderLayer(config, self.relative) for _ in range(distinct_layers(config)))

    def forward(
        self,
        x: Float[Tensor, "batch time _"],
        mask: Bool[Tensor, "#batch #heads #time time"] | None = None,
        positions: Int[Tensor, "#batch time"] | None = None,
    ) -> Float[Tensor, "batch time d_model"]:
        """The whole stack."""
        return encoder(x, mask, self, self.config, positions)
