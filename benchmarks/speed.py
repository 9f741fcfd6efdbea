"""How long a check takes, where the time goes, and how it grows; run by ``nox -s bench``, which writes docs/benchmarks.md.

Whole commands are timed as cold processes, in turns, and medians are given: this is a comparison, not a stopwatch.
"""

import argparse
import contextlib
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import naming
import torch

import veriformer.oracle
from veriformer.adapters import torch_nn
from veriformer.faults.catalogue import FAULTS
from veriformer.faults.matrix import fault_rows, verdicts_on
from veriformer.judge import Effort
from veriformer.request import EXAMPLES
from veriformer.subjects import Instance
from veriformer_spec.chapters import CLAUSES

TARGET = "torch.nn.TransformerEncoderLayer"


def seconds(run: Callable[[], object]) -> float:
    """Wall seconds of one call."""
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def command(*arguments: str) -> Callable[[], object]:
    """A cold process."""
    return lambda: subprocess.run([sys.executable, *arguments], check=False, stdout=subprocess.DEVNULL, timeout=300)


def cold(runs: int) -> list[str]:
    """Rows of whole commands, in turns."""
    check = ("-m", "veriformer", "check", TARGET, "--budget")
    commands = {
        "python -c 'import torch'": command("-c", "import torch"),
        f"veriformer check {TARGET} --budget quick": command(*check, "quick"),
        f"veriformer check {TARGET} --budget standard": command(*check, "standard"),
    }
    for run in commands.values():
        run()  # once unmeasured, so that the disk's cache is warm for all alike
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(runs):
        for name, run in commands.items():
            times[name].append(seconds(run))
    base = statistics.median(times["python -c 'import torch'"])
    rows = ["| command, cold process | median s | times importing torch |", "|---|---|---|"]
    for name, each in times.items():
        rows.append(f"| `{name}` | {statistics.median(each):.2f} | {statistics.median(each) / base:.1f} |")
    return rows


@contextlib.contextmanager
def stopwatch() -> Iterator[dict[str, float]]:
    """Seconds spent inside the subject's and the reference's own calls."""
    spent = {"forwards": 0.0}
    plain, honest = Instance.raw, veriformer.oracle.oracle

    def raw(self: Instance, *arguments: torch.Tensor | None) -> object:
        started = time.perf_counter()
        try:
            return plain(self, *arguments)
        finally:
            spent["forwards"] += time.perf_counter() - started

    def timed_oracle(*arguments: object, **changes: object) -> Callable[..., torch.Tensor]:
        compute = honest(*arguments, **changes)  # type: ignore[arg-type]

        def timed(inputs: object) -> torch.Tensor:
            started = time.perf_counter()
            try:
                return compute(inputs)  # type: ignore[arg-type]
            finally:
                spent["forwards"] += time.perf_counter() - started

        return timed

    with mock.patch.object(Instance, "raw", raw), mock.patch.object(veriformer.oracle, "oracle", timed_oracle):
        yield spent


def growth() -> list[str]:
    """Rows of time inside one process, by clauses and by examples."""
    declaration = next(each for each in torch_nn.declarations() if each.name == TARGET)
    clauses = [each for each in CLAUSES.values() if each.selected_by(declaration.role, declaration.claims)]
    verdicts_on(declaration, clauses)
    rows = ["| clauses | examples each | s | share outside the forwards |", "|---|---|---|---|"]
    for share, examples in ((0.25, 25), (0.5, 25), (1.0, 25), (1.0, 5), (1.0, 50), (1.0, 100)):
        asked = clauses[:: round(1 / share)]
        with stopwatch() as spent:
            whole = seconds(lambda a=asked, e=examples: verdicts_on(declaration, a, Effort(examples=e, shrink=False)))  # type: ignore[misc]
        rows.append(f"| {len(asked)} | {examples} | {whole:.2f} | {1 - spent['forwards'] / whole:.0%} |")
    return rows


def kills(every: int) -> list[str]:
    """Rows of the catalogue: kills a second, and quick against standard; each ``every``-th fault."""
    rows = ["| budget | faults killed by each of their clauses | s | kills a second |", "|---|---|---|---|"]
    for budget in ("quick", "standard"):
        effort = Effort(examples=EXAMPLES[budget], shrink=False)
        started, killed, pairs = time.perf_counter(), 0, 0
        for fault in list(FAULTS.values())[::every]:
            for row in fault_rows(fault, every_clause=False, effort=effort):
                killed += len(row.killed_by)
                pairs += len(row.killed_by) + len(row.survived)
        whole = time.perf_counter() - started
        rows.append(f"| {budget} | {killed} of {pairs} | {whole:.1f} | {killed / whole:.0f} |")
    return rows


def main() -> None:
    """Measure, print, and write where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--every", type=int, default=10, help="judge each n-th fault of the catalogue")
    options = parser.parse_args()
    torch.set_num_threads(1)
    machine = f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}, torch {torch.__version__}, one thread"
    lines = [
        "# Benchmarks",
        "",
        f"Written by `nox -s bench` on {machine}. Medians of {options.runs} runs where commands are timed; single runs elsewhere.",
        "",
        "## A whole check",
        "",
        *cold(options.runs),
        "",
        f"## Growth: {TARGET}, inside one process",
        "",
        *growth(),
        "",
        f"## The catalogue: each {options.every}th of {len(FAULTS)} faults, by the clauses that must catch it",
        "",
        *kills(options.every),
        "",
        f"## Weights without names: torch.nn.TransformerEncoder, medians of {naming.RUNS}",
        "",
        *naming.mapping(),
        "",
        f"## The name of a bug: the reference's encoder layer, heads merged without the transpose, medians of {naming.RUNS}",
        "",
        *naming.naming(),
    ]
    text = "\n".join(lines) + "\n"
    print(text)
    if options.write:
        options.write.write_text(text)


if __name__ == "__main__":
    main()
