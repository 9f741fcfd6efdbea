"""What is drawn follows from the clause, the subject and the seed, and from nothing else."""

import importlib
from pathlib import Path

import pytest
from hypothesis.internal.conjecture import providers

from veriformer import same_draws
from veriformer.adapters import builtin
from veriformer.judge import Effort, judge
from veriformer.preflight import prepared
from veriformer.property import properties
from veriformer_spec.normalization import PER_TOKEN as CLAUSE

NUMBERS = 300
"""Hypothesis gives up on a module with many more."""


def cases_judged() -> list[str]:
    """The cases that one clause is judged by, in their order."""
    subject = prepared(builtin.subjects_named("torch.nn.LayerNorm")[0]).subject
    seen: list[str] = []
    subject.observe_case = lambda case: seen.append(str(case))
    judge(CLAUSE, properties()[CLAUSE.id], subject, Effort(examples=200, shrink=False))
    return seen


def test_other_peoples_numbers_change_no_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module full of numbers that is loaded meanwhile: without the guard Hypothesis would draw some of them as seeds."""
    before = cases_judged()
    (tmp_path / "full_of_numbers.py").write_text(f"NUMBERS = {[199 * each + 1205 for each in range(NUMBERS)]}\n")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.import_module("full_of_numbers")
    assert cases_judged() == before


def test_what_hypothesis_knows_is_there_again_afterwards() -> None:
    """The tests of whoever uses us draw as they did."""
    kept = providers._get_local_constants, providers.CONSTANTS_CACHE  # that they are there is what is tested
    with same_draws.from_the_seed_alone():
        assert len(providers._get_local_constants()) == 0
        assert providers.CONSTANTS_CACHE is not kept[1]
    assert (providers._get_local_constants, providers.CONSTANTS_CACHE) == kept


def test_a_version_that_keeps_no_constants_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is patched where there is nothing to patch."""
    monkeypatch.setattr(same_draws, "_private", object())
    assert same_draws._ours() == {}
