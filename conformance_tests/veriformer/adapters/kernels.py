"""Functional attention kernels of torch as subjects: what stands behind ``F.scaled_dot_product_attention``, one by one.

All follow the spec's conventions. Two of torch's are not here. ``flex_attention`` has no gradient on a CPU in torch 2.13, and even without
``torch.compile`` it goes through the compiler, which refuses where operations are watched; the biases ``causal_lower_right`` and
``causal_upper_left`` are tensors of a class that cannot be made there either.
"""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from veriformer.declaration import Declaration
from veriformer_spec.config import Config, validated
from veriformer_spec.role import Role


def by(backend: SDPBackend) -> Callable[..., Any]:
    """``F.scaled_dot_product_attention`` on one of its kernels."""

    def kernel(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, config: Config) -> Any:
        query, key, value = (each.contiguous() for each in (query, key, value))  # the flash kernel refuses others
        with sdpa_kernel(backend):
            return functional.scaled_dot_product_attention(
                query, key, value, attn_mask=mask, enable_gqa=config.kv_heads != config.heads
            )

    return kernel


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
    add("sdpa is_causal rectangle", upper_left, causal=True, masks="none", alignment="start")
    return found
