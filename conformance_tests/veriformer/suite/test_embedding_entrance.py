"""Embedding, tested: real values that enter an encoder by a projection.

What stands behind the projection hides it: norms, attention, nonlinearities. So everything else is set to zero, the gains aside.
Skips and norms are left, and a norm keeps the direction of what it is given (up to its gain): the direction that comes out for a sum
of two inputs then lies in the plane of the two that come out for each. That is what linear means, and all that shows from outside.
"""

import dataclasses

import torch
from torch import Tensor

from veriformer import oracle
from veriformer.case import Case
from veriformer.inputs import Inputs, generator, normal
from veriformer.outcome import NotChecked, Vacuous, Violation
from veriformer.property import checks
from veriformer.strategies import cases
from veriformer.subjects import Instance, Subject
from veriformer.weights import can_be_cleared, is_untouched_gain, trainable
from veriformer_spec import embedding

WINDOWS = cases(batch=(1, 2), q_len=(3, 4), heads=(2, 2), d_head=(3, 4), d_ff=(5, 5), layers=(1, 2), d_input=(3, 7))
LARGE = 1e6
"""Beside which a table of positions and the eps of a norm are nothing."""
FLAT = 1e-4
"""How much of a third direction is not held against a plane: positions and eps make up 1e-6 of it."""


def apart(case: Case) -> Case:
    """The same case with as many input features as nothing else has, so that the projection is known by its shape."""
    taken = {case.d_model, 3 * case.d_model, case.d_ff, case.heads, case.d_head, case.q_len}
    free = next(size for size in range(case.d_input, case.d_input + 20) if size not in taken)
    return dataclasses.replace(case, d_input=free)


def drawn(subject: Subject, case: Case, seed: int) -> Tensor:
    """Real-valued input: ``batch time d_input``."""
    shape = (case.batch, case.q_len, case.d_input)
    return normal(shape, generator(case.seed + seed), subject.dtype, subject.device)


def called(instance: Instance, inputs: Inputs, x: Tensor) -> Tensor:
    """What comes back for ``x``."""
    return instance(dataclasses.replace(inputs, tensors=(x,) * len(inputs.tensors)))


@checks(embedding.REAL_VALUES_ENTER_BY_A_PROJECTION, sentence="3093f985", cases=WINDOWS, most=10)
def test_every_real_value_enters(subject: Subject, case: Case) -> None:
    """Change one feature of one position: what comes back there changes."""
    instance, inputs = subject.instance(case), subject.inputs(case)
    x = inputs.tensors[0]
    base = called(instance, inputs, x)
    if not bool(base.isfinite().all()):
        raise Vacuous("the output is not finite")
    for feature in range(case.d_input):
        for position in range(case.q_len):
            changed = x.clone()
            changed[:, position, feature] += 2.0
            if torch.equal(called(instance, inputs, changed)[:, position], base[:, position]):
                raise Violation(
                    f"what comes back at position {position} does not change with input feature {feature} of {case.d_input} there",
                    index=(position, feature),
                )


def stripped(subject: Subject, case: Case) -> Instance:
    """The subject with every matrix but its entrance, every bias and every shift set to zero."""
    fixed = subject.declaration.sizes
    if "d_input" in fixed and apart(case).d_input != case.d_input:
        raise NotChecked("another size equals d_input, so that the projection cannot be told from the rest")
    instance = subject.instance(case, random_weights=False)
    module = instance.module_or_not_checked()
    if not can_be_cleared(module):
        raise NotChecked("some matrix is frozen or computed, so that the rest cannot be silenced")
    with torch.no_grad():
        for _, parameter in trainable(module):
            if parameter.dim() >= 2 and case.d_input in parameter.shape:
                parameter.copy_(normal(tuple(parameter.shape), generator(case.seed), parameter.dtype, parameter.device))
            elif not is_untouched_gain(parameter):
                parameter.zero_()
    return instance


@checks(embedding.REAL_VALUES_ENTER_BY_A_PROJECTION, sentence="3093f985", cases=WINDOWS, most=10)
def test_real_values_enter_by_one_linear_map(subject: Subject, case: Case) -> None:
    """All else silenced: a position's output knows its own input alone, by the same map as elsewhere, and that map is linear."""
    case = case if "d_input" in subject.declaration.sizes else apart(case)
    instance, inputs = stripped(subject, case), subject.inputs(case)
    one, other = (LARGE * drawn(subject, case, seed) for seed in (1, 2))
    base = called(instance, inputs, one)
    size = float(base.abs().max())
    if not bool(base.isfinite().all()):
        raise Vacuous("the output is not finite")
    elsewhere = one.clone()
    elsewhere[:, 1:] = other[:, 1:]
    changed = called(instance, inputs, elsewhere)
    if not bool(((changed - base)[:, 1:].abs() > FLAT * size).any()):
        raise NotChecked("with all else silenced nothing is left of the input")
    if bool((changed - base)[:, 0].abs().max() > FLAT * size):
        raise Violation(
            "with attention silenced, what comes back at position 0 changes with the input at other positions: they share a map",
            expected=base[0, 0],
            got=changed[0, 0],
        )
    alike = called(instance, inputs, one[:, :1].expand_as(one).contiguous())
    if bool((alike - alike[:, :1]).abs().max() > FLAT * size):
        raise Violation(
            "the same input enters by another map at another position", expected=alike[0, 0], got=alike[0, -1]
        )
    directions = torch.stack((base, called(instance, inputs, other), called(instance, inputs, one + other)), dim=-2)
    out_of_plane = _third(directions.double().cpu())
    if out_of_plane > FLAT:
        raise Violation(
            "the sum of two inputs does not come out in the plane of the two: the map is not linear",
            got=directions[0, 0, 2],
            margin=f"{out_of_plane:.3g} of it stands out of the plane",
        )


def _third(directions: Tensor) -> float:
    """How far the third of three directions, each of length one, stands out of the plane of the others, at worst."""
    unit = directions / directions.norm(dim=-1, keepdim=True).clamp(min=1e-300)
    plane, _ = torch.linalg.qr(unit[..., :2, :].mT)
    rest = unit[..., 2, :] - (plane @ (plane.mT @ unit[..., 2, :, None]))[..., 0]
    return float(rest.norm(dim=-1).max())


@checks(embedding.REAL_VALUES_ENTER_BY_A_PROJECTION, sentence="3093f985", cases=WINDOWS, needs_weights=True)
def test_real_values_enter_as_in_the_reference(subject: Subject, case: Case) -> None:
    """With the subject's weights, the reference gives the same."""
    message = "the output is not that of the subject's own projection"
    oracle.require_equals_the_reference(subject.instance(case), subject.inputs(case), message)
