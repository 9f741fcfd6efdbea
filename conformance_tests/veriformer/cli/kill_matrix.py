"""``veriformer faults --matrix``: who dies by what, and one line for each fact that does not hold."""

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from veriformer.cli.pieces import Piece
    from veriformer.faults.matrix import Row
    from veriformer_spec.clause import Clause


def run(asked: Sequence["Piece"], jobs: int, *, expected: Iterable[str] = ()) -> int:
    """Judge ``asked``, print a line for each subject and what must be known of all; 1 where a fact does not hold.

    Args:
        expected: clauses that must kill a fault, beyond those that the faults in ``asked`` must die by.
    """
    started, cpu = time.perf_counter(), _cpu_seconds()
    found = dict(_with_progress(asked, jobs))
    seconds, cpu = time.perf_counter() - started, _cpu_seconds() - cpu
    rows = {piece: found[piece] for piece in asked}
    _print_rows(rows)
    must = {each for piece in asked if piece.faulty for each in piece.clauses if each in _own(piece)}
    must.update(expected)
    killers = {each for piece, row in rows.items() if piece.faulty for each in row.killed_by if each in _own(piece)}
    idle = sorted(must - killers)
    faults = {piece.id for piece in asked if _own(piece) & set(piece.clauses)}
    survivors = {piece.id for piece, row in rows.items() if row.survived}
    near_misses = [piece for piece in asked if not piece.faulty]
    died = [piece for piece in near_misses if rows[piece].killed_by]
    for line in (*_complaints(rows), *(f"kills nothing: {each}" for each in idle)):
        click.echo(line)
    subjects = sum(piece.faulty for piece in asked)
    click.echo(
        f"{len(faults - survivors)} of {len(faults)} faults killed, in {subjects} subjects · "
        f"{len(must) - len(idle)} of {len(must)} clauses kill · "
        f"{len(near_misses) - len(died)} of {len(near_misses)} near-misses alive"
    )
    verdicts = sum(len(row.verdicts) for row in rows.values())
    click.echo(f"{verdicts} verdicts in {seconds:.0f} s, {cpu:.0f} CPU seconds, {jobs} {'jobs' if jobs > 1 else 'job'}")
    return 1 if survivors or died or idle else 0


def _own(piece: "Piece") -> set[str]:
    from veriformer.faults.catalogue import FAULTS

    return {clause.id for clause in FAULTS[piece.id].clauses} if piece.faulty else set()


def _cpu_seconds() -> float:
    """Of this process and of those that it has waited for."""
    return sum(os.times()[:4])


def _complaints(rows: Mapping["Piece", "Row"]) -> Iterator[str]:
    """A line for each clause that did what it must not: what it said, which is where to begin."""
    from veriformer.verdict import Status

    for piece, row in rows.items():
        said = {each.clause: each for each in row.verdicts}
        for clause in row.survived if piece.faulty else row.killed_by:
            verdict = said.get(clause)
            why = ""
            if verdict is not None:
                why = verdict.reason or (verdict.evidence.message if verdict.evidence else str(verdict.status))
            wrong = verdict is not None and verdict.status is Status.ERROR
            what = ("dies wrongly" if wrong else "survives") if piece.faulty else "a near-miss dies"
            yield f"{what}: {row.subject}: {clause}" + (f": {why}" if why else "")


def _print_rows(rows: Mapping["Piece", "Row"]) -> None:
    """A line for each subject; every chapter of which a clause was asked has its columns."""
    from veriformer_spec.chapters import CLAUSES

    asked = {clause for piece in rows for clause in piece.clauses}
    chapters: dict[str, list[Clause]] = {}
    for clause in CLAUSES.values():
        if clause.id in asked:
            chapters.setdefault(clause.chapter, []).append(clause)
    counted = (f"{name} {len(clauses)}" for name, clauses in chapters.items())
    click.echo(f"columns, left to right: {', '.join(counted)} clauses")
    click.echo(
        "X caught, as it must be · x caught, too · ! must be caught and was not · . held · blank: not asked or not checked\n"
    )
    for piece, row in rows.items():
        marks = "|".join("".join(_marks(piece, row, clauses)) for clauses in chapters.values())
        click.echo(f"{row.subject[:58]:58}  {marks}".rstrip(" |"))
    click.echo()


def _marks(piece: "Piece", row: "Row", clauses: Iterable["Clause"]) -> Iterator[str]:
    from veriformer.verdict import Status

    must, held = _own(piece), {each.clause for each in row.verdicts if each.status is Status.PASS}
    for clause in clauses:
        if clause.id in row.survived:
            yield "!"
        elif clause.id in row.killed_by:
            yield "X" if clause.id in must else "x"
        else:
            yield "." if clause.id in held else " "


def _with_progress(asked: Sequence["Piece"], jobs: int) -> Iterator[tuple["Piece", "Row"]]:
    """Each piece with its row, as they are done, while a bar shows how far it is."""
    from rich.console import Console
    from rich.progress import track

    from veriformer.cli.parallel import rows_of

    console = Console(stderr=True)
    yield from track(
        rows_of(asked, jobs),
        description="judging",
        total=len(asked),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
