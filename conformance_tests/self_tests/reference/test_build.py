"""``build`` has witnesses of its own: every role with every claim value is called as the specification says."""

import dataclasses
import inspect
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

import veriformer_reference
from self_tests.reference import calls
from veriformer_reference import heads, position
from veriformer_reference.build import build
from veriformer_spec.config import CLAIMS, FIELDS, Config, validated
from veriformer_spec.interface import PROTOCOLS
from veriformer_spec.role import Role

Draw = Callable[..., Tensor]


NOT_CALLED_WITH_REAL_NUMBERS = {Role.GENERATION, Role.LEARNING_RATE_SCHEDULE}
"""Roles whose result is a text, or a number: they have neither dtype nor gradient."""


def call(
    role: Role, config: Config, draw: Draw, dtype: torch.dtype, device: torch.device = calls.CPU
) -> tuple[Any, tuple[int, ...]]:
    """The reference's output for one drawn input with a mask, and the shape that the role promises."""
    subject = build(role, config)
    if isinstance(subject, nn.Module):
        subject.to(device, dtype)

    def tensor(*shape: int) -> Tensor:
        return draw(*shape).to(device, dtype).requires_grad_()

    positional, named, shape = calls.arguments(role, config, tensor, device)
    return subject(*positional, **named), shape


NUMBERS: dict[str, tuple[object, ...]] = {
    "scale": (*CLAIMS["scale"].values, 0.4),
    "eps": (0, 1e-6),
    "soft_cap": (None, 2.0),
    "rotary_base": (100.0,),
    "rotary_scaling": (4.0,),
}
"""Values of the claims that take numbers."""


def every_claim() -> Iterator[Any]:
    """Each role with each value of each claim that means something for it and reaches the reference."""
    for role in Role:
        yield pytest.param(role, {}, id=f"{role}")
        for name in validated(role, {}):
            values = NUMBERS.get(name, CLAIMS[name].values)
            for value in values:
                if name == "kv_heads":
                    yield pytest.param(role, {"kv_heads": 2 if value == "grouped" else 4}, id=f"{role}-{name}-{value}")
                elif name == "value_size":
                    yield pytest.param(role, {"d_value": 9 if value == "any" else 6}, id=f"{role}-{name}-{value}")
                elif name == "dropout":
                    yield pytest.param(role, {"dropout": 0.3 if value == "on" else 0.0}, id=f"{role}-{name}-{value}")
                elif name in FIELDS:
                    yield pytest.param(role, {name: value}, id=f"{role}-{name}-{value}")


@pytest.mark.parametrize(("role", "claims"), list(every_claim()))
def test_every_claim_builds(draw: Draw, role: Role, claims: dict[str, Any]) -> None:
    """The output has the promised shape and the input's dtype, and it and the gradient are finite."""
    every = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
    for dtype in every[:: 2 if claims else 1]:
        output, shape = call(role, dataclasses.replace(Config(), **claims), draw, dtype)
        if role is Role.LEARNING_RATE_SCHEDULE:
            assert isinstance(output, float)
            continue
        assert tuple(output.shape) == shape
        assert output.isfinite().all()
        if role in NOT_CALLED_WITH_REAL_NUMBERS:
            continue
        if role is Role.ATTENTION_BIAS and claims.get("bias_kind", "alibi") == "alibi":
            assert output.dtype == torch.float64  # nothing that it is given has a dtype
            continue
        assert output.dtype == dtype
        output.sum().backward()


NO_DEVICE = {*NOT_CALLED_WITH_REAL_NUMBERS, Role.ATTENTION_BIAS, Role.LOSS}
"""Roles that are told no device, or look at the numbers, which a tensor on the meta device has not."""


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"causal": True, "positions": "sinusoidal", "sliding_window": True},
        {"positions": "learned"},
        {"positions": "rotary"},
        {"positions": "alibi"},
        {"positions": "relative"},
    ],
)
@pytest.mark.parametrize("role", [role for role in Role if role not in NO_DEVICE])
def test_everything_follows_the_module_to_its_device(draw: Draw, role: Role, claims: dict[str, Any]) -> None:
    """On the meta device, which stands in for CUDA, no operation meets a tensor left on the CPU."""
    output, shape = call(role, Config(**claims), draw, torch.float32, torch.device("meta"))
    assert output.device.type == "meta"
    assert tuple(output.shape) == shape


@pytest.mark.parametrize("role", Role)
def test_the_call_is_the_interface(role: Role) -> None:
    """Parameter names, order and defaults are those of the role's Protocol; positions may follow, which nobody has to pass."""
    subject = build(role, Config())
    ours = inspect.signature(subject.forward if isinstance(subject, nn.Module) else subject)
    protocol: Any = PROTOCOLS[role]
    theirs = inspect.signature(protocol.forward)
    wanted = [(each.name, each.default) for each in theirs.parameters.values() if each.name != "self"]
    got = [(each.name, each.default) for each in ours.parameters.values()]
    assert got[: len(wanted)] == wanted
    assert got[len(wanted) :] in ([], [("positions", None)])


def test_attention_is_bound_to_its_claims(draw: Draw) -> None:
    """Scale, causality and grouping come from the configuration, not from defaults."""
    query, key, value = draw(2, 4, 5, 6), draw(2, 2, 5, 6), draw(2, 2, 5, 6)
    plain = build(Role.ATTENTION, Config())
    bound = build(Role.ATTENTION, Config(scale=0.9, causal=True))
    got = bound(query, key, value)
    assert torch.equal(got, heads.attend(query, key, value, scale=0.9, causal=True))
    assert not torch.allclose(got, plain(query, key, value))


def test_a_role_without_a_reference_raises() -> None:
    """A role that is new to the specification is refused, and not built as another one."""
    with veriformer_reference.checked(False), pytest.raises(AssertionError, match="diffusion"):
        build(cast("Role", "diffusion"), Config())


def test_encoding_is_as_claimed() -> None:
    """The claim ``encoding`` picks the table of the positional encoding."""
    assert isinstance(build(Role.POSITIONAL_ENCODING, Config()), position.SinusoidalEncoding)
    assert isinstance(build(Role.POSITIONAL_ENCODING, Config(encoding="learned")), position.LearnedEncoding)
