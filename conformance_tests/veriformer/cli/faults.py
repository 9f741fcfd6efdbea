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
@click.option("--role", default="", help="Those that a subject of this role may have.")
@click.option("--chapter", default="", help="Those that break a clause of this chapter.")
@click.option("--clause", default="", help="Those that must die by this clause.")
@click.option("--planted", "kind", flag_value="planted", help="Those planted in the reference.")
@click.option("--foreign", "kind", flag_value="foreign", help="Those written without the reference.")
@click.option("--search", default="", metavar="WORDS", help="Those of which all of these words are written somewhere.")
@click.option(
    "--corpus", is_flag=True, help="Every fault of the corpus, with what expresses it here, or why nothing can."
)
@click.option(
    "--matrix", is_flag=True, help="Judge every fault and every near-miss by every clause, and say who dies by what."
)
@click.option("--diagnose", is_flag=True, help="Diagnose every fault of which the name is known, and say who gets it.")
@click.option("--pairs", default=0, metavar="N", help="With --diagnose: N random pairs of planted faults instead.")
@click.option("--triples", default=0, metavar="N", help="With --diagnose: N random triples instead.")
@click.option("--symmetric", is_flag=True, help="With --diagnose: as if nothing were known of the weights.")
@click.option(
    "--jobs",
    default=0,
    metavar="N",
    help="Processes for the matrix; as many as there are processors where it is not said.",
)
def command(
    ids: tuple[str, ...],
    role: str,
    chapter: str,
    clause: str,
    kind: str | None,
    search: str,
    corpus: bool,  # noqa: FBT001  # click passes it by name
    matrix: bool,  # noqa: FBT001
    diagnose: bool,  # noqa: FBT001
    pairs: int,
    triples: int,
    symmetric: bool,  # noqa: FBT001
    jobs: int,
) -> int:
    """List the catalogued faults and near-misses, or those named."""
    from veriformer.cli.catalogue_listing import Filter, list_catalogue, list_corpus
    from veriformer.faults.catalogue import FAULTS, NEAR_MISSES, SYNONYMS
    from veriformer.request import nearest

    if corpus:
        return list_corpus()
    for name in ids:
        if name not in FAULTS and name not in NEAR_MISSES and name not in SYNONYMS:
            raise Refusal(f"no fault or near-miss is called {name!r}; {nearest(name, [*FAULTS, *NEAR_MISSES])}", 2)
    if diagnose or pairs or triples:
        from veriformer.cli.diagnose import diagnose_catalogue

        return diagnose_catalogue(ids, role=role, pairs=pairs, triples=triples, symmetric=symmetric, jobs=jobs)
    if matrix:
        asked = [SYNONYMS.get(name, name) for name in ids] or [*FAULTS, *NEAR_MISSES]
        return _matrix(asked, jobs or os.cpu_count() or 1, everything=not ids)
    words = tuple(search.split())
    return list_catalogue(ids, Filter(role=role, chapter=chapter, clause=clause, kind=kind or "", words=words))


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
