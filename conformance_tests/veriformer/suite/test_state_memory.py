"""State, tested: what may not be remembered from one call to the next, weights and tensors alike."""

import dataclasses

import torch
from torch import Tensor

from veriformer import calls
from veriformer.case import Case
from veriformer.dropout import in_training
from veriformer.inputs import Inputs
from veriformer.outcome import NotChecked, Vacuous, Violation
from veriformer.property import checks
from veriformer.strategies import cases
from veriformer.subjects import Instance, Subject
from veriformer.suite.test_state import require_same
from veriformer.weights import randomise, trainable
from veriformer_spec import state
from veriformer_spec.config import MASK_KINDS

ANY = cases(masks=MASK_KINDS)


@checks(state.A_CALL_USES_THE_WEIGHTS_AS_THEY_ARE, sentence="a685aa50", cases=ANY, most=6)
def test_a_call_uses_the_weights_as_they_are(subject: Subject, case: Case) -> None:
    """Call, change every parameter in place as an optimiser does, call: as a fresh instance with those weights."""
    used, inputs = subject.instance(case), subject.inputs(case)
    module = used.module_or_not_checked()
    if not trainable(module):
        raise NotChecked("the module has no parameters that may change")
    before = used(inputs)
    with in_training(used):
        randomise(module, case.seed + 5)
    expected = calls.twin(used, subject.instance(case))(inputs)
    if torch.equal(before, expected):
        raise Vacuous("other weights give the same output")
    message = (
        "after its parameters were changed in place the output is not that of a fresh instance with the same state_dict"
    )
    _require_fresh(case, used, inputs, got=used(inputs), expected=expected, message=message)


@checks(state.CALLS_ARE_INDEPENDENT, sentence="079d7991", cases=ANY, most=6)
def test_tensors_are_read_anew(subject: Subject, case: Case) -> None:
    """Call twice with the same tensors, whose numbers were replaced in between: the second call reads the new ones."""
    used, passed = subject.instance(case), calls.arguments(subject.inputs(case))
    other = _other_numbers(subject, case, passed)
    expected = calls.twin(used, subject.instance(case))(other)
    with torch.no_grad():
        used.raw(*passed)
        for tensor, replacement in zip(passed, calls.arguments(other), strict=True):
            if tensor is not None and replacement is not None:
                tensor.copy_(replacement)
        got = used.raw(*passed)
    message = (
        "called again with the same tensors holding other numbers, it returns something else than a fresh instance"
    )
    _require_fresh(case, used, other, got=other.specified(got), expected=expected, message=message)


def _other_numbers(subject: Subject, case: Case, passed: tuple[Tensor | None, ...]) -> Inputs:
    """Another call with numbers for every tensor that was ``passed``, and for no other: a mask may be there or not."""
    there = [each is not None for each in passed]
    for further in range(7, 40):
        other = subject.inputs(dataclasses.replace(case, seed=case.seed + further))
        if [each is not None for each in calls.arguments(other)] == there:
            return other
    raise Vacuous("no other call passes the same arguments")


def _require_fresh(case: Case, used: Instance, inputs: Inputs, *, got: Tensor, expected: Tensor, message: str) -> None:
    """Fail where ``got`` is not what a fresh instance gave; if two fresh ones differ already, that is another clause's matter."""
    try:
        require_same(used, inputs, got, expected, message)
    except Violation:
        if not torch.equal(calls.twin(used, used.subject.instance(case))(inputs), expected):
            raise NotChecked(
                "two fresh instances with equal weights differ already; see the state_dict's clause"
            ) from None
        raise
