"""The options that ask for a report in a file; ``check`` and ``report`` have the same."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from veriformer.report.files import Output

_Command = TypeVar("_Command", bound=Callable[..., Any])

_ASKED = (
    ("html", "Write the report as one page for people, which needs nothing else."),
    ("junit", "Write the report as JUnit XML."),
    ("sarif", "Write the report as SARIF 2.1.0, for code scanners."),
    ("badge", "Write the verdict as a badge: .svg, or .json for shields.io."),
)


def options(command: _Command) -> _Command:
    """Add the options to a command."""
    for name, words in reversed(_ASKED):
        added = click.option(f"--{name}", f"{name}_file", type=click.Path(path_type=Path), metavar="FILE", help=words)
        command = added(command)
    return command


def outputs(given: dict[str, Any]) -> "list[Output]":
    """The files that are asked for, taken out of what the command was given.

    Raises:
        UsageError: a badge is asked for in a file of an unknown kind.
    """
    from veriformer.report import badge, junit, page, sarif
    from veriformer.report.files import Output

    makers: dict[str, Callable[[Path], Any]] = {
        "html": lambda _: page.text,
        "junit": lambda _: junit.text,
        "sarif": lambda _: sarif.text,
        "badge": badge.maker,
    }
    paths = {name: given.pop(f"{name}_file") for name, _ in _ASKED}
    return [
        Output(option=f"--{name}", path=path, make=makers[name](path))
        for name, path in paths.items()
        if path is not None
    ]
