"""How far it is: a progress bar on a terminal, which leaves nothing behind; elsewhere a line for each subject that is done."""

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from veriformer.result import WRONG
from veriformer.verdict import Diagnosis, Footer, Header, Missed, Verdict


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

    def diagnosis(self, diagnosis: Diagnosis | None, missed: Missed | None) -> None:
        """The report says it."""

    def footer(self, footer: Footer) -> None:
        """The next subject's header follows, or the end."""


class Lines:
    """An observer that writes a line for each subject: a log that stays empty for minutes looks like a hang."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self.write = write
        self.subject = ""
        self.judged = 0

    def header(self, header: Header, clauses: Sequence[str]) -> None:  # noqa: ARG002  # an observer is told both
        """Remember whose turn it is."""
        self.subject, self.judged = header.subject, 0

    def begin(self, clause: str) -> None:
        """A clause is not worth a line."""

    def verdict(self, verdict: Verdict) -> None:  # noqa: ARG002  # the report has them all
        """Count it."""
        self.judged += 1

    def diagnosis(self, diagnosis: Diagnosis | None, missed: Missed | None) -> None:
        """The report says it."""

    def footer(self, footer: Footer) -> None:
        """Say that the subject is done, and how long it took; why nothing was judged is said once, by the report."""
        if self.judged:
            said = "conformant" if footer.conformant else "not conformant"
            self.write(f"{self.subject}: {said} ({footer.seconds:.1f} s)")
