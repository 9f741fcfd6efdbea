"""torch.nn's own Transformer parts as subjects.

What every adapter here translates: torch.nn's masks are True where a key is *hidden*, the spec's are True where it may be seen;
``F.scaled_dot_product_attention`` follows the spec.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from veriformer.declaration import Declaration, Unsupported
from veriformer_spec.config import Config, validated
from veriformer_spec.role import Role

NOTHING_VISIBLE_IN_A_LAYER = {"grad": "unspecified", "no-grad": "unspecified"}


def hidden(mask: Tensor, heads: int, query: Tensor) -> Tensor:
    """The spec's mask as torch.nn takes it: ``batch*heads q_len k_len``, True means hidden."""
    batch, q_len, _ = query.shape
    grid: Tensor = ~mask.expand(batch, heads, q_len, -1)
    return grid.reshape(batch * heads, q_len, -1)


def attention_weights(module: Any, prefix: str = "") -> Mapping[str, Tensor]:
    """The tensors of ``nn.MultiheadAttention`` under the reference's names: views, so that they can be written through."""
    size = module.embed_dim
    if module.in_proj_weight is not None:
        query, key, value = module.in_proj_weight.split(size)
    else:  # kdim and vdim: three matrices; features beyond d_model are padding that the adapter adds
        query = module.q_proj_weight
        key, value = module.k_proj_weight[:, :size], module.v_proj_weight[:, :size]
    names = {"query.weight": query, "key.weight": key, "value.weight": value, "output.weight": module.out_proj.weight}
    if module.in_proj_bias is not None:
        biases = (*module.in_proj_bias.split(size), module.out_proj.bias)
        names |= dict(zip(("query.bias", "key.bias", "value.bias", "output.bias"), biases, strict=True))
    return {prefix + name: tensor for name, tensor in names.items()}


def norm_weights(module: Any, prefix: str = "") -> Mapping[str, Tensor]:
    """The tensors of ``nn.LayerNorm`` and ``nn.RMSNorm`` under the reference's names."""
    names = {"gain": module.weight, "shift": getattr(module, "bias", None)}
    return {prefix + name: tensor for name, tensor in names.items() if tensor is not None}


def layer_weights(module: Any, prefix: str = "") -> Mapping[str, Tensor]:
    """The tensors of ``nn.TransformerEncoderLayer`` under the reference's names."""
    linear = {"feed_forward.hidden": module.linear1, "feed_forward.output": module.linear2}
    names = {f"{prefix}{name}.weight": each.weight for name, each in linear.items()}
    names |= {f"{prefix}{name}.bias": each.bias for name, each in linear.items() if each.bias is not None}
    return {
        **attention_weights(module.self_attn, f"{prefix}attention."),
        **norm_weights(module.norm1, f"{prefix}attention_norm."),
        **names,
        **norm_weights(module.norm2, f"{prefix}feed_forward_norm."),
    }


def encoder_weights(module: Any) -> Mapping[str, Tensor]:
    """The tensors of ``nn.TransformerEncoder`` under the reference's names."""
    names: dict[str, Tensor] = {}
    for index, layer in enumerate(module.layers):
        names |= layer_weights(layer, f"layers.{index}.")
    return names if module.norm is None else {**names, **norm_weights(module.norm, "final_norm.")}


def multi_head_attention(
    name: str, *, other_sizes: bool = False, need_weights: bool = False, **claims: object
) -> Declaration:
    """``nn.MultiheadAttention``.

    Args:
        other_sizes: through ``kdim`` and ``vdim``: keys and values then have features of zeros appended.
        need_weights: on the path that returns the attention weights too.
    """

    def build(config: Config) -> object:
        more = {"kdim": config.d_model + 1, "vdim": config.d_model + 2} if other_sizes else {}
        module = nn.MultiheadAttention(
            config.d_model, config.heads, dropout=config.dropout, bias=config.bias, batch_first=True, **more
        )

        def call(module: nn.Module, query: Tensor, memory: Tensor, mask: Tensor | None = None) -> Any:
            key, value = (functional.pad(memory, (0, extra)) if other_sizes else memory for extra in (1, 2))
            grid = None if mask is None else hidden(mask, config.heads, query)
            return module(query, key, value, attn_mask=grid, need_weights=need_weights)[0]

        return module, call

    return declared(name, Role.MULTI_HEAD_ATTENTION, build, attention_weights, claims)


def encoder_layer(name: str, **claims: object) -> Declaration:
    """``nn.TransformerEncoderLayer``."""

    def build(config: Config) -> object:
        def call(module: nn.Module, x: Tensor, mask: Tensor | None = None) -> Any:
            return module(x, src_mask=None if mask is None else hidden(mask, config.heads, x))

        return _layer(config), call

    return declared(name, Role.ENCODER_LAYER, build, layer_weights, claims)


def encoder(name: str, *, by_key_padding: bool = False, **claims: object) -> Declaration:
    """``nn.TransformerEncoder``.

    Args:
        by_key_padding: padding arrives as ``src_key_padding_mask``, which opens the nested-tensor path.
    """

    def build(config: Config) -> object:
        norm = nn.LayerNorm(config.d_model, eps=config.eps, bias=config.norm_bias) if config.ends_in_norm else None
        with _warnings_off():
            module = nn.TransformerEncoder(_layer(config), config.layers, norm)

        def call(module: nn.Module, x: Tensor, mask: Tensor | None = None) -> Any:
            if mask is None:
                return module(x)
            if by_key_padding:
                with _warnings_off():
                    return module(x, src_key_padding_mask=~mask.expand(len(x), 1, x.shape[1], -1)[:, 0, 0])
            return module(x, mask=hidden(mask, config.heads, x))

        return module, call

    return declared(name, Role.ENCODER, build, encoder_weights, claims)


def _layer(config: Config) -> nn.TransformerEncoderLayer:
    return nn.TransformerEncoderLayer(
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


def _warnings_off() -> Any:
    import warnings

    caught = warnings.catch_warnings()
    warnings.simplefilter(
        "ignore"
    )  # torch warns that nested tensors are a prototype, and that pre-norm does not use them
    return caught


def layer_norm(name: str, **claims: object) -> Declaration:
    """``nn.LayerNorm``."""

    def build(config: Config) -> nn.Module:
        return nn.LayerNorm(config.d_model, eps=config.eps, bias=config.norm_bias)

    return declared(name, Role.LAYER_NORM, build, norm_weights, claims)


def rms_norm(name: str, **claims: object) -> Declaration:
    """``nn.RMSNorm``."""

    def build(config: Config) -> nn.Module:
        return nn.RMSNorm(config.d_model, eps=config.eps)

    return declared(name, Role.RMS_NORM, build, norm_weights, claims)


def scaled_dot_product_attention(
    name: str, translate: Callable[[Tensor, Tensor], Mapping[str, Any]], **claims: object
) -> Declaration:
    """``F.scaled_dot_product_attention``; ``translate`` takes the mask and the query, and returns keyword arguments."""

    def build(config: Config) -> Callable[..., Tensor]:
        def call(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
            options: dict[str, Any] = {} if mask is None else dict(translate(mask, query))
            if config.causal:
                if query.shape[-2] != key.shape[-2]:
                    raise Unsupported("is_causal aligns a rectangle at the top left, the spec at the end")
                options["is_causal"] = True
            return functional.scaled_dot_product_attention(
                query, key, value, enable_gqa=config.kv_heads != config.heads, **options
            )

        return call

    return Declaration(
        name=name, role=Role.ATTENTION, build=build, claims=validated(Role.ATTENTION, claims), has_module=False
    )


def boolean(mask: Tensor, _query: Tensor) -> Mapping[str, Any]:
    """The mask as it is: True means may attend, here too."""
    return {"attn_mask": mask}


def additive(mask: Tensor, query: Tensor) -> Mapping[str, Any]:
    """The mask as numbers to add: 0 where a query may look, minus infinity elsewhere."""
    return {"attn_mask": torch.zeros_like(mask, dtype=query.dtype).masked_fill(~mask, -torch.inf)}


def declared(
    name: str,
    role: Role,
    build: Callable[[Config], object],
    weights: Callable[[nn.Module], Mapping[str, Tensor]],
    claims: Mapping[str, object],
) -> Declaration:
    """A part of torch.nn, under a name."""
    return Declaration(name=name, role=role, build=build, claims=validated(role, claims), weights=weights)


@functools.cache
def declarations() -> tuple[Declaration, ...]:
    """Every part of torch.nn that is judged, each under the claims it is judged by."""
    attention = "torch.nn.MultiheadAttention"
    layer, stack = "torch.nn.TransformerEncoderLayer", "torch.nn.TransformerEncoder"
    kernel = "torch.nn.functional.scaled_dot_product_attention"
    return (
        multi_head_attention(attention),
        multi_head_attention(f"{attention} self", memory="query"),
        multi_head_attention(f"{attention} bias=False", bias=False),
        multi_head_attention(f"{attention} kdim vdim", other_sizes=True),
        multi_head_attention(f"{attention} need_weights", need_weights=True),
        encoder_layer(layer, norm="post", activation="relu"),
        encoder_layer(f"{layer} pre-norm gelu", norm="pre", activation="gelu"),
        encoder_layer(f"{layer} bias=False", bias=False, norm_bias=False),
        encoder(stack, norm="post"),
        encoder(f"{stack} pre-norm gelu", norm="pre", activation="gelu"),
        encoder(f"{stack} key padding", norm="post", masks="padding", padded_rows="unspecified", by_key_padding=True),
        layer_norm("torch.nn.LayerNorm"),
        layer_norm("torch.nn.LayerNorm bias=False", norm_bias=False),
        rms_norm("torch.nn.RMSNorm"),
        scaled_dot_product_attention(kernel, boolean),
        scaled_dot_product_attention(f"{kernel} additive", additive),
        scaled_dot_product_attention(f"{kernel} is_causal", boolean, causal=True, masks="none"),
        scaled_dot_product_attention(f"{kernel} enable_gqa", boolean, kv_heads="grouped"),
    )
