"""Mutants of correct attention code that fail when run are reported by the plugin."""

from pathlib import Path

import pytest

from self_tests.shapes.mutants import Mutant, mutants_of
from self_tests.shapes.mypy_runs import CORPUS
from self_tests.shapes.scoring import Score, score

ATTENTION = (
    *("attention_plain", "heads_by_view", "optional_mask", "aliases", "einsum_heads"),
    *("einops_heads", "cache_growth", "grouped_query", "asserted_sizes", "rms_norm"),
    *("decorated", "starred"),
)

EVERY = 3
"""The benchmark scores all mutants; a test has time for every third."""


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory, warm_cache: Path) -> Score:
    files = [CORPUS / "correct" / f"{name}.py" for name in ATTENTION]
    planted: list[Mutant] = [mutant for path in files for mutant in mutants_of(path)]
    return score(planted[::EVERY], tmp_path_factory.mktemp("mutants"), warm_cache)


def test_there_are_enough_mutants(scored: Score) -> None:
    assert scored.failing >= 150


def test_95_percent_of_the_failing_mutants_are_reported(scored: Score) -> None:
    assert scored.share >= 0.95, [(m.name, m.operator, m.line) for m in scored.missed]
