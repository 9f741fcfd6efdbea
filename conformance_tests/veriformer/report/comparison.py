"""A comparison on a terminal: one screen."""

import io

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from veriformer.comparison.result import Comparison, Likeness, Parting
from veriformer.report.numbers import matrix

_STYLES = {Likeness.EQUAL: "green", Likeness.WITHIN_ROUNDING: "green", Likeness.DIFFERS: "bold red"}
MOST_SHOWN = 4
"""State differences and runs that are told without ``-v``."""


def text(comparison: Comparison, *, width: int = 100, verbose: bool = False) -> str:
    """The report without colour."""
    file = io.StringIO()
    console = Console(file=file, width=width, color_system=None, highlight=False, legacy_windows=False)
    show(console, comparison, verbose=verbose)
    return "\n".join(line.rstrip() for line in file.getvalue().strip("\n").splitlines())


def show(console: Console, comparison: Comparison, *, verbose: bool = False) -> None:
    """Print it."""
    said = [f"{comparison.old} → {comparison.new}", comparison.role, f"{len(comparison.runs)} runs"]
    console.print(Text(" · ".join([*filter(None, said), f"{comparison.seconds:.1f} s"]), style="dim"))
    console.print(Text(comparison.said, style=_STYLES[comparison.likeness]))
    console.print(Text(f"state: {comparison.state}", style="dim"))
    for note in comparison.notes:
        console.print(Text.assemble(("note: ", "yellow"), note))
    _some(console, "before the state was copied:", comparison.state_differences, verbose=verbose)
    if comparison.parting is not None:
        _show_parting(console, comparison.parting)
    elif comparison.differing:
        console.print(Text("they part only in what comes out: the inside shows no difference, or cannot be watched"))
    if comparison.case:
        console.print(_facts([("smallest", Text(comparison.case))]))
    lines = []
    for call, runs in comparison.by_call.items():
        count = sum(run.call == call for run in comparison.runs)
        where = "" if len(runs) == count else f" (in {len(runs)} of {count} settings: {runs[0].setting})"
        lines.append(f"{call}{where}: {runs[0].reason}")
    _some(console, "differs:", lines, verbose=verbose)
    if verbose:
        _show_runs(console, comparison)


def _show_parting(console: Console, parting: Parting) -> None:
    console.print()
    point = parting.named or parting.at
    console.print(Text.assemble(("they part at ", "bold"), (point, "bold red"), f", by {parting.difference:.3g}"))
    facts: list[tuple[str, RenderableType]] = []
    if parting.named:
        facts.append(("in OLD", Text(parting.at)))
    if parting.there and parting.there != parting.at:
        facts.append(("in NEW", Text(parting.there)))
    facts.append(("agree up to", Text(parting.after or "nothing but the input")))
    console.print(_facts(facts))
    if parting.old or parting.new:
        table = Table.grid(padding=(0, 4, 0, 0))
        where = f" around {parting.index}" if parting.index else ""
        table.add_row(Text(f"OLD{where}", style="dim"), Text("NEW", style="dim"))
        table.add_row(Text(matrix(parting.old)), Text(matrix(parting.new)))
        console.print(Padding(table, (0, 0, 0, 2)))


def _facts(rows: list[tuple[str, RenderableType]]) -> Padding:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, style="dim")
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, value)
    return Padding(table, (0, 0, 0, 2))


def _some(console: Console, title: str, lines: list[str], *, verbose: bool) -> None:
    if not lines:
        return
    console.print(Text(title, style="bold"))
    shown = lines if verbose else lines[:MOST_SHOWN]
    for line in shown:
        console.print(Padding(Text(line), (0, 0, 0, 2)))
    if len(lines) > len(shown):
        console.print(Padding(Text(f"and {len(lines) - len(shown)} more (-v)", style="dim"), (0, 0, 0, 2)))


def _show_runs(console: Console, comparison: Comparison) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False, pad_edge=False)
    for column in ("call", "setting", "likeness", "units"):
        table.add_column(column)
    for run in comparison.runs:
        table.add_row(run.call, run.setting, Text(run.likeness, style=_STYLES[run.likeness]), f"{run.units:.2g}")
    console.print(table)
