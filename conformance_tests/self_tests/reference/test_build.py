"""``build`` has witnesses of its own: every role with every claim value is called as the specification says."""

import dataclasses
import inspect
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

import veriformer_reference
from veriformer_reference import heads, position
from veriformer_reference.build import build
from veriformer_spec.config import CLAIMS, FIELDS, Config, validated
from veriformer_spec.interface import PROTOCOLS
from veriformer_spec.role import Role

Draw = Callable[..., Tensor]


CPU = torch.device("cpu")


def call(
    role: Role, config: Config, draw: Draw, dtype: torch.dtype, device: torch.device = CPU
) -> tuple[Tensor, tuple[int, ...]]:
    """The reference's output for one drawn input with a mask, and the shape that the role promises."""
    subject = build(role, config)
    if isinstance(subject, nn.Module):
        subject.to(device, dtype)

    def tensor(*shape: int) -> Tensor:
        return draw(*shape).to(device, dtype).requires_grad_()

    x = tensor(2, 5, config.d_model)
    mask = torch.ones(1, 1, 5, 5, dtype=torch.bool, device=device).tril()
    if role is Role.ATTENTION:
        query, key = tensor(2, config.heads, 5, config.d_head), tensor(2, config.kv_heads, 5, config.d_head)
        value = tensor(2, config.kv_heads, 5, config.d_value)
        return subject(query, key, value, mask), (2, config.heads, 5, config.d_value)
    if role is Role.MULTI_HEAD_ATTENTION:
        return subject(x, tensor(2, 5, config.d_model), mask), (2, 5, config.d_model)
    if role in (Role.ENCODER_LAYER, Role.ENCODER):
        return subject(x, mask), (2, 5, config.d_model)
    return subject(x), (2, 5, config.d_model)


def every_claim() -> Iterator[Any]:
    """Each role with each value of each claim that means something for it and reaches the reference."""
    for role in Role:
        yield pytest.param(role, {}, id=f"{role}")
        for name in validated(role, {}):
            values = {"scale": (*CLAIMS["scale"].values, 0.4), "eps": (0, 1e-6)}.get(name, CLAIMS[name].values)
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
    for dtype in (torch.float64, torch.float32, torch.bfloat16, torch.float16):
        output, shape = call(role, dataclasses.replace(Config(), **claims), draw, dtype)
        assert tuple(output.shape) == shape
        assert output.dtype == dtype
        assert output.isfinite().all()
        output.sum().backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped


@pytest.mark.parametrize("claims", [{}, {"causal": True, "positions": "sinusoidal"}, {"positions": "learned"}])
@pytest.mark.parametrize("role", Role)
def test_everything_follows_the_module_to_its_device(draw: Draw, role: Role, claims: dict[str, Any]) -> None:
    """On the meta device, which stands in for CUDA, no operation meets a tensor left on the CPU."""
    output, shape = call(role, Config(**claims), draw, torch.float32, torch.device("meta"))
    assert output.device.type == "meta"
    assert tuple(output.shape) == shape


@pytest.mark.parametrize("role", Role)
def test_the_call_is_the_interface(role: Role) -> None:
    """Parameter names, order and defaults are those of the role's Protocol."""
    subject = build(role, Config())
    ours = inspect.signature(subject.forward if isinstance(subject, nn.Module) else subject)
    protocol: Any = PROTOCOLS[role]
    theirs = inspect.signature(protocol.forward)
    wanted = [(each.name, each.default) for each in theirs.parameters.values() if each.name != "self"]
    assert [(each.name, each.default) for each in ours.parameters.values()] == wanted


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
    with veriformer_reference.checked(False), pytest.raises(AssertionError, match="decoder"):
        build(cast("Role", "decoder"), Config())


def test_encoding_is_as_claimed() -> None:
    """The claim ``encoding`` picks the table of the positional encoding."""
    assert isinstance(build(Role.POSITIONAL_ENCODING, Config()), position.SinusoidalEncoding)
    assert isinstance(build(Role.POSITIONAL_ENCODING, Config(encoding="learned")), position.LearnedEncoding)
