"""``veriformer faults --matrix``: its filters lose nothing, and every fact that does not hold is said and exits with 1."""

import dataclasses

import pytest

from veriformer.cli import kill_matrix, pieces, run
from veriformer.cli.pieces import Piece
from veriformer.declaration import Declaration
from veriformer.faults import matrix
from veriformer.faults.catalogue import FAULTS, NEAR_MISSES
from veriformer.faults.matrix import QUICK, Row, can_run, fault_row
from veriformer.judge import STUMBLED
from veriformer.verdict import CaseEvidence, Status, Verdict
from veriformer_spec.chapters import CLAUSES
from veriformer_spec.role import Role

NAMES = [*FAULTS, *NEAR_MISSES]
WHOLE = pieces.pieces(NAMES)
CHAPTERS = list(dict.fromkeys(clause.chapter for clause in CLAUSES.values()))


def asked(some: list[Piece]) -> list[tuple[str, int, str]]:
    """What is judged: of which entry, which of its subjects, by which clause."""
    return sorted((each.id, each.index, clause) for each in some for clause in each.clauses)


def test_the_whole_matrix_asks_for_every_fault_by_its_clauses_and_every_near_miss_by_all() -> None:
    """Nothing of the catalogue is left out, and no near-miss is judged by less than the specification."""
    assert {each.id for each in WHOLE} == {*NAMES}
    for fault in FAULTS.values():
        own = {clause for each in WHOLE if each.id == fault.id for clause in each.clauses}
        assert own == {clause.id for clause in fault.clauses}
    for each in WHOLE:
        if not each.faulty:
            near = NEAR_MISSES[each.id].subject()
            assert list(each.clauses) == [
                clause.id for clause in CLAUSES.values() if clause.selected_by(near.role, near.claims)
            ]


def test_every_clause_kills_a_fault_of_its_own() -> None:
    """The matrix of own clauses alone is enough to say that every clause kills."""
    assert {clause for each in WHOLE if each.faulty for clause in each.clauses} == {*CLAUSES}


def test_roles_chapters_and_shards_share_out_the_matrix() -> None:
    """Together they are the whole, and nothing is judged twice."""
    by_role = [each for role in Role for each in pieces.pieces(NAMES, roles=[role])]
    assert asked(by_role) == asked(WHOLE)
    by_chapter = [each for chapter in CHAPTERS for each in pieces.pieces(NAMES, chapters=[chapter])]
    assert asked(by_chapter) == asked(WHOLE)
    parts = [pieces.shard(WHOLE, number, 7) for number in range(1, 8)]
    assert asked([each for part in parts for each in part]) == asked(WHOLE)
    assert parts[2] == pieces.shard(pieces.pieces(NAMES), 3, 7), "every machine shares out alike"


def test_the_dearest_are_begun_first() -> None:
    """A training lasts longer than anything else: begun last, it would be waited for alone."""
    first = pieces.dearest_first(WHOLE)[0]
    assert not all(can_run(CLAUSES[each], QUICK) for each in first.clauses)


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What is said on standard error by a command that exits with 2."""
    assert run(["faults", *arguments]) == 2
    return capsys.readouterr().err


def test_wrong_usage_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Names that do not exist, parts that are none, and options of the matrix without it."""
    assert "did you mean encoder-layer?" in refused(["--role", "encoder-layr"], capsys)
    assert "did you mean masking?" in refused(["--chapter", "maskin"], capsys)
    for part in ("0/4", "5/4", "4", "a/b"):
        assert "must be K/N" in refused(["--matrix", "--shard", part], capsys)
    assert "--shard is of the matrix" in refused(["--shard", "1/2"], capsys)
    assert "--every-clause is of the matrix" in refused(["--every-clause"], capsys)


def test_the_listing_obeys_the_filters(capsys: pytest.CaptureFixture[str]) -> None:
    """The faults of one role and one chapter, without judging any."""
    assert run(["faults", "--role", "rms-norm", "--chapter", "normalization"]) == 0
    said = capsys.readouterr().out
    assert "eps-missing" in said
    assert "sees-itself-only" not in said


def faked(monkeypatch: pytest.MonkeyPatch, rows: dict[Piece, Row]) -> None:
    """Every piece is judged as ``rows`` say."""
    monkeypatch.setattr(Piece, "row", lambda piece: rows[piece])


def verdict(clause: str, status: Status, *, evidence: CaseEvidence | None = None, reason: str = "") -> Verdict:
    """A verdict on one case."""
    return Verdict(
        clause=clause,
        level="MUST",
        status=status,
        examples=1,
        exercised=1,
        seconds=0.0,
        evidence=evidence,
        reason=reason,
    )


def test_what_does_not_hold_is_said_and_exits_with_1(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A survivor, a wrong death, a near-miss that dies and a clause that kills nothing are named, each with its reason."""
    name, near = next(iter(FAULTS)), next(iter(NEAR_MISSES))
    clause = FAULTS[name].clauses[0].id
    faulty, alive = Piece(name, 0, (clause,), 1), Piece(near, 0, (clause,), 1)
    dead = Row(name, "faulty", (clause,), (), (verdict(clause, Status.FAIL),))
    lives = Row(near, "near", (), (), (verdict(clause, Status.PASS),))

    faked(monkeypatch, {faulty: dead, alive: lives})
    assert kill_matrix.run([faulty, alive], 1) == 0
    said = capsys.readouterr().out
    assert "1 of 1 faults killed, in 1 subjects · 1 of 1 clauses kill · 1 of 1 near-misses alive" in said
    assert "CPU seconds" in said

    assert kill_matrix.run([faulty, alive], 1, expected=["state.calls-are-silent"]) == 1
    assert "kills nothing: state.calls-are-silent" in capsys.readouterr().out

    survives = Row(name, "faulty", (), (clause,), (verdict(clause, Status.PASS, reason="three cases"),))
    faked(monkeypatch, {faulty: survives, alive: lives})
    assert kill_matrix.run([faulty, alive], 1) == 1
    said = capsys.readouterr().out
    assert f"survives: faulty: {clause}: three cases" in said
    assert f"kills nothing: {clause}" in said
    assert "0 of 1 faults killed" in said

    stumbled = Row(name, "faulty", (), (clause,), (verdict(clause, Status.ERROR, reason=f"{STUMBLED} KeyError"),))
    faked(monkeypatch, {faulty: stumbled, alive: lives})
    assert kill_matrix.run([faulty, alive], 1) == 1
    assert f"dies wrongly: faulty: {clause}: {STUMBLED} KeyError" in capsys.readouterr().out

    dies = Row(near, "near", (clause,), (), (verdict(clause, Status.FAIL, reason="an alarm"),))
    faked(monkeypatch, {faulty: dead, alive: dies})
    assert kill_matrix.run([faulty, alive], 1) == 1
    said = capsys.readouterr().out
    assert f"a near-miss dies: near: {clause}: an alarm" in said
    assert "0 of 1 near-misses alive" in said


def test_a_fault_that_dies_by_its_adapter_survives(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong weights mapping ends every clause: that is no kill, and neither is a property that stumbled."""
    fault = next(iter(FAULTS.values()))
    declaration = next(
        each for each in fault.subjects() if any(clause.selected_by(each.role, each.claims) for clause in fault.clauses)
    )
    clause = next(each for each in fault.clauses if each.selected_by(declaration.role, declaration.claims))
    seen = CaseEvidence(property="test", case="batch=1", message="call raised IndexError")
    endings = {
        "survives": (
            verdict(clause.id, Status.ERROR, reason="weights: the mapping lacks query"),
            verdict(clause.id, Status.ERROR, evidence=seen, reason=f"{STUMBLED} KeyError"),
            verdict(clause.id, Status.PASS),
            verdict(clause.id, Status.INCONCLUSIVE),
        ),
        "dies": (
            verdict(clause.id, Status.FAIL, evidence=seen),
            verdict(clause.id, Status.ERROR, evidence=seen, reason="call raised IndexError"),
        ),
    }

    def ended(ending: Verdict, _declaration: Declaration, asked: list[object], *_: object) -> list[Verdict]:
        return [ending] if asked else []

    for what, verdicts in endings.items():
        for ending in verdicts:
            monkeypatch.setattr(matrix, "verdicts_on", lambda *given, ending=ending: ended(ending, *given))
            row = fault_row(fault, declaration, [clause])
            assert row.survived == ((clause.id,) if what == "survives" else ()), ending
            assert row.killed_by == ((clause.id,) if what == "dies" else ()), ending


def test_clauses_that_take_long_are_judged_at_the_effort_that_they_need(monkeypatch: pytest.MonkeyPatch) -> None:
    """The matrix counts such a fault as killed only where it was judged; the self-tests leave it to a session of its own."""
    fault = next(each for each in FAULTS.values() if not all(can_run(clause, QUICK) for clause in each.clauses))
    declaration = fault.subjects()[0]
    efforts: list[object] = []

    def spied(_declaration: object, asked: list[object], effort: object) -> list[Verdict]:
        efforts.extend(effort for _ in asked)
        return []

    monkeypatch.setattr(matrix, "verdicts_on", spied)
    slow = [clause for clause in fault.clauses if not can_run(clause, QUICK)]
    assert fault_row(fault, declaration, slow).survived == ()
    assert efforts == []
    deep = dataclasses.replace(QUICK, examples=400)
    assert fault_row(fault, declaration, slow, deep=deep).survived == tuple(clause.id for clause in slow)
    assert efforts == [deep] * len(slow)
