"""``veriformer faults``: the catalogue, and the kill matrix."""

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import click

from veriformer.cli.refusal import Refusal

if TYPE_CHECKING:
    from veriformer.faults.matrix import Row


@click.command(name="faults")
@click.argument("ids", metavar="[FAULT]...", nargs=-1)
@click.option(
    "--matrix", is_flag=True, help="Judge every fault and every near-miss by every clause, and say who dies by what."
)
@click.option(
    "--jobs",
    default=0,
    metavar="N",
    help="Processes for the matrix; as many as there are processors where it is not said.",
)
def command(ids: tuple[str, ...], matrix: bool, jobs: int) -> int:  # noqa: FBT001  # click passes it by name
    """List the catalogued faults and near-misses, or those named."""
    from veriformer.faults.catalogue import FAULTS, NEAR_MISSES
    from veriformer.request import nearest

    for name in ids:
        if name not in FAULTS and name not in NEAR_MISSES:
            raise Refusal(f"no fault or near-miss is called {name!r}; {nearest(name, [*FAULTS, *NEAR_MISSES])}", 2)
    asked = list(ids) or [*FAULTS, *NEAR_MISSES]
    if matrix:
        return _matrix(asked, jobs or os.cpu_count() or 1, everything=not ids)
    for name in asked:
        entry = FAULTS.get(name) or NEAR_MISSES[name]
        kind = "near-miss" if name in NEAR_MISSES else "fault"
        click.echo(f"{name}  ({kind})\n    {entry.sentence}\n    {', '.join(clause.id for clause in entry.clauses)}")
    faults = [name for name in asked if name in FAULTS]
    foreign = sum(FAULTS[name].foreign for name in faults)
    click.echo(
        f"\n{len(faults)} faults ({foreign} written without the reference), {len(asked) - len(faults)} near-misses"
    )
    return 0


def _matrix(asked: Sequence[str], jobs: int, *, everything: bool) -> int:
    """Print a line for each faulty subject; every clause is a column, grouped by chapter."""
    from veriformer.faults.catalogue import FAULTS, NEAR_MISSES
    from veriformer_spec.chapters import CLAUSES

    rows = [row for group in _with_progress(asked, jobs) for row in group]
    chapters = list(dict.fromkeys(clause.chapter for clause in CLAUSES.values()))
    counted = (f"{name} {sum(clause.startswith(f'{name}.') for clause in CLAUSES)}" for name in chapters)
    click.echo(f"columns, left to right: {', '.join(counted)} clauses")
    click.echo(
        "X caught, as it must be · x caught, too · ! must be caught and was not · . held · blank: not asked or not checked\n"
    )
    for row in rows:
        click.echo(f"{row.subject[:58]:58}  {_line(row, chapters)}".rstrip())
    survivors = [row for row in rows if row.survived]
    died = [row for row in rows if row.id in NEAR_MISSES and row.killed_by]
    killers = {clause for row in rows if row.id in FAULTS for clause in row.killed_by}
    idle = [clause for clause in CLAUSES if clause not in killers] if everything else []
    click.echo()
    for row in survivors:
        click.echo(f"survived: {row.subject}: {', '.join(row.survived)}")
    for row in died:
        click.echo(f"a near-miss died: {row.subject}: {', '.join(row.killed_by)}")
    for clause in idle:
        click.echo(f"kills nothing: {clause}")
    faults = {row.id for row in rows if row.id in FAULTS}
    near_misses = {row.id for row in rows if row.id in NEAR_MISSES}
    click.echo(
        f"{len(faults)} faults in {sum(row.id in FAULTS for row in rows)} subjects, {len({row.id for row in survivors})} survive · "
        f"{len(killers)} of {len(CLAUSES)} clauses kill · {len(near_misses)} near-misses, {len(died)} die"
    )
    return 1 if survivors or died or idle else 0


def _line(row: "Row", chapters: Iterable[str]) -> str:
    from veriformer.faults.catalogue import FAULTS
    from veriformer.verdict import Status
    from veriformer_spec.chapters import CLAUSES

    must = {clause.id for clause in FAULTS[row.id].clauses} if row.id in FAULTS else set()
    ended = {each.clause: each.status for each in row.verdicts}

    def mark(clause: str) -> str:
        if clause in row.survived:
            return "!"
        if clause in row.killed_by:
            return "X" if clause in must else "x"
        return "." if ended.get(clause) is Status.PASS else " "

    return "|".join("".join(mark(clause) for clause in CLAUSES if clause.startswith(f"{name}.")) for name in chapters)


def _with_progress(asked: Sequence[str], jobs: int) -> "Iterator[list[Row]]":
    """The rows of each fault and near-miss, in order, while a bar shows how far it is."""
    from rich.console import Console
    from rich.progress import track

    from veriformer.cli.parallel import rows_of

    console = Console(stderr=True)
    done = rows_of(asked, jobs)
    return iter(
        track(
            done,
            description="judging",
            total=len(asked),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
    )
