"""``veriformer.check``: what may be passed, and what comes back."""

import copy
import dataclasses
from typing import Any

import pytest
import torch
from torch import nn

import veriformer
from veriformer.adapters import reference
from veriformer.errors import UsageError
from veriformer.result import exit_code_of, not_verified, worst
from veriformer.verdict import Status, Verdict
from veriformer_spec.config import CLAIMS, ClaimError, Config, validated
from veriformer_spec.role import Role

CLAUSE = "normalization.layer-norm-has-mean-zero-and-variance-one"
FAST: dict[str, Any] = {"budget": "quick", "only": "state"}


@veriformer.subject("layer-norm")
def build(config: Config) -> nn.Module:
    """Torch's own."""
    return nn.LayerNorm(config.d_model)


def undeclared(config: Config) -> nn.Module:
    return nn.LayerNorm(config.d_model)


def test_a_declared_build_function() -> None:
    """The result says conformant, and as text it is the report."""
    result = veriformer.check(build, **FAST)
    assert result.conformant
    assert result.exit_code == 0
    assert result.failed == ()
    assert result.header.subject == "build"
    assert result.header.role == "layer-norm"
    assert {each.status for each in result.verdicts} == {Status.PASS}
    assert "no violation found" in str(result)


def test_an_undeclared_build_function() -> None:
    """Role and claims may be given in the call."""
    result = veriformer.check(undeclared, role="layer-norm", eps=1e-5, **FAST)
    assert result.conformant
    assert result.header.claims["eps"] == 1e-5


def test_claims_given_in_the_call_go_before_the_declared_ones() -> None:
    """A declaration may be judged under another claim."""
    result = veriformer.check(build, norm_bias=True, eps=1e-3, **FAST)
    assert result.header.claims["eps"] == 1e-3


def test_a_module_is_judged_at_its_own_size_and_not_touched() -> None:
    """Bits, mode and dtype of the module stay what they were."""
    module = nn.LayerNorm(6).half().train()
    nn.init.normal_(module.weight)
    before = copy.deepcopy(module.state_dict())
    result = veriformer.check(module, role="layer-norm", sizes=veriformer.Fixed(d_model=6), **FAST)
    assert result.conformant, str(result)
    assert result.header.sizes == {"d_model": 6}
    assert module.training
    assert module.weight.dtype is torch.float16
    assert all(torch.equal(each, before[name]) for name, each in module.state_dict().items())


def test_a_module_is_not_touched_without_isolation() -> None:
    """The copies protect it, not the child process."""
    module = nn.LayerNorm(6)
    before = module.weight.clone()
    veriformer.check(module, role="layer-norm", sizes=veriformer.Fixed(d_model=6), isolate=False, **FAST)
    assert torch.equal(module.weight, before)
    assert module.weight.dtype is torch.float32


def test_isolation_changes_no_verdict() -> None:
    """The same verdicts, inside and outside."""

    def seen(isolate: bool) -> list[tuple[str, str, int, int]]:
        result = veriformer.check(build, isolate=isolate, **FAST)
        return [(each.clause, each.status, each.examples, each.exercised) for each in result.verdicts]

    assert seen(True) == seen(False)


def test_another_seed_draws_other_cases() -> None:
    """Seed 0 draws the same each time; another seed hunts elsewhere."""

    def cases(seed: int) -> list[str]:
        seen: list[str] = []

        @veriformer.subject("layer-norm")
        def noted(config: Config) -> nn.Module:
            seen.append(str(config.d_model))
            return nn.LayerNorm(config.d_model)

        veriformer.check(noted, isolate=False, seed=seed, **FAST)
        return seen

    assert cases(0) == cases(0)
    assert cases(0) != cases(1)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"budget": "huge"}, "budget 'huge' does not exist; it is one of quick, standard, deep"),
        ({"dtype": "int8"}, "dtype 'int8' cannot be judged"),
        ({"device": "tpu"}, "device 'tpu' cannot be judged"),
        ({"time_limit": 0}, "time_limit=0 must be larger than 0"),
        ({"only": "state.inputs-are-modified"}, "did you mean state.inputs-are-not-modified?"),
        ({"skip": "masks"}, "did you mean masking?"),
        ({"only": "zzzzzz"}, "`veriformer clauses` lists them all"),
        ({"only": "inputs-are-not-modified"}, "did you mean state.inputs-are-not-modified?"),
        ({"only": "state", "case": "batch=1"}, "exactly one clause"),
        ({"only": "masking.masks-broadcast"}, "is not asked of layer-norm"),
        ({"expect_failures": "no/such/file.toml"}, "cannot be read"),
    ],
)
def test_wrong_usage_is_one_clear_line(arguments: dict[str, Any], said: str) -> None:
    """Value, name, rule, remedy."""
    with pytest.raises(UsageError) as caught:
        veriformer.check(build, **arguments)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_wrong_claims_and_subjects() -> None:
    """A claim that does not exist, a subject that is none."""
    with pytest.raises(ClaimError, match="did you mean"):
        veriformer.check(build, epsilon=1e-5)
    with pytest.raises(UsageError, match="says no role"):
        veriformer.check(undeclared)
    with pytest.raises(UsageError, match="cannot be called"):
        veriformer.check(3, role="layer-norm")  # type: ignore[arg-type]  # that is the mistake
    with pytest.raises(UsageError, match=r"sizes=veriformer\.Fixed"):
        veriformer.check(nn.LayerNorm(4), role="layer-norm")
    with pytest.raises(UsageError, match="d_modl"):
        veriformer.Fixed(d_modl=3)
    with pytest.raises(UsageError, match="buckets=32 goes with max_distance"):
        veriformer.Fixed(buckets=32)
    with pytest.raises(UsageError, match="max_distance=16 must be larger than half of buckets=32"):
        veriformer.Fixed(buckets=32, max_distance=16)


@pytest.mark.parametrize("role", CLAIMS["sliding_window"].roles)
def test_a_window_without_causality_is_no_claim(role: Role) -> None:
    """Nothing would be asked of it, and nothing be said: a window is of subjects that hide the future."""
    if CLAIMS["causal"].default_for(role):
        assert validated(role, {"sliding_window": True})["sliding_window"] is True
        return
    assert validated(role, {"sliding_window": True, "causal": True})["sliding_window"] is True
    with pytest.raises(ClaimError, match="sliding_window=True needs causal=True"):
        validated(role, {"sliding_window": True})


def test_buckets_of_its_own_are_passed_on() -> None:
    """A subject with T5's sizes is built with them, by every clause, and holds those on buckets."""
    seen: set[tuple[int, int]] = set()
    honest = reference.declaration(Role.ATTENTION_BIAS, bias_kind="relative")

    def noted(config: Config) -> object:
        seen.add((config.buckets, config.max_distance))
        return honest.build(config)

    declaration = dataclasses.replace(honest, build=noted)
    sizes = veriformer.Fixed(buckets=32, max_distance=128)
    result = veriformer.check(declaration, sizes=sizes, budget="quick", only="position", isolate=False)
    assert result.conformant, str(result)
    assert seen == {(32, 128)}
    assert "buckets=32 max_distance=128" in str(result)


def test_only_and_skip_take_clauses_and_chapters() -> None:
    """A chapter stands for its clauses."""
    everything = {each.clause for each in veriformer.check(build, budget="quick").verdicts}
    state = {each for each in everything if each.startswith("state.")}
    assert {each.clause for each in veriformer.check(build, **FAST).verdicts} == state
    one = "state.inputs-are-not-modified"
    rest = veriformer.check(build, budget="quick", only="state", skip=[one]).verdicts
    assert {each.clause for each in rest} == state - {one}


def test_one_case_is_replayed() -> None:
    """With one clause in only, exactly the case that was printed is run."""
    case = "batch=2 q_len=3 d_model=5 seed=7"
    result = veriformer.check(build, only="state.inputs-are-not-modified", case=case)
    (verdict,) = result.verdicts
    assert verdict.status is Status.PASS
    assert verdict.examples == 1


def test_nothing_is_checked_on_a_device_that_is_not_there() -> None:
    """Without CUDA every clause says so, aloud."""
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device here")
    result = veriformer.check(build, device="cuda", **FAST)
    assert {each.status for each in result.verdicts} == {Status.NOT_CHECKED}
    assert {each.reason for each in result.verdicts} == {"no CUDA device"}
    assert "nothing was checked" in str(result)


def verdict(status: Status, level: str = "MUST", clause: str = "state.inputs-are-not-modified") -> Verdict:
    return Verdict(clause=clause, level=level, status=status, examples=1, exercised=1, seconds=0.0)


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [
        ([], 0),
        ([verdict(Status.PASS), verdict(Status.NOT_CHECKED)], 0),
        ([verdict(Status.FAIL), verdict(Status.INCONCLUSIVE)], 1),
        ([verdict(Status.ERROR)], 1),
        ([verdict(Status.INCONCLUSIVE), verdict(Status.PASS)], 4),
        ([verdict(Status.EXPECTED_FAILURE)], 0),
        ([verdict(Status.UNEXPECTED_PASS, "SHOULD")], 1),
        ([verdict(Status.FAIL, "SHOULD"), verdict(Status.ERROR, "SHOULD"), verdict(Status.INCONCLUSIVE, "SHOULD")], 0),
    ],
)
def test_exit_codes(verdicts: list[Verdict], code: int) -> None:
    """A MUST that failed or erred is 1, one that is open 4; a SHOULD warns."""
    assert exit_code_of(verdicts) == code


def test_the_worst_exit_code_of_several() -> None:
    """Wrong usage, cannot run, not conformant, inconclusive, conformant."""
    assert worst([0, 4, 1, 3, 2]) == 2
    assert worst([0, 4, 1, 3]) == 3
    assert worst([0, 4, 1]) == 1
    assert worst([0, 4]) == 4
    assert worst([0, 0]) == 0
    assert worst([]) == 0


@pytest.mark.parametrize(
    ("role", "claims", "ran", "said"),
    [
        ("attention", {"causal": True, "eps": 1e-5}, [], ["causal=True"]),
        ("attention", {"causal": True}, [verdict(Status.PASS, clause="masking.masks-combine-by-conjunction")], []),
        ("encoder-layer", {"norm": "pre"}, [verdict(Status.FAIL, clause="residual.norm-placement-is-as-claimed")], []),
        ("encoder-layer", {"activation": "gelu"}, [verdict(Status.PASS)], ["activation=gelu"]),
        ("encoder-layer", {"activation": "gelu"}, [verdict(Status.PASS, clause="stack.equals-the-reference")], []),
        (
            "encoder-layer",
            {"dropout": "on"},
            [verdict(Status.PASS, clause="stack.equals-the-reference")],
            ["dropout=on"],
        ),
        ("layer-norm", {"eps": 1e-3, "no_claim": 1}, [], ["eps=0.001"]),
        ("encoder-layer", {"masks": ["none"], "norm": "post"}, [], []),
    ],
)
def test_claims_whose_clauses_did_not_run_are_said(
    role: str, claims: dict[str, object], ran: list[Verdict], said: list[str]
) -> None:
    """Claimed, not verified."""
    assert not_verified(role, claims, ran) == said


def test_the_package_says_what_it_has() -> None:
    """A mistyped name lists the names."""
    with pytest.raises(AttributeError, match="it has Comparison, Config, Fixed"):
        veriformer.chekc  # noqa: B018
    assert "check" in dir(veriformer)
