"""The bug's name on a terminal: what was found, how to mend it, where the computation departs, and what could have been missed."""

from collections.abc import Iterator

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from veriformer.report.numbers import matrix
from veriformer.verdict import Departure, Diagnosis, Finding, Missed

MOST_NAMED = 3
"""Nearest faults, and missed ones, that are named without ``-v``."""


def show_diagnosis(console: Console, diagnosis: Diagnosis, *, verbose: bool = False) -> None:
    """What the failures look like: the finding in full, or in a line each where there are several."""
    console.print()
    findings = diagnosis.findings
    if findings and (findings[0].exact or verbose):
        for finding in findings if verbose else findings[:1]:
            _show_finding(console, finding, diagnosis.basis)
        others = [] if verbose else [each for each in findings[1:] if each.exact]
    else:
        others = findings[:MOST_NAMED]
    if diagnosis.said and not (findings and findings[0].exact and not others):
        console.print(_indented(Text.assemble(("diagnosis: ", "bold"), diagnosis.said), 0))
    for finding in others:
        console.print(_indented(Text.assemble((finding.name, "bold"), f" ({how_sure(finding, diagnosis.basis)})")))
    if diagnosis.departure is not None:
        _show_departure(console, diagnosis.departure)


def how_sure(finding: Finding, basis: str) -> str:
    """Exact, nearest or a guess, and by what."""
    if basis == "clauses that failed":
        return "a guess, by the clauses that failed"
    if finding.exact:
        return "exact" if basis in ("weights", "outputs") else f"exact, by {basis}"
    distance = "" if finding.distance is None else f", {finding.distance:.2g} away"
    return f"nearest{distance}"


def missed_in_words(missed: Missed) -> str:
    """One sentence on what the run could have missed."""
    if not missed.known:
        return ""
    if not missed.faults:
        return f"of {missed.known} catalogued faults that such a subject may have, the clauses that ran find every one"
    said = (
        f"of {missed.known} catalogued faults that such a subject may have, {len(missed.faults)} would pass unnoticed"
    )
    ways = [f"{way} would find {count}" for way, count in sorted(missed.closing.items(), key=lambda each: -each[1])]
    return "; ".join([said, *ways])


def show_missed(console: Console, missed: Missed, *, verbose: bool = False) -> None:
    """The sentence, and the names; all of them where asked for."""
    said = missed_in_words(missed)
    if not said:
        return
    console.print(_indented(Text(f"could have missed: {said}", style="dim"), 0))
    if missed.faults:
        shown = missed.faults if verbose else missed.faults[:MOST_NAMED]
        more = len(missed.faults) - len(shown)
        console.print(_indented(Text(", ".join(shown) + (f" and {more} more (-v)" if more else ""), style="dim")))


def _show_finding(console: Console, finding: Finding, basis: str) -> None:
    console.print(Text.assemble(("found: ", "bold"), (finding.name, "bold red"), f" ({how_sure(finding, basis)})"))
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in _said(finding):
        table.add_row(name, value)
    console.print(_indented(table))


def _said(finding: Finding) -> Iterator[tuple[str, RenderableType]]:
    if finding.sentence:
        yield "what", Text(finding.sentence)
    if finding.written:
        yield "written", Text(finding.written)
    if finding.mend:
        yield "mend", Text(finding.mend, style="bold green")
    if finding.same:
        yield "the same", Text(f"here it cannot be told from {', '.join(finding.same)}")
    if finding.source:
        yield "source", Text(finding.source, style="dim")


def _show_departure(console: Console, departure: Departure) -> None:
    agrees = f"agrees with the reference up to {departure.after}; " if departure.after else ""
    console.print(
        _indented(
            Text.assemble(("departs ", "bold"), f"{agrees}at {departure.at} it is off by {departure.difference:.3g}"), 2
        )
    )
    if departure.expected or departure.got:
        table = Table.grid(padding=(0, 4, 0, 0))
        table.add_row(Text("expected", style="dim"), Text("got", style="dim"))
        table.add_row(Text(matrix(departure.expected)), Text(matrix(departure.got)))
        console.print(_indented(table, 4))


def _indented(what: RenderableType, by: int = 2) -> Padding:
    return Padding(what, (0, 0, 0, by))
