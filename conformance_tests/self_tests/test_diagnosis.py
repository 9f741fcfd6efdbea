"""Diagnosis: what is equal is named, what is near is said to be near, and nothing else is named."""

import dataclasses
import math
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn

import veriformer
from veriformer.adapters import reference
from veriformer.declaration import Declaration
from veriformer.diagnosis import diagnose, trials
from veriformer.diagnosis.answers import RAISED, apart
from veriformer.diagnosis.candidates import Candidate
from veriformer.diagnosis.inquiry import inquire
from veriformer.faults.catalogue import FAULTS
from veriformer.faults.fault import declared, patched
from veriformer.preflight import prepared
from veriformer.subjects import Subject
from veriformer.verdict import Diagnosis, Finding, Status, Verdict
from veriformer_spec.config import Config
from veriformer_spec.role import Role

F64 = torch.float64


def with_faults(role: Role, *ids: str, **claims: object) -> Declaration:
    patches = tuple(patch for name in ids for patch in FAULTS[name].patches)
    return dataclasses.replace(reference.declaration(role, **claims), during=lambda: patched(patches))


def names(diagnosis: Diagnosis) -> set[str]:
    return {name for each in diagnosis.findings for name in (each.name, *each.same)}


def failed(*clauses: str) -> list[Verdict]:
    return [
        Verdict(clause=each, level="MUST", status=Status.FAIL, examples=1, exercised=1, seconds=0.0) for each in clauses
    ]


def test_answers_are_apart_by_rounding_by_numbers_or_at_all() -> None:
    one = torch.tensor([1.0, 2.0], dtype=F64)
    assert apart({"a": one}, {"a": one.clone()}, F64).units == 0
    assert apart({"a": one * (1 + 1e-15)}, {"a": one}, F64).equal
    off = apart({"a": one + 1e-3}, {"a": one}, F64)
    assert not off.equal
    assert math.isclose(off.relative, 5e-4)
    assert apart({"a": one + 1e-6}, {"a": one}, torch.float32).equal
    assert not apart({"a": one[:1]}, {"a": one}, F64).equal
    assert not apart({RAISED: torch.zeros(0)}, {"a": one}, F64).equal
    assert apart({RAISED: torch.zeros(0)}, {RAISED: torch.zeros(0)}, F64).equal
    nothing = torch.tensor([math.nan, math.inf], dtype=F64)
    assert apart({"a": nothing}, {"a": nothing.clone()}, F64).equal
    assert not apart({"a": one}, {"a": nothing}, F64).equal


def test_the_envelope_is_asked_for_only_where_it_decides() -> None:
    one = torch.tensor([1.0], dtype=F64)
    asked: list[int] = []

    def envelope() -> dict[str, float]:
        asked.append(1)
        return {"a": 1e-12}

    assert apart({"a": one}, {"a": one}, F64, envelope).equal
    assert not apart({"a": one * 2}, {"a": one}, F64, envelope).equal
    assert not asked
    assert apart({"a": one + 1e-13}, {"a": one}, F64, envelope).equal
    assert asked


@pytest.mark.parametrize(
    ("role", "fault", "claims"),
    [
        (Role.ATTENTION, "scaled-twice", {}),
        (Role.MULTI_HEAD_ATTENTION, "mask-by-multiplication", {}),
        (Role.FEED_FORWARD, "weight-detached", {}),
        (Role.LEARNING_RATE_SCHEDULE, "schedule-counts-from-zero", {}),
        (Role.LOSS, "targets-not-shifted", {}),
        (Role.GENERATION, "temperature-multiplied", {"strategies": ("sample",)}),
        (Role.ROTARY_ENCODING, "rotary-start-ignored", {}),
        (Role.CAUSAL_LM, "mask-for-new-tokens-only", {"cache": True, "positions": "learned", "padding_sides": ("right", "left")}),
        (Role.ENCODER_LAYER, "second-skip-from-the-first-input", {}),
    ],
)  # fmt: skip
def test_a_planted_fault_gets_its_name(role: Role, fault: str, claims: dict[str, object]) -> None:
    found = diagnose(Subject(with_faults(role, fault, **claims)))
    assert fault in names(found), found.said
    assert all(each.exact for each in found.findings)


def test_another_legal_claim_is_named_before_a_fault() -> None:
    found = diagnose(Subject(with_faults(Role.ATTENTION, "scale-forgotten")))
    assert found.findings[0].claims == ["scale=none"]
    assert found.findings[0].faults == []
    assert found.said.startswith("the claim scale=inverse-root does not hold: it behaves as scale=none")
    assert "scale-forgotten" in names(found)


def test_who_equals_the_specification_is_called_nothing() -> None:
    verdicts = failed("attention.equals-equation-1")
    for declaration in (reference.declaration(Role.ATTENTION), reference.declaration(Role.ENCODER_LAYER, norm="pre")):
        found = diagnose(Subject(declaration), verdicts)
        assert found.findings == []
        assert "equals the specification" in found.said


def test_the_oracle_never_sees_a_candidate() -> None:
    before = {name: getattr(veriformer_module, name) for veriformer_module, name in _patched_functions()}
    diagnose(Subject(with_faults(Role.ATTENTION, "scaled-twice")))
    assert before == {name: getattr(veriformer_module, name) for veriformer_module, name in _patched_functions()}


def _patched_functions() -> list[tuple[ModuleType, str]]:
    from veriformer_reference import attention, heads

    return [(attention, "softmax"), (attention, "scale_factor"), (attention, "scores"), (heads, "attend")]


def test_two_faults_at_once_are_both_named() -> None:
    found = inquire(Subject(with_faults(Role.ATTENTION, "scaled-twice", "mask-after-softmax")), ())
    assert {"mask-after-softmax", "scaled-twice"} in [set(name.split(" and ")) for name in names(found)]


def test_what_is_not_catalogued_is_not_named_exactly() -> None:
    class Shifted(nn.Module):
        def forward(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
            scores = query @ key.mT / query.shape[-1] ** 0.5 + 0.37 * torch.sin(
                query.sum(-1, keepdim=True) * key.sum(-1)[..., None, :]
            )
            if mask is not None:
                scores = scores.masked_fill(~mask, -torch.inf)
            return torch.softmax(scores, -1).nan_to_num() @ value

    @veriformer.subject("attention", nothing_visible="zeros")
    def build(config: Config) -> nn.Module:
        return Shifted()

    found = inquire(Subject(declared(build)), (), most_pairs=50)
    assert not any(each.exact for each in found.findings), found.said


class TwiceScaled(nn.Module):
    """Another style, names that mean nothing, and the scale twice."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.heads = config.heads
        self.alpha = nn.Linear(config.d_model, 3 * config.d_model)
        self.omega = nn.Linear(config.d_model, config.d_model)

    def forward(self, query: Tensor, memory: Tensor, mask: Tensor | None = None) -> Tensor:
        batch, time, size = query.shape
        q = self.alpha(query)[..., :size]
        k, v = self.alpha(memory)[..., size:].chunk(2, -1)
        q, k, v = (each.unflatten(-1, (self.heads, -1)) for each in (q, k, v))
        scores = torch.einsum("bqhd,bkhd->bhqk", q, k) / q.shape[-1]
        if mask is not None:
            scores = scores.masked_fill(~mask, -1e300)
        seen = torch.einsum("bhqk,bkhd->bqhd", scores.softmax(-1), v).reshape(batch, time, size)
        result: Tensor = self.omega(seen)
        return result


@veriformer.subject("multi-head-attention", nothing_visible="unspecified")
def build_twice_scaled(config: Config) -> nn.Module:
    return TwiceScaled(config)


@pytest.mark.parametrize("symmetric", [False, True])
def test_a_foreign_subject_gets_its_name_without_any_mapping(*, symmetric: bool) -> None:
    found = inquire(prepared(declared(build_twice_scaled)).subject, (), symmetric=symmetric)
    assert "scaled-twice" in names(found), found.said
    assert found.basis in (
        ["symmetric weights"] if symmetric else ["weights", "symmetric weights"]
    )  # mapping has its own time


def test_sixteen_bits_are_never_exact() -> None:
    subject = Subject(with_faults(Role.ATTENTION, "scaled-twice"), dtype=torch.bfloat16, rounds_to=torch.bfloat16)
    found = inquire(subject, (), most_pairs=0)
    assert not any(each.exact for each in found.findings)


def test_clauses_alone_are_a_guess() -> None:
    clauses = [clause.id for clause in FAULTS["softmax-over-heads"].clauses]
    subject = Subject(reference.declaration(Role.ATTENTION, scale="unspecified"))
    found = diagnose(subject, failed(*clauses))
    assert found.basis == "clauses that failed"
    assert not any(each.exact for each in found.findings)
    assert "guess" in found.said or "like those of no single fault" in found.said


def test_trials_are_judged_by_what_they_are() -> None:
    trial = trials.Trial("", frozenset({"a", "b"}), lambda: reference.declaration(Role.ATTENTION))

    exact = Diagnosis(basis="weights", findings=[Finding(faults=["b", "a"], exact=True)])
    assert trials.outcome(trial, exact) == "named"
    assert trials.outcome(trial, Diagnosis(basis="weights", findings=[Finding(faults=["a"], exact=True)])) == "subset"
    assert trials.outcome(trial, Diagnosis(basis="weights", findings=[Finding(faults=["c"], exact=True)])) == "wrong"
    assert trials.outcome(trial, Diagnosis(basis="weights", findings=[Finding(faults=["c"], exact=False)])) == "unnamed"
    same = Diagnosis(basis="weights", findings=[Finding(faults=["a", "c"], same=["a and b"], exact=True)])
    assert trials.outcome(trial, same) == "named"


def test_compatible_candidates_touch_different_functions() -> None:
    one, other = (Candidate(faults=(FAULTS[name],)) for name in ("scale-forgotten", "scaled-twice"))
    assert not one.compatible(other)
    assert one.compatible(Candidate((("norm", "pre"),)))
    assert not Candidate((("norm", "pre"),)).compatible(Candidate((("norm", "post"),)))
