"""``veriformer faults``: the catalogue, the kill matrix, and the diagnosis of every fault."""

import os
import re

import click

from veriformer.cli.refusal import Refusal


@click.command(name="faults")
@click.argument("ids", metavar="[FAULT]...", nargs=-1)
@click.option("--role", "roles", multiple=True, metavar="ROLE", help="Only those with a subject in this role.")
@click.option(
    "--chapter", "chapters", multiple=True, metavar="NAME", help="Only those that break a clause of this chapter."
)
@click.option("--clause", default="", help="Only those that must die by this clause.")
@click.option("--planted", "kind", flag_value="planted", help="Only those planted in the reference.")
@click.option("--foreign", "kind", flag_value="foreign", help="Only those written without the reference.")
@click.option(
    "--search", default="", metavar="WORDS", help="Only those of which all of these words are written somewhere."
)
@click.option(
    "--corpus", is_flag=True, help="Every fault of the corpus, with what expresses it here, or why nothing can."
)
@click.option(
    "--matrix",
    is_flag=True,
    help="Judge every fault by the clauses that must catch it, and every near-miss by every clause, and say who dies by what.",
)
@click.option(
    "--every-clause", is_flag=True, help="In the matrix, judge every fault by every clause: takes far longer."
)
@click.option("--shard", metavar="K/N", help="Of the matrix, the K-th of N parts of about equal length.")
@click.option("--diagnose", is_flag=True, help="Diagnose every fault of which the name is known, and say who gets it.")
@click.option("--pairs", default=0, metavar="N", help="With --diagnose: N random pairs of planted faults instead.")
@click.option("--triples", default=0, metavar="N", help="With --diagnose: N random triples instead.")
@click.option("--symmetric", is_flag=True, help="With --diagnose: as if nothing were known of the weights.")
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
    clause: str,
    kind: str | None,
    search: str,
    corpus: bool,  # noqa: FBT001  # click passes it by name
    matrix: bool,  # noqa: FBT001  # as above
    every_clause: bool,  # noqa: FBT001  # as above
    shard: str | None,
    diagnose: bool,  # noqa: FBT001  # as above
    pairs: int,
    triples: int,
    symmetric: bool,  # noqa: FBT001  # as above
    jobs: int,
) -> int:
    """List the catalogued faults and near-misses, or those named; with --matrix or --diagnose, prove them.

    With --matrix, exits with 1 where a fault survives a clause that must catch it, or dies by an error that is none of the clause's,
    where a near-miss dies, and where a clause kills nothing. With --diagnose, where one is called by a wrong name.
    """
    from veriformer.cli.catalogue_listing import Filter, list_catalogue, list_corpus
    from veriformer.faults.catalogue import FAULTS, NEAR_MISSES, SYNONYMS
    from veriformer.request import nearest

    if corpus:
        return list_corpus()
    if not matrix and (shard or every_clause):
        raise Refusal(f"{'--shard' if shard else '--every-clause'} is of the matrix: give --matrix, too", 2)
    for name in ids:
        if name not in FAULTS and name not in NEAR_MISSES and name not in SYNONYMS:
            raise Refusal(f"no fault or near-miss is called {name!r}; {nearest(name, [*FAULTS, *NEAR_MISSES])}", 2)
    asked = Filter(roles=roles, chapters=chapters, clause=clause, kind=kind or "", words=tuple(search.split()))
    asked.require_known()
    names = tuple(dict.fromkeys(SYNONYMS.get(name, name) for name in ids))
    if matrix:
        return _matrix(names, roles, chapters, every_clause=every_clause, part=_part(shard), jobs=jobs or _processors())
    if diagnose or pairs or triples:
        from veriformer.cli.diagnose import diagnose_catalogue

        role = roles[0] if roles else ""
        return diagnose_catalogue(names, role=role, pairs=pairs, triples=triples, symmetric=symmetric, jobs=jobs)
    return list_catalogue(ids, asked)


def _matrix(
    names: tuple[str, ...],
    roles: tuple[str, ...],
    chapters: tuple[str, ...],
    *,
    every_clause: bool,
    part: tuple[int, int],
    jobs: int,
) -> int:
    from veriformer.cli import kill_matrix, pieces
    from veriformer.faults.catalogue import FAULTS, NEAR_MISSES
    from veriformer_spec.chapters import CLAUSES

    asked = pieces.pieces(
        list(names) or [*FAULTS, *NEAR_MISSES], roles=roles, chapters=chapters, every_clause=every_clause
    )
    everything = not names and not roles and part == (1, 1)
    expected = [clause.id for clause in CLAUSES.values() if not chapters or clause.chapter in chapters]
    return kill_matrix.run(pieces.shard(asked, *part), jobs, expected=expected if everything else ())


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
