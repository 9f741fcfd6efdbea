"""The report as JSON lines: a header, a verdict for each clause, what they look like, a footer; for each subject in turn.

A line is written when it is known, so that a killed run leaves a report without its footer, which is refused when it is read.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import msgspec

from veriformer.errors import UsageError
from veriformer.result import Result
from veriformer.verdict import Diagnosis, Footer, Header, Line, Missed, Verdict
from veriformer_spec.chapters import CLAUSES

_ENCODER = msgspec.json.Encoder(order="deterministic")
_DECODER: msgspec.json.Decoder[Line] = msgspec.json.Decoder(Line)

SCHEMA = Path(__file__).parent / "schema.json"
"""The schema of one line, exported from ``verdict``'s structs."""


class JsonLines:
    """An observer that writes each line as it becomes known."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file

    def header(self, header: Header, clauses: Sequence[str]) -> None:  # noqa: ARG002  # for others
        """Write the subject's first line."""
        self._write(header)

    def begin(self, clause: str) -> None:
        """Nothing is known yet."""

    def verdict(self, verdict: Verdict) -> None:
        """Write a verdict."""
        self._write(verdict)

    def diagnosis(self, diagnosis: Diagnosis | None, missed: Missed | None) -> None:
        """Write what the failures look like, and what could have been missed."""
        for line in (diagnosis, missed):
            if line is not None:
                self._write(line)

    def footer(self, footer: Footer) -> None:
        """Write the subject's last line."""
        self._write(footer)

    def _write(self, line: Line) -> None:
        self.file.write(encoded(line))
        self.file.flush()


def encoded(line: Line) -> bytes:
    """One line of a report."""
    return _ENCODER.encode(line) + b"\n"


def schema() -> dict[str, Any]:
    """The JSON schema of one line."""
    return msgspec.json.schema(Line, schema_hook=_anything)


def _anything(_: type) -> dict[str, Any]:
    """The schema of a claim's value, which may be whatever JSON can say."""
    return {"description": "any value"}


def read(path: str | Path) -> list[Result]:
    """The results that a report holds.

    Raises:
        UsageError: the file cannot be read, a line is not what a report holds, or the end is missing.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from None
    results: list[Result] = []
    header: Header | None = None
    verdicts: list[Verdict] = []
    diagnosis: Diagnosis | None = None
    missed: Missed | None = None
    for number, raw in enumerate(content.splitlines(), start=1):
        line = _decoded(raw, f"{path}, line {number}")
        if isinstance(line, Header) == (header is not None):
            what = (
                "a header before the footer of the subject before it"
                if header
                else f"a {_kind(line)} before any header"
            )
            raise UsageError(f"{path}, line {number}: {what}")
        match line:
            case Header():
                header, verdicts, diagnosis, missed = line, [], None, None
            case Verdict():
                if line.clause not in CLAUSES:
                    raise UsageError(f"{path}, line {number}: clause {line.clause!r} does not exist in this version")
                verdicts.append(line)
            case Footer():
                assert header is not None
                results.append(Result(header, tuple(verdicts), line, diagnosis, missed))
                header = None
            case Diagnosis():
                diagnosis = line
            case Missed():
                missed = line
    if header is not None or not results:
        raise UsageError(
            f"{path}: the last line is no footer: the run that wrote it was cut off, and what it says proves nothing"
        )
    return results


def _kind(line: Line) -> str:
    return type(line).__name__.lower()


def _decoded(raw: bytes, where: str) -> Line:
    try:
        return _DECODER.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{where}: {error}") from None
