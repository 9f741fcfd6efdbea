"""labml-nn's Transformer parts as subjects.

What the adapter translates: the sequence comes first, ``time batch d_model``; arguments go by keyword; a mask is
``q_len k_len batch`` and True where a query may look, with no axis for heads.
"""

from collections.abc import Callable, Mapping
from typing import Any

from labml import tracker
from labml_nn.transformers.alibi import AlibiMultiHeadAttention
from labml_nn.transformers.feed_forward import FeedForward
from labml_nn.transformers.mha import MultiHeadAttention
from labml_nn.transformers.models import Decoder, Encoder, TransformerLayer
from labml_nn.transformers.rope import RotaryPEMultiHeadAttention
from torch import Tensor, nn

from veriformer.declaration import Declaration
from veriformer_spec.config import Config, validated
from veriformer_spec.role import Role

tracker.debug = lambda *_, **__: None  # the release of labml that it asks for lacks the function
ACTIVATIONS: Mapping[str, tuple[nn.Module, bool]] = {
    "relu": (nn.ReLU(), False),
    "gelu": (nn.GELU(), False),
    "swiglu": (nn.SiLU(), True),
}


def grid(mask: Tensor | None, x: Tensor) -> Tensor | None:
    """``batch 1 q_len k_len`` as ``q_len k_len batch``."""
    return None if mask is None else mask.expand(len(x), 1, x.shape[1], -1)[:, 0].permute(1, 2, 0)


def first(x: Tensor) -> Tensor:
    """Time first, or batch first again."""
    return x.transpose(0, 1)


def attention(kind: type, config: Config, **more: Any) -> Any:
    """Attention of one kind, as one case has it."""
    return kind(config.heads, config.d_model, dropout_prob=0.0, **more)


def heads(kind: type, **more: Any) -> Callable[[Config], object]:
    """An attention layer; where it is claimed to be causal, the triangle is passed, which ALiBi counts its distances by."""

    def build(config: Config) -> object:
        def call(module: nn.Module, query: Tensor, memory: Tensor, mask: Tensor | None = None) -> Any:
            source = first(query if config.memory == "query" else memory)
            if config.causal:
                mask = query.new_ones(1, 1, query.shape[1], query.shape[1]).tril().bool()
                return first(module(query=first(query), key=source, value=source, mask=mask[0, 0, :, :, None]))
            return first(module(query=first(query), key=source, value=source, mask=grid(mask, query)))

        return attention(kind, config, **more), call

    return build


def layer(config: Config, kind: type = MultiHeadAttention, *, crossing: bool = False, **more: Any) -> TransformerLayer:
    """A pre-norm layer; with ``crossing`` it looks at a memory too."""
    activation, gated = ACTIVATIONS[config.activation]
    return TransformerLayer(
        d_model=config.d_model,
        self_attn=attention(kind, config, **more),
        src_attn=attention(MultiHeadAttention, config) if crossing else None,
        feed_forward=FeedForward(config.d_model, config.d_ff, 0.0, activation, gated),
        dropout_prob=config.dropout,
    )


def encoder_layer(config: Config) -> object:
    """``TransformerLayer`` without a memory."""
    return layer(config), lambda module, x, mask=None: first(module(x=first(x), mask=grid(mask, x)))


def encoder(config: Config, **more: Any) -> object:
    """``Encoder``."""
    return Encoder(layer(config, **more), config.layers), lambda module, x, mask=None: first(
        module(first(x), grid(mask, x))
    )


def decoder(config: Config) -> object:
    """``Decoder``."""

    def call(
        module: nn.Module, x: Tensor, memory: Tensor, mask: Tensor | None = None, memory_mask: Tensor | None = None
    ) -> Any:
        return first(module(first(x), first(memory), grid(memory_mask, x), grid(mask, x)))

    return Decoder(layer(config, crossing=True), config.layers), call


def subjects() -> Mapping[str, Declaration]:
    """Each under the claims it is judged by."""
    found: dict[str, Declaration] = {}

    def add(name: str, role: Role, build: Callable[[Config], object], **claims: object) -> None:
        found[name] = Declaration(name=name, role=role, build=build, claims=validated(role, claims))

    one = Role.MULTI_HEAD_ATTENTION
    pre: dict[str, Any] = {"norm": "pre", "dropout": "on"}
    plain: dict[str, Any] = {"masks": ("padding", "causal")}  # one mask for all heads
    add("MultiHeadAttention", one, heads(MultiHeadAttention), **plain)
    add("MultiHeadAttention self", one, heads(MultiHeadAttention), memory="query", **plain)
    rotary: dict[str, Any] = {"positions": "rotary", "memory": "query", "computes_in": "float32", **plain}
    add("RotaryPEMultiHeadAttention", one, heads(RotaryPEMultiHeadAttention, rope_percentage=1.0), **rotary)
    add("TransformerLayer", Role.ENCODER_LAYER, encoder_layer, **pre, **plain)
    add("TransformerLayer gelu", Role.ENCODER_LAYER, encoder_layer, activation="gelu", **pre, **plain)
    add("TransformerLayer swiglu", Role.ENCODER_LAYER, encoder_layer, activation="swiglu", **pre, **plain)
    add("Encoder", Role.ENCODER, encoder, **pre, **plain)
    add("Decoder", Role.DECODER, decoder, **pre, **plain)
    add(
        "AlibiMultiHeadAttention",
        one,
        heads(AlibiMultiHeadAttention),
        positions="alibi",
        memory="query",
        masks="none",
        causal=True,
    )
    return found
