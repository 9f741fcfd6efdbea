"""Dropout inside models, tested: gone in evaluation, drawn anew in training."""

import torch

from veriformer import calls, process_state, tolerance
from veriformer.case import Case
from veriformer.inputs import Inputs
from veriformer.outcome import NotChecked, Vacuous, Violation
from veriformer.property import checks
from veriformer.strategies import cases
from veriformer.subjects import Instance, Subject
from veriformer_spec import training

RATE = 0.5
"""High enough to show in few features."""
TRIES = 4
"""Calls after which dropout that was not drawn anew is believed: that so many small masks are alike by accident is not to be expected."""


@checks(
    training.EVALUATION_IGNORES_THE_RATE,
    sentence="508c9d48",
    cases=cases(masks=("none", "padding", "causal"), layers=(1, 2)),
    most=12,
)
def test_evaluation_ignores_the_dropout_rate(subject: Subject, case: Case) -> None:
    """Built at rate 0.5 and at 0, with the same weights, and called in evaluation: the same comes out."""
    calm, inputs = subject.instance(case), subject.inputs(case)
    rated = calls.twin(calm, subject.instance(case, dropout=RATE))
    for grad in (False, True):
        tolerance.require_close(
            rated(inputs, grad=grad), calm(inputs, grad=grad),
            f"in evaluation, built at dropout={RATE}, other values come out than at 0",
            dtype=subject.rounds_to, again=lambda: calm(inputs),
        )  # fmt: skip
    if not _drops(rated, inputs, case.seed):
        raise NotChecked(f"built at dropout={RATE}, training drops nothing either: there is no rate to ignore")


def _drops(instance: Instance, inputs: Inputs, seed: int) -> bool:
    """Whether training computes something else than evaluation."""
    before = instance(inputs)
    instance.module_or_not_checked().train()
    try:
        for attempt in range(TRIES):
            process_state.seed(seed + attempt)
            if not torch.equal(instance(inputs, grad=True).detach(), before):
                return True
    finally:
        instance.module_or_not_checked().eval()
    return False


@checks(
    training.DROPOUT_DIFFERS_IN_EACH_CALL_AND_ROW,
    sentence="463d6ad3",
    cases=cases(batch=(2, 3), q_len=(3, 5), d_head=(4, 6), layers=(1, 2)),
    most=12,
)
def test_dropout_differs_in_each_call_and_row(subject: Subject, case: Case) -> None:
    """In training at rate 0.5 two calls differ, and so do two rows that are alike."""
    if case.batch < 2:
        raise Vacuous("there is one row")
    instance, inputs = subject.instance(case, dropout=RATE), subject.inputs(case)
    alike = torch.zeros(case.batch, dtype=torch.long)
    inputs = calls.mapped(inputs, lambda each: each[alike.to(each.device)].clone(), masks=True)
    module = instance.module_or_not_checked().train()
    try:
        process_state.seed(case.seed)
        outputs = [instance(inputs, grad=True).detach() for _ in range(TRIES)]
    finally:
        module.eval()
    if all(torch.equal(outputs[0], each) for each in outputs[1:]):
        raise Violation(
            f"in training at dropout={RATE}, {TRIES} calls give the same: nothing is drawn, or always the same"
        )
    if all(torch.equal(each[0], each[row]) for each in outputs for row in range(1, case.batch)):
        raise Violation(
            f"in training at dropout={RATE}, rows that are alike come back alike: one mask is drawn for all rows"
        )
