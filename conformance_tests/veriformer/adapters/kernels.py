"""Functional attention kernels of torch as subjects: what stands behind ``F.scaled_dot_product_attention``, one by one.

And the two causal biases for rectangles. All follow the spec's conventions. ``flex_attention`` is not here: torch 2.13 has no gradient of it
on a CPU, and even without ``torch.compile`` it goes through the compiler, which refuses where operations are watched.
"""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.attention.bias import causal_lower_right, causal_upper_left

from veriformer.declaration import Declaration
from veriformer_spec.config import Config, validated
from veriformer_spec.role import Role


def by(backend: SDPBackend) -> Callable[..., Any]:
    """``F.scaled_dot_product_attention`` on one of its kernels."""

    def kernel(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, config: Config) -> Any:
        with sdpa_kernel(backend):
            return functional.scaled_dot_product_attention(
                query, key, value, attn_mask=mask, enable_gqa=config.kv_heads != config.heads
            )

    return kernel


def aligned(query: Tensor, key: Tensor, value: Tensor, _mask: Tensor | None, config: Config) -> Any:
    """``F.scaled_dot_product_attention`` under a causal bias, at the lower right or at the upper left."""
    bias = causal_lower_right if config.alignment == "end" else causal_upper_left
    return functional.scaled_dot_product_attention(query, key, value, attn_mask=bias(query.shape[-2], key.shape[-2]))


def upper_left(query: Tensor, key: Tensor, value: Tensor, _mask: Tensor | None, _config: Config) -> Any:
    """``is_causal``, which aligns at the upper left."""
    return functional.scaled_dot_product_attention(query, key, value, is_causal=True)


def subjects() -> Mapping[str, Declaration]:
    """Each under the claims it is judged by."""
    found: dict[str, Declaration] = {}

    def add(name: str, kernel: Callable[..., Any], **claims: object) -> None:
        def build(config: Config) -> Callable[..., Any]:
            return lambda query, key, value, mask=None: kernel(query, key, value, mask, config)

        checked = validated(Role.ATTENTION, claims)
        found[name] = Declaration(name=name, role=Role.ATTENTION, build=build, claims=checked, has_module=False)

    add("sdpa math", by(SDPBackend.MATH))
    add("sdpa math grouped", by(SDPBackend.MATH), kv_heads="grouped")
    add("sdpa flash", by(SDPBackend.FLASH_ATTENTION), value_size="key-size")
    add("sdpa causal_lower_right", aligned, causal=True, masks="none", alignment="end")
    add("sdpa causal_upper_left", aligned, causal=True, masks="none", alignment="start")
    add("sdpa is_causal rectangle", upper_left, causal=True, masks="none", alignment="start")
    return found
