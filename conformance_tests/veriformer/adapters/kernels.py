"""Functional attention kernels of torch as subjects, beside ``F.scaled_dot_product_attention``.

``flex_attention`` as it runs without a compiler, the kernels behind the dispatcher one by one, and the two causal biases for
rectangles. All follow the spec's conventions; ``flex_attention`` takes its mask as a function of indices.
"""

import warnings
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.attention.bias import causal_lower_right, causal_upper_left
from torch.nn.attention.flex_attention import create_block_mask, flex_attention

from veriformer.declaration import Declaration
from veriformer_spec.config import Config, validated
from veriformer_spec.role import Role


def flex(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, config: Config) -> Any:
    """``flex_attention`` under a block mask."""
    batch, q_len, k_len = len(query), query.shape[-2], key.shape[-2]
    grid = None if mask is None else mask.expand(batch, config.heads, q_len, k_len)
    block = None
    if grid is not None or config.causal or config.sliding_window:
        shift = k_len - q_len

        def visible(row: Tensor, head: Tensor, q: Tensor, k: Tensor) -> Tensor:
            seen = k <= k + 0 if grid is None else grid[row, head, q, k]
            if config.causal:
                seen = seen & (k <= q + shift)
            return seen & (q + shift - k < config.window) if config.sliding_window else seen

        block = create_block_mask(visible, batch, config.heads, q_len, k_len, device=query.device)

    def capped(score: Tensor, *_: Tensor) -> Tensor:
        return score if config.soft_cap is None else config.soft_cap * (score / config.soft_cap).tanh()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it would be faster compiled
        return flex_attention(query, key, value, capped, block, enable_gqa=config.kv_heads != config.heads)


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

    add("flex_attention", flex)
    add("flex_attention causal", flex, causal=True, alignment="end")
    add("flex_attention grouped", flex, kv_heads="grouped")
    add("flex_attention window", flex, causal=True, sliding_window=True)
    add("flex_attention soft-cap", flex, soft_cap=2.0)
    add("sdpa math", by(SDPBackend.MATH))
    add("sdpa math grouped", by(SDPBackend.MATH), kv_heads="grouped")
    add("sdpa flash", by(SDPBackend.FLASH_ATTENTION), value_size="key-size")
    add("sdpa causal_lower_right", aligned, causal=True, masks="none", alignment="end")
    add("sdpa causal_upper_left", aligned, causal=True, masks="none", alignment="start")
    add("sdpa is_causal rectangle", upper_left, causal=True, masks="none", alignment="start")
    return found
