"""The reference as a subject: it is judged as any other implementation is."""

import functools
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from torch import Tensor, nn

import veriformer_reference
from veriformer.declaration import Declaration
from veriformer.steps import Steps
from veriformer_reference import cache
from veriformer_reference.build import build as build_reference
from veriformer_spec.config import Config, validated
from veriformer_spec.profiles import PROFILES, Profile
from veriformer_spec.role import PARAMETRIC, Role


def declaration(role: Role, **claims: object) -> Declaration:
    """The reference in one role, built as the claims say."""
    said = " ".join(f"{name}={value}" for name, value in claims.items())
    return named(f"{role} {said}".strip(), role, {**_ALWAYS.get(role, {}), **claims})


def profile(known: Profile) -> Declaration:
    """The reference as a known model."""
    return named(known.name, known.role, known.claims)


def named(name: str, role: Role, claims: Mapping[str, object]) -> Declaration:
    """The reference in one role, under a name."""

    def build(config: Config) -> object:
        built = build_reference(role, config)
        if isinstance(built, nn.Module) and role in PARAMETRIC:
            features = config.d_input if config.entrance == "projection" else config.d_model
            built.register_forward_pre_hook(functools.partial(_require_features, features))
        return built

    checked = validated(role, claims)
    return Declaration(
        name=f"reference.{name}",
        role=role,
        build=build,
        claims=checked,
        has_module=role is not Role.ATTENTION,
        weights=own_weights if role in (*PARAMETRIC, Role.ATTENTION_BIAS) else None,
        steps=STEPS if checked.get("cache") else None,
        during=without_shape_checks,
    )


def _now(name: str) -> Callable[..., Any]:
    """A function of the cache, looked up in each call, so that a fault can be planted there."""

    def call(*given: Any) -> Any:
        return getattr(cache, name)(*given)

    return call


STEPS = Steps(start=_now("start"), step=_now("step"), reorder=_now("reorder"), copy=_now("copy"))
"""How the reference goes on from what it has read."""


def _require_features(wanted: int, _: nn.Module, arguments: tuple[object, ...]) -> None:
    """The one shape check that is kept: without it one feature alone would be broadcast."""
    for argument in arguments:
        if isinstance(argument, Tensor) and argument.is_floating_point() and argument.shape[-1] != wanted:
            raise ValueError(f"features={argument.shape[-1]} must be {wanted}")


def without_shape_checks() -> AbstractContextManager[None]:
    """At the suite's sizes the shape checks take ten times as long as the arithmetic."""
    return veriformer_reference.checked(on=False)


_ALWAYS: Mapping[Role, Mapping[str, object]] = {
    Role.ATTENTION: {"nothing_visible": "zeros"},
    Role.ENCODER_LAYER: {"dropout": "on"},
    Role.ENCODER: {"dropout": "on"},
    Role.DECODER_LAYER: {"dropout": "on"},
    Role.DECODER: {"dropout": "on"},
    Role.GENERATION: {"strategies": ("greedy", "beam", "sample")},
}
"""What the reference claims beyond the defaults."""


def own_weights(module: nn.Module) -> Mapping[str, Tensor]:
    """The reference's names are its own."""
    return dict(module.named_parameters())


@functools.cache
def declarations() -> tuple[Declaration, ...]:
    """The reference in every role, and once more where another claim makes it another function."""
    return (
        declaration(Role.ATTENTION),
        declaration(Role.ATTENTION, causal=True),
        declaration(Role.ATTENTION, kv_heads="grouped"),
        declaration(Role.ATTENTION, scale="none"),
        declaration(Role.MULTI_HEAD_ATTENTION),
        declaration(Role.MULTI_HEAD_ATTENTION, kv_heads="grouped", bias=False),
        declaration(Role.MULTI_HEAD_ATTENTION, causal=True, memory="query"),
        declaration(Role.LAYER_NORM),
        declaration(Role.LAYER_NORM, gain="one-plus-weight", norm_bias=False, eps=1e-6),
        declaration(Role.RMS_NORM),
        declaration(Role.RMS_NORM, computes_in="float32"),
        declaration(Role.FEED_FORWARD),
        declaration(Role.FEED_FORWARD, activation="swiglu", bias=False),
        declaration(Role.POSITIONAL_ENCODING),
        declaration(Role.POSITIONAL_ENCODING, encoding="learned"),
        declaration(Role.ENCODER_LAYER),
        declaration(Role.ENCODER_LAYER, norm="pre", activation="gelu"),
        declaration(
            Role.ENCODER_LAYER,
            norm="pre",
            normalization="rms",
            activation="swiglu",
            bias=False,
            kv_heads="grouped",
            causal=True,
        ),
        declaration(Role.ENCODER),
        declaration(Role.ENCODER, norm="pre", positions="sinusoidal"),
        declaration(Role.ENCODER, positions="learned", layer_parameters="shared"),
        *_family(),
        *map(profile, PROFILES.values()),
    )


def _family() -> tuple[Declaration, ...]:
    """The rest of the family, role by role."""
    return (
        declaration(Role.SELF_ATTENTION),
        declaration(Role.SELF_ATTENTION, causal=True, scale="inverse-root"),
        declaration(Role.ADDITIVE_ATTENTION),
        declaration(Role.ROTARY_ENCODING),
        declaration(Role.ROTARY_ENCODING, rotary_pairing="adjacent", rotary_scaling=2.0),
        declaration(Role.ATTENTION_BIAS),
        declaration(Role.ATTENTION_BIAS, bias_kind="relative"),
        declaration(Role.ATTENTION_BIAS, bias_kind="relative", direction="bidirectional"),
        declaration(Role.TOKEN_EMBEDDING),
        declaration(Role.TOKEN_EMBEDDING, embedding_scale="root-d_model", padding_row="frozen", segments=True),
        declaration(Role.MULTI_HEAD_ATTENTION, positions="rotary", query_key_norm="rms", memory="query"),
        declaration(Role.MULTI_HEAD_ATTENTION, positions="alibi", soft_cap=2.0, causal=True, memory="query"),
        declaration(Role.ENCODER_LAYER, causal=True, sliding_window=True),
        declaration(Role.ENCODER, positions="relative", entrance="projection"),
        declaration(Role.DECODER_LAYER),
        declaration(Role.DECODER_LAYER, norm="pre", normalization="rms", activation="swiglu", bias=False, causal=True),
        declaration(Role.DECODER),
        declaration(Role.DECODER, norm="pre", positions="sinusoidal", causal=True, kv_heads="grouped"),
        declaration(
            Role.CAUSAL_LM, norm="pre", positions="alibi", sliding_window=True, cache=True, padding_sides="left"
        ),
        declaration(Role.DROPOUT),
        declaration(Role.LOSS),
        declaration(Role.LOSS, shifts=False, smoothing="other-classes"),
        declaration(Role.LEARNING_RATE_SCHEDULE),
        declaration(Role.GENERATION),
    )
