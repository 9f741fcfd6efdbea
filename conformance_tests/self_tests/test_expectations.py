"""Failures that are known: strict in every door."""

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from torch import Tensor, nn

import veriformer
from veriformer.declaration import Build, Declaration
from veriformer.errors import UsageError
from veriformer.expectations import read
from veriformer.verdict import Status
from veriformer_spec.config import Config

CLAUSE = "state.batch-rows-are-independent"


@veriformer.subject("layer-norm")
def good(config: Config) -> nn.Module:
    return nn.LayerNorm(config.d_model)


@veriformer.subject("layer-norm")
def bad(config: Config) -> nn.Module:
    """BatchNorm where LayerNorm is claimed."""

    class Normalise(nn.BatchNorm1d):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x.transpose(1, 2)).transpose(1, 2)

    return Normalise(config.d_model)


@pytest.fixture
def file(tmp_path: Path) -> Callable[..., Path]:
    def write(**entry: str) -> Path:
        path = tmp_path / "expected.toml"
        entry = {"clause": CLAUSE, "reason": "to be mended", "link": "https://example.org/1", **entry}
        path.write_text("[[expected]]\n" + "".join(f"{name} = {value!r}\n" for name, value in entry.items()))
        return path

    return write


def judged(build: Build, path: Path) -> veriformer.Result:
    return veriformer.check(build, only=CLAUSE, budget="quick", expect_failures=path)


def test_a_failure_that_was_expected_is_no_violation(file: Callable[..., Path]) -> None:
    """The verdict says why, and the exit code is 0."""
    result = judged(bad, file())
    (verdict,) = result.verdicts
    assert verdict.status is Status.EXPECTED_FAILURE
    assert "to be mended [https://example.org/1]" in verdict.reason
    assert verdict.evidence is not None
    assert result.exit_code == 0
    assert result.diagnosis is None  # its reason is known: nothing is looked for


def test_what_fails_besides_is_diagnosed(file: Callable[..., Path]) -> None:
    """One known failure does not hide the name of another."""
    other = "normalization.output-has-mean-0-variance-1"
    result = veriformer.check(bad, only=[CLAUSE, other], budget="quick", expect_failures=file())
    assert [each.status for each in result.verdicts] == [Status.EXPECTED_FAILURE, Status.FAIL]
    assert result.diagnosis is not None


def test_a_pass_that_was_not_expected_fails(file: Callable[..., Path]) -> None:
    """A stale entry is found the day it becomes stale."""
    result = judged(good, file())
    (verdict,) = result.verdicts
    assert verdict.status is Status.UNEXPECTED_PASS
    assert "take it out of the list" in verdict.reason
    assert result.exit_code == 1


def test_an_entry_for_another_subject_does_not_count(file: Callable[..., Path]) -> None:
    """The name of the subject decides."""
    assert judged(bad, file(subject="another")).exit_code == 1
    assert judged(bad, file(subject="bad")).exit_code == 0


def test_a_saved_case_is_replayed_first(file: Callable[..., Path]) -> None:
    """It fails whatever is drawn."""
    failed = judged(bad, file()).verdicts[0].evidence
    assert failed is not None
    (verdict,) = judged(bad, file(case=failed.case)).verdicts
    assert verdict.status is Status.EXPECTED_FAILURE
    assert verdict.examples <= 2
    assert judged(good, file(case=failed.case)).exit_code == 1


def test_a_saved_case_that_passes_now_is_no_excuse(file: Callable[..., Path]) -> None:
    """Where the saved case passes, others are drawn all the same."""
    (verdict,) = judged(bad, file(case="batch=1 q_len=2 d_model=4 seed=0")).verdicts
    assert verdict.status is Status.EXPECTED_FAILURE
    assert verdict.examples > 1


def test_what_a_subject_declares_is_expected_too() -> None:
    """Built-in subjects bring their known departures along."""
    own: Declaration = bad.__veriformer__  # type: ignore[attr-defined]  # the decorator leaves it there
    declared = dataclasses.replace(own, expected_failures={CLAUSE: "known"})
    result = veriformer.check(declared, only=CLAUSE, budget="quick")
    assert result.verdicts[0].status is Status.EXPECTED_FAILURE
    assert result.verdicts[0].reason.startswith("known")


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"clause": "state.batch-rows-are-dependent"}, "did you mean state.batch-rows-are-independent?"),
        ({"claus": "x"}, "unknown field"),
        ({"link": ""}, "a reason and a link"),
        ({"reason": " "}, "a reason and a link"),
    ],
)
def test_a_wrong_file_is_wrong_usage(file: Callable[..., Path], entry: dict[str, str], said: str) -> None:
    """An unknown id is an error, and so is an entry that does not say why."""
    with pytest.raises(UsageError, match=re.escape(said)):
        read(file(**entry))


def test_no_file_and_no_toml(tmp_path: Path) -> None:
    """Missing, and not TOML."""
    with pytest.raises(UsageError, match="cannot be read"):
        read(tmp_path / "none.toml")
    path = tmp_path / "not.toml"
    path.write_text("[[expected")
    with pytest.raises(UsageError, match=r"not\.toml"):
        read(path)
    path.write_text("[[expected]]\nreason = 'x'\nlink = 'y'\n")
    with pytest.raises(UsageError, match="clause"):
        read(path)
