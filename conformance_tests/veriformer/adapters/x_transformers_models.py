"""x-transformers as subjects: ``Decoder`` and ``Encoder`` inside ``TransformerWrapper``, bare stacks, ``XTransformer``, ``Attention``.

What every adapter here translates: sizes are spelled ``dim``, ``depth``, ``attn_dim_head`` and a factor for the feed-forward
network; masks agree with the spec. The cached call takes the ids of the whole text, and is told how many of them are new.
"""

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor, nn
from x_transformers import Decoder, Encoder, TransformerWrapper, XTransformer
from x_transformers.attend import Attend
from x_transformers.x_transformers import Attention

from veriformer.declaration import Declaration, Steps, Unsupported
from veriformer_spec.config import Config, validated
from veriformer_spec.role import Role

ACTIVATIONS: Mapping[str, Mapping[str, Any]] = {
    "relu": {"custom_activation": nn.ReLU()},
    "gelu": {},
    "gelu-tanh": {"custom_activation": nn.GELU(approximate="tanh")},
    "silu": {"swish": True},
    "reglu": {"glu": True, "custom_activation": nn.ReLU()},
    "geglu": {"glu": True},
    "swiglu": {"glu": True, "swish": True},
}
"""What the library calls each nonlinearity."""

USUAL: Mapping[str, object] = {
    "norm": "pre",
    "activation": "gelu",
    "norm_bias": False,
    "gain": "one-plus-weight",
    "bias": False,
    "computes_in": "float32",
    "nothing_visible": "zeros",
    "dropout": "on",
}
"""What its stacks do unless told otherwise; the softmax is computed in float32."""


def options(config: Config) -> dict[str, Any]:
    """The sizes and claims of one case as ``AttentionLayers`` takes them."""
    rotary = config.positions == "rotary"
    if rotary and config.d_head == 2:
        raise Unsupported("rotary_emb_dim=2 divides by zero")
    said: dict[str, Any] = {
        "dim": config.d_model,
        "depth": config.layers,
        "heads": config.heads,
        "attn_dim_head": config.d_head,
        "attn_kv_heads": config.kv_heads,
        "attn_project_out": True,  # one head would have no output projection
        "attn_sublayer_dropout": config.dropout,
        "ff_mult": Fraction(config.d_ff, config.d_model),
        "ff_no_bias": not config.bias,
        "ff_sublayer_dropout": config.dropout,
        "pre_norm": config.norm == "pre",
        "pre_norm_has_final_norm": config.ends_in_norm,
        "use_rmsnorm": config.normalization == "rms",
        "norm_add_unit_offset": config.gain == "one-plus-weight",
        "weight_tie_layers": config.layer_parameters == "shared",
        "attn_qk_rmsnorm": config.query_key_norm == "rms",
        "verbose": False,
    }
    said |= {f"ff_{name}": value for name, value in ACTIVATIONS[config.activation].items()}
    if rotary:
        said |= {"rotary_pos_emb": True, "rotary_emb_dim": config.d_head}
        said |= {"rotary_interpolation_factor": config.rotary_scaling}
    if config.positions == "alibi":
        said |= {"alibi_pos_bias": True}
    if config.positions == "relative":
        said |= {
            "rel_pos_bias": True,
            "rel_pos_num_buckets": config.buckets,
            "rel_pos_max_distance": config.max_distance,
        }
    if config.sliding_window:
        said |= {"attn_max_attend_past": config.window - 1}
    if config.soft_cap is not None:
        said |= {"attn_softclamp_logits": True, "attn_logit_softclamp_value": config.soft_cap}
    return said


def wrapper(config: Config) -> dict[str, Any]:
    """The sizes and claims of one case as ``TransformerWrapper`` takes them."""
    return {
        "num_tokens": config.vocab,
        "max_seq_len": config.max_len,
        "use_abs_pos_emb": config.positions == "learned",
        "post_emb_norm": config.embedding_norm,
        "emb_dropout": config.dropout,
        "tie_embedding": config.tied,
    }


def step(module: Any, ids: Tensor, mask: Tensor | None, state: Any) -> tuple[Tensor, Any]:
    """The ids of the whole text go in, and how many of them are new."""
    past, cache = state or (ids[:, :0], None)
    text = torch.cat((past, ids), 1)
    logits, cache = module(text, mask=mask, cache=cache, cache_age=ids.shape[1], return_intermediates=True)
    return logits[:, -ids.shape[1] :], (text, cache)


STEPS = Steps(start=lambda *_: None, step=step, copy=lambda _, state: state)  # a cache is returned, and none is changed


def language_model(kind: type, **more: Any) -> Callable[[Config], object]:
    """Ids through ``TransformerWrapper`` around a ``Decoder`` or an ``Encoder``; ``more`` are options that are no claims."""

    def build(config: Config) -> object:
        module = TransformerWrapper(**wrapper(config), attn_layers=kind(**{**options(config), **more}))
        return module, lambda module, ids, mask=None: module(ids, mask=mask)

    return build


def stack(kind: type, **more: Any) -> Callable[[Config], object]:
    """An ``Encoder`` over features; as any ``Decoder`` without cross-attention is, with ``causal``."""

    def build(config: Config) -> object:
        def call(module: nn.Module, x: Tensor, mask: Tensor | None = None) -> Any:
            grid = None if mask is None else mask.expand(len(x), config.heads, x.shape[1], -1)
            return module(x, attn_mask=grid)

        return kind(**{**options(config), **more}), call

    return build


def crossing(**more: Any) -> Callable[[Config], object]:
    """A ``Decoder`` that looks at a memory, whose mask is of its keys alone."""

    def build(config: Config) -> object:
        def call(
            module: nn.Module, x: Tensor, memory: Tensor, mask: Tensor | None = None, memory_mask: Tensor | None = None
        ) -> Any:
            own, other = (
                None if each is None else each.expand(len(x), 1, -1, -1)[:, 0, 0] for each in (mask, memory_mask)
            )
            return module(x, context=memory, self_attn_kv_mask=own, context_mask=other)

        return Decoder(**{**options(config), "cross_attend": True, **more}), call

    return build


def translator(**more: Any) -> Callable[[Config], object]:
    """``XTransformer``, whose own call returns a loss: its two halves are called one after the other."""

    def build(config: Config) -> object:
        sides = {"num_tokens": config.vocab, "max_seq_len": config.max_len, **options(config), **more}
        sides |= {"use_abs_pos_emb": config.positions == "learned", "emb_dropout": config.dropout}
        dim = sides.pop("dim")
        named = {f"{side}_{name}": value for side in ("enc", "dec") for name, value in sides.items()}

        def call(
            module: Any,
            source: Tensor,
            target: Tensor,
            source_mask: Tensor | None = None,
            target_mask: Tensor | None = None,
        ) -> Any:
            memory = module.encoder(source, mask=source_mask, return_embeddings=True)
            return module.decoder.net(target, mask=target_mask, context=memory, context_mask=source_mask)

        return XTransformer(dim=dim, tie_token_emb=False, **named), call

    return build


def attention(**more: Any) -> Callable[[Config], object]:
    """The layer ``Attention``."""

    def build(config: Config) -> object:
        module = Attention(
            config.d_model, dim_head=config.d_head, heads=config.heads, kv_heads=config.kv_heads, project_out=True,
            causal=config.causal, **more,
        )  # fmt: skip

        def call(module: nn.Module, query: Tensor, memory: Tensor, mask: Tensor | None = None) -> Any:
            grid = None if mask is None else mask.expand(len(query), config.heads, query.shape[1], -1)
            return module(query, context=None if config.memory == "query" else memory, attn_mask=grid)

        return module, call

    return build


def kernel(config: Config) -> object:
    """``Attend``, what the layer's projections meet in."""
    attend = Attend(heads=config.heads, causal=config.causal, scale=config.d_head**-0.5)

    def call(module: nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Any:
        grid = None if mask is None else mask.expand(len(query), config.heads, query.shape[-2], -1)
        return module(query, key, value, mask=grid)[0]

    return attend, call


BEYOND: Mapping[str, str] = {
    "shift_tokens": "half of a token's features come from the token before it",
    "residual_attn": "scores are added to those of the layer before",
    "sandwich_norm": "norms after the sublayers too",
    "macaron": "a feed-forward network before attention too",
    "gate_residual": "skips through a GRU",
    "orthog_residual": "what a sublayer adds is made orthogonal to the skip",
    "mv_split_residual": "the mean over positions goes a way of its own",
    "attn_orthog_projected_values": "what attention found is made orthogonal to the token's own value",
    "attn_num_mem_kv": "keys and values that are parameters",
    "attn_head_scale": "a factor for each head",
    "attn_pre_talking_heads": "scores mixed over heads",
    "attn_gate_values": "gates on what attention found",
    "unet_skips": "skips from the first layers to the last",
}
"""Options of its README that no claim can say, and what each does."""

ROTARY: dict[str, Any] = {"positions": "rotary", "rotary_pairing": "adjacent"}
SIDES: dict[str, Any] = {
    "padding_sides": ("right", "left")
}  # positions are those of the index, and only their differences count
RMS: dict[str, Any] = {"normalization": "rms", "eps": 0.0}


def subjects() -> Mapping[str, Declaration]:
    """Each under the claims it is judged by."""
    found: dict[str, Declaration] = {}

    def add(name: str, role: Role, build: Callable[[Config], object], *, beyond: str = "", **claims: object) -> None:
        checked = validated(role, {**(USUAL if role is not Role.MULTI_HEAD_ATTENTION else {}), **claims})
        found[name] = Declaration(
            name=name,
            role=role,
            build=build,
            claims=checked,
            beyond=beyond,
            steps=STEPS if checked.get("cache") else None,
        )

    decoder, flash = language_model(Decoder), language_model(Decoder, attn_flash=True)
    exact: dict[str, Any] = {"computes_in": "input"}
    lm: dict[str, Any] = {"role": Role.CAUSAL_LM, "cache": True}
    add("Decoder", **lm, build=decoder, positions="learned")
    add("Decoder rotary", **lm, build=decoder, **ROTARY, **SIDES)
    add("Decoder rotary interpolated", **lm, build=decoder, **ROTARY, **SIDES, rotary_scaling=2.0)
    add("Decoder alibi", **lm, build=decoder, positions="alibi", **SIDES)
    add("Decoder t5-bias", **lm, build=decoder, positions="relative", **SIDES)
    add("Decoder rotary grouped", **lm, build=decoder, **ROTARY, **SIDES, kv_heads="grouped")
    add("Decoder rotary flash", **lm, build=flash, **ROTARY, **SIDES, **exact)
    add("Decoder alibi flash", **lm, build=flash, positions="alibi", **SIDES, **exact)
    add("Decoder rotary window", **lm, build=decoder, **ROTARY, **SIDES, sliding_window=True)
    add("Decoder rotary window flash", **lm, build=flash, **ROTARY, **SIDES, sliding_window=True, **exact)
    add("Decoder rotary softcap", **lm, build=decoder, **ROTARY, **SIDES, soft_cap=2.0)
    add("Decoder rotary rms swiglu", **lm, build=decoder, **ROTARY, **SIDES, **RMS, activation="swiglu")
    add("Decoder rotary qk-rmsnorm", **lm, build=decoder, **ROTARY, **SIDES, query_key_norm="rms")
    add("Decoder post-norm", **lm, build=decoder, positions="learned", norm="post")
    add("Decoder plain gain", **lm, build=decoder, **ROTARY, **SIDES, gain="weight")
    add("Decoder tied", **lm, build=decoder, positions="learned", tied=True, head_scale="inverse-root-d_model")
    add("Decoder shared layers", **lm, build=decoder, **ROTARY, **SIDES, layer_parameters="shared")
    add("Decoder embedding norm", **lm, build=decoder, **ROTARY, **SIDES, gain="weight", embedding_norm=True)
    add("Decoder relu biased", **lm, build=decoder, **ROTARY, **SIDES, activation="relu", bias=True)
    for option, words in BEYOND.items():
        build = language_model(Decoder, **{option: 1})
        add(f"Decoder {option}", **lm, build=build, beyond=words, **ROTARY, **SIDES)
    add("Encoder", Role.MASKED_LM, language_model(Encoder), positions="learned")
    add("Encoder rotary", Role.MASKED_LM, language_model(Encoder), **ROTARY, **SIDES)
    add("Encoder features", Role.ENCODER, stack(Encoder))
    add("Encoder features flash", Role.ENCODER, stack(Encoder, attn_flash=True), **exact)
    add("Encoder features rotary", Role.ENCODER, stack(Encoder), **ROTARY)
    add("Encoder features alibi", Role.ENCODER, stack(Encoder), positions="alibi")
    add("Encoder features t5-bias", Role.ENCODER, stack(Encoder), positions="relative")
    add("Encoder features rms geglu", Role.ENCODER, stack(Encoder), **RMS, activation="geglu")
    add("Decoder cross_attend", Role.DECODER, crossing(), masks="padding", causal=True)
    add("Decoder cross_attend rotary", Role.DECODER, crossing(), masks="padding", causal=True, **ROTARY)
    add("XTransformer", Role.ENCODER_DECODER, translator(), positions="learned")
    add("XTransformer rotary", Role.ENCODER_DECODER, translator(), **ROTARY, **SIDES)
    one: dict[str, Any] = {"role": Role.MULTI_HEAD_ATTENTION, "bias": False, "nothing_visible": "zeros"}
    add("Attention", **one, build=attention(), computes_in="float32")
    add("Attention grouped", **one, build=attention(), computes_in="float32", kv_heads="grouped")
    add("Attention flash", **one, build=attention(flash=True))
    add("Attention causal self", **one, build=attention(), computes_in="float32", causal=True, memory="query")
    heads: dict[str, Any] = {"computes_in": "float32", "nothing_visible": "zeros"}
    for name, more in (("Attend", {}), ("Attend grouped", {"kv_heads": "grouped"})):
        claims = validated(Role.ATTENTION, {**heads, **more})
        found[name] = Declaration(name=name, role=Role.ATTENTION, build=kernel, claims=claims)
    return found
