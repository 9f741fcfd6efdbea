"""Faults in the feed-forward network, planted in the reference."""

# mypy: ignore-errors
# Patches stand in for the reference's functions, and are written as briefly as the mistakes are.

import torch
from torch import Tensor

from veriformer.faults.fault import Fault, Planted
from veriformer_reference import feed_forward as reference
from veriformer_spec import feed_forward, stack
from veriformer_spec.role import Role

PLAIN = Planted(role=Role.FEED_FORWARD)
GELU = Planted(role=Role.FEED_FORWARD, claims={"activation": "gelu"})
GATED = Planted(role=Role.FEED_FORWARD, claims={"activation": "swiglu"})
LAYER = Planted(role=Role.ENCODER_LAYER)

ACTIVATION_MISSING = Fault(
    id="activation-missing",
    sentence="Nothing stands between the two linear maps, which are then one.",
    clauses=(
        feed_forward.NOT_LINEAR,
        feed_forward.ACTIVATION_IS_AS_CLAIMED,
        feed_forward.EQUALS_EQUATION_2,
        stack.EQUALS_THE_REFERENCE,
    ),
    source="experience",
    written="self.output(self.hidden(x))",
    mend="self.output(relu(self.hidden(x)))",
    patches=(("feed_forward.activate", lambda name, x: x),),
    planted=(PLAIN, GELU, LAYER),
)

GELU_BY_TANH = Fault(
    id="gelu-by-tanh",
    sentence="GELU is approximated by tanh where the error function is claimed.",
    clauses=(feed_forward.ACTIVATION_IS_AS_CLAIMED, feed_forward.EQUALS_EQUATION_2),
    source="experience: checkpoints of one kind run with the other",
    written="gelu(x, approximate='tanh')",
    mend="gelu(x), or claim activation='gelu-tanh'",
    patches=(("feed_forward.gelu", reference.gelu_tanh),),
    planted=(GELU, Planted(role=Role.FEED_FORWARD, claims={"activation": "geglu"})),
)

SILU_FOR_GELU = Fault(
    id="silu-for-gelu",
    sentence="SiLU stands where GELU is claimed.",
    clauses=(feed_forward.ACTIVATION_IS_AS_CLAIMED, feed_forward.EQUALS_EQUATION_2),
    source="experience",
    written="silu(x)",
    mend="gelu(x)",
    patches=(("feed_forward.gelu", reference.silu),),
    planted=(GELU,),
)

GELU_FOR_RELU = Fault(
    id="gelu-for-relu",
    sentence="The configured activation is not passed on: GELU stands where ReLU is claimed.",
    clauses=(
        feed_forward.ACTIVATION_IS_AS_CLAIMED,
        feed_forward.EQUALS_EQUATION_2,
        stack.EQUALS_THE_REFERENCE,
        feed_forward.SYMMETRIC_WEIGHTS_GIVE_THE_KNOWN_OUTPUT,
    ),
    source="experience",
    written="nn.GELU()",
    mend="nn.ReLU()",
    patches=(("feed_forward.relu", reference.gelu),),
    planted=(PLAIN, LAYER),
)


def activated_last(x: Tensor, own: object, config: object) -> Tensor:
    hidden = reference.expand(x, own.hidden.weight, own.hidden.bias)
    return torch.relu(reference.contract(hidden, own.output.weight, own.output.bias))


ACTIVATION_AFTER_THE_SECOND_MAP = Fault(
    id="activation-after-the-second-map",
    sentence="The activation stands after the second linear map.",
    clauses=(feed_forward.EQUALS_EQUATION_2,),
    source="experience",
    written="relu(self.output(self.hidden(x)))",
    mend="self.output(relu(self.hidden(x)))",
    patches=(("feed_forward.feed_forward", activated_last),),
    planted=(PLAIN,),
)

GATE_AND_VALUE_SWAPPED = Fault(
    id="gate-and-value-swapped",
    sentence="The activation is applied to the value and not to the gate.",
    clauses=(feed_forward.EQUALS_EQUATION_2, stack.EQUALS_THE_REFERENCE),
    source="experience",
    written="gate * silu(hidden)",
    mend="silu(gate) * hidden",
    patches=(
        ("feed_forward.gate", lambda name, gate, hidden: gate * reference.activate(reference.GATED[name], hidden)),
    ),
    planted=(GATED, Planted(role=Role.ENCODER_LAYER, claims={"activation": "geglu"})),
)

GATE_DROPPED = Fault(
    id="gate-dropped",
    sentence="The second projection is made and thrown away: nothing is gated.",
    clauses=(feed_forward.ACTIVATION_IS_AS_CLAIMED, feed_forward.EQUALS_EQUATION_2),
    source="experience",
    written="silu(gate)",
    mend="silu(gate) * hidden",
    patches=(("feed_forward.gate", lambda name, gate, hidden: reference.activate(reference.GATED[name], gate)),),
    planted=(GATED, Planted(role=Role.FEED_FORWARD, claims={"activation": "reglu"})),
)

HIDDEN_BIAS_NEVER_ADDED = Fault(
    id="hidden-bias-never-added",
    sentence="The first linear map has a bias, which is never added.",
    clauses=(feed_forward.BIASES_ARE_AS_CLAIMED, feed_forward.EQUALS_EQUATION_2),
    source="experience",
    written="x @ w1.T",
    mend="x @ w1.T + b1",
    patches=(("feed_forward.expand", lambda x, weight, bias: x @ weight.mT),),
    planted=(PLAIN, GELU),
)

OUTPUT_BIAS_NEVER_ADDED = Fault(
    id="output-bias-never-added",
    sentence="The second linear map has a bias, which is never added.",
    clauses=(feed_forward.BIASES_ARE_AS_CLAIMED, feed_forward.EQUALS_EQUATION_2),
    source="experience",
    written="inside @ w2.T",
    mend="inside @ w2.T + b2",
    patches=(("feed_forward.contract", lambda x, weight, bias: x @ weight.mT),),
    planted=(PLAIN, GATED),
)

WEIGHTS_SCALED = Fault(
    id="feed-forward-weights-scaled",
    sentence="The first map's weight is multiplied by a constant on the way.",
    clauses=(feed_forward.EQUALS_EQUATION_2,),
    source="arXiv 2604.28118 (DEFault++), operator FSW",
    written="x @ (0.5 * w1).T",
    mend="x @ w1.T",
    patches=(("feed_forward.expand", lambda x, weight, bias: x @ (0.5 * weight).mT + bias),),
    planted=(PLAIN,),
)


def with_the_token_before(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    before = torch.cat((torch.zeros_like(x[..., :1, :]), x[..., :-1, :]), dim=-2)
    return (x + 0.5 * before) @ weight.mT if bias is None else (x + 0.5 * before) @ weight.mT + bias


TOKENS_MIXED = Fault(
    id="tokens-mixed-in-the-feed-forward-network",
    sentence="Each token is mixed with the one before it, as a convolution wider than one does.",
    clauses=(feed_forward.POSITION_WISE, feed_forward.EQUALS_EQUATION_2),
    source="experience",
    written="nn.Conv1d(d_model, d_ff, kernel_size=3, padding=1)",
    mend="nn.Conv1d(d_model, d_ff, kernel_size=1)",
    patches=(("feed_forward.expand", with_the_token_before),),
    planted=(PLAIN, GATED),
)
