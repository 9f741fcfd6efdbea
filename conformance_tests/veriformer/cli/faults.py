"""``veriformer faults``: the catalogue, and the kill matrix."""

import os
import re
from collections.abc import Sequence

import click

from veriformer.cli.refusal import Refusal


@click.command(name="faults")
@click.argument("ids", metavar="[FAULT]...", nargs=-1)
@click.option("--role", "roles", multiple=True, metavar="ROLE", help="Only those with a subject in this role.")
@click.option("--chapter", "chapters", multiple=True, metavar="NAME", help="Only clauses of this chapter.")
@click.option(
    "--matrix",
    is_flag=True,
    help="Judge every fault by the clauses that must catch it, and every near-miss by every clause, and say who dies by what.",
)
@click.option(
    "--every-clause", is_flag=True, help="In the matrix, judge every fault by every clause: takes far longer."
)
@click.option("--shard", metavar="K/N", help="Of the matrix, the K-th of N parts of about equal length.")
@click.option(
    "--jobs",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="Processes for the matrix; as many as there are processors where it is not said.",
)
def command(
    ids: tuple[str, ...],
    roles: tuple[str, ...],
    chapters: tuple[str, ...],
    matrix: bool,  # noqa: FBT001  # click passes it by name
    every_clause: bool,  # noqa: FBT001  # as above
    shard: str | None,
    jobs: int,
) -> int:
    """List the catalogued faults and near-misses, or those named; with --matrix, prove them.

    With --matrix, exits with 1 where a fault survives a clause that must catch it, or dies by an error that is none of the clause's,
    where a near-miss dies, and where a clause kills nothing.
    """
    from veriformer.cli import pieces
    from veriformer.faults.catalogue import FAULTS, NEAR_MISSES
    from veriformer_spec.chapters import CLAUSES
    from veriformer_spec.role import Role

    if not matrix and (shard or every_clause):
        raise Refusal(f"{'--shard' if shard else '--every-clause'} is of the matrix: give --matrix, too", 2)
    _known(ids, [*FAULTS, *NEAR_MISSES], "fault or near-miss")
    _known(roles, [*map(str, Role)], "role")
    _known(chapters, list(dict.fromkeys(clause.chapter for clause in CLAUSES.values())), "chapter")
    part = _part(shard)
    asked = pieces.pieces(
        list(ids) or [*FAULTS, *NEAR_MISSES], roles=roles, chapters=chapters, every_clause=every_clause
    )
    if not matrix:
        return _listed(list(dict.fromkeys(each.id for each in asked)))
    everything = not ids and not roles and part == (1, 1)
    expected = [clause.id for clause in CLAUSES.values() if not chapters or clause.chapter in chapters]
    from veriformer.cli import kill_matrix

    return kill_matrix.run(pieces.shard(asked, *part), jobs or _processors(), expected=expected if everything else ())


def _known(given: Sequence[str], names: Sequence[str], what: str) -> None:
    from veriformer.request import nearest

    for name in given:
        if name not in names:
            raise Refusal(f"no {what} is called {name!r}; {nearest(name, names)}", 2)


def _part(shard: str | None) -> tuple[int, int]:
    """Which part of how many."""
    match = re.fullmatch(r"(\d+)/(\d+)", shard or "1/1")
    number, of = map(int, match.groups()) if match else (0, 0)
    if not 1 <= number <= of:
        raise Refusal(f"--shard {shard} must be K/N, with K from 1 to N: 1/4 is the first of four parts", 2)
    return number, of


def _processors() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _listed(names: Sequence[str]) -> int:
    from veriformer.faults.catalogue import FAULTS, NEAR_MISSES

    for name in names:
        entry = FAULTS.get(name) or NEAR_MISSES[name]
        kind = "near-miss" if name in NEAR_MISSES else "fault"
        click.echo(f"{name}  ({kind})\n    {entry.sentence}\n    {', '.join(clause.id for clause in entry.clauses)}")
    faults = [name for name in names if name in FAULTS]
    foreign = sum(FAULTS[name].foreign for name in faults)
    click.echo(
        f"\n{len(faults)} faults ({foreign} written without the reference), {len(names) - len(faults)} near-misses"
    )
    return 0
