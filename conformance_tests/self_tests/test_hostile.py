"""Hostile subjects: the run goes on, says what happened, ends with the documented code and restores the process."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import veriformer
from self_tests import hostile
from veriformer.verdict import Status, Verdict
from veriformer_spec.config import Config

FAST: dict[str, Any] = {"budget": "quick", "time_limit": 20.0}
SHAPE = "state.output-has-the-promised-shape"


def by_clause(result: veriformer.Result) -> dict[str, Verdict]:
    return {each.clause: each for each in result.verdicts}


class AfterTheFirst:
    """Misbehaves in every call after the preflight's: the subject gets past it, and then shows what it is."""

    def __init__(self, misbehave: Callable[[Tensor], object], *, d_model: int = 24) -> None:
        self.misbehave = misbehave
        self.d_model = d_model

    def __call__(self, x: Tensor) -> object:
        return self.misbehave(x) if x.shape[-1] != self.d_model else None  # 24 is the preflight's size


@pytest.mark.parametrize(
    ("misbehave", "said"),
    [
        (hostile.raises, "raised RuntimeError at hostile.py"),
        (hostile.exits, "called sys.exit(3)"),
        (hostile.wants_memory, "allocate memory"),
    ],
)
@pytest.mark.parametrize("when", ["build", "call"])
def test_what_cannot_be_built_or_called_exits_with_3(misbehave: hostile.Misbehave, said: str, when: str) -> None:
    """Building or calling raises, exits, or asks for more memory than there is: nothing can be judged, and it says why."""
    build = hostile.norm(misbehave) if when == "call" else hostile.norm(on_build=misbehave)
    result = veriformer.check(build, **FAST)
    assert result.exit_code == 3
    assert not result.conformant
    assert said in result.footer.blocked
    assert when in result.footer.blocked


@pytest.mark.parametrize(
    ("misbehave", "said"),
    [
        (hostile.segfaults, "SIGSEGV, signal 11"),
        (hostile.leaves, "os._exit(5)"),
        (hostile.never_returns, "no answer within 4 s"),
        (hostile.never_returns_from_c, "no answer within 4 s"),
    ],
)
def test_a_subject_that_takes_its_process_along_in_the_preflight(misbehave: hostile.Misbehave, said: str) -> None:
    """A crash or an endless loop in the first call ends the child, not the run; the limit is one that a loaded machine keeps."""
    result = veriformer.check(hostile.norm(misbehave), budget="quick", time_limit=4.0)
    assert result.exit_code == 3
    assert said in result.footer.blocked
    assert "for the first time" in result.footer.blocked


@pytest.mark.parametrize(
    ("misbehave", "said"),
    [
        (hostile.segfaults, "SIGSEGV, signal 11"),
        (hostile.leaves, "os._exit(5)"),
        (hostile.never_returns, "no answer within 4 s"),
        (hostile.never_returns_from_c, "no answer within 4 s"),
    ],
)
def test_the_next_clause_still_runs(misbehave: hostile.Misbehave, said: str) -> None:
    """A clause whose case kills the child, or hangs, gets a verdict with that case; the others get theirs."""

    def sometimes(x: Tensor) -> None:
        if not x.is_contiguous():  # only the clause on layout calls it so
            misbehave()

    only = (SHAPE, "state.layout-does-not-matter", "state.calls-are-independent")
    result = veriformer.check(hostile.norm(sometimes), only=only, budget="quick", time_limit=4.0)
    verdicts = by_clause(result)
    hit = verdicts["state.layout-does-not-matter"]
    assert hit.status is Status.ERROR
    assert said in hit.reason
    assert hit.evidence is not None
    assert "d_model=" in hit.evidence.case
    assert verdicts[SHAPE].status is Status.PASS
    assert result.exit_code == 1
    assert [each.clause for each in result.verdicts if each.status is Status.ERROR] == [hit.clause]


def test_a_subject_that_raises_at_some_sizes() -> None:
    """The error is told with the line that raised it and the case that did."""
    result = veriformer.check(hostile.norm(AfterTheFirst(hostile.raises)), only=SHAPE, **FAST)
    (verdict,) = result.verdicts
    assert verdict.status is Status.ERROR
    assert "RuntimeError" in verdict.reason
    assert "I would rather not" in verdict.reason
    assert verdict.evidence is not None
    assert result.exit_code == 1


def test_a_build_that_raises_at_some_sizes_breaks_no_clause() -> None:
    """No clause is blamed, that of the dtypes neither: the same error comes in every dtype."""

    def build(config: Config) -> nn.Module:
        if config.d_model != 24:  # the preflight's size
            raise ValueError(f"cannot do {config.d_model} features")
        return nn.LayerNorm(config.d_model)

    result = veriformer.check(build, role="layer-norm", only=("numerics", "state"), budget="quick")
    wrong = {each.clause: each for each in result.failed}
    assert "numerics.dtype-in-is-dtype-out" in wrong
    assert {each.status for each in wrong.values()} == {Status.ERROR}
    assert str(result).count("build raised ValueError") == 1


def test_a_subject_that_exits_at_some_sizes() -> None:
    """sys.exit is an error of that clause, not the end of the run."""
    result = veriformer.check(hostile.norm(AfterTheFirst(hostile.exits)), only="state", **FAST)
    assert len(result.verdicts) > 5
    assert "called sys.exit(3)" in by_clause(result)[SHAPE].reason


def test_a_subject_that_needs_more_memory_than_there_is_at_some_sizes() -> None:
    """The child's memory is limited, so that the machine's is not used up."""
    result = veriformer.check(hostile.norm(AfterTheFirst(hostile.wants_memory)), only=SHAPE, **FAST)
    assert "memory" in result.verdicts[0].reason
    assert result.verdicts[0].status is Status.ERROR


@pytest.mark.parametrize(
    ("misbehave", "said"),
    [
        (lambda x: x[..., :1], "shape"),
        (lambda x: (x, x), "a tuple of 2"),
        (lambda x: "an answer", "a str"),
    ],
    ids=["shape", "tuple", "word"],
)
def test_a_wrong_answer_is_named(misbehave: hostile.Misbehave, said: str) -> None:
    """A wrong shape, a tuple, or no tensor at all fails or ends in an error that says what came back."""
    result = veriformer.check(hostile.norm(AfterTheFirst(misbehave)), only="state", **FAST)
    verdict = by_clause(result)[SHAPE]
    assert verdict.status in (Status.FAIL, Status.ERROR)
    assert verdict.evidence is not None
    assert said in verdict.evidence.message
    assert result.exit_code == 1


def test_a_wrong_answer_from_the_start_is_named() -> None:
    """A wrong shape in the very first call does not confuse the preflight."""
    result = veriformer.check(hostile.norm(lambda x: x[..., :1]), only="state", **FAST)
    assert result.exit_code == 1
    assert by_clause(result)[SHAPE].status is Status.FAIL


def test_a_wrong_dtype_is_found() -> None:
    """Float32 comes back where float64 went in."""
    result = veriformer.check(hostile.norm(lambda x: nn.functional.layer_norm(x, x.shape[-1:]).float()), **FAST)
    assert result.exit_code == 1


def test_prints_reach_nobody(capfd: pytest.CaptureFixture[str]) -> None:
    """What a subject prints, by whatever channel, is not on our screen; the clause on silence says so."""
    clause = "state.calls-are-silent"
    result = veriformer.check(hostile.norm(hostile.prints), only=clause, **FAST)
    out, err = capfd.readouterr()
    assert "PRINTED" not in out + err
    assert by_clause(result)[clause].status is Status.FAIL


def test_inputs_edited_in_place_are_found() -> None:
    """The subject writes into its input."""

    def edits(x: Tensor) -> None:
        with torch.no_grad():
            x.add_(1)

    verdicts = by_clause(veriformer.check(hostile.norm(edits), only="state", **FAST))
    assert verdicts["state.inputs-are-not-modified"].status is Status.FAIL


def test_a_view_of_the_input_is_found() -> None:
    """The subject hands its input back."""
    verdicts = by_clause(veriformer.check(hostile.norm(lambda x: x[:]), only="state", **FAST))
    assert verdicts["state.output-is-a-new-tensor"].status is Status.FAIL


@pytest.mark.parametrize(
    "misbehave",
    [
        lambda x: torch.set_default_dtype(torch.float16),
        lambda x: torch.manual_seed(0),
        lambda x: torch.set_num_threads(2),
        lambda x: torch.set_grad_enabled(False),
    ],
    ids=["default dtype", "random state", "threads", "gradient mode"],
)
@pytest.mark.parametrize("isolate", [True, False])
def test_the_process_is_restored(misbehave: hostile.Misbehave, isolate: bool) -> None:
    """What a subject changes in the process is found by a clause, and is put back even without isolation."""
    before = (torch.get_default_dtype(), torch.get_num_threads(), torch.is_grad_enabled())
    torch.manual_seed(7)
    random = torch.get_rng_state()

    def meddles(x: Tensor) -> None:
        misbehave(x)

    clause = "state.caller-state-is-restored"
    assert (
        by_clause(veriformer.check(hostile.norm(meddles), only=clause, isolate=isolate, **FAST))[clause].status
        is Status.FAIL
    )
    assert (torch.get_default_dtype(), torch.get_num_threads(), torch.is_grad_enabled()) == before
    assert torch.equal(torch.get_rng_state(), random)


def test_state_kept_between_calls_is_found() -> None:
    """Every call adds what the one before it saw."""

    @veriformer.subject("layer-norm")
    def build(config: Config) -> nn.Module:
        class Remembers(nn.LayerNorm):
            calls = 0

            def forward(self, x: Tensor) -> Tensor:
                self.calls += 1
                return super().forward(x) + self.calls

        return Remembers(config.d_model)

    verdicts = by_clause(veriformer.check(build, only="state", **FAST))
    assert verdicts["state.calls-are-independent"].status is Status.FAIL


def test_two_answers_to_one_case_break_the_clause_on_independent_calls() -> None:
    """State outside the module, which only a second run of a case shows, is held against that clause whoever met it."""
    calls = []

    def flaky(x: Tensor) -> Tensor | None:
        calls.append(1)
        return x * 1e6 if len(calls) % 97 == 0 else None

    result = veriformer.check(hostile.norm(flaky), budget="standard", time_limit=60.0)
    verdict = by_clause(result)["state.calls-are-independent"]
    assert verdict.status is Status.FAIL
    assert result.exit_code == 1


def test_an_option_that_the_config_lacks_is_named() -> None:
    """config.hidden_size does not exist: the message names the nearest field."""

    @veriformer.subject("layer-norm")
    def build(config: Config) -> nn.Module:
        return nn.LayerNorm(config.dmodel)  # type: ignore[attr-defined]  # that is the mistake

    result = veriformer.check(build, **FAST)
    assert result.exit_code == 3
    assert "did you mean d_model?" in result.footer.blocked


def test_refusing_every_configuration_is_said() -> None:
    """A subject that supports nothing cannot be judged."""

    @veriformer.subject("layer-norm")
    def build(config: Config) -> nn.Module:
        raise veriformer.Unsupported("not today")

    result = veriformer.check(build, **FAST)
    assert result.exit_code == 3
    assert "not today" in result.footer.blocked


def test_refusing_some_configurations_is_counted() -> None:
    """A refusal draws another case, and the verdict says how many there were."""

    @veriformer.subject("layer-norm")
    def build(config: Config) -> nn.Module:
        if config.d_model % 2:
            raise veriformer.Unsupported("d_model must be even")
        return nn.LayerNorm(config.d_model)

    result = veriformer.check(build, only="state", budget="standard")
    assert result.exit_code == 0
    assert any("configurations refused: d_model must be even" in each.reason for each in result.verdicts)


def test_threads_that_live_in_the_parent_do_not_hang_the_child() -> None:
    """Torch's own threads, and others, are at work when the child is forked."""
    torch.randn(512, 512) @ torch.randn(512, 512)
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    try:
        assert veriformer.check(hostile.norm(), only=SHAPE, **FAST).conformant
    finally:
        stop.set()
        thread.join()


def test_mistakes_of_the_adapter_are_wrong_usage() -> None:
    """Build returns something that is not to be called, or hides a module in a closure."""

    @veriformer.subject("layer-norm")
    def number(config: Config) -> int:
        return 3

    @veriformer.subject("layer-norm")
    def closure(config: Config) -> Callable[[Tensor], Tensor]:
        module = nn.LayerNorm(config.d_model)
        return lambda x: module(x) + 0

    for build, said in ((number, "cannot be called"), (closure, "return the module itself")):
        with pytest.raises(veriformer.errors.UsageError, match=said):
            veriformer.check(build, **FAST)
