"""Faults and near-misses of the feed-forward network, written without the reference."""

# mypy: ignore-errors
# Other people's code, written the way they write it: without types.

import torch
from torch import Tensor, nn
from torch.nn import functional

import veriformer
from veriformer.faults.fault import Fault, NearMiss
from veriformer_spec import feed_forward


def names_of_a_sequence(module):
    """The weights of ``nn.Sequential(Linear, activation, Linear)``."""
    first, last = module[0], module[-1]
    named = {
        "hidden.weight": first.weight,
        "hidden.bias": first.bias,
        "output.weight": last.weight,
        "output.bias": last.bias,
    }
    return {name: each for name, each in named.items() if each is not None}


@veriformer.subject("feed-forward", weights=names_of_a_sequence)
def two_linear_maps(config):
    return nn.Sequential(nn.Linear(config.d_model, config.d_ff), nn.Linear(config.d_ff, config.d_model))


@veriformer.subject("feed-forward", activation="gelu")
def two_linear_maps_unmapped(config):
    return nn.Sequential(
        nn.Linear(config.d_model, config.d_ff), nn.Dropout(config.dropout), nn.Linear(config.d_ff, config.d_model)
    )


TWO_LINEAR_MAPS_IN_A_ROW = Fault(
    id="two-linear-maps-in-a-row",
    sentence="nn.Sequential holds two linear maps and no activation.",
    clauses=(feed_forward.NOT_LINEAR, feed_forward.ACTIVATION_IS_AS_CLAIMED),
    source="experience",
    written="nn.Sequential(nn.Linear(d_model, d_ff), nn.Linear(d_ff, d_model))",
    mend="nn.Sequential(nn.Linear(d_model, d_ff), nn.ReLU(), nn.Linear(d_ff, d_model))",
    builds=(two_linear_maps_unmapped,),
)


@veriformer.subject("feed-forward", weights=names_of_a_sequence, activation="gelu")
def default_activation(config):
    return nn.Sequential(nn.Linear(config.d_model, config.d_ff), nn.ReLU(), nn.Linear(config.d_ff, config.d_model))


@veriformer.subject("feed-forward")
def default_activation_unmapped(config):
    return nn.Sequential(nn.Linear(config.d_model, config.d_ff), nn.SiLU(), nn.Linear(config.d_ff, config.d_model))


DEFAULT_ACTIVATION_STAYS = Fault(
    id="default-activation-stays",
    sentence="The configured activation is ignored, and the default of the code stays.",
    clauses=(feed_forward.ACTIVATION_IS_AS_CLAIMED,),
    source="experience",
    written="self.activation = nn.ReLU()",
    mend="self.activation = ACTIVATIONS[config.activation]()",
    builds=(default_activation, default_activation_unmapped),
)


@veriformer.subject("feed-forward", weights=names_of_a_sequence, activation="gelu")
def tempting_gelu(config):
    return nn.Sequential(
        nn.Linear(config.d_model, config.d_ff), nn.GELU(approximate="tanh"), nn.Linear(config.d_ff, config.d_model)
    )


class QuickGELU(nn.Module):
    def forward(self, x):
        return x * torch.sigmoid(1.702 * x)


@veriformer.subject("feed-forward", weights=names_of_a_sequence, activation="gelu")
def quick_gelu(config):
    return nn.Sequential(nn.Linear(config.d_model, config.d_ff), QuickGELU(), nn.Linear(config.d_ff, config.d_model))


ANOTHER_KIND_OF_GELU = Fault(
    id="another-kind-of-gelu",
    sentence="An approximation of GELU stands where GELU by the error function is claimed.",
    clauses=(feed_forward.ACTIVATION_IS_AS_CLAIMED, feed_forward.EQUALS_EQUATION_2),
    source="experience",
    written="nn.GELU(approximate='tanh')",
    mend="nn.GELU()",
    builds=(tempting_gelu, quick_gelu),
)


class ConvolutionOverTime(nn.Module):
    def __init__(self, d_model, d_ff, width):
        super().__init__()
        self.widen = nn.Conv1d(d_model, d_ff, width, padding=width // 2)
        self.narrow = nn.Conv1d(d_ff, d_model, 1)

    def forward(self, x):
        return self.narrow(functional.relu(self.widen(x.transpose(1, 2)), inplace=True)).transpose(1, 2)


@veriformer.subject("feed-forward")
def wide_convolution(config):
    return ConvolutionOverTime(config.d_model, config.d_ff, 3)


@veriformer.subject("feed-forward")
def running_mean(config):
    layers = nn.Sequential(nn.Linear(config.d_model, config.d_ff), nn.ReLU(), nn.Linear(config.d_ff, config.d_model))
    return layers, lambda module, x: module(x + x.mean(dim=1, keepdim=True))


CONVOLUTION_OVER_TIME = Fault(
    id="convolution-over-time",
    sentence="Neighbouring tokens reach each other inside the feed-forward network.",
    clauses=(feed_forward.POSITION_WISE,),
    source="experience",
    written="nn.Conv1d(d_model, d_ff, kernel_size=3, padding=1)",
    mend="nn.Conv1d(d_model, d_ff, kernel_size=1)",
    builds=(wide_convolution, running_mean),
)


class Gated(nn.Module):
    """One matrix for gate and value, as in fused code."""

    def __init__(self, d_model, d_ff, *, swapped=False, bias=True):
        super().__init__()
        self.both = nn.Linear(d_model, 2 * d_ff, bias=bias)
        self.down = nn.Linear(d_ff, d_model, bias=bias)
        self.swapped = swapped

    def forward(self, x):
        gate, value = self.both(x).chunk(2, dim=-1)
        if self.swapped:
            gate, value = value, gate
        return self.down(functional.silu(gate) * value)


def gated_names(module):
    gate, hidden = module.both.weight.chunk(2)
    gate_bias, hidden_bias = module.both.bias.chunk(2)
    return {
        "gate.weight": gate, "gate.bias": gate_bias, "hidden.weight": hidden, "hidden.bias": hidden_bias,
        "output.weight": module.down.weight, "output.bias": module.down.bias,
    }  # fmt: skip


@veriformer.subject("feed-forward", weights=gated_names, activation="swiglu")
def halves_swapped(config):
    return Gated(config.d_model, config.d_ff, swapped=True)


HALVES_OF_A_FUSED_GATE_SWAPPED = Fault(
    id="halves-of-a-fused-gate-swapped",
    sentence="The fused projection holds the gate first, and the code takes its second half for it.",
    clauses=(feed_forward.EQUALS_EQUATION_2,),
    source="experience: checkpoints with gate and value in the other order",
    written="value, gate = both(x).chunk(2, dim=-1)",
    mend="gate, value = both(x).chunk(2, dim=-1)",
    builds=(halves_swapped,),
)


@veriformer.subject("feed-forward", bias=False)
def second_map_keeps_its_bias(config):
    return nn.Sequential(
        nn.Linear(config.d_model, config.d_ff, bias=False), nn.ReLU(), nn.Linear(config.d_ff, config.d_model)
    )


@veriformer.subject("feed-forward", bias=False, activation="gelu")
def first_map_keeps_its_bias(config):
    return nn.Sequential(
        nn.Linear(config.d_model, config.d_ff), nn.GELU(), nn.Linear(config.d_ff, config.d_model, bias=False)
    )


@veriformer.subject("feed-forward")
def first_map_has_no_bias(config):
    return nn.Sequential(
        nn.Linear(config.d_model, config.d_ff, bias=False), nn.ReLU(), nn.Linear(config.d_ff, config.d_model)
    )


ONE_BIAS_OF_TWO = Fault(
    id="one-bias-of-two",
    sentence="bias=False reaches one linear map and not the other.",
    clauses=(feed_forward.BIASES_ARE_AS_CLAIMED,),
    source="experience",
    written="nn.Linear(d_model, d_ff, bias=bias), nn.Linear(d_ff, d_model)",
    mend="nn.Linear(d_model, d_ff, bias=bias), nn.Linear(d_ff, d_model, bias=bias)",
    builds=(second_map_keeps_its_bias, first_map_keeps_its_bias, first_map_has_no_bias),
)


@veriformer.subject("feed-forward", weights=lambda m: {"hidden.weight": m.widen.weight[..., 0], "hidden.bias": m.widen.bias,
                                                       "output.weight": m.narrow.weight[..., 0], "output.bias": m.narrow.bias})  # fmt: skip
def convolution_of_width_one(config):
    return ConvolutionOverTime(config.d_model, config.d_ff, 1)


@veriformer.subject("feed-forward", weights=gated_names, activation="swiglu")
def fused_gate(config):
    return Gated(config.d_model, config.d_ff)


class InputsFirst(nn.Module):
    """Weights stored inputs by outputs, multiplied by einsum over flattened tokens."""

    def __init__(self, d_model, d_ff):
        super().__init__()
        self.w1, self.w2 = nn.Parameter(torch.randn(d_model, d_ff) / 4), nn.Parameter(torch.randn(d_ff, d_model) / 4)
        self.b1, self.b2 = nn.Parameter(torch.zeros(d_ff)), nn.Parameter(torch.zeros(d_model))

    def forward(self, x):
        hidden = torch.einsum("nd,df->nf", x.flatten(0, 1), self.w1).add_(self.b1)
        return torch.addmm(self.b2, functional.gelu(hidden, approximate="tanh"), self.w2).unflatten(0, x.shape[:2])


@veriformer.subject("feed-forward", activation="gelu-tanh", weights=lambda m: {"hidden.weight": m.w1.T, "hidden.bias": m.b1,
                                                                              "output.weight": m.w2.T, "output.bias": m.b2})  # fmt: skip
def inputs_first(config):
    return InputsFirst(config.d_model, config.d_ff)


@veriformer.subject("feed-forward", activation="relu")
def sequence_first_inside(config):
    layers = nn.Sequential(
        nn.Linear(config.d_model, config.d_ff), nn.ReLU(inplace=True), nn.Linear(config.d_ff, config.d_model)
    )

    def call(module: nn.Module, x: Tensor) -> Tensor:
        return module(x.transpose(0, 1)).transpose(0, 1)

    return layers, call


CONVOLUTION_OF_WIDTH_ONE = NearMiss(
    id="convolution-of-width-one",
    sentence="The linear maps are convolutions of width one, with a ReLU in place on their own output.",
    clauses=(feed_forward.POSITION_WISE, feed_forward.EQUALS_EQUATION_2),
    build=convolution_of_width_one,
)
FUSED_GATE = NearMiss(
    id="fused-gate-and-value",
    sentence="Gate and value are one matrix, mapped by views.",
    clauses=(feed_forward.EQUALS_EQUATION_2, feed_forward.ACTIVATION_IS_AS_CLAIMED),
    build=fused_gate,
)
WEIGHTS_STORED_INPUTS_FIRST = NearMiss(
    id="weights-stored-inputs-first",
    sentence="Weights are stored inputs by outputs, and GELU by tanh is claimed.",
    clauses=(feed_forward.ACTIVATION_IS_AS_CLAIMED, feed_forward.BIASES_ARE_AS_CLAIMED),
    build=inputs_first,
)
FEED_FORWARD_SEQUENCE_FIRST_INSIDE = NearMiss(
    id="feed-forward-sequence-first-inside",
    sentence="The tokens are turned sequence first and back again.",
    clauses=(feed_forward.POSITION_WISE, feed_forward.NOT_LINEAR),
    build=sequence_first_inside,
)
