"""Judges the plugin by mutants: of those that fail when run, how many does it report?"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from self_tests.shapes.mutants import Mutant
from self_tests.shapes.mypy_runs import Run, run_files, run_mypy


@dataclass(frozen=True)
class Score:
    """What came of a set of mutants.

    Attributes:
        failing: mutants whose run fails (`caught` of them were reported).
        caught_inside: caught without the function ``run`` that drives the file, whose
            sizes are plain numbers: there a wrong signature shows only at its call.
        passing: mutants whose run passes (`flagged` of them were reported).
        missed: the failing ones that were not reported.
    """

    failing: int
    caught: int
    caught_inside: int
    passing: int
    flagged: list[Mutant]
    missed: list[Mutant]

    @property
    def share(self) -> float:
        return self.caught / self.failing


def plant(mutants: Sequence[Mutant], folder: Path) -> list[Path]:
    """Write the mutants as files."""
    paths = []
    for mutant in mutants:
        path = folder / f"{mutant.name}.py"
        path.write_text(mutant.source)
        paths.append(path)
    return paths


def score(mutants: Sequence[Mutant], folder: Path, cache: Path | None) -> Score:
    """Run the mutants, have mypy check them, and compare."""
    paths = plant(mutants, folder)
    truth = run_files(folder, [path.stem for path in paths])
    return compare(mutants, truth, run_mypy(folder, *paths, cache=cache))


def compare(mutants: Sequence[Mutant], truth: dict[str, bool], run: Run) -> Score:
    """Hold the truth beside mypy's findings."""
    reported: set[str] = set()
    inside: set[str] = set()
    driver = {m.name: m.source.splitlines().index("def run() -> None:") + 1 for m in mutants}
    for finding in run.findings:
        name = finding.file.removesuffix(".py")
        if finding.kind == "error":
            reported.add(name)
            if finding.line < driver.get(name, 0):
                inside.add(name)
    failing = [m for m in mutants if not truth[m.name]]
    passing = [m for m in mutants if truth[m.name]]
    return Score(
        len(failing),
        sum(m.name in reported for m in failing),
        sum(m.name in inside for m in failing),
        len(passing),
        [m for m in passing if m.name in reported],
        [m for m in failing if m.name not in reported],
    )
