"""Reports in files: asked for before anything is judged, written whole at the end, or not at all."""

import dataclasses
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from veriformer.errors import UsageError
from veriformer.result import Result

Make = Callable[[Sequence[Result]], str]
"""Makes the content of a file out of results."""


@dataclasses.dataclass(frozen=True)
class Output:
    """A file that was asked for.

    Attributes:
        option: what was typed for it, such as ``--html``.
        make: makes its content.
    """

    option: str
    path: Path
    make: Make

    def write(self, results: Sequence[Result]) -> None:
        """Write the report of ``results``: into a new file beside it, which then takes its place, so that nobody ever reads half of it.

        Raises:
            UsageError: the file cannot be written.
        """
        content = self.make(results).encode("utf-8", errors="replace")
        try:
            if _is_special(self.path):
                self.path.write_bytes(content)
            else:
                _replace(self.path.resolve(), content)
        except OSError as error:
            raise _refused(self, error) from None


def require_writable(outputs: Sequence[Output], *, beside: Sequence[Path | None] = ()) -> None:
    """Refuse what could not be written in the end, before any work is done.

    Args:
        beside: files that something else writes.

    Raises:
        UsageError: a file cannot be written, or is asked for twice.
    """
    taken = {each.resolve() for each in beside if each is not None}
    for output in outputs:
        path = output.path.resolve()
        if path in taken and not _is_special(path):
            raise UsageError(f"{output.option}: {output.path} is asked for twice: one report would overwrite the other")
        taken.add(path)
        try:
            _try(output.path)
        except OSError as error:
            raise _refused(output, error) from None


def _try(path: Path) -> None:
    if path.is_dir():
        raise IsADirectoryError(0, "it is a folder")
    if path.exists() and not os.access(path, os.W_OK):
        raise PermissionError(0, "it may not be overwritten")
    if not _is_special(path):
        with tempfile.TemporaryFile(dir=path.resolve().parent):
            pass


def _is_special(path: Path) -> bool:
    """Whether it is there and no file: a pipe, or a terminal, which cannot be replaced."""
    return path.exists() and not path.is_file()


def _replace(path: Path, content: bytes) -> None:
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask()
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(name, mode)  # noqa: PTH101  # a name is what mkstemp gives
        os.replace(name, path)  # noqa: PTH105
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _umask() -> int:
    now = os.umask(0)
    os.umask(now)
    return now


def _refused(output: Output, error: OSError) -> UsageError:
    return UsageError(f"{output.option}: {output.path} cannot be written: {error.strerror or error}")
