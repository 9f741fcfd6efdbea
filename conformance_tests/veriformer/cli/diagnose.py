"""``veriformer faults --diagnose``: is every catalogued fault called by its name?"""

import collections
import os
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from veriformer.diagnosis.trials import Trial

Outcome = tuple[str, str, str, float]
"""Whose it is, what became of it, what was said, and the seconds it took."""


def diagnose_catalogue(ids: Sequence[str], *, role: str, pairs: int, triples: int, symmetric: bool, jobs: int) -> int:
    """Diagnose every catalogued subject, or random pairs and triples of planted faults, and say how many got their name."""
    from veriformer.diagnosis import trials

    asked: list[Trial] = []
    if not pairs and not triples:
        asked += trials.of_catalogue(ids, role)
    asked += trials.of_combinations(pairs, 2, role)
    asked += trials.of_combinations(triples, 3, role)
    counted: collections.Counter[str] = collections.Counter()
    seconds: list[float] = []
    for name, outcome, said, took in _outcomes(asked, symmetric=symmetric, jobs=jobs):
        counted[outcome] += 1
        seconds.append(took)
        if outcome != "named":
            click.echo(f"{outcome:9} {name}: {said}")
    total = sum(counted.values())
    said = ", ".join(f"{count} {outcome}" for outcome, count in counted.most_common())
    median = sorted(seconds)[len(seconds) // 2] if seconds else 0.0
    click.echo(f"\n{total} diagnosed: {said} · median {median:.2f} s, longest {max(seconds, default=0.0):.2f} s")
    return 1 if counted["wrong"] else 0


def _outcomes(asked: "Sequence[Trial]", *, symmetric: bool, jobs: int) -> Iterator[Outcome]:
    """What became of each; those that share a role and claims stay in one process, which knows the reference's answers already."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    done = _in_one_process(asked, symmetric) if jobs == 1 else _in_several(asked, symmetric, jobs)
    yield from track(
        done,
        description="diagnosing",
        total=len(asked),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def _in_one_process(asked: "Sequence[Trial]", symmetric: bool) -> Iterator[Outcome]:  # noqa: FBT001  # handed on
    import torch

    from veriformer.diagnosis import trials

    torch.set_num_threads(1)
    for trial in asked:
        started = time.perf_counter()
        diagnosis = trials.diagnosed(trial, symmetric=symmetric)
        yield trial.name, trials.outcome(trial, diagnosis), diagnosis.said, time.perf_counter() - started


_ASKED: "Sequence[Trial]" = ()
"""What the child processes, which are forked, find in their memory."""


def _one_group(task: tuple[int, int, bool]) -> list[Outcome]:
    start, end, symmetric = task
    return list(_in_one_process(_ASKED[start:end], symmetric))


def _in_several(asked: "Sequence[Trial]", symmetric: bool, jobs: int) -> Iterator[Outcome]:  # noqa: FBT001  # handed on
    import multiprocessing

    global _ASKED  # noqa: PLW0603  # functions cannot be sent to a child; one that is forked has them
    _ASKED = asked
    size = max(1, len(asked) // (8 * jobs))
    tasks = [(start, start + size, symmetric) for start in range(0, len(asked), size)]
    with multiprocessing.get_context("fork").Pool(jobs or os.cpu_count() or 1) as pool:
        for group in pool.imap(_one_group, tasks):
            yield from group
