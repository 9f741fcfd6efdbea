"""Cases and inputs of every role: they print and parse, build, and give what the role promises."""

import dataclasses
from typing import Any

import hypothesis
import pytest
import torch
from hypothesis import HealthCheck, settings

import veriformer
from veriformer import calls, perturbation
from veriformer.adapters import reference
from veriformer.case import SIDES, Case
from veriformer.declaration import Declaration, UsageError
from veriformer.inputs import PAD_ID, Inputs, generator
from veriformer.outcome import NotChecked, Vacuous
from veriformer.preflight import prepared, probe_case
from veriformer.strategies import cases
from veriformer.subjects import Subject
from veriformer_spec.config import MASK_KINDS
from veriformer_spec.role import CROSS_ATTENDING, FUNCTIONS, MODELS, Role

EXAMPLES = 25


def each_case(subject: Subject) -> list[Case]:
    """Cases as properties draw them."""
    drawn: list[Case] = []

    @hypothesis.seed(1)
    @settings(
        max_examples=EXAMPLES, database=None, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @hypothesis.given(cases(masks=MASK_KINDS)(subject))
    def take(case: Case) -> None:
        drawn.append(case)

    take()
    return drawn


@pytest.mark.parametrize("declaration", reference.declarations(), ids=lambda each: each.name)
def test_cases_print_parse_build_and_keep_the_promised_shape(declaration: Declaration) -> None:
    subject = prepared(declaration).subject
    for case in each_case(subject):
        assert Case.parse(subject.role, str(case)) == case
        instance = subject.instance(case)
        if subject.role in FUNCTIONS:
            with pytest.raises(NotChecked):
                subject.inputs(case)
            continue
        inputs = subject.inputs(case)
        assert tuple(instance(inputs).shape) == calls.promised_shape(case)
        assert (inputs.batch, inputs.q_len, inputs.k_len) == (case.batch, case.q_len, case.k_len)
        assert inputs.crosses == (case.side == "cross")


@pytest.mark.parametrize("role", MODELS)
def test_padding_ids_stand_where_the_mask_hides_and_nowhere_else(role: Role) -> None:
    subject = prepared(reference.declaration(role, padding_sides=("right", "left", "interior"))).subject
    seen = 0
    for case in each_case(subject):
        inputs = subject.inputs(case)
        if inputs.mask is None:
            continue
        hidden = ~inputs.mask.amax((1, 2))
        assert torch.equal(inputs.key_side[0][..., 0] == PAD_ID, hidden)
        assert not bool((inputs.with_mask(None).key_side[0] == PAD_ID).any())
        seen += int(hidden.sum())
    assert seen


@pytest.mark.parametrize("vocab", [3, 5, 11])
def test_other_words_are_other_words(vocab: int) -> None:
    ids = torch.arange(vocab).repeat(50)[:, None]
    other = perturbation.fresh_like(ids, generator(0), vocab=vocab)
    assert not bool((ids == other).any())
    assert set(other.flatten().tolist()) == set(range(1, vocab))
    with pytest.raises(Vacuous):
        perturbation.fresh_like(ids, generator(0), vocab=2)


def arguments(role: Role, side: str, **claims: object) -> dict[str, Any]:
    """What the call takes, for one case with masks everywhere."""
    subject = Subject(reference.declaration(role, **claims))
    case = dataclasses.replace(probe_case(subject, mask="padding"), side=side)
    if side == "cross":
        case = dataclasses.replace(case, k_len=4, context=0)
    return subject.inputs(case).arguments()


@pytest.mark.parametrize("side", SIDES)
def test_models_take_one_row_of_mask_and_ids_without_features(side: str) -> None:
    given = arguments(Role.ENCODER_DECODER, side)
    assert list(given) == ["source", "target", "source_mask", "target_mask"]
    assert given["source"].shape == (2, 4 if side == "cross" else 5)
    assert given["target"].shape == (2, 5)
    assert given["source_mask" if side == "cross" else "target_mask"].shape == (2, 4 if side == "cross" else 5)
    assert list(arguments(Role.MASKED_LM, "self", segments=True)) == ["ids", "mask", "segments"]


@pytest.mark.parametrize("side", SIDES)
def test_decoders_take_a_mask_for_each_side(side: str) -> None:
    given = arguments(Role.DECODER, side)
    assert list(given) == ["x", "memory", "mask", "memory_mask"]
    assert given["memory_mask" if side == "cross" else "mask"].shape == (2, 1, 5, 4 if side == "cross" else 5)


def test_taking_takes_what_stands_beside() -> None:
    subject = Subject(reference.declaration(Role.MASKED_LM, segments=True))
    inputs = subject.inputs(probe_case(subject))
    order = torch.tensor([3, 1])
    assert torch.equal(inputs.taking(order).context[0], inputs.context[0][:, order])
    for seed in range(20):
        subject = Subject(reference.declaration(Role.DECODER))
        case = dataclasses.replace(probe_case(subject, mask="arbitrary", seed=seed), side="cross", context=0, k_len=4)
        inputs = subject.inputs(case)
        if inputs.context_mask is not None:
            break
    assert inputs.context_mask is not None
    taken = inputs.taking(order, order)
    assert taken.mask is not None
    assert taken.context_mask is not None
    assert (taken.mask.shape, taken.context_mask.shape) == ((2, 1, 2, 2), (2, 1, 2, 2))


def test_arguments_that_are_one_tensor_are_copied_once() -> None:
    subject = Subject(reference.declaration(Role.MULTI_HEAD_ATTENTION, memory="query"))
    inputs: Inputs = subject.inputs(probe_case(subject))
    query, memory, mask = inputs.passed()
    assert query is memory
    assert query is not inputs.tensors[0]
    assert mask is None


def test_a_cache_needs_steps() -> None:
    with pytest.raises(UsageError, match="cache=True needs steps="):
        veriformer.subject("causal-lm", cache=True)


def test_a_side_that_does_not_exist() -> None:
    for role in CROSS_ATTENDING:
        with pytest.raises(UsageError, match="side"):
            Case.parse(role, "side=both q_len=2")
