"""Model, tested: segments enter at their own tokens."""

import dataclasses

import torch

from veriformer import perturbation, tolerance
from veriformer.case import Case
from veriformer.outcome import Violation
from veriformer.property import checks
from veriformer.strategies import cases
from veriformer.subjects import Subject
from veriformer_spec import model


@checks(
    model.SEGMENTS_REACH_THEIR_TOKENS,
    sentence="b2f64f47",
    cases=cases(batch=(2, 3), q_len=(2, 4), vocab=(5, 9)),
    most=6,
)
def test_segments_reach_their_tokens(subject: Subject, case: Case) -> None:
    """Move each token to the other segment in turn: its own logits change; leave segments out: as with zeros."""
    instance, inputs = subject.instance(case), subject.inputs(case)
    (segments,) = inputs.context
    base = instance(inputs)
    for position in range(case.q_len):
        moved = segments.clone()
        moved[:, position] = 1 - moved[:, position]
        change = perturbation.difference(base, instance(dataclasses.replace(inputs, context=(moved,))))[:, position]
        if not bool((change > 0).all()):
            row = int((change == 0).nonzero()[0])
            raise Violation(
                f"another segment for token {position} of row {row} does not change its logits", index=(row, position)
            )
    without = dataclasses.replace(inputs, context=())
    zeros = dataclasses.replace(inputs, context=(torch.zeros_like(segments),))
    tolerance.require_close(
        instance(without),
        instance(zeros),
        "without segments the logits are not those with every token in segment 0",
        dtype=subject.rounds_to,
        again=lambda: instance(zeros),
    )
