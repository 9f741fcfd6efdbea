"""The tolerance lets every correct kernel pass, and nothing that is one per cent off."""

# mypy: ignore-errors
# Subjects as users write them: without types.

import dataclasses

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import veriformer
from veriformer import tolerance
from veriformer.case import Case
from veriformer.faults import tutorial
from veriformer.faults.fault import declared
from veriformer.outcome import Violation
from veriformer.preflight import prepared
from veriformer.property import properties
from veriformer_spec.role import Role

CHECKS = [each.check for each in properties()["numerics.error-within-rounding"]][:1]


def _library_layer(config):
    layer = nn.TransformerEncoderLayer(config.d_model, config.heads, config.d_ff, dropout=0.0, batch_first=True)
    return layer, lambda m, x, mask=None: m(
        x, None if mask is None else _hidden(mask, len(x), config.heads, x.shape[1])
    )


def _library_attention(config):
    attention = nn.MultiheadAttention(config.d_model, config.heads, batch_first=True)

    def call(module, query, memory, mask=None):
        hidden = None if mask is None else _hidden(mask, len(query), config.heads, query.shape[1])
        return module(query, memory, memory, attn_mask=hidden, need_weights=False)[0]

    return attention, call


def _hidden(mask, batch, heads, q_len):
    return ~mask.expand(batch, heads, q_len, -1).flatten(0, 1)


KERNELS = {
    "fused attention": veriformer.subject("attention", module=None)(
        lambda config: lambda q, k, v, mask=None: F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    ),
    "torch's multi-head attention": veriformer.subject("multi-head-attention")(_library_attention),
    "torch's encoder layer, fast and slow": veriformer.subject("encoder-layer")(_library_layer),
}


def cases_of(role: Role, count: int):
    random = torch.Generator().manual_seed(7)

    def draw(low: int, high: int) -> int:
        return int(torch.randint(low, high + 1, (1,), generator=random))

    kinds = ("none", "causal", "padding", "arbitrary")
    for seed in range(count):
        heads, kind = draw(1, 4), kinds[draw(0, 3)]
        q_len = draw(1, 32)
        k_len = q_len if kind == "causal" or role is Role.ENCODER_LAYER else draw(1, 32)
        d_head = draw(2, 16)
        yield Case(
            role=role, batch=draw(1, 3), q_len=q_len, k_len=k_len, d_model=heads * d_head, heads=heads, kv_heads=heads,
            d_value=d_head, d_ff=draw(4, 64), mask=kind, seed=seed,
        )  # fmt: skip


@pytest.mark.parametrize("build", KERNELS.values(), ids=KERNELS)
def test_correct_kernels_never_fail(build):
    subject = prepared(declared(build)).subject
    for case in cases_of(subject.role, 100):
        for check in CHECKS:
            check(subject, case)


@pytest.mark.parametrize("error", [1e-2, 1e-4])
def test_one_per_cent_in_float32_fails(error):
    class Off(tutorial.Block):
        def forward(self, x, mask=None):
            out = super().forward(x, mask)
            return out * (1 + error) if out.dtype is torch.float32 else out

    subject = prepared(declared(veriformer.subject("encoder-layer")(Off))).subject
    for case in cases_of(subject.role, 20):
        for check in CHECKS:
            with pytest.raises(Violation, match="further from its float64 result"):
                check(subject, dataclasses.replace(case, d_model=24, heads=4, kv_heads=4))


def test_zeros_and_nan_are_never_close():
    exact = torch.randn(3, 4, dtype=torch.float64)
    for got in (torch.zeros_like(exact), exact * torch.nan, exact * 1.0001):
        with pytest.raises(Violation):
            tolerance.require_close(got, exact, "it", dtype=torch.float32, again=lambda: exact * 1.0)


def test_the_envelope_follows_the_conditioning():
    ill = torch.tensor([1e8, 1.0], dtype=torch.float64)

    def cancelling():
        return (ill * 1.0).sum() - ill[0]

    assert tolerance.envelope(cancelling, 2.0**-24) > 1
    assert tolerance.envelope(lambda: ill * 1.0, 2.0**-24) < 1e2


def test_noise_leaves_masks_of_numbers_alone() -> None:
    """Code that multiplies masks of ones and asks where the product is one is no ill-conditioned code: its envelope is small."""
    x = torch.linspace(1, 2, 16, dtype=torch.float64).view(4, 4)

    def banded() -> torch.Tensor:
        ones = torch.ones(4, 4, dtype=torch.float64)
        return torch.where(ones.triu() * ones.tril(1) == 1, x, -1e9).softmax(-1)

    assert tolerance.envelope(banded, 2.0**-24) < 1e-5
