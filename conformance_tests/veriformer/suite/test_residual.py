"""Residual, tested: what the skip carries, where the norm stands, where dropout falls."""

import torch

from veriformer import bare_stack, process_state, stack_epsilon
from veriformer.bare_stack import Seen
from veriformer.case import Case
from veriformer.outcome import NotChecked, Vacuous, Violation
from veriformer.property import checks
from veriformer.strategies import cases
from veriformer.subjects import Instance, Subject
from veriformer_spec import residual
from veriformer_spec.role import Role

RATE = 0.5
STACKS = cases(d_head=(3, 4), layers=(1, 3), q_len=(2, 4), sides=("self",))
"""Six features or more: with fewer a norm maps different tokens to nearly the same."""


def skip_is_wrong(seen: Seen) -> bool:
    """Whether what was seen is explained by a skip that carries anything but its input, once."""
    if seen.departure is None:
        return False
    arrangement = seen.departure.arrangement
    return bool(arrangement.factors or arrangement.of)


@checks(residual.THE_SKIP_ADDS_THE_INPUT_ONCE, sentence="2f3e8a3c", cases=STACKS, most=10)
def test_the_skip_adds_the_input_once(subject: Subject, case: Case) -> None:
    """With sublayers that return a constant, the output is that of skips and norms computed by hand."""
    seen = bare_stack.look(subject, case)
    if skip_is_wrong(seen) and seen.departure:
        raise seen.violation(f"with sublayers that return a constant: {seen.departure.words}")
    if seen.unexplained:
        raise seen.violation(
            "with sublayers that return a constant, the output is not that of skips and norms as claimed"
        )


@checks(residual.THE_SKIP_HOLDS_THE_VALUE_BEFORE_THE_SUBLAYER, sentence="680b6318", cases=STACKS, most=10)
def test_the_skip_holds_the_value_before_the_sublayer(subject: Subject, case: Case) -> None:
    """With sublayers that return a constant, each skip is seen to hold its own sublayer's input."""
    seen = bare_stack.look(subject, case)
    if seen.departure and (seen.departure.arrangement.earlier or seen.departure.arrangement.holds & {"sum", "relu"}):
        raise seen.violation(seen.departure.words)
    if seen.unexplained:
        raise NotChecked("with sublayers that return a constant, the output is explained by no arrangement of skips")


@checks(residual.NORM_PLACEMENT_IS_AS_CLAIMED, sentence="e07dbc37", cases=STACKS, most=10)
def test_norm_placement_is_as_claimed(subject: Subject, case: Case) -> None:
    """With sublayers that return a constant, the norms are seen to stand where they are claimed."""
    seen = bare_stack.look(subject, case)
    claimed = str(subject.claims["norm"])
    if seen.departure and (
        seen.departure.arrangement.placement != claimed or "normed" in seen.departure.arrangement.holds
    ):
        raise seen.violation(f"the claim norm={claimed} does not hold: it behaves as {seen.departure.words}")
    if seen.departure and seen.departure.arrangement.absent:
        raise seen.violation(f"with sublayers that return a constant: {seen.departure.words}")
    if seen.unexplained:
        raise NotChecked("with sublayers that return a constant, the output fits no placement of norms")


@checks(residual.NORM_PLACEMENT_IS_AS_CLAIMED, sentence="e07dbc37", cases=STACKS, most=5)
def test_norm_placement_is_as_claimed_by_scaling(subject: Subject, case: Case) -> None:
    """Pre-norm: what a sublayer adds to the skip does not grow with tokens that are far above eps already."""
    if subject.claims["norm"] != "pre" or subject.role is not Role.ENCODER_LAYER:
        raise NotChecked("asked of a pre-norm layer; the other witness sees the norms of post-norm layers")
    if not bare_stack.look(subject, case).as_claimed:
        raise NotChecked("skips and norms are not as claimed; see the other witness")
    stack_epsilon.require_a_norm_before_each_sublayer(subject, case)


@checks(residual.A_PRE_NORM_STACK_ENDS_IN_A_NORM, sentence="fb42d070", cases=STACKS, most=10)
def test_a_pre_norm_stack_ends_in_a_norm(subject: Subject, case: Case) -> None:
    """With sublayers that return a constant, a norm at the end is seen where there should be one, and only there."""
    seen = bare_stack.look(subject, case)
    ends_in_norm = subject.config(case).ends_in_norm
    if seen.departure and seen.departure.arrangement.final_norm != ends_in_norm:
        said = f"a norm at the end is {'claimed' if ends_in_norm else 'not claimed'}"
        raise seen.violation(f"{said}: it behaves as {seen.departure.words}")
    if seen.unexplained:
        raise NotChecked("with sublayers that return a constant, the output fits neither with nor without a final norm")


@checks(residual.DROPOUT_FALLS_ON_THE_SUBLAYER, sentence="c6cad943", cases=STACKS, most=10)
def test_dropout_falls_on_the_sublayer(subject: Subject, case: Case) -> None:
    """With sublayers that return zeros, training with dropout equals evaluation."""
    inputs = subject.inputs(case)
    nothing = torch.zeros(case.d_model, dtype=subject.dtype, device=subject.device)

    def stripped(*, training: bool) -> torch.Tensor:
        instance = subject.instance(case, dropout=RATE, training=training, random_weights=False)
        stripper = bare_stack.Stripper(instance)
        if not stripper.for_sure:
            raise NotChecked("not as many gains were found as there are norms: weights not understood; give a mapping")
        if not stripper.silent:
            raise NotChecked(
                "parameters are frozen, or computed from others, so that sublayers cannot be silenced; give a mapping"
            )
        stripper.leave(nothing)
        process_state.seed(case.seed)
        return instance(inputs, grad=training).detach()

    evaluated, trained = stripped(training=False), stripped(training=True)
    if not bool((evaluated != evaluated[:1, :1]).any()):
        raise NotChecked(
            "with all matrices zero the output is the same everywhere: the gains were not found; give a mapping"
        )
    if not bool(evaluated.isfinite().all()):
        raise NotChecked("with all matrices zero the output is not finite: weights not understood")
    apart = (evaluated - trained).abs()
    if bool((apart <= bare_stack.ROUGHLY * evaluated.abs().max()).all()):
        return
    index = tuple(
        int(each) for each in torch.unravel_index(apart.nan_to_num(nan=torch.inf).argmax().cpu(), apart.shape)
    )
    changed = int((apart > 0).sum())
    raise Violation(
        f"dropout falls on the skip: with sublayers that return zeros, training at rate {RATE} changes {changed} of "
        f"{apart.numel()} features",
        expected=evaluated[index[:2]], got=trained[index[:2]], index=index, margin=f"{float(apart.max()):.3g} off",
    )  # fmt: skip


@checks(residual.DROPOUT_IS_AS_CLAIMED, sentence="5b12a9e4", cases=STACKS, most=10)
def test_dropout_is_as_claimed(subject: Subject, case: Case) -> None:
    """Train twice from different seeds: the outputs differ where dropout is claimed; elsewhere they equal evaluation."""
    inputs = subject.inputs(case)

    def trained(instance: Instance, seed: int) -> torch.Tensor:
        process_state.seed(seed)
        return instance(inputs, grad=True).detach()

    instance = subject.instance(case, dropout=RATE, training=True)
    instance.module_or_not_checked()
    evaluated = subject.instance(case, dropout=RATE)(inputs)
    if bool(evaluated.isnan().all()) or bool((evaluated == evaluated.flatten()[0]).all()):
        raise Vacuous("the output is the same everywhere: dropout could not change it")
    first, second = trained(instance, case.seed), trained(instance, case.seed + 1)
    if subject.claims["dropout"] == "on":
        if _same(first, second):
            raise Violation(
                f"dropout is claimed, but training at config.dropout={RATE} is not random",
                expected=evaluated[0, 0],
                got=first[0, 0],
            )
        still = subject.instance(case, dropout=0.0, training=True)
        if not _same(trained(still, case.seed), trained(still, case.seed + 1)):
            raise Violation("training is random at config.dropout=0: the configured rate is not passed on")
    elif not _same(first, second) or not _same(first, evaluated):
        raise Violation(
            f"no dropout is claimed, but training at config.dropout={RATE} differs from evaluation",
            expected=evaluated[0, 0], got=first[0, 0],
        )  # fmt: skip


def _same(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Up to rounding: training may run other kernels than evaluation, and dropout changes a feature by much more."""
    return bool(((one - other).abs() <= bare_stack.ROUGHLY * other.abs().max()).all())
