"""The mutation tester: what it changes, that it plants no longer than a subject runs, and a sample of mutants that die."""

import ast
import importlib
import json
from pathlib import Path

import pytest

from self_tests.mutants_that_die import SAMPLE
from veriformer.faults.matrix import KILLED
from veriformer.mutation import judging, reach, record, report
from veriformer.mutation.explained import EQUIVALENT, HOLES
from veriformer.mutation.mutants import Mutant, mutants, of_function, planted
from veriformer.mutation.operators import OPERATORS
from veriformer.mutation.subjects import subjects
from veriformer.preflight import prepared


def mutated(source: str, chapter: str = "heads") -> dict[str, str]:
    """The changes made to a function, and the operator of each."""
    module = importlib.import_module(f"veriformer_reference.{chapter}")
    (function,) = ast.parse(source).body
    assert isinstance(function, ast.FunctionDef)
    return {each.change: each.operator for each in of_function(f"{chapter}.{function.name}", function, module)}


@pytest.mark.parametrize(
    ("source", "change", "operator"),
    [
        ("def f(x: Float, y: Float): return x + y", "return x - y", "arithmetic"),
        ("def f(x: Float, y: Float): return x @ y", "return y @ x", "arithmetic"),
        ("def f(x: Float, y: Float): return x + y", "return y", "operand"),
        ("def f(x: Float, y: Float): return x + y", "return x + x", "variable"),
        ("def f(x: Float): return ~x", "return x", "sign"),
        ("def f(x: Float, n: int): return x < n", "return x <= n", "comparison"),
        ("def f(x: Float): return x.sum(dim=-1)", "return x.sum(dim=-2)", "constant"),
        ("def f(x: Float): return x.sum(dim=-1)", "return x.sum()", "argument"),
        ("def f(x: Float, b: bool): return x if b else -x", "return x if True else -x", "condition"),
        ("def f(x: Float): return x.transpose(0, 1)", "return x.transpose(1, 0)", "argument"),
        ("def f(x: Float): return x.mT", "return x", "call"),
        ("def f(x: Float): return torch.relu(x)", "return x", "call"),
        ("def f(x: Float, own: 'MultiHeadAttention'): return own.query(x)", "return own.key(x)", "attribute"),
        ("def f(x: Float, n: int): return x[:, :n]", "return x[:, :n + 1]", "slice"),
        (
            "def f(x: Float, n: int):\n for _ in range(n):\n  x = x + x\n return x",
            "for _ in list(range(n))[1:]:",
            "loop",
        ),
        ("def f(x: Float, n: int = 1): return x * n", "def with n=2", "default"),
        ("def f(x: Float):\n x = x + x\n return x", "without `x = x + x`", "statement"),
        ("def f(x: Float) -> Float:\n y = x + x\n return y", "only `return x`", "input returned"),
        ("def f(x: Float[T, '']) -> Float[T, '']:\n return x + x", "return (x + x).detach()", "gradient"),
    ],
)
def test_an_operator_changes(source: str, change: str, operator: str) -> None:
    """One example for each operator; two operators may come to the same change, which is then made once."""
    assert mutated(source)[change] == operator


def test_every_operator_is_documented() -> None:
    """And every documented one is used."""
    assert {mutant.operator for mutant in mutants()} == set(OPERATORS)


def test_every_mutant_has_a_name_of_its_own() -> None:
    """The table of explanations goes by it."""
    ids = [mutant.id for mutant in mutants()]
    assert len(ids) == len(set(ids))


def test_every_explanation_explains_a_mutant() -> None:
    """None outlives what it explains, and none explains away what a clause is known to kill."""
    ids = {mutant.id for mutant in mutants()}
    explained = [*EQUIVALENT, *HOLES]
    assert [each for each in explained if each not in ids] == []
    assert len(set(explained)) == len(explained)
    assert not {each for each, _, _ in SAMPLE} & set(explained)


@pytest.mark.parametrize("target", ["heads.merge", "heads.SelfAttention.forward", "model.EncoderDecoder.target_tokens"])
def test_a_mutant_is_planted_only_for_a_while(target: str) -> None:
    """The oracle in the same process never sees it."""
    mutant = next(each for each in mutants() if each.target == target)
    chapter, *owners, name = target.split(".")
    home = importlib.import_module(f"veriformer_reference.{chapter}")
    for owner in owners:
        home = getattr(home, owner)
    honest = vars(home)[name]
    with planted(mutant):
        assert vars(home)[name] is not honest
        assert isinstance(vars(home)[name], property) == isinstance(honest, property)
    assert vars(home)[name] is honest


@pytest.mark.parametrize(("name", "subject", "clause"), SAMPLE, ids=[each[0] for each in SAMPLE])
def test_a_mutant_dies(name: str, subject: str, clause: str) -> None:
    """By the clause that killed it when all were judged."""
    mutant = next(each for each in mutants() if each.id == name)
    declaration = next(each for each in subjects() if each.name == subject)
    dying = prepared(judging.with_mutant(declaration, mutant)).subject
    assert judging.asked_of(dying, clause).status in KILLED


def test_the_sample_has_every_chapter_and_operator() -> None:
    """Neither a chapter nor an operator is forgotten."""
    known = {mutant.id: mutant for mutant in mutants()}
    assert {known[name].chapter for name, _, _ in SAMPLE} == {mutant.chapter for mutant in mutants()}
    # of the mutants of defaults that were judged, none computes anything else
    assert {known[name].operator for name, _, _ in SAMPLE} == set(OPERATORS) - {"default"}


def test_a_mutant_is_judged_in_a_child() -> None:
    """Killed by the first clause that sees it; one that computes the same survives."""
    lines = {"heads": frozenset(range(1000))}
    pairs = [
        reach.Pair("reference.multi-head-attention", clause, 1.0, lines)
        for clause in ("state.calls-are-independent", "heads.time-stays-time")
    ]
    merge = "def merge(x):\n    return x.flatten(-2)"
    wrong = Mutant("heads.merge", "call", "return x.flatten(-2)", (1, 2), merge)
    same = Mutant("heads.merge", "call", "return x", (1, 2), merge.replace("x.f", "x.transpose(-3, -2).f"))
    hopeless = Mutant("heads.merge", "call", "raise", (1, 2), "def merge(x):\n    raise ValueError")
    history = judging.History()
    assert next(each.clause for each in history.ordered(wrong, pairs)) == "heads.time-stays-time"
    outcome = judging.judged(wrong, pairs, seconds=60.0)
    assert (outcome.killed, outcome.clause, outcome.asked) == ("failed", "heads.time-stays-time", 2)
    history.remember(outcome)
    survivor = judging.judged(same, pairs, seconds=60.0)
    assert (survivor.killed, survivor.asked, survivor.pairs) == ("", 2, 2)
    assert judging.judged(hopeless, pairs, seconds=60.0).killed == "raised"
    assert judging.judged(same, [], seconds=60.0).never_run
    assert judging.judged(same, pairs, seconds=0.0).asked == 0


def test_results_are_kept_and_reported(tmp_path: Path) -> None:
    """A second run finds what the first one judged; a change of the sources makes it judge again."""
    first, second, third = mutants()[:3]
    results = record.Results(tmp_path)
    assert not results.stands(first)
    results.add(
        judging.Outcome(id=first.id, operator=first.operator, killed="failed", clause="a.b-c", pairs=3, asked=1)
    )
    results.add(judging.Outcome(id=second.id, operator=second.operator, pairs=3, asked=3))
    results.add(judging.Outcome(id=third.id, operator=third.operator))
    kept = record.Results(tmp_path)
    assert kept.stands(first)
    assert kept.stands(first, again=True)
    assert kept.stands(second)
    assert not kept.stands(second, again=True)
    text = report.as_markdown(kept)
    assert "**50.0% of the mutants that can be killed are killed** (1 of 2)" in text
    assert f"- `{second.id}` (3 of 3 pairs asked)" in text
    assert "3 of" in report.summary(kept)
    path = tmp_path / "results.jsonl"
    path.write_text(path.read_text().replace(record.fingerprint(), "another"))
    assert not record.Results(tmp_path).stands(first)
    assert record.Results(tmp_path, trust=True).stands(first)


def test_reach_is_measured_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines that a clause runs in a subject, kept in a file."""
    one = [each for each in subjects() if each.name == "reference.dropout"]
    monkeypatch.setattr(reach, "subjects", lambda: tuple(one))
    pairs = reach.stored(tmp_path / "reach.json")
    assert {pair.clause for pair in pairs} == {pair.clause for pair in reach.stored(tmp_path / "reach.json")}
    assert all("training" in pair.lines for pair in pairs)
    assert [json.loads(line) for line in (tmp_path / "reach.json").read_text().splitlines()]
