"""A progress bar while subjects are judged, and nothing left of it afterwards."""

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from veriformer.result import WRONG
from veriformer.verdict import Footer, Header, Verdict


class Bar:
    """An observer that draws; no thread refreshes it, because a fork must not find one at work."""

    def __init__(self, console: Console) -> None:
        columns = (
            TextColumn("{task.fields[subject]}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.description}"),
        )
        self.progress = Progress(*columns, console=console, auto_refresh=False, transient=True)
        self.task = self.progress.add_task("", subject="loading", total=None)
        self.failed = 0

    def __enter__(self) -> Self:
        self.progress.start()
        self.progress.refresh()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.progress.stop()

    def header(self, header: Header, clauses: Sequence[str]) -> None:
        """Begin anew for a subject."""
        self.failed = 0
        self.progress.reset(self.task, total=len(clauses), subject=header.subject, description="")
        self.progress.refresh()

    def begin(self, clause: str) -> None:
        """Say what is being judged."""
        said = f"{self.failed} failed · {clause}" if self.failed else clause
        self.progress.update(self.task, description=said)
        self.progress.refresh()

    def verdict(self, verdict: Verdict) -> None:
        """One further."""
        self.failed += verdict.status in WRONG
        self.progress.advance(self.task)

    def footer(self, footer: Footer) -> None:
        """The next subject's header follows, or the end."""
