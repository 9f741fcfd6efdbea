"""Feed-forward, tested: two linear maps with a nonlinearity between, for every position alone."""

import dataclasses
import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional

from veriformer import oracle, perturbation, tolerance
from veriformer.case import Case
from veriformer.inputs import generator
from veriformer.known_output import require_the_known_output
from veriformer.outcome import Inconclusive, Vacuous, Violation
from veriformer.property import checks
from veriformer.strategies import cases
from veriformer.subjects import Instance, Subject
from veriformer.understanding import mapped_weights
from veriformer_spec import feed_forward

TOKENS = cases(batch=(2, 3), q_len=(2, 4), d_ff=(5, 12))
GATED = ("reglu", "geglu", "geglu-tanh", "swiglu")
STEP = 2.0**-13
"""Step of second differences: its square is far above rounding in float64, and it rarely crosses the kink of a ReLU."""

ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "relu": functional.relu,
    "gelu": functional.gelu,
    "gelu-tanh": lambda x: functional.gelu(x, approximate="tanh"),
    "silu": functional.silu,
}
"""The legal ones; each gated one applies one of these to its gate."""

TEMPTING: Mapping[str, Callable[[Tensor], Tensor]] = {
    "no activation": lambda x: x,
    "a leaky ReLU": lambda x: functional.leaky_relu(x, 0.01),
    "tanh": torch.tanh,
    "a sigmoid": torch.sigmoid,
    "GELU by a sigmoid": lambda x: x * torch.sigmoid(1.702 * x),
    "ELU": functional.elu,
    "ReLU squared": lambda x: functional.relu(x).square(),
    "softplus": functional.softplus,
    "ReLU6": functional.relu6,
    "Mish": functional.mish,
}
"""Nonlinearities that no claim names."""

ON_THE_GATE = {"reglu": "relu", "geglu": "gelu", "geglu-tanh": "gelu-tanh", "swiglu": "silu"}


def by_hand(weights: Mapping[str, Tensor], x: Tensor, activation: Callable[[Tensor], Tensor], *, gated: bool) -> Tensor:
    """The network from its weights, with torch's own functions."""
    hidden = functional.linear(x, weights["hidden.weight"], weights.get("hidden.bias"))
    if gated:
        inside = activation(functional.linear(x, weights["gate.weight"], weights.get("gate.bias"))) * hidden
    else:
        inside = activation(hidden)
    return functional.linear(inside, weights["output.weight"], weights.get("output.bias"))


def wide_weights(instance: Instance) -> dict[str, Tensor]:
    """The mapped weights in float64, on the CPU."""
    return {name: each.detach().double().cpu() for name, each in mapped_weights(instance).items()}


def claimed_function(subject: Subject) -> tuple[Callable[[Tensor], Tensor], bool]:
    """The claimed nonlinearity, and whether it gates."""
    name = str(subject.claims["activation"])
    return ACTIVATIONS[ON_THE_GATE.get(name, name)], name in GATED


def _values(instance: Instance, case: Case, x: Tensor) -> Tensor:
    subject = instance.subject
    tensors = (x.to(device=subject.device, dtype=subject.dtype),)
    return instance(dataclasses.replace(subject.inputs(case), tensors=tensors)).double().cpu()


@checks(feed_forward.POSITION_WISE, sentence="ae9a4005", cases=TOKENS)
def test_position_wise(subject: Subject, case: Case) -> None:
    """Change one token: no other changes. Put one token everywhere: the same comes out everywhere."""
    instance, inputs = subject.instance(case), subject.inputs(case)
    row, position = case.seed % case.batch, case.seed % case.q_len
    before = instance(inputs)
    changed = perturbation.with_key_changed(inputs, row, position, generator(case.seed + 1))
    apart = perturbation.difference(before, instance(changed))
    itself = float(apart[row, position])
    apart[row, position] = 0
    worst = float(apart.max())
    if worst > perturbation.explained(instance, inputs, before, worst, grad=False):
        other_row, other = divmod(int(apart.argmax()), case.q_len)
        raise Violation(
            f"tokens are mixed: the output at row {other_row}, position {other} changes with the token at row {row}, position {position}",
            expected=torch.zeros_like(apart).int(), got=(apart > 0).int(), index=(other_row, other), margin=f"changes by {worst:.3g}",
            axes=("row of the batch", "token"), shows="may depend",
        )  # fmt: skip
    same = dataclasses.replace(inputs, tensors=(inputs.tensors[0][:1, :1].expand_as(inputs.tensors[0]).contiguous(),))
    output = instance(same)
    tolerance.require_close(
        output, output[:1, :1].expand_as(output), "one token gives different outputs at different positions",
        dtype=subject.rounds_to, again=lambda: instance(same),
    )  # fmt: skip
    if itself == 0:
        raise Vacuous("the output does not depend on the token at all")


@checks(feed_forward.EQUALS_EQUATION_2, sentence="29afca5b", cases=TOKENS, needs_weights=True)
def test_equals_equation_2(subject: Subject, case: Case) -> None:
    """With the subject's weights, the reference gives the same."""
    instance, inputs = subject.instance(case), subject.inputs(case)
    oracle.require_equals_the_reference(
        instance, inputs, "with the subject's weights, equation 2 gives something else", grad=bool(case.seed % 2)
    )


@checks(feed_forward.EQUALS_EQUATION_2, sentence="29afca5b", cases=TOKENS, needs_weights=True)
def test_equals_equation_2_by_hand(subject: Subject, case: Case) -> None:
    """With the subject's weights, torch's own linear maps and activations give the same."""
    instance, inputs = subject.instance(case), subject.inputs(case)
    weights, x = wide_weights(instance), inputs.tensors[0].double().cpu()
    activation, gated = claimed_function(subject)

    def expected() -> Tensor:
        return by_hand(weights, x, activation, gated=gated)

    tolerance.require_close(
        instance(inputs),
        expected(),
        "with the subject's weights, equation 2 gives something else",
        dtype=subject.rounds_to,
        again=expected,
    )


@checks(feed_forward.NOT_LINEAR, sentence="df06c34b", cases=TOKENS)
def test_not_linear(subject: Subject, case: Case) -> None:
    """An affine function of the input would give f(x) + f(-x) = 2 f(0)."""
    instance = subject.instance(case)
    x = 3 * subject.inputs(case).tensors[0].double().cpu()
    zero = _values(instance, case, torch.zeros_like(x))
    both = _values(instance, case, x) + _values(instance, case, -x)
    if not bool(both.isfinite().all()):
        raise Vacuous("the output is not finite")
    unit = tolerance.floor(torch.cat((both, 2 * zero)), subject.rounds_to)
    if bool(((both - 2 * zero).abs() <= tolerance.units(subject.rounds_to) * unit).all()):
        raise Violation(
            "the output is an affine function of the input: f(x) + f(-x) = 2 f(0)",
            expected=2 * zero[0, 0],
            got=both[0, 0],
        )


@checks(feed_forward.ACTIVATION_IS_AS_CLAIMED, sentence="c92c5aa8", cases=TOKENS, needs_weights=True)
def test_activation_is_as_claimed(subject: Subject, case: Case) -> None:
    """With the subject's weights the claimed activation fits, and where it does not, another does."""
    instance, inputs = subject.instance(case), subject.inputs(case)
    weights, x, got = wide_weights(instance), inputs.tensors[0].double().cpu(), instance(inputs)
    claimed, gated = claimed_function(subject)
    message = f"the claim activation={subject.claims['activation']} does not hold"

    def require(activation: Callable[[Tensor], Tensor]) -> None:
        def expected() -> Tensor:
            return by_hand(weights, x, activation, gated=gated)

        tolerance.require_close(got, expected(), message, dtype=subject.rounds_to, again=expected)

    try:
        require(claimed)
    except Violation as seen:
        names = {on_gate: name for name, on_gate in ON_THE_GATE.items()} if gated else {}
        candidates = {f"activation={names.get(name, name)}": each for name, each in ACTIVATIONS.items()} | dict(
            TEMPTING
        )
        for name, activation in candidates.items():
            try:
                require(activation)
            except Violation:
                continue
            seen.behaves_as([name])
            raise
        raise Inconclusive("no known activation fits; see feed_forward.equals-equation-2") from None


@checks(feed_forward.ACTIVATION_IS_AS_CLAIMED, sentence="c92c5aa8", cases=TOKENS)
def test_activation_is_as_claimed_by_its_shape(subject: Subject, case: Case) -> None:
    """Without any weight's name: gated ones grow with the square of a large input, and only ReLU is straight almost everywhere."""
    instance = subject.instance(case)
    name = str(subject.claims["activation"])
    x = subject.inputs(case).tensors[0].double().cpu()
    far = [_values(instance, case, factor * 1e5 * x) for factor in (1.0, 2.0)]
    growth = float(far[1].norm() / far[0].norm()) if float(far[0].norm()) else math.nan
    if not math.isfinite(growth):
        raise Inconclusive("the output for large inputs is zero or not finite")
    degree = math.log2(growth)
    if name in GATED and abs(degree - 1) < 0.1:
        raise Violation(
            f"the claim activation={name} does not hold: a large output doubles with the input, so nothing is gated"
        )
    if name not in GATED and degree > 1.5:
        raise Violation(
            f"the claim activation={name} does not hold: a large output grows with the power {degree:.2g} of the input"
        )
    if name not in GATED and degree < 0.5:
        raise Violation(
            f"the claim activation={name} does not hold: it stays bounded for large inputs, as none that can be claimed does"
        )
    if name in GATED or subject.rounds_to is not torch.float64:
        return
    direction = torch.randn(x.shape, generator=generator(case.seed + 2), dtype=torch.float64)
    ahead, here, behind = (_values(instance, case, x + step * direction) for step in (STEP, 0.0, -STEP))
    bends = (
        (ahead - 2 * here + behind).abs() > tolerance.units(torch.float64) * 4 * tolerance.floor(here, torch.float64)
    ).any(-1)
    share = float(bends.double().mean())
    if name == "relu" and share > 0.5:
        raise Violation(
            "the claim activation=relu does not hold: the function is curved at most tokens, and a ReLU is straight"
        )
    if name != "relu" and share == 0:
        raise Violation(
            f"the claim activation={name} does not hold: the function is straight at every token, as with a ReLU or with nothing"
        )


@checks(feed_forward.BIASES_ARE_AS_CLAIMED, sentence="97743390", cases=TOKENS)
def test_biases_are_as_claimed(subject: Subject, case: Case) -> None:
    """Every activation is 0 at 0: without biases a zero token gives zero, with them it does not."""
    instance = subject.instance(case)
    x = subject.inputs(case).tensors[0].double().cpu()
    zero = _values(instance, case, torch.zeros_like(x))
    ordinary = _values(instance, case, x)
    if bool((ordinary == 0).all()) or not bool(ordinary.isfinite().all()):
        raise Vacuous("the output is zero for every token, or is not finite")
    silent = bool((zero == 0).all())
    if not subject.claims["bias"]:
        if not silent:
            raise Violation(
                "bias=False is claimed, but a token of zeros does not give zeros",
                expected=torch.zeros_like(zero[0, 0]),
                got=zero[0, 0],
            )
        return
    if silent:
        raise Violation(
            "bias=True is claimed, but a token of zeros gives zeros: neither map has a bias", got=zero[0, 0]
        )
    if subject.claims["activation"] == "relu":
        _require_hidden_bias(subject, x, zero, ordinary, _values(instance, case, 2 * x))


def _require_hidden_bias(subject: Subject, x: Tensor, zero: Tensor, once: Tensor, twice: Tensor) -> None:
    """Without a bias before it a ReLU doubles with its input, so that the output less f(0) does."""
    doubled = zero + 2 * (once - zero)
    unit = tolerance.floor(torch.cat((doubled, once, zero)), subject.rounds_to)
    if bool(((twice - doubled).abs() <= tolerance.units(subject.rounds_to) * unit).all()):
        raise Violation(
            "bias=True is claimed, but the first map has none: f(2x) - f(0) is twice f(x) - f(0)",
            expected=x[0, 0],
            got=twice[0, 0],
        )


@checks(feed_forward.BIASES_ARE_AS_CLAIMED, sentence="97743390", cases=TOKENS, needs_weights=True)
def test_biases_are_as_claimed_by_the_mapping(subject: Subject, case: Case) -> None:
    """Each bias of the mapping is added: the output must not be what it would be without one."""
    instance, inputs = subject.instance(case), subject.inputs(case)
    weights, x, got = wide_weights(instance), inputs.tensors[0].double().cpu(), instance(inputs)
    activation, gated = claimed_function(subject)
    biases = [name for name in weights if name.endswith("bias")]

    def fits(without: tuple[str, ...]) -> bool:
        left = {name: each for name, each in weights.items() if name not in without}

        def expected() -> Tensor:
            return by_hand(left, x, activation, gated=gated)

        try:
            tolerance.require_close(got, expected(), "", dtype=subject.rounds_to, again=expected)
        except Violation:
            return False
        return True

    if fits(()):
        return
    for missing in (*((name,) for name in biases), tuple(biases)):
        if missing and fits(missing):
            raise Violation(f"bias=True is claimed, but {' and '.join(missing)} is never added")
    raise Inconclusive("leaving out a bias does not explain the output; see feed_forward.equals-equation-2")


@checks(
    feed_forward.SYMMETRIC_WEIGHTS_GIVE_THE_KNOWN_OUTPUT,
    sentence="377c379a",
    cases=cases(masks=("none",)),
    needs_weights=True,
    most=4,
)
def test_symmetric_weights_give_the_known_output(subject: Subject, case: Case) -> None:
    """Fill all tensors of one shape alike; the output must be the reference's, and fresh weights must not say otherwise."""
    require_the_known_output(subject, case)
