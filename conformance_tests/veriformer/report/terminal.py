"""The report on a terminal: one screen, readable without colour at 80 columns."""

import io
import shlex
from collections.abc import Sequence

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from veriformer.report.failures import failures
from veriformer.report.found import show_diagnosis, show_missed
from veriformer.report.numbers import matrix
from veriformer.result import WRONG, Result
from veriformer.verdict import CaseEvidence, Header, Status, Verdict
from veriformer_spec.chapters import CLAUSES
from veriformer_spec.clause import Level

SHOWN_IN_FULL = 3
"""Failures shown with everything known about them; the others get a line each, or the report is no screen any more."""

_STYLES = {
    Status.PASS: "green",
    Status.FAIL: "bold red",
    Status.ERROR: "bold red",
    Status.UNEXPECTED_PASS: "bold red",
    Status.INCONCLUSIVE: "yellow",
    Status.EXPECTED_FAILURE: "yellow",
    Status.NOT_CHECKED: "dim",
}


def text(results: Sequence[Result], *, width: int = 100, verbose: bool = False) -> str:
    """The report without colour."""
    console = Console(file=io.StringIO(), width=width, color_system=None, highlight=False, legacy_windows=False)
    show(console, results, verbose=verbose)
    assert isinstance(console.file, io.StringIO)
    return _without_padding(console.file.getvalue())


def show(console: Console, results: Sequence[Result], *, verbose: bool = False) -> None:
    """Print one subject in full, or several in a table with what is wrong below it."""
    if not console.is_terminal and not isinstance(console.file, io.StringIO):
        console.file.write(f"{text(results, verbose=verbose)}\n")
        return
    if len(results) == 1:
        _show_subject(console, results[0], verbose=verbose)
        return
    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False, pad_edge=False)
    table.add_column("subject", overflow="fold")
    for column in ("pass", "fail", "open", "unchecked"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for result in results:
        counts = result.footer.counts
        wrong = sum(counts.get(status, 0) for status in (*WRONG, Status.UNEXPECTED_PASS))
        numbers = [
            counts.get(Status.PASS, 0),
            wrong,
            counts.get(Status.INCONCLUSIVE, 0),
            counts.get(Status.NOT_CHECKED, 0),
        ]
        table.add_row(result.header.subject, *map(str, numbers), Text(in_a_word(result), style=_style(result)))
    console.print(table)
    for result in results:
        if verbose or result.exit_code or result.failed:
            console.print()
            _show_subject(console, result, verbose=verbose)
    console.print()
    console.print(Text(summary(results), style="bold"))


def summary(results: Sequence[Result]) -> str:
    """One sentence for several subjects."""
    bad = [result for result in results if result.exit_code]
    if not bad:
        return f"{len(results)} subjects: no violation found"
    return f"{len(results)} subjects, {len(bad)} not conformant: {', '.join(result.header.subject for result in bad)}"


def headline(result: Result) -> str:
    """The verdict on one subject in one sentence, with how much of it was not looked at."""
    footer, total = result.footer, len(result.verdicts)
    if footer.blocked:
        return f"could not be judged: {footer.blocked}"
    musts = [each for each in result.verdicts if each.level == Level.MUST]
    said = []
    for statuses, what in (((Status.FAIL,), "failed"), ((Status.ERROR,), "ended in an error")):
        count = sum(each.status in statuses for each in musts)
        if count:
            said.append(f"{count} {'MUST' if count == 1 else 'MUSTs'} {what}")
    unexpected = footer.counts.get(Status.UNEXPECTED_PASS, 0)
    if unexpected:
        said.append(f"{unexpected} passed that {'was' if unexpected == 1 else 'were'} expected to fail")
    unchecked = footer.counts.get(Status.NOT_CHECKED, 0)
    tail = f"; {unchecked} of {total} not checked" if unchecked else ""
    doubtful = sum(each.status is Status.INCONCLUSIVE for each in musts)
    if said:
        return f"not conformant: {', '.join(said)}{tail}"
    if doubtful:
        return f"inconclusive: {doubtful} {'MUST' if doubtful == 1 else 'MUSTs'} could not be decided{tail}"
    if total and unchecked == total:
        return f"nothing was checked: {unchecked} of {total} not checked"
    return f"no violation found{tail}"


def failure_text(verdict: Verdict, header: Header, *, width: int = 100) -> str:
    """Everything known about one failure, as text."""
    console = Console(file=io.StringIO(), width=width, color_system=None, highlight=False)
    _show_failure(console, verdict, header)
    assert isinstance(console.file, io.StringIO)
    return _without_padding(console.file.getvalue())


def replay_line(verdict: Verdict, header: Header) -> str:
    """The command that judges the failing case again; empty where nothing can be typed for the subject."""
    if not header.target:
        return ""
    words = ["veriformer", "check", header.target, *header.options]
    for name, usual in (("device", "cpu"), ("dtype", "float64")):
        if getattr(header, name) != usual:
            words += [f"--{name}", getattr(header, name)]
    words += ["--only", verdict.clause]
    if verdict.evidence is not None and verdict.evidence.case:
        words += ["--case", verdict.evidence.case]
    return shlex.join(words)


def _without_padding(printed: str) -> str:
    return "\n".join(line.rstrip() for line in printed.strip("\n").splitlines())


def in_a_word(result: Result) -> str:
    """The verdict, where a table has room for a word or two."""
    if result.footer.blocked:
        return "could not be judged"
    if not result.verdicts:
        return "nothing asked"
    if result.conformant:
        return "no violation found"
    return "inconclusive" if result.exit_code == 4 else "not conformant"


def _style(result: Result) -> str:
    return {0: "green", 4: "yellow"}.get(result.exit_code, "bold red")


def _show_subject(console: Console, result: Result, *, verbose: bool) -> None:
    header = result.header
    said = [header.subject, header.role, header.device, header.dtype, f"budget {header.budget}", f"seed {header.seed}"]
    if header.sizes:
        said.append(" ".join(f"{name}={value}" for name, value in header.sizes.items()))
    console.print(Text(" · ".join(filter(None, said)), style="dim"))
    _show_assumed(console, header)
    for note in header.notes:
        console.print(Text.assemble(("note: ", "yellow"), note))
    console.print(Text(headline(result), style=_style(result)))
    if result.footer.blocked:
        return
    _show_counts(console, result)
    if result.diagnosis is not None:
        show_diagnosis(console, result.diagnosis, verbose=verbose)
    _show_failures(console, result, verbose=verbose)
    _show_grouped(console, result, Status.EXPECTED_FAILURE, "expected failures", verbose=True)
    _show_grouped(console, result, Status.INCONCLUSIVE, "inconclusive", verbose=True)
    if result.footer.not_verified:
        console.print(_line(Text(f"claimed, not verified: {', '.join(result.footer.not_verified)}", style="yellow")))
    _show_grouped(console, result, Status.NOT_CHECKED, "not checked", verbose=verbose)
    if result.missed is not None:
        console.print()
        show_missed(console, result.missed, verbose=verbose)
    if verbose:
        _show_all(console, result)


def _show_assumed(console: Console, header: Header) -> None:
    """What nobody said: read before the verdict, which holds for a class that is all this."""
    if not header.assumed:
        return
    console.print(
        Text("assumed, because no adapter says it (mend with --set, --size, or `veriformer init`):", style="bold")
    )
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for each in header.assumed:
        open_ = each.how.startswith("not ")
        table.add_row(each.what, Text.assemble(each.value, (f"  ({each.how})", "yellow" if open_ else "dim")))
    console.print(_line(table, indent=2))


def _show_counts(console: Console, result: Result) -> None:
    said = Text()
    for status in Status:
        count = result.footer.counts.get(status, 0)
        if count:
            said.append(" · " if said else "")
            said.append(f"{count} {status}", style=_STYLES[status])
    examples = sum(each.examples for each in result.verdicts)
    said.append(f" · {examples} case{'' if examples == 1 else 's'} in {result.footer.seconds:.1f} s", style="dim")
    console.print(said)


def _show_failures(console: Console, result: Result, *, verbose: bool) -> None:
    """Causes in full, what follows from them in a line each."""
    found = failures(result)
    if found.stopped:
        console.print()
        _show_build_errors(console, found.stopped, result.header)
    full = len(found.causes) if verbose else SHOWN_IN_FULL
    for group in found.causes[:full]:
        console.print()
        _show_failure(console, group[0], result.header)
        if len(group) > 1:
            console.print(
                _line(f"the same in {len(group) - 1} more: {', '.join(each.clause for each in group[1:])}", indent=2)
            )
    followers = [each for each, _ in found.followers]
    if verbose:
        for each in followers:
            console.print()
            _show_failure(console, each, result.header)
        return
    _show_briefly(console, "also (in full with -v):", [each for group in found.causes[full:] for each in group])
    _show_briefly(console, "most likely because of it (in full with -v):", followers)


def _show_build_errors(console: Console, stopped: Sequence[Sequence[Verdict]], header: Header) -> None:
    """Each once for each line that raised it, however many clauses met it with whatever sizes."""
    for verdicts in stopped:
        first = verdicts[0]
        count = len(verdicts)
        console.print(Text.assemble(("ERROR ", _STYLES[Status.ERROR]), (f"the {first.reason}", "bold")))
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold")
        if first.evidence is not None and first.evidence.case:
            table.add_row("case", Text(first.evidence.case))
        table.add_row(
            "stopped", Text(f"{count} clause{'' if count == 1 else 's'}, of which nothing is known (each with -v)")
        )
        table.add_row("remedy", Text(BUILD_REMEDY))
        console.print(_line(table, indent=2))
        line = replay_line(first, header)
        if line:
            console.print(Text(f"  replay   {line}"), soft_wrap=True)


BUILD_REMEDY = (
    "a configuration that the subject cannot have is refused by raise veriformer.Unsupported(why), and another is drawn; sizes that it "
    "cannot change are declared by sizes=veriformer.Fixed(...)"
)
"""What to do where the build raises for some sizes."""


def _show_briefly(console: Console, title: str, verdicts: Sequence[Verdict]) -> None:
    if not verdicts:
        return
    console.print()
    console.print(Text(title, style="bold"))
    for each in verdicts:
        console.print(_line(Text.assemble(_tag(each), " ", _first_words(each)), indent=2))


def _tag(verdict: Verdict) -> Text:
    return Text.assemble(
        (f"{verdict.status.upper()} ", _STYLES[verdict.status]), (verdict.clause, "bold"), (f" {verdict.level}", "dim")
    )


def _first_words(verdict: Verdict) -> str:
    said = verdict.evidence.message if verdict.evidence and verdict.status is Status.FAIL else verdict.reason
    return said if len(said) < 100 else f"{said[:97]}..."


def _show_failure(console: Console, verdict: Verdict, header: Header) -> None:
    clause, evidence = CLAUSES[verdict.clause], verdict.evidence
    console.print(_tag(verdict))
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("clause", Text.assemble(clause.text, (f" [{clause.source}]", "dim")))
    if evidence is not None:
        table.add_row("seen", Text(evidence.message, style="bold"))
        if evidence.case:
            table.add_row("case", Text(evidence.case))
        if evidence.expected is not None or evidence.got is not None:
            table.add_row("numbers", _numbers(evidence))
        if evidence.margin:
            table.add_row("margin", Text(evidence.margin))
    if verdict.reason and (evidence is None or verdict.reason != evidence.message):
        table.add_row("reason", Text(verdict.reason))
    table.add_row("usually", Text(clause.breaks))
    console.print(_line(table, indent=2))
    line = replay_line(verdict, header)
    if line:
        console.print(Text(f"  replay   {line}"), soft_wrap=True)


def _numbers(evidence: CaseEvidence) -> Table:
    """Expected and got, side by side."""
    table = Table.grid(padding=(0, 4, 0, 0))
    where = f" at {evidence.index}" if evidence.index else ""
    table.add_row(Text("expected", style="dim"), Text(f"got{where}", style="dim"))
    table.add_row(Text(matrix(evidence.expected)), Text(matrix(evidence.got)))
    return table


def _show_grouped(console: Console, result: Result, status: Status, title: str, *, verbose: bool) -> None:
    reasons: dict[str, list[str]] = {}
    for each in result.verdicts:
        if each.status is status:
            reasons.setdefault(each.reason, []).append(each.clause)
    if not reasons:
        return
    console.print()
    console.print(Text(f"{title}:", style="bold"))
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(justify="right", width=3, style=_STYLES[status])
    table.add_column(overflow="fold")
    for reason, clauses in reasons.items():
        few = verbose or len(clauses) <= 3
        named = ", ".join(clauses) if few else f"{', '.join(clauses[:2])} and {len(clauses) - 2} more"
        table.add_row(str(len(clauses)), Text.assemble(f"{reason}: ", (named, "dim")))
    console.print(table)


def _show_all(console: Console, result: Result) -> None:
    console.print()
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for column in ("clause", "level", "verdict", "cases", "could fail", "s"):
        table.add_column(column, justify="right" if column in ("cases", "could fail", "s") else "left", overflow="fold")
    for each in result.verdicts:
        verdict = Text(str(each.status), style=_STYLES[each.status])
        table.add_row(each.clause, each.level, verdict, str(each.examples), str(each.exercised), f"{each.seconds:.2f}")
    console.print(table)


def _line(content: Text | Table | str, *, indent: int = 0) -> Padding:
    return Padding(content if not isinstance(content, str) else Text(content), (0, 0, 0, indent))
