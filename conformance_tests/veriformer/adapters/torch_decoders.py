"""torch.nn's decoders, and its encoder-decoder between two tables of embeddings and an output projection.

As in ``torch_nn``, what an adapter translates is the masks: torch.nn's are True where a key is *hidden*.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from veriformer.adapters.torch_nn import attention_weights, declared, encoder_weights, hidden, norm_weights
from veriformer.declaration import Declaration
from veriformer_spec.config import Config
from veriformer_spec.role import Role


def decoder_layer_weights(module: Any, prefix: str = "") -> Mapping[str, Tensor]:
    """The tensors of ``nn.TransformerDecoderLayer`` under the reference's names."""
    linear = {"feed_forward.hidden": module.linear1, "feed_forward.output": module.linear2}
    names = {f"{prefix}{name}.weight": each.weight for name, each in linear.items()}
    names |= {f"{prefix}{name}.bias": each.bias for name, each in linear.items() if each.bias is not None}
    return {
        **attention_weights(module.self_attn, f"{prefix}attention."),
        **norm_weights(module.norm1, f"{prefix}attention_norm."),
        **attention_weights(module.multihead_attn, f"{prefix}cross_attention."),
        **norm_weights(module.norm2, f"{prefix}cross_attention_norm."),
        **names,
        **norm_weights(module.norm3, f"{prefix}feed_forward_norm."),
    }


def decoder_weights(module: Any) -> Mapping[str, Tensor]:
    """The tensors of ``nn.TransformerDecoder`` under the reference's names."""
    names: dict[str, Tensor] = {}
    for index, layer in enumerate(module.layers):
        names |= decoder_layer_weights(layer, f"layers.{index}.")
    return names if module.norm is None else {**names, **norm_weights(module.norm, "final_norm.")}


def _layer(config: Config) -> nn.TransformerDecoderLayer:
    return nn.TransformerDecoderLayer(
        config.d_model,
        config.heads,
        config.d_ff,
        config.dropout,
        config.activation,
        layer_norm_eps=config.eps,
        batch_first=True,
        norm_first=config.norm == "pre",
        bias=config.bias,
    )


def _call(heads: int) -> Any:
    def call(
        module: nn.Module, x: Tensor, memory: Tensor, mask: Tensor | None = None, memory_mask: Tensor | None = None
    ) -> Any:
        own, other = (None if each is None else hidden(each, heads, x) for each in (mask, memory_mask))
        return module(x, memory, tgt_mask=own, memory_mask=other)

    return call


def decoder_layer(name: str, **claims: object) -> Declaration:
    """``nn.TransformerDecoderLayer``."""

    def build(config: Config) -> object:
        return _layer(config), _call(config.heads)

    return declared(name, Role.DECODER_LAYER, build, decoder_layer_weights, claims)


def decoder(name: str, **claims: object) -> Declaration:
    """``nn.TransformerDecoder``."""

    def build(config: Config) -> object:
        norm = nn.LayerNorm(config.d_model, eps=config.eps, bias=config.norm_bias) if config.ends_in_norm else None
        return nn.TransformerDecoder(_layer(config), config.layers, norm), _call(config.heads)

    return declared(name, Role.DECODER, build, decoder_weights, claims)


class Translator(nn.Module):
    """``nn.Transformer`` with what it leaves to its user: two tables of embeddings, the masks, and the output projection."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.source = nn.Embedding(config.vocab, config.d_model)
        self.target = nn.Embedding(config.vocab, config.d_model)
        self.transformer = nn.Transformer(
            config.d_model,
            config.heads,
            config.layers,
            config.layers,
            config.d_ff,
            config.dropout,
            config.activation,
            layer_norm_eps=config.eps,
            batch_first=True,
            norm_first=config.norm == "pre",
            bias=config.bias,
        )
        self.output = nn.Linear(config.d_model, config.vocab, bias=False)

    def forward(
        self,
        source: Tensor,
        target: Tensor,
        source_mask: Tensor | None = None,
        target_mask: Tensor | None = None,
    ) -> Any:
        """Logits for each target position; ``nn.Transformer``'s own triangle is of floats, which do not go with boolean padding."""
        length = target.shape[1]
        future = torch.ones(length, length, dtype=torch.bool, device=target.device).triu(diagonal=1)
        source_padding, target_padding = (None if each is None else ~each for each in (source_mask, target_mask))
        return self.output(
            self.transformer(
                self.source(source),
                self.target(target),
                tgt_mask=future,
                src_key_padding_mask=source_padding,
                tgt_key_padding_mask=target_padding,
                memory_key_padding_mask=source_padding,
            )
        )


def translator_weights(module: Any) -> Mapping[str, Tensor]:
    """The tensors of ``Translator`` under the reference's names."""
    sides = {
        "encoder": encoder_weights(module.transformer.encoder),
        "decoder": decoder_weights(module.transformer.decoder),
    }
    stacks = {f"{side}.{name}": tensor for side, names in sides.items() for name, tensor in names.items()}
    tables = {"embedding.table": module.source.weight, "target_embedding.table": module.target.weight}
    return {**tables, **stacks, "head.output.weight": module.output.weight}


def encoder_decoder(name: str, **claims: object) -> Declaration:
    """``nn.Transformer``, which ends both stacks in a norm, whatever the placement of the others."""
    return declared(name, Role.ENCODER_DECODER, Translator, translator_weights, {"final_norm": True, **claims})


def declarations() -> tuple[Declaration, ...]:
    """Each under the claims it is judged by."""
    layer, stack, model = "torch.nn.TransformerDecoderLayer", "torch.nn.TransformerDecoder", "torch.nn.Transformer"
    return (
        decoder_layer(layer, dropout="on"),
        decoder_layer(f"{layer} pre-norm gelu", norm="pre", activation="gelu", dropout="on"),
        decoder_layer(f"{layer} bias=False", bias=False, norm_bias=False, dropout="on"),
        decoder(stack, dropout="on"),
        decoder(f"{stack} pre-norm gelu", norm="pre", activation="gelu", dropout="on"),
        encoder_decoder(model, dropout="on"),
        encoder_decoder(f"{model} pre-norm gelu", norm="pre", activation="gelu", dropout="on"),
    )
