"""The reference as a subject: it is judged as any other implementation is."""

import functools
from collections.abc import Mapping
from contextlib import AbstractContextManager

from torch import Tensor, nn

import veriformer_reference
from veriformer.declaration import Declaration
from veriformer_reference.build import build as build_reference
from veriformer_spec.config import Config, validated
from veriformer_spec.role import Role


def declaration(role: Role, **claims: object) -> Declaration:
    """The reference in one role, built as the claims say."""

    def build(config: Config) -> object:
        built = build_reference(role, config)
        if isinstance(built, nn.Module):
            built.register_forward_pre_hook(functools.partial(_require_features, config.d_model))
        return built

    said = " ".join(f"{name}={value}" for name, value in claims.items())
    return Declaration(
        name=f"reference.{role} {said}".strip(),
        role=role,
        build=build,
        claims=validated(role, {**_ALWAYS.get(role, {}), **claims}),
        has_module=role is not Role.ATTENTION,
        weights=None if role is Role.ATTENTION else own_weights,
        during=without_shape_checks,
    )


def _require_features(d_model: int, _: nn.Module, arguments: tuple[object, ...]) -> None:
    """The one shape check that is kept: without it one feature alone would be broadcast."""
    for argument in arguments:
        if isinstance(argument, Tensor) and argument.is_floating_point() and argument.shape[-1] != d_model:
            raise ValueError(f"features={argument.shape[-1]} must be {d_model=}")


def without_shape_checks() -> AbstractContextManager[None]:
    """At the suite's sizes the shape checks take ten times as long as the arithmetic."""
    return veriformer_reference.checked(on=False)


_ALWAYS: Mapping[Role, Mapping[str, object]] = {
    Role.ATTENTION: {"nothing_visible": "zeros"},
    Role.ENCODER_LAYER: {"dropout": "on"},
    Role.ENCODER: {"dropout": "on"},
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
    )
