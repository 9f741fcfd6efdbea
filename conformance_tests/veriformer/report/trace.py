"""A trace on a terminal, and as a page."""

import io
from collections.abc import Sequence

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from veriformer.report.pages import HeatMap, heat_map, render
from veriformer.tracing.trace import Attention, Step, Trace, lines

SHADES = " ░▒▓█"
FEW = 4
"""Tokens and features that are shown of a step on a terminal."""


def text(trace: Trace, *, width: int = 100, verbose: bool = False) -> str:
    """The trace without colour."""
    file = io.StringIO()
    show(
        Console(file=file, width=width, color_system=None, highlight=False, legacy_windows=False),
        trace,
        verbose=verbose,
    )
    return "\n".join(line.rstrip() for line in file.getvalue().strip("\n").splitlines())


def show(console: Console, trace: Trace, *, verbose: bool = False) -> None:
    """Print it: the tokens, every step in order, the attention of each head, and what is likely next."""
    said = [trace.subject, trace.role, trace.sizes, trace.source, f"seed {trace.seed}"]
    console.print(Text(" · ".join(filter(None, said)), style="dim"))
    for note in trace.notes:
        console.print(Text.assemble(("note: ", "yellow"), note))
    console.print()
    _show_tokens(console, "tokens", trace.words.tokens, trace)
    if trace.target:
        _show_tokens(console, "target", trace.target, trace)
    for heading, steps in trace.sections.items():
        console.print()
        console.print(Text(heading, style="bold"))
        part = ""
        for step in steps:
            if step.part != part and step.part:
                console.print(Text(f"  {step.part}", style="dim bold"))
            part = step.part
            _show_step(console, step, verbose=verbose)
    for place, heads in trace.places.items():
        console.print()
        _show_attention(console, place, heads)
    if trace.predictions:
        _show_predictions(console, trace)


def _show_tokens(console: Console, name: str, tokens: Sequence[str], trace: Trace) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False, pad_edge=False)
    for column in (name, "id"):
        table.add_column(column, justify="right")
    table.add_column("word")
    for index, token in enumerate(tokens):
        table.add_row(str(index), str(trace.words.vocabulary.index(token)), Text(token))
    console.print(table)


def _show_step(console: Console, step: Step, *, verbose: bool) -> None:
    own = "" if step.own is None else f"  [in the subject: {step.own}]" if step.own else "  [not in the subject]"
    console.print(
        Padding(
            Text.assemble((step.point.name, "bold"), f"  {step.shape}", (f"  {step.summary}{own}", "dim")), (0, 0, 0, 4)
        )
    )
    if not verbose:
        return
    said = " ".join(filter(None, (step.point.sentence, step.point.equation)))
    if said:
        console.print(Padding(Text(said, style="italic dim"), (0, 0, 0, 6)))
    console.print(Padding(Text(lines([row[:FEW] for row in step.few[:FEW]])), (0, 0, 0, 6)))


def _show_attention(console: Console, place: str, heads: Sequence[Attention]) -> None:
    """Heads beside each other, as many as fit: rows are queries, columns keys, and the darker the more."""
    console.print(Text(f"who looks at whom · {place}", style="bold"))
    columns, rows = heads[0].columns, heads[0].rows
    console.print(Text(f"  rows look at columns, 0 to {len(columns) - 1}, from the left; █ is all of it", style="dim"))
    wide = max(2 * len(columns) + 3, 9)
    many = max(1, (console.width - 24) // wide)
    for start in range(0, len(heads), many):
        shown = heads[start : start + many]
        console.print(Text("     " + "".join(f"head {each.head}".ljust(wide) for each in shown)))
        for index, word in enumerate(rows):
            blocks = "".join(
                "".join(_shade(weight) * 2 for weight in each.weights[index]).ljust(wide - 1, " ") + " "
                for each in shown
            )
            console.print(Text(f"  {index:2d} {blocks}{word}"), no_wrap=True, overflow="crop")


def _shade(weight: float) -> str:
    return SHADES[min(len(SHADES) - 1, round(weight * (len(SHADES) - 1) + (0.3 if weight > 0 else 0)))]


def _show_predictions(console: Console, trace: Trace) -> None:
    console.print()
    console.print(Text(f"probabilities · {_asked(trace)}", style="bold"))
    for each in trace.predictions:
        likely = ", ".join(f"{share:.0%} {word}" for word, share in each.likely)
        console.print(Text(f"  {each.index:2d} {likely}  ← {each.after}"))


def _asked(trace: Trace) -> str:
    return "which word stands here" if trace.role == "masked-lm" else "which word comes next"


def page(trace: Trace) -> str:
    """The trace as one HTML file."""
    drawn = {
        heading: [(step, _map(step) if step.point.name != "the attention weights" else None) for step in steps]
        for heading, steps in trace.sections.items()
    }
    places = {place: [_picture(each) for each in heads] for place, heads in trace.places.items()}
    return render(
        "trace.html.j2",
        trace=trace,
        words=trace.words,
        rtl=trace.words.right_to_left,
        language=trace.words.language,
        asked=_asked(trace),
        sections=drawn,
        places=places,
        probabilities=_probabilities(trace),
    )


def _map(step: Step) -> HeatMap:
    few = step.few
    named = step.of_keys and step.point.axes[-1][1] == len(few[0])
    columns = [str(index) for index in range(len(few[0]))]
    heads = next((size for name, size in step.point.axes if name in ("heads", "kv_heads")), 0)
    width = step.point.axes[-1][1] if step.point.axes else 0
    of = "of head 0" if heads > 1 else ""
    more = f"the first {len(few[0])} of {width} {step.point.axes[-1][0]}" if width > len(few[0]) else "all of it"
    caption = ", ".join(filter(None, (f"{step.point.name[0].upper()}{step.point.name[1:]}", of, more)))
    rows = step.rows if len(step.rows) == len(few) else ()
    return heat_map(
        few,
        caption=f"{caption}. {step.summary}.",
        rows=rows,
        columns=columns,
        row_axis="tokens",
        column_axis="keys" if named else "features",
    )


def _picture(each: Attention) -> HeatMap:
    return heat_map(
        each.weights,
        caption=f"{each.place}, head {each.head}: each row is one token, and says which share of its look falls on which token.",
        rows=each.rows,
        columns=each.columns,
        row_axis="looks",
        column_axis="at",
        largest=1.0,
        hidden=each.hidden,
    )


def _probabilities(trace: Trace) -> HeatMap | None:
    if not trace.probabilities:
        return None
    rows = [each.after for each in trace.predictions]
    shown = [row[: len(trace.words.vocabulary)] for row in trace.probabilities]
    return heat_map(
        shown,
        caption="Probabilities: a softmax over the logits of each position. Each row sums to one.",
        rows=rows,
        columns=trace.words.vocabulary,
        row_axis="after",
        column_axis="the word",
    )
