"""What a run could have missed: said from the kill matrix, and never more hopeful than it."""

import subprocess
import sys
from pathlib import Path

from veriformer.adapters import reference
from veriformer.faults.kills import kills
from veriformer.missed import MAPPING, missed
from veriformer.subjects import Subject
from veriformer.verdict import Status, Verdict
from veriformer_spec.chapters import CLAUSES
from veriformer_spec.role import Role

ROOT = Path(__file__).parents[2]


def verdicts(role: Role, **ended: Status) -> list[Verdict]:
    """Every clause asked of the role passed, but for those of the chapters in ``ended``."""
    subject = Subject(reference.declaration(role))
    return [
        Verdict(
            clause=clause.id, level="MUST", status=ended.get(clause.chapter, Status.PASS), examples=5, exercised=5, seconds=0,
            reason="no weights mapping: nothing is known" if clause.chapter in ended else "",
        )
        for clause in CLAUSES.values()
        if clause.selected_by(role, subject.claims)
    ]  # fmt: skip


def test_the_file_says_what_the_catalogue_says() -> None:
    """Whoever adds a fault writes it anew."""
    command = [sys.executable, "benchmarks/kills.py", "--check"]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).returncode == 0


def test_a_whole_run_misses_nothing() -> None:
    """Every fault that a layer may have dies by a clause that was asked."""
    said = missed(Subject(reference.declaration(Role.ENCODER_LAYER)), verdicts(Role.ENCODER_LAYER))
    assert said.faults == []
    assert said.known > 50


def test_what_was_not_checked_is_counted_with_what_would_close_it() -> None:
    """Without the comparisons some faults pass, and a mapping would find each of them."""
    subject = Subject(reference.declaration(Role.ENCODER_LAYER))
    said = missed(subject, verdicts(Role.ENCODER_LAYER, stack=Status.NOT_CHECKED, heads=Status.NOT_CHECKED))
    assert "heads-tied" not in {each.fault for each in kills() if each.role == "layer-norm"}
    assert said.faults
    assert said.closing[MAPPING] == len(said.faults)


def test_what_another_claim_allows_is_not_counted() -> None:
    """A subject without positions cannot turn its queries alone."""
    said = missed(Subject(reference.declaration(Role.MULTI_HEAD_ATTENTION)), [])
    assert said.known == len(said.faults)
    assert "queries-turned-alone" not in said.faults
    turned = missed(Subject(reference.declaration(Role.MULTI_HEAD_ATTENTION, positions="rotary", memory="query")), [])
    assert "queries-turned-alone" in turned.faults
