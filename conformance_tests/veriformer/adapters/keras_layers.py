"""Keras' attention layers on torch as subjects.

What the adapter translates: values come before keys in the call; a mask is ``batch heads q_len k_len``, True where a query may look.
"""

import os
from collections.abc import Callable, Mapping
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")
import keras
from torch import Tensor

from veriformer.declaration import Declaration, UsageError
from veriformer_spec.config import Config, validated
from veriformer_spec.role import Role

if keras.backend.backend() != "torch":
    raise UsageError(f"KERAS_BACKEND is {keras.backend.backend()}: the layers are judged on torch")


def full(mask: Tensor | None, config: Config, query: Tensor) -> Tensor | None:
    """The mask with every axis written out."""
    return None if mask is None else mask.expand(len(query), config.heads, query.shape[1], -1)


def follow(module: Any) -> None:
    """A layer computes in the dtype of its policy, whatever became of its tensors."""
    policy = keras.DTypePolicy(str(next(module.parameters()).dtype).removeprefix("torch."))
    for each in module._flatten_layers():  # noqa: SLF001  # there is no public way
        each.dtype_policy = policy


def layer(make: Callable[[Config], Any], **called: Any) -> Callable[[Config], object]:
    """A layer, built for its features; ``called`` is passed with every call."""

    def build(config: Config) -> object:
        module = make(config)
        shape = (None, None, config.d_model)
        module.build(shape, shape)

        def call(module: Any, query: Tensor, memory: Tensor, mask: Tensor | None = None) -> Any:
            follow(module)
            with keras.device(str(query.device)):  # Keras moves what it is given to a device of its own
                found = module(
                    query,
                    query if config.memory == "query" else memory,
                    attention_mask=full(mask, config, query),
                    use_causal_mask=config.causal,
                    training=module.training,
                    **called,
                )
            return found[0] if isinstance(found, tuple) else found

        return module, call

    return build


def multi_head(config: Config) -> Any:
    """``MultiHeadAttention``."""
    return keras.layers.MultiHeadAttention(
        config.heads, config.d_head, use_bias=config.bias, name="attention",
        sliding_window=config.window if config.sliding_window else None,
    )  # fmt: skip


def grouped(config: Config) -> Any:
    """``GroupQueryAttention``."""
    return keras.layers.GroupQueryAttention(
        config.d_head, config.heads, config.kv_heads, use_bias=config.bias, name="attention",
        sliding_window=config.window if config.sliding_window else None,
    )  # fmt: skip


def subjects() -> Mapping[str, Declaration]:
    """Each under the claims it is judged by."""
    found: dict[str, Declaration] = {}

    def add(
        name: str, make: Callable[[Config], Any], called: Mapping[str, Any] | None = None, **claims: object
    ) -> None:
        role = Role.MULTI_HEAD_ATTENTION
        found[name] = Declaration(
            name=name, role=role, build=layer(make, **(called or {})), claims=validated(role, claims)
        )

    scores: dict[str, Any] = {"return_attention_scores": True}
    fused: dict[str, Any] = {"computes_in": "float32"}  # the path without scores rounds float64
    windowed: dict[str, Any] = {"memory": "query", "causal": True, "sliding_window": True}
    kinds: tuple[tuple[str, Callable[[Config], Any], dict[str, Any]], ...] = (
        ("MultiHeadAttention", multi_head, {}),
        ("GroupQueryAttention", grouped, {"kv_heads": "grouped"}),
    )
    for name, make, more in kinds:
        add(name, make, **fused, **more)
        add(f"{name} scores", make, scores, **more)
        add(f"{name} bias=False", make, bias=False, **fused, **more)
        add(f"{name} causal", make, **fused, causal=True, memory="query", **more)
        add(f"{name} causal scores", make, scores, causal=True, memory="query", **more)
        add(f"{name} window", make, **fused, **windowed, **more)
    return found
