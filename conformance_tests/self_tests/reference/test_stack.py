"""The stack has a witness of its own: nn.TransformerEncoderLayer and nn.TransformerEncoder with the same weights."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from veriformer_reference import stack
from veriformer_spec.config import Config

Agree = Callable[[Tensor, Tensor], None]
Draw = Callable[..., Tensor]


def randomised(module: nn.Module) -> nn.Module:
    """Evaluation in float64, with gains and shifts that cannot hide behind ones and zeros."""
    torch.manual_seed(11)
    module.double().eval()
    with torch.no_grad():
        for name, each in module.named_parameters():
            if name.endswith(("gain", "shift")):
                each.normal_()
    return module


def layer(**claims: Any) -> stack.EncoderLayer:
    """The reference layer, its parameters the same in every run."""
    torch.manual_seed(11)
    made = stack.EncoderLayer(Config(**claims))
    randomised(made)
    return made


def encoder(**claims: Any) -> stack.Encoder:
    """The reference stack, its parameters the same in every run."""
    torch.manual_seed(11)
    made = stack.Encoder(Config(**claims))
    randomised(made)
    return made


def torch_names(state: dict[str, Tensor], prefix: str = "") -> dict[str, Tensor]:
    """One reference layer's parameters under the names of nn.TransformerEncoderLayer."""
    parts = ("query", "key", "value")
    renamed = {
        "self_attn.out_proj.": "attention.output.",
        "linear1.": "feed_forward.hidden.",
        "linear2.": "feed_forward.output.",
    }
    ported = {}
    for kind in ("weight", "bias"):
        if f"{prefix}attention.query.{kind}" in state:
            stacked = [state[f"{prefix}attention.{part}.{kind}"] for part in parts]
            ported[f"self_attn.in_proj_{kind}"] = torch.cat(stacked)
            ported |= {f"{theirs}{kind}": state[f"{prefix}{ours}{kind}"] for theirs, ours in renamed.items()}
    for theirs, ours in (("norm1", "attention_norm"), ("norm2", "feed_forward_norm")):
        for theirs_kind, ours_kind in (("weight", "gain"), ("bias", "shift")):
            if f"{prefix}{ours}.{ours_kind}" in state:
                ported[f"{theirs}.{theirs_kind}"] = state[f"{prefix}{ours}.{ours_kind}"]
    return ported


def torch_layer(config: Config) -> nn.TransformerEncoderLayer:
    """PyTorch's layer of the same sizes and claims."""
    return nn.TransformerEncoderLayer(
        config.d_model,
        config.heads,
        config.d_ff,
        dropout=0.0,
        activation=config.activation,
        layer_norm_eps=config.eps,
        batch_first=True,
        norm_first=config.norm == "pre",
        bias=config.bias,
        dtype=torch.float64,
    )


def some_mask(draw: Draw) -> Tensor:
    """An arbitrary mask in which every token sees itself."""
    return (draw(1, 1, 5, 5) > 0) | torch.eye(5, dtype=torch.bool)


@pytest.mark.parametrize("norm", ["pre", "post"])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("eps", [1e-5, 0.1])
def test_layer_equals_torch(
    assert_agree: Agree, draw: Draw, norm: str, activation: str, bias: bool, eps: float
) -> None:
    """nn.TransformerEncoderLayer agrees, with a mask and without; its bias=False drops the shifts too."""
    own = layer(norm=norm, activation=activation, bias=bias, norm_bias=bias, eps=eps)
    theirs = torch_layer(own.config)
    theirs.load_state_dict(torch_names(own.state_dict()))
    x, mask = draw(2, 5, 24), some_mask(draw)
    assert_agree(own(x), theirs(x))
    assert_agree(own(x, mask), theirs(x, src_mask=~mask[0, 0]))  # torch: True hides


@pytest.mark.parametrize("norm", ["pre", "post"])
@pytest.mark.parametrize("final_norm", ["as-placed", True, False])
def test_encoder_equals_torch(assert_agree: Agree, draw: Draw, norm: str, final_norm: bool | str) -> None:
    """nn.TransformerEncoder agrees, with a norm at the end after pre-norm layers, or as claimed."""
    own = encoder(norm=norm, final_norm=final_norm, layers=3)
    ends_in_norm = (norm == "pre") if final_norm == "as-placed" else final_norm
    last = nn.LayerNorm(24, dtype=torch.float64) if ends_in_norm else None
    theirs = nn.TransformerEncoder(torch_layer(own.config), 3, last, enable_nested_tensor=False)
    state = own.state_dict()
    for index in range(3):
        theirs.layers[index].load_state_dict(torch_names(state, f"layers.{index}."))
    if last is not None:
        last.load_state_dict({"weight": state["final_norm.gain"], "bias": state["final_norm.shift"]})
    x, mask = draw(2, 5, 24), some_mask(draw)
    assert_agree(own(x, mask), theirs(x, ~mask[0, 0]))


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_layer_of_uncommon_parts(assert_agree: Agree, draw: Draw, norm: str) -> None:
    """RMSNorm, SwiGLU, grouped heads and causality, put together by hand from the layer's own parts."""
    own = layer(norm=norm, normalization="rms", activation="swiglu", kv_heads=2, causal=True, gain="one-plus-weight")
    x = draw(2, 5, 24)
    if norm == "pre":
        tokens = own.attention_norm(x)
        seen = x + own.attention(tokens, tokens)
        expected = seen + own.feed_forward(own.feed_forward_norm(seen))
    else:
        seen = own.attention_norm(x + own.attention(x, x))
        expected = own.feed_forward_norm(seen + own.feed_forward(seen))
    assert_agree(own(x), expected)


def test_causal_layer_is_a_causal_mask(assert_agree: Agree, draw: Draw) -> None:
    """Causal by claim is what a causal mask makes of a layer that is not."""
    x = draw(2, 5, 24)
    assert_agree(layer(causal=True)(x), layer()(x, torch.ones(1, 1, 5, 5, dtype=torch.bool).tril()))


@pytest.mark.parametrize("positions", ["sinusoidal", "learned"])
def test_positions_are_added_once_at_the_bottom(assert_agree: Agree, draw: Draw, positions: str) -> None:
    """The stack with positions is the stack without, given the input plus the encoding."""
    own = encoder(positions=positions, layers=2)
    bare = encoder(layers=2)
    bare.load_state_dict({name: each for name, each in own.state_dict().items() if not name.startswith("positions")})
    x = draw(2, 5, 24)
    assert own.positions is not None
    assert_agree(own(x), bare(own.positions(x)))


def test_shared_layers_are_one_layer_three_times(assert_agree: Agree, draw: Draw) -> None:
    """One set of parameters, used as often as there are layers; own layers have a set each."""
    shared = encoder(layer_parameters="shared", layers=3)
    x, mask = draw(2, 5, 24), some_mask(draw)
    only = shared.layers[0]
    assert_agree(shared(x, mask), only(only(only(x, mask), mask), mask))
    count = sum(each.numel() for each in shared.parameters())
    assert sum(each.numel() for each in encoder(layers=3).parameters()) == 3 * count
    assert {name.split(".")[1] for name in shared.state_dict()} == {"0"}


def test_dropout_in_training_only(draw: Draw) -> None:
    """In training two calls differ, and in evaluation the rate changes nothing."""
    own = layer(dropout=0.5)
    x = draw(2, 5, 24)
    assert torch.equal(own(x), layer()(x))
    own.train()
    assert not torch.equal(own(x), own(x))


def test_no_dropout_means_training_is_evaluation(draw: Draw) -> None:
    """At rate 0 both modes give the same bits."""
    own = layer()
    x = draw(2, 5, 24)
    evaluated = own(x)
    assert torch.equal(own.train()(x), evaluated)


@pytest.mark.parametrize("claims", [{}, {"norm": "pre", "positions": "learned", "activation": "geglu"}])
def test_every_parameter_gets_a_finite_gradient(draw: Draw, claims: dict[str, Any]) -> None:
    """Even where a token sees nothing, every gradient is finite, and only the dead bias of the keys is zero."""
    own = encoder(**claims, max_len=5)
    x = draw(2, 5, 24).requires_grad_()
    mask = some_mask(draw).repeat(2, 1, 1, 1)
    mask[0, :, 2] = False
    own(x, mask).square().sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()
    for name, each in own.named_parameters():
        assert each.grad is not None, name
        assert each.grad.isfinite().all(), name
        assert name.endswith("attention.key.bias") or each.grad.abs().max() > 1e-6, name


def test_parameter_names() -> None:
    """Adapters map to these names, so they are permanent."""
    linears = [f"attention.{part}" for part in ("query", "key", "value", "output")]
    linears += [f"feed_forward.{part}" for part in ("hidden", "output")]
    inside = {f"{linear}.{kind}" for linear in linears for kind in ("weight", "bias")}
    inside |= {f"{norm}.{kind}" for norm in ("attention_norm", "feed_forward_norm") for kind in ("gain", "shift")}
    assert set(layer().state_dict()) == inside
    whole = {f"layers.{index}.{name}" for index in range(2) for name in inside}
    assert set(encoder().state_dict()) == whole
    assert set(encoder(norm="pre", positions="learned").state_dict()) == whole | {
        "positions.table",
        "final_norm.gain",
        "final_norm.shift",
    }
