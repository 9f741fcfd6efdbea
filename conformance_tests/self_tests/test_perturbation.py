"""Paired perturbation, tested: no edge is seen that is not there, and a planted one is found, however weak."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import veriformer
from veriformer import perturbation
from veriformer.adapters import reference
from veriformer.case import SIDES, Case
from veriformer.dropout import in_training
from veriformer.faults.fault import declared
from veriformer.masks import causal_grid
from veriformer.outcome import Vacuous, Violation
from veriformer.subjects import Subject
from veriformer.visibility import may_see, may_see_queries, must_see
from veriformer_spec.role import ATTENDING, CROSS_ATTENDING, LAYERED, MODELS, Role

EVERY_ROW = perturbation.EVERY_ROW
PATHS = (False, True)


def attention_case(mask: str = "arbitrary", seed: int = 0) -> Case:
    return Case(
        role=Role.ATTENTION, batch=2, q_len=4, k_len=4, d_model=8, heads=2, kv_heads=2, d_value=4, mask=mask, seed=seed
    )


def bare(attend: Any) -> Subject:
    return Subject(declared(veriformer.subject("attention", module=None)(lambda config: attend)))


def with_weak_leak(strength: float) -> Subject:
    def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask) + strength * k.mean((1, 2), keepdim=True).mean(
            -1, keepdim=True
        )

    return bare(attend)


def role_case(role: Role, mask: str, seed: int, side: str = "self") -> Case:
    return Case(
        role=role,
        batch=2,
        q_len=5,
        k_len=5 if side == "self" else 4,
        d_model=8,
        heads=2,
        kv_heads=2,
        d_value=4,
        d_ff=8,
        layers=2 if role in LAYERED else 1,
        vocab=7 if role in MODELS else 0,
        side=side,
        context=3 if role in CROSS_ATTENDING and side == "self" else 0,
        mask=mask,
        seed=seed,
    )


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("mask", ["arbitrary", "padding", "causal"])
@pytest.mark.parametrize("role", ATTENDING)
@pytest.mark.parametrize("side", SIDES)
def test_correct_code_shows_no_false_edge(role: Role, mask: str, dtype: torch.dtype, side: str) -> None:
    subject = Subject(reference.declaration(role), dtype=dtype, rounds_to=dtype)
    if (role not in CROSS_ATTENDING or mask == "causal") and side == "cross":
        pytest.skip("one key side, or a mask that says nothing about the memory")
    if mask not in subject.masks:
        pytest.skip("the role takes no such mask")
    for seed in range(3):
        one = role_case(role, mask, seed, side)
        instance, inputs = subject.instance(one), subject.inputs(one)
        may, must = may_see(one, inputs), must_see(one, inputs)
        for grad in PATHS:
            apart, _ = perturbation.key_influence(instance, inputs, EVERY_ROW, seed, grad=grad)
            assert not bool((apart[~may] != 0).any())
            assert not bool(perturbation.missing_influence(instance, inputs, EVERY_ROW, must, seed, grad=grad).any())
            apart, _ = perturbation.query_influence(instance, inputs, EVERY_ROW, seed, grad=grad)
            assert not bool((apart[~may_see_queries(one, inputs)] != 0).any())


def test_the_fused_layer_of_torch_shows_no_false_edge() -> None:
    def call(module: nn.Module, x: Tensor, mask: Tensor) -> Any:
        return module(x, src_mask=~mask[0, 0])

    build = veriformer.subject("encoder-layer", masks=("causal",))(
        lambda config: (
            nn.TransformerEncoderLayer(config.d_model, config.heads, config.d_ff, 0.0, batch_first=True),
            call,
        )
    )
    subject = Subject(declared(build))
    one = role_case(Role.ENCODER_LAYER, "causal", 1)
    instance, inputs = subject.instance(one), subject.inputs(one)
    for grad in PATHS:
        apart, _ = perturbation.key_influence(instance, inputs, EVERY_ROW, 0, grad=grad)
        assert torch.equal((apart > 0)[0], causal_grid(5, 5))


@pytest.mark.parametrize("strength", [1.0, 1e-6, 1e-10])
@pytest.mark.parametrize("grad", PATHS)
def test_a_planted_leak_is_found_however_weak(strength: float, grad: bool) -> None:
    subject = with_weak_leak(strength)
    one = attention_case()
    instance, inputs = subject.instance(one), subject.inputs(one)
    with pytest.raises(Violation, match="leaks: query"):
        perturbation.require_invisible(instance, inputs, EVERY_ROW, ~inputs.visible(), "leaks", seed=0, grad=grad)


def test_a_difference_that_rounding_explains_is_no_leak() -> None:
    subject = with_weak_leak(1e-16)
    one = attention_case()
    instance, inputs = subject.instance(one), subject.inputs(one)
    perturbation.require_invisible(instance, inputs, EVERY_ROW, ~inputs.visible(), "leaks", seed=0, grad=False)


def test_the_message_names_row_query_and_key() -> None:
    def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        out[1, :, 2] += k[1, :, 3, :1]
        return out

    subject = bare(attend)
    one = attention_case("causal")
    instance, inputs = subject.instance(one), subject.inputs(one)
    with pytest.raises(
        Violation, match=r"seen: query 2 of row 1 changes with key 3 \(in evaluation, without gradients\)"
    ) as seen:
        perturbation.require_invisible(instance, inputs, EVERY_ROW, ~inputs.visible(), "seen", seed=0, grad=False)
    assert seen.value.evidence.index == [1, 2, 3]


@pytest.mark.parametrize("value", [0.0, float("nan")])
def test_a_constant_shows_nothing_and_is_said_to(value: float) -> None:
    subject = bare(lambda q, k, v, mask=None: torch.full_like(q, value))
    one = attention_case()
    instance, inputs = subject.instance(one), subject.inputs(one)
    with pytest.raises(Vacuous):
        perturbation.require_invisible(instance, inputs, EVERY_ROW, ~inputs.visible(), "leaks", seed=0, grad=False)
    with pytest.raises(Violation, match="does not depend on key"):
        perturbation.require_visible(instance, inputs, EVERY_ROW, inputs.visible(), "missing", seed=0, grad=False)


def test_a_dependency_too_weak_for_bits_is_found_by_its_gradient() -> None:
    subject = bare(lambda q, k, v, mask=None: F.scaled_dot_product_attention(q, k, v, scale=1e-3) + 1e18)
    one = attention_case("none")
    instance, inputs = subject.instance(one), subject.inputs(one)
    apart, _ = perturbation.key_influence(instance, inputs, EVERY_ROW, 0, grad=False)
    assert not bool(apart.any())
    assert perturbation.sees_by_gradient(instance, inputs, 0, 1, 2)
    perturbation.require_visible(instance, inputs, EVERY_ROW, inputs.visible(), "missing", seed=0, grad=False)


def test_queries_that_know_each_other_are_found() -> None:
    subject = bare(lambda q, k, v, mask=None: F.scaled_dot_product_attention(q - q.mean(2, keepdim=True), k, v))
    one = attention_case("none")
    with pytest.raises(Violation, match="the output at query"):
        perturbation.require_queries_apart(
            subject.instance(one), subject.inputs(one), EVERY_ROW, "apart", seed=0, grad=False
        )


def test_one_row_and_every_row_agree() -> None:
    subject = Subject(reference.declaration(Role.ENCODER_LAYER))
    one = role_case(Role.ENCODER_LAYER, "arbitrary", 2)
    instance, inputs = subject.instance(one), subject.inputs(one)
    alone, _ = perturbation.key_influence(instance, inputs, 1, 0, grad=False)
    together, _ = perturbation.key_influence(instance, inputs, EVERY_ROW, 0, grad=False)
    assert torch.equal(alone > 0, together[1] > 0)


class Moody(nn.Module):
    """Masks in evaluation only."""

    def forward(self, query: Tensor, memory: Tensor, mask: Tensor | None = None) -> Tensor:
        return F.scaled_dot_product_attention(
            query, memory, memory, attn_mask=None if self.training or mask is None else mask[:, 0]
        )


def test_every_path_is_walked_and_evaluation_comes_back() -> None:
    subject = Subject(declared(veriformer.subject("multi-head-attention")(lambda config: Moody())))
    one = role_case(Role.MULTI_HEAD_ATTENTION, "causal", 0)
    instance, inputs = subject.instance(one), subject.inputs(one)
    with pytest.raises(Violation, match="in training"):
        perturbation.on_every_path(
            instance,
            lambda grad: perturbation.require_invisible(
                instance, inputs, EVERY_ROW, ~inputs.visible(), "seen", seed=0, grad=grad
            ),
        )
    assert instance.module is not None
    assert not instance.module.training


def test_a_bare_function_has_no_training_path() -> None:
    subject = with_weak_leak(0.0)
    walked: list[bool] = []
    instance = subject.instance(attention_case())
    perturbation.on_every_path(instance, walked.append)
    assert walked == [False, True]
    with in_training(instance) as neutral:
        assert instance.module is None
        assert neutral is None
