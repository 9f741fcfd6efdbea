"""Feed-forward has witnesses of its own: numbers worked by hand, and torch's activations and linear maps."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from veriformer_reference import feed_forward
from veriformer_spec.config import CLAIMS, Config

Agree = Callable[[Tensor, Tensor], None]
Draw = Callable[..., Tensor]

TORCH: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": functional.relu,
    "gelu": functional.gelu,
    "gelu-tanh": lambda x: functional.gelu(x, approximate="tanh"),
    "silu": functional.silu,
}
GATED_BY = {"reglu": "relu", "geglu": "gelu", "geglu-tanh": "gelu-tanh", "swiglu": "silu"}


@pytest.mark.parametrize(
    ("name", "x", "expected"),
    [
        ("relu", -2.0, 0.0),
        ("relu", 3.0, 3.0),
        ("gelu", 1.0, 0.8413447460685429),  # the normal distribution function at 1, from any table
        ("gelu", -2.0, -2 * 0.022750131948179195),  # and at -2
        # sqrt(2/pi) · 1.044715 = 0.8335620..., tanh of it 0.6823839..., (1 + tanh)/2
        ("gelu-tanh", 1.0, 0.5 + 0.5 * math.tanh(0.7978845608028654 * 1.044715)),
        ("silu", math.log(3), 0.75 * math.log(3)),  # σ(ln 3) = 3/4
        ("silu", -math.log(3), -0.25 * math.log(3)),
    ],
)
def test_golden_activations(assert_agree: Agree, name: str, x: float, expected: float) -> None:
    """Each nonlinearity at a point where its value is known."""
    assert_agree(
        feed_forward.activate(name, torch.tensor([x], dtype=torch.float64)),
        torch.tensor([expected], dtype=torch.float64),
    )


@pytest.mark.parametrize("name", TORCH)
def test_activations_equal_torch(assert_agree: Agree, name: str) -> None:
    """PyTorch's own nonlinearity agrees from -8 to 8."""
    x = torch.linspace(-8, 8, 101, dtype=torch.float64)
    assert_agree(feed_forward.activate(name, x), TORCH[name](x))


def test_an_unknown_activation_raises() -> None:
    """A gated name is not a nonlinearity, and the message says which are."""
    with pytest.raises(ValueError, match="name='swiglu' must be relu, gelu, gelu-tanh or silu"):
        feed_forward.activate("swiglu", torch.zeros(1))


def test_golden_gate(assert_agree: Agree) -> None:
    """The gate is activated, the hidden features are not: relu(-1, 2) by (5, -7) is (0, -14)."""
    gate, hidden = torch.tensor([[-1.0, 2.0], [5.0, -7.0]], dtype=torch.float64)
    assert_agree(feed_forward.gate("reglu", gate, hidden), torch.tensor([0.0, -14.0], dtype=torch.float64))


def test_golden_network(assert_agree: Agree) -> None:
    """max(0, x W1 + b1) W2 + b2 of one feature through two: 3 -> (3·1 - 1, 3·(-1) + 1) = (2, -2) -> (2, 0) -> 2·5 + 4 = 14."""
    network = feed_forward.FeedForward(Config(d_model=1, d_ff=2)).double()
    values = {
        "hidden.weight": [[1.0], [-1.0]],
        "hidden.bias": [-1.0, 1.0],
        "output.weight": [[5.0, 9.0]],
        "output.bias": [4.0],
    }
    network.load_state_dict({name: torch.tensor(each, dtype=torch.float64) for name, each in values.items()})
    assert_agree(network(torch.tensor([[[3.0]]], dtype=torch.float64)), torch.tensor([[[14.0]]], dtype=torch.float64))


@pytest.mark.parametrize("activation", CLAIMS["activation"].values)
@pytest.mark.parametrize("bias", [True, False])
def test_equals_torch(assert_agree: Agree, draw: Draw, activation: str, bias: bool) -> None:
    """Composed of F.linear and torch's activations, every claimed network agrees."""
    network = feed_forward.FeedForward(Config(activation=activation, bias=bias)).double()
    x = draw(2, 5, 24)
    hidden = functional.linear(x, network.hidden.weight, network.hidden.bias)
    if network.gate is None:
        inside = TORCH[activation](hidden)
    else:
        inside = TORCH[GATED_BY[activation]](functional.linear(x, network.gate.weight, network.gate.bias)) * hidden
    assert_agree(network(x), functional.linear(inside, network.output.weight, network.output.bias))


def test_parameter_names() -> None:
    """Adapters map to these names and shapes, so they are permanent."""
    shapes = {
        name: tuple(each.shape)
        for name, each in feed_forward.FeedForward(Config(activation="swiglu")).named_parameters()
    }
    assert shapes == {
        "hidden.weight": (40, 24),
        "hidden.bias": (40,),
        "gate.weight": (40, 24),
        "gate.bias": (40,),
        "output.weight": (24, 40),
        "output.bias": (24,),
    }
    bare = {name for name, _ in feed_forward.FeedForward(Config(bias=False)).named_parameters()}
    assert bare == {"hidden.weight", "output.weight"}
