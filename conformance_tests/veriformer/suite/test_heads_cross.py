"""Heads, tested: attention to a memory, from inside a decoder."""

import dataclasses

import torch

from veriformer import calls, perturbation
from veriformer.case import Case
from veriformer.inputs import Inputs, generator
from veriformer.masking_checks import require_nothing_is_missing, require_nothing_leaks, require_same
from veriformer.outcome import NotChecked, SubjectError, Vacuous, Violation
from veriformer.property import checks
from veriformer.strategies import cases
from veriformer.subjects import Instance, Subject
from veriformer.visibility import may_see, must_see
from veriformer_spec import heads

PATHS = (False, True)
"""Gradients off and on: torch.nn runs other code without them."""


@checks(
    heads.CROSS_ATTENTION_READS_THE_MEMORY,
    sentence="12ef38b6",
    cases=cases(layers=(1, 2), sides=("cross",), q_len=(2, 3), k_len=(2, 3), same_length=True),
    most=12,
)
def test_cross_attention_reads_the_memory(subject: Subject, case: Case) -> None:
    """Every output changes with every position of the memory; and with no target position that self-attention hides from it.

    With one position on either side there is nothing to choose from: what comes back is the value, and must come from the memory.
    """
    instance, inputs = subject.instance(case), subject.inputs(case)
    require_nothing_is_missing(instance, inputs, case, "the memory is not seen")
    first = torch.zeros(1, dtype=torch.long)
    one = dataclasses.replace(case, q_len=1, k_len=1)
    require_nothing_is_missing(
        instance, inputs.taking(first, first), one, "a memory of one position is not seen: values come from elsewhere"
    )
    mask = "causal" if "causal" in subject.masks and not subject.causal else "none"
    own = dataclasses.replace(case, side="self", k_len=case.q_len, context=case.k_len, mask=mask)
    targets = subject.inputs(own)
    require_nothing_is_missing(instance, targets, own, "the target's own past is not seen")
    if not bool(may_see(own, targets).all()):
        require_nothing_leaks(
            instance, targets, own, "target positions come by another way than self-attention, which hides them"
        )


@checks(
    heads.TARGET_AND_MEMORY_LENGTHS_MAY_DIFFER,
    sentence="1be016aa",
    cases=cases(layers=(1, 2), masks=("none", "padding"), sides=("cross",), q_len=(1, 4), k_len=(1, 4)),
    most=15,
)
def test_target_and_memory_lengths_may_differ(subject: Subject, case: Case) -> None:
    """A longer and a shorter memory than the target: as many outputs as targets, each seeing the memory to its end."""
    if case.q_len == case.k_len:
        raise Vacuous("the lengths are equal")
    require_equal_lengths_work(subject, case)
    instance, inputs = subject.instance(case), subject.inputs(case)
    words = f"a target of {case.q_len} with a memory of {case.k_len}"
    try:
        got = instance(inputs)
    except SubjectError as error:
        if error.origin != "call":
            raise
        raise Violation(f"{words} is refused: {error}") from error
    if tuple(got.shape) != calls.promised_shape(case):
        raise Violation(f"{words} gives an output of shape {tuple(got.shape)}, and not {calls.promised_shape(case)}")
    for grad in PATHS:
        perturbation.require_visible(
            instance, inputs, perturbation.EVERY_ROW, must_see(case, inputs), f"{words}: the memory is not seen",
            seed=case.seed, grad=grad,
        )  # fmt: skip
    require_each_row_as_alone(instance, inputs, words)


def require_equal_lengths_work(subject: Subject, case: Case) -> None:
    """Leave to other clauses what fails where the lengths are equal, too: whatever fails here is about lengths.

    Raises:
        NotChecked: it does.
    """
    equal = dataclasses.replace(case, k_len=case.q_len)
    try:
        shape = tuple(subject.instance(equal)(subject.inputs(equal)).shape)
    except SubjectError as error:
        raise NotChecked(f"the call fails where the lengths are equal, too: {error}") from error
    if shape != calls.promised_shape(equal):
        raise NotChecked("the output has another shape than promised where the lengths are equal, too")


def require_each_row_as_alone(instance: Instance, inputs: Inputs, words: str) -> None:
    """Fail where a row of the batch is not what it is by itself: a reshape with the other length mixes rows."""
    if inputs.batch < 2:
        return
    row = inputs.batch - 1
    require_same(
        instance, inputs, instance(inputs)[row], instance(inputs.only_row(row))[0],
        f"{words}: row {row} is not what it is alone",
    )  # fmt: skip


@checks(
    heads.MEMORY_ORDER_DOES_NOT_MATTER,
    sentence="72c4ba80",
    cases=cases(layers=(1, 2), masks=("none", "padding", "arbitrary"), sides=("cross",), k_len=(2, 5)),
    most=15,
)
def test_memory_order_does_not_matter(subject: Subject, case: Case) -> None:
    """The memory in another order, its mask with it: the same output."""
    if case.k_len < 2:
        raise Vacuous("the memory has one position")
    instance, inputs = subject.instance(case), subject.inputs(case)
    order = torch.randperm(case.k_len, generator=generator(case.seed))
    if torch.equal(order, torch.arange(case.k_len)):
        order = order.roll(1)
    for grad in PATHS:
        require_same(
            instance, inputs, instance(inputs.taking(order), grad=grad), instance(inputs, grad=grad),
            f"the output changes when the memory is put in the order {order.tolist()}",
        )  # fmt: skip
