"""The known output: what comes out under symmetric weights is known, though nobody knows which tensor is which."""

import torch
from torch import nn

from veriformer import tolerance
from veriformer.case import Case
from veriformer.mapping import NotUnderstood
from veriformer.mapping.symmetric import fill_reference
from veriformer.oracle import unchecked
from veriformer.outcome import Inconclusive, NotChecked, Violation
from veriformer.subjects import Subject
from veriformer.understanding import GIVE_A_MAPPING, understood, write
from veriformer.variants import called
from veriformer_reference.build import build

NOT_UNDERSTOOD = "weights not understood"
"""How a verdict begins that calls nothing wrong: no known function is computed, and that is no proof of a mistake."""


def require_the_known_output(subject: Subject, case: Case) -> None:
    """Fail if the subject does, under symmetric weights and on fresh ones, what another claim or a catalogued fault would do.

    Raises:
        Violation: it does; or with equal weights wherever shapes are equal its output is not the reference's.
        Inconclusive: every weight has a place by its shape, and yet nothing that is known computes what the subject does: what is
            not understood is not called wrong.
        NotChecked: the weights are not understood, or cannot be written.
    """
    if subject.declaration.weights is None:
        _require_that_it_is_understood_as_claimed(subject)
    instance, inputs = subject.instance(case), subject.inputs(case)
    reference = build(subject.role, instance.config)
    assert isinstance(reference, nn.Module)
    reference = reference.double().eval()
    fill_reference(reference, instance.config)
    write(instance, dict(reference.named_parameters(remove_duplicate=False)))
    got = instance(inputs)
    with torch.no_grad(), unchecked():
        expected = called(reference, inputs)
    tolerance.require_close(
        got,
        expected,
        "with equal weights wherever shapes are equal, the output is not the reference's",
        dtype=subject.rounds_to,
        again=lambda: called(reference, inputs),
    )


def _require_that_it_is_understood_as_claimed(subject: Subject) -> None:
    found = understood(subject)
    if isinstance(found, NotUnderstood):
        said = f"{NOT_UNDERSTOOD}: {found.reason}; {GIVE_A_MAPPING}"
        raise Inconclusive(said) if found.placed else NotChecked(said)
    if found.variant.claims:
        seen = Violation(
            "the claims made do not hold: on fresh weights the subject equals the reference under other ones"
        )
        seen.behaves_as([f"{name}={value}" for name, value in found.variant.claims])
        raise seen
    if found.variant.faults:
        faults = " and ".join(f"{fault.id} ({fault.sentence})" for fault in found.variant.faults)
        raise Violation(f"on fresh weights the subject equals the reference with a fault in it: {faults}")
