"""Normalization, tested: LayerNorm and RMSNorm, over the features of one token."""

import dataclasses
import math
from collections.abc import Callable

import torch
from torch import Tensor

from veriformer import bare_stack, norm_probe, oracle, perturbation, stack_epsilon, tolerance
from veriformer.arrangements import Norm
from veriformer.bare_stack import claimed_norm
from veriformer.case import Case
from veriformer.inputs import generator
from veriformer.known_output import require_the_known_output
from veriformer.norm_probe import EXACT, NEAR, Affine, call
from veriformer.outcome import Inconclusive, NotChecked, SubjectError, Vacuous, Violation
from veriformer.property import checks
from veriformer.strategies import cases
from veriformer.subjects import Instance, Subject
from veriformer.weights import is_untouched_gain, trainable
from veriformer_spec import normalization
from veriformer_spec.role import STACKS

TOKENS = cases(batch=(2, 3), q_len=(2, 4))
STACK_TOKENS = cases(batch=(2, 3), q_len=(2, 4), d_head=(3, 4), layers=(1, 2))


def _close(subject: Subject, got: Tensor, expected: Tensor, message: str, again: Callable[[], Tensor]) -> None:
    tolerance.require_close(got, expected, message, dtype=subject.rounds_to, again=again)


@checks(normalization.PER_TOKEN, sentence="451390a7", cases=TOKENS)
def test_statistics_are_per_token(subject: Subject, case: Case) -> None:
    """Change one token: no other token's output changes, in evaluation and in training."""
    training = bool(case.seed % 2) and subject.declaration.has_module and not subject.neutralise_dropout
    inputs = subject.inputs(case)
    row, position = case.seed % case.batch, case.seed % case.q_len
    changed = perturbation.with_key_changed(inputs, row, position, generator(case.seed + 1))
    instance = subject.instance(case, training=training)
    before = instance(inputs)
    apart = perturbation.difference(before, subject.instance(case, training=training)(changed))
    itself = float(apart[row, position])
    apart[row, position] = 0
    worst = float(apart.max())
    if worst > perturbation.explained(instance, inputs, before, worst, grad=False):
        other_row, other = divmod(int(apart.argmax()), case.q_len)
        raise Violation(
            f"tokens are normalised together: the output at row {other_row}, position {other} changes with the token at row {row}, "
            f"position {position} ({'training' if training else 'evaluation'})",
            got=(apart > 0).int(), expected=torch.zeros_like(apart).int(), index=(other_row, other), margin=f"changes by {worst:.3g}",
            axes=("row of the batch", "token"), shows="may depend",
        )  # fmt: skip
    if itself == 0:
        raise Vacuous("the output does not depend on the token at all")


def _probes(subject: Subject, case: Case) -> Tensor:
    """Tokens of ordinary size off centre, tokens of the size of eps, large ones: one batch."""
    norm = claimed_norm(subject)
    x = norm_probe.tokens(case, case.seed)
    x[:, 0] = x[:, 0] + 2
    x[:, -1] *= math.sqrt(norm.eps) if norm.eps else 1e-3
    x[0, 0] *= 100
    return x.to(subject.dtype).double()


def _affine(instance: Instance, case: Case) -> Affine:
    if norm_probe.has_no_affine(instance):
        return Affine(torch.ones(case.d_model, dtype=torch.float64), torch.zeros(case.d_model, dtype=torch.float64))
    return norm_probe.solved(instance, case, case.seed + 5)


def _require_equation(subject: Subject, case: Case) -> None:
    instance, norm = subject.instance(case), claimed_norm(subject)
    affine, x = _affine(instance, case), _probes(subject, case)
    got = call(instance, case, x)
    if not bool(affine.gain.isfinite().all()):
        raise Violation("the output is not finite for ordinary tokens", got=got)
    if not bool((affine.gain.abs() > NEAR).any()):
        raise Violation("the output does not depend on the token", expected=norm.normalised(x)[0, 0], got=got[0, 0])
    try:
        message = "the output is not the normalised token, stretched and shifted"
        _close(subject, got, affine(norm.normalised(x)), message, lambda: norm.normalised(x))
    except Violation as seen:
        fitting = [
            words
            for words, other in norm_probe.other_norms(norm)
            if _fits(subject, got, norm_probe.refitted(affine, norm, other, x), x, other)
        ]
        if fitting:
            seen.behaves_as(fitting[:1])
        raise


def _fits(subject: Subject, got: Tensor, expected: Tensor, x: Tensor, norm: Norm) -> bool:
    try:
        _close(subject, got, expected, "", lambda: norm.normalised(x))
    except Violation:
        return False
    return True


@checks(normalization.LAYER_EQUALS_ITS_EQUATION, sentence="ef0e0d1b", cases=TOKENS)
def test_layer_norm_equals_its_equation(subject: Subject, case: Case) -> None:
    """Solve for gain and shift at one token: every other token must agree with the equation."""
    _require_equation(subject, case)


@checks(normalization.LAYER_EQUALS_ITS_EQUATION, sentence="ef0e0d1b", cases=TOKENS, needs_weights=True)
def test_layer_norm_equals_its_equation_by_the_reference(subject: Subject, case: Case) -> None:
    """With the subject's own gain and shift, the reference gives the same."""
    _require_reference(subject, case)


@checks(normalization.RMS_EQUALS_ITS_EQUATION, sentence="a5dd559d", cases=TOKENS)
def test_rms_norm_equals_its_equation(subject: Subject, case: Case) -> None:
    """Solve for the gain at one token: every other token must agree with the equation."""
    _require_equation(subject, case)


@checks(normalization.RMS_EQUALS_ITS_EQUATION, sentence="a5dd559d", cases=TOKENS, needs_weights=True)
def test_rms_norm_equals_its_equation_by_the_reference(subject: Subject, case: Case) -> None:
    """With the subject's own gain, the reference gives the same."""
    _require_reference(subject, case)


def _require_reference(subject: Subject, case: Case) -> None:
    instance = subject.instance(case)
    x = _probes(subject, case).to(device=subject.device, dtype=subject.dtype)
    inputs = dataclasses.replace(subject.inputs(case), tensors=(x,))
    oracle.require_equals_the_reference(
        instance, inputs, "with the subject's weights the reference gives something else"
    )


@checks(normalization.VARIANCE_IS_BIASED, sentence="c5bf7f20", cases=TOKENS)
def test_variance_is_biased(subject: Subject, case: Case) -> None:
    """Dividing by d_model - 1 hides in the gain, but not in the effect of eps, nor where the gain is known to be one."""
    norm, unbiased = claimed_norm(subject), (case.d_model - 1) / case.d_model
    message = "the variance is divided by d_model - 1, not by d_model"
    if norm.eps:
        instance = subject.instance(case)
        inside, outside = norm_probe.effective_eps(instance, case, norm.eps, _solved(instance, case))
        narrow = (1 - unbiased) / 4
        for seen, biased_share in ((inside / norm.eps, unbiased), (outside / norm.eps, math.sqrt(unbiased))):
            if abs(seen - biased_share) < narrow * biased_share:
                raise Violation(f"{message}: eps acts as {seen:.6g} of its value", margin=f"d_model={case.d_model}")
        if abs(inside / norm.eps - 1) < narrow:
            return
    instance = subject.instance(case, random_weights=False)
    if not _gain_is_one(instance):
        raise Inconclusive("the gain is not known, and hides the divisor: give a mapping")
    x = norm_probe.of_variance(case, norm_probe.FAR_ABOVE**2, case.seed, subject)
    z = norm.normalised(x)
    got = call(instance, case, x)
    got = got - got.mean(-1, keepdim=True)
    share = float((got * z).sum() / (z * z).sum())
    if abs(share / math.sqrt(unbiased) - 1) < (1 - unbiased) / 8:
        raise Violation(f"{message}: the output is {share:.6g} of what it should be", margin=f"d_model={case.d_model}")
    if not abs(share - 1) < (1 - unbiased) / 8:
        raise Inconclusive(f"the output is {share:.3g} of the normalised token: neither divisor explains it")


def _solved(instance: Instance, case: Case) -> Affine:
    """Gain and shift from outside, also where there are none: a wrong divisor then shows in the gain."""
    return norm_probe.solved(instance, case, case.seed + 5)


def _gain_is_one(instance: Instance) -> bool:
    """Whether the norm was just built with a gain that is one throughout, and a shift of zero."""
    if norm_probe.has_no_affine(instance):
        return True
    parameters = [each for _, each in trainable(instance.module_or_not_checked())]
    if instance.subject.claims["gain"] == "one-plus-weight":
        return bool(parameters) and all(bool((each == 0).all()) for each in parameters)
    gains = [each for each in parameters if is_untouched_gain(each)]
    return len(gains) == 1 and all(bool((each == 0).all()) for each in parameters if each is not gains[0])


@checks(normalization.EPSILON_IS_INSIDE_THE_ROOT, sentence="30f92f3b", cases=STACK_TOKENS, most=15)
def test_epsilon_is_inside_the_root(subject: Subject, case: Case) -> None:
    """At tokens as small as eps, its value and its place decide what comes out."""
    if subject.role in STACKS:
        stack_epsilon.require_epsilon_of_a_stack(subject, case)
        return
    norm, instance = claimed_norm(subject), subject.instance(case)
    affine = _solved(instance, case)
    if not bool((affine.gain.abs() > NEAR).any()):
        raise Vacuous("the output does not depend on the token, or is not finite")
    variances = [norm.eps * factor if norm.eps else 1e-8 * factor for factor in (0.25, 1.0, 4.0)]
    seen = [norm_probe.effective_eps(instance, case, variance, affine) for variance in variances]
    x = norm_probe.of_variance(case, variances[1], case.seed, subject)
    got = call(instance, case, x)
    unbiased = dataclasses.replace(norm, unbiased=norm.kind == "layer")
    if _fits(subject, got, affine(norm.normalised(x)), x, norm) or _fits(
        subject, got, norm_probe.refitted(affine, norm, unbiased, x), x, unbiased
    ):
        return
    inside, outside = [one for one, _ in seen], [other for _, other in seen]
    margin = f"at variances {', '.join(f'{each:.3g}' for each in variances)} eps acts as {', '.join(f'{each:.3g}' for each in inside)}"
    expected = affine(norm.normalised(x))[0, 0]
    small = max(NEAR, 1e3 * tolerance.floor(torch.ones(1), subject.rounds_to)) * variances[0]
    said = ""
    if all(abs(each) < small for each in inside):
        said = f"the claim eps={norm.eps:g} does not hold: eps is 0, or far smaller than claimed"
    elif norm.eps and _equal(inside) and abs(inside[0] / norm.eps - 1) < EXACT:
        raise Inconclusive(
            f"eps acts as claimed, and still another value comes out; see the clause on the equation: {margin}"
        )
    elif _equal(inside):
        said = f"the claim eps={norm.eps:g} does not hold: eps is {inside[0]:.3g}"
    elif _equal(outside):
        said = f"eps is added outside the root: x / (root + {outside[0]:.3g})"
    if said:
        raise Violation(said, expected=expected, got=got[0, 0], margin=margin)
    raise Inconclusive(f"the effect of eps is not understood; see the clause on the equation: {margin}")


def _equal(values: list[float]) -> bool:
    return all(math.isfinite(each) for each in values) and max(values) - min(values) <= EXACT * max(map(abs, values))


@checks(normalization.EPSILON_IS_INSIDE_THE_ROOT, sentence="30f92f3b", cases=STACK_TOKENS, needs_weights=True, most=8)
def test_epsilon_is_inside_the_root_by_the_reference(subject: Subject, case: Case) -> None:
    """At tokens as small as eps, the reference at another eps must not fit better than at the claimed one."""
    instance, inputs = subject.instance(case), subject.inputs(case)
    small = math.sqrt(float(subject.claims["eps"])) or 1e-5
    inputs = dataclasses.replace(inputs, tensors=tuple(each * small for each in inputs.tensors))
    compute = oracle.oracle(instance)
    got, expected = instance(inputs), compute(inputs)
    try:
        oracle.close(instance, got, expected, "the claimed eps does not hold", lambda: compute(inputs))
    except Violation as seen:
        fitting = oracle.other_claims_that_fit(instance, inputs, got, only="eps")
        if fitting:
            seen.behaves_as(fitting)
            raise
        raise NotChecked(
            "small tokens differ from the reference at every usual eps; see stack.equals-the-reference"
        ) from None


@checks(normalization.OUTPUT_HAS_MEAN_ZERO_AND_VARIANCE_ONE, sentence="7caf5955", cases=TOKENS)
def test_output_has_mean_zero_and_variance_one(subject: Subject, case: Case) -> None:
    """Gain and shift taken off, each token has mean 0 and mean square 1 (RMSNorm: mean square 1)."""
    instance, norm = subject.instance(case, random_weights=False), claimed_norm(subject)
    nothing = torch.zeros(case.d_model, dtype=torch.float64)
    affine = Affine(nothing + 1, nothing) if _gain_is_one(instance) else _solved(instance, case)
    if not bool((affine.gain.abs() > EXACT).all()):
        raise Vacuous("a gain is zero")
    x = 10 * norm_probe.tokens(case, case.seed) * max(1.0, norm.eps) + 3
    normal = (call(instance, case, x) - affine.shift) / affine.gain
    mean, square = normal.mean(-1), normal.square().mean(-1)
    loose = 2 * bare_stack.ROUGHLY
    wrong = (square - 1).abs() > loose
    if norm.kind == "layer":
        wrong |= mean.abs() > loose
    wrong |= ~square.isfinite()
    if bool(wrong.any()):
        row, position = (int(each) for each in wrong.nonzero()[0])
        raise Violation(
            f"before gain and shift the token at row {row}, position {position} has mean {float(mean[row, position]):.3g} and mean "
            f"square {float(square[row, position]):.3g}",
            expected=norm.normalised(x)[row, position], got=normal[row, position], index=(row, position),
        )  # fmt: skip


@checks(normalization.SHIFT_AND_SCALE_INVARIANCE, sentence="8ef49355", cases=TOKENS)
def test_shift_and_scale_change_nothing(subject: Subject, case: Case) -> None:
    """Multiply tokens far above eps, and for LayerNorm add a number to their features: the output stays."""
    instance, norm = subject.instance(case), claimed_norm(subject)
    random = generator(case.seed + 1)
    x = norm_probe.tokens(case, case.seed) * norm_probe.FAR_ABOVE**1.5 * max(1.0, norm.eps)
    factor = 1 + 9 * torch.rand(case.batch, case.q_len, 1, generator=random, dtype=torch.float64)
    before = call(instance, case, x)
    _close(
        subject,
        call(instance, case, factor * x),
        before,
        "multiplying a token changes its output",
        lambda: norm.normalised(x),
    )
    if norm.kind == "layer":
        number = 2 * float(x.std()) * torch.rand(case.batch, case.q_len, 1, generator=random, dtype=torch.float64)
        moved = x + number
        message = "adding a number to a token's features changes its output"
        _close(subject, call(instance, case, moved), before, message, lambda: norm.normalised(moved))
    if not bool(((before - before[:1, :1]).abs() > EXACT * before.abs().max()).any()):
        raise Vacuous("the output is the same for every token, or is not finite")


@checks(normalization.CONSTANT_TOKENS_STAY_FINITE, sentence="214afb83", cases=TOKENS)
def test_constant_tokens_stay_finite(subject: Subject, case: Case) -> None:
    """Zeros, and tokens whose features are all equal: outputs and gradients are finite."""
    if not float(subject.claims["eps"]):
        raise NotChecked("eps=0 is claimed: nothing keeps the root away from zero")
    instance, inputs = subject.instance(case), subject.inputs(case)
    ordinary = instance(inputs)
    if not bool((ordinary != ordinary[:1, :1]).any()):
        raise Vacuous("the output is the same for every token")
    x = inputs.tensors[0].clone()
    x[:, 0] = 0.0
    x[:, 1] = 0.5
    x.requires_grad_()
    with torch.enable_grad():
        output = instance.raw(x * 1)
        if not isinstance(output, Tensor):
            raise SubjectError("call returned something that is no tensor", origin="call")
        _require_finite(output, "output")
        if not output.requires_grad:
            return
        (gradient,) = torch.autograd.grad(output.square().sum() + output.sum(), x)
    _require_finite(gradient, "gradient")


def _require_finite(values: Tensor, what: str) -> None:
    for position, name in ((0, "a token of zeros"), (1, "a token whose features are all equal")):
        if not bool(values[:, position].isfinite().all()):
            raise Violation(f"{name} gives {what}s that are not finite", got=values[0, position], index=(0, position))


@checks(normalization.HALVES_ARE_NORMALISED_IN_FLOAT32, sentence="63fbacec", cases=TOKENS)
def test_halves_are_normalised_in_float32(subject: Subject, case: Case) -> None:
    """In float16, tokens as large as 1e3 give what tokens 64 times smaller give."""
    try:
        instance = subject.instance(case, dtype=torch.float16)
        x = norm_probe.tokens(case, case.seed)
        x = (x / x.abs().amax(-1, keepdim=True) * 960).to(device=subject.device, dtype=torch.float16)
        inputs = dataclasses.replace(subject.inputs(case), tensors=(x,))
        large = instance(inputs)
        small = instance(dataclasses.replace(inputs, tensors=(x / 64,)))
    except SubjectError as error:
        raise NotChecked(f"does not run in float16: {error}") from error
    if not bool(small.isfinite().all()) or bool((small == small[:1, :1]).all()):
        raise Vacuous("the output is the same for every token, or is not finite even for small ones")
    tolerance.require_close(large, small, "tokens near 1e3 overflow in float16", dtype=torch.float16)


@checks(
    normalization.SYMMETRIC_WEIGHTS_GIVE_THE_KNOWN_OUTPUT,
    sentence="6662b024",
    cases=cases(masks=("none",)),
    needs_weights=True,
    most=4,
)
def test_symmetric_weights_give_the_known_output(subject: Subject, case: Case) -> None:
    """Fill all tensors of one shape alike; the output must be the reference's, and fresh weights must not say otherwise."""
    require_the_known_output(subject, case)
