"""``veriformer clauses``: the specification and its traceability matrix."""

from pathlib import Path

import click

from veriformer.cli.refusal import Refusal


@click.command(name="clauses")
@click.option("--markdown", type=click.Path(path_type=Path), metavar="FILE", help="Write it all as one document.")
def command(markdown: Path | None) -> int:
    """Print the specification: every clause, and what tests it."""
    from veriformer import traceability

    if markdown is not None:
        try:
            markdown.write_text(traceability.as_markdown(), encoding="utf-8")
        except OSError as error:
            raise Refusal(f"--markdown: {markdown} cannot be written: {error.strerror or error}", 2) from None
        return 0
    threads = traceability.table()
    chapter = ""
    for thread in threads:
        clause = thread.clause
        if clause.chapter != chapter:
            chapter = clause.chapter
            click.secho(f"\n{chapter}", bold=True)
        click.echo(f"{clause.id}  {clause.level}")
        click.echo(f"    {clause.text}")
        click.echo(
            f"    {len(thread.properties)} properties, {len(thread.faults)} faults ({len(thread.foreign)} written without the reference), "
            f"{len(thread.near_misses)} near-misses"
        )
    click.echo(f"\n{len(threads)} clauses; `veriformer explain CLAUSE` says more about one")
    return 0
