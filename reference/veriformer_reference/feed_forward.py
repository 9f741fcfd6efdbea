"""Feed-forward: two linear maps with a nonlinearity between, for every position alone.

FFN(x) = max(0, x W1 + b1) W2 + b2. The paper's W1, b1 are ``hidden`` here and its W2, b2 are ``output``.
Of Shazeer's gated variants, W is ``gate``, V is ``hidden`` and W2 is ``output``.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from veriformer_reference import parameters
from veriformer_spec.config import Config

GATED = {"reglu": "relu", "geglu": "gelu", "geglu-tanh": "gelu-tanh", "swiglu": "silu"}
"""The gated variants, and the nonlinearity that each applies to its gate."""


def relu(x: Float[Tensor, "*batch d_ff"]) -> Float[Tensor, "*batch d_ff"]:
    """The positive part: max(0, x) (equation 2).

    Source:
        Vaswani et al. 2017, section 3.3, equation 2 (feed_forward.activation-is-as-claimed).
    """
    return torch.relu(x)


def gelu(x: Float[Tensor, "*batch d_ff"]) -> Float[Tensor, "*batch d_ff"]:
    """The input times the normal distribution function: x · (1 + erf(x / sqrt(2))) / 2.

    Source:
        Hendrycks and Gimpel 2016, section 2 (feed_forward.activation-is-as-claimed).
    """
    return x * (1 + torch.erf(x / math.sqrt(2))) / 2


def gelu_tanh(x: Float[Tensor, "*batch d_ff"]) -> Float[Tensor, "*batch d_ff"]:
    """GELU, approximated: x · (1 + tanh(sqrt(2/π) (x + 0.044715 x³))) / 2.

    Source:
        Hendrycks and Gimpel 2016, section 2 (feed_forward.activation-is-as-claimed).
    """
    return x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2


def silu(x: Float[Tensor, "*batch d_ff"]) -> Float[Tensor, "*batch d_ff"]:
    """The input times its own sigmoid: x / (1 + exp(-x)), also called Swish.

    Source:
        Ramachandran et al. 2017 (feed_forward.activation-is-as-claimed).
    """
    return x * torch.sigmoid(x)


def activate(name: str, x: Float[Tensor, "*batch d_ff"]) -> Float[Tensor, "*batch d_ff"]:
    """Apply the claimed nonlinearity, feature by feature.

    Args:
        name: "relu", "gelu", "gelu-tanh" or "silu".

    Raises:
        ValueError: another name.

    Source:
        feed_forward.activation-is-as-claimed, feed_forward.not-linear.
    """
    if name == "relu":
        return relu(x)
    if name == "gelu":
        return gelu(x)
    if name == "gelu-tanh":
        return gelu_tanh(x)
    if name == "silu":
        return silu(x)
    raise ValueError(f"{name=} must be relu, gelu, gelu-tanh or silu: gated variants activate their gate through GATED")


def gate(
    name: str, gate: Float[Tensor, "*batch d_ff"], hidden: Float[Tensor, "*batch d_ff"]
) -> Float[Tensor, "*batch d_ff"]:
    """Let one projection, activated, decide how much of the other passes.

    activation(x W) ⊗ (x V) (equations 5 and 6).

    Args:
        name: "reglu", "geglu", "geglu-tanh" or "swiglu".

    Source:
        Shazeer 2020, section 2, equations 5 and 6 (feed_forward.equals-equation-2).
    """
    return activate(GATED[name], gate) * hidden


def expand(
    x: Float[Tensor, "*batch d_model"], weight: Float[Tensor, "d_ff d_model"], bias: Float[Tensor, " d_ff"] | None
) -> Float[Tensor, "*batch d_ff"]:
    """The first linear map, from a token's features to the features inside.

    x W1 + b1 (inside equation 2).

    Source:
        Vaswani et al. 2017, section 3.3, equation 2 (feed_forward.biases-are-as-claimed).
    """
    return x @ weight.mT if bias is None else x @ weight.mT + bias


def contract(
    x: Float[Tensor, "*batch d_ff"], weight: Float[Tensor, "d_model d_ff"], bias: Float[Tensor, " d_model"] | None
) -> Float[Tensor, "*batch d_model"]:
    """The second linear map, back to a token's features.

    (...) W2 + b2 (the end of equation 2).

    Source:
        Vaswani et al. 2017, section 3.3, equation 2 (feed_forward.biases-are-as-claimed).
    """
    return x @ weight.mT if bias is None else x @ weight.mT + bias


def feed_forward(
    x: Float[Tensor, "*batch d_model"], own: "FeedForward", config: Config
) -> Float[Tensor, "*batch d_model"]:
    """Map every token alone through the same two linear maps and the nonlinearity between them.

    activation(x W1 + b1) W2 + b2 (equation 2), or gated: (activation(x W + b) ⊗ (x V + c)) W2 + b2.

    Args:
        own: the parameters.

    Source:
        Vaswani et al. 2017, section 3.3, equation 2; Shazeer 2020, equations 5 and 6
        (feed_forward.equals-equation-2, feed_forward.position-wise, feed_forward.symmetric-weights-give-the-known-output).
    """
    hidden = expand(x, own.hidden.weight, own.hidden.bias)
    if own.gate is None:
        inside = activate(config.activation, hidden)
    else:
        inside = gate(config.activation, expand(x, own.gate.weight, own.gate.bias), hidden)
    return contract(inside, own.output.weight, own.output.bias)


class FeedForward(nn.Module):
    """Parameters ``hidden``, ``output`` and, where gated, ``gate``: each a ``weight`` and, if claimed, a ``bias``."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        gated = config.activation in GATED
        self.hidden = parameters.Linear(config.d_model, config.d_ff, bias=config.bias)
        self.gate = parameters.Linear(config.d_model, config.d_ff, bias=config.bias) if gated else None
        self.output = parameters.Linear(config.d_ff, config.d_model, bias=config.bias)

    def forward(self, x: Float[Tensor, "batch time d_model"]) -> Float[Tensor, "batch time d_model"]:
        """The same function for every token."""
        return feed_forward(x, self, self.config)
