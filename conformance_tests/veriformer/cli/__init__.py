"""The command ``veriformer``: what may be typed, and what each exit code means.

Nothing here imports torch until a subject has to be judged: ``--help`` answers at once.
"""

import atexit
import os
import sys
from typing import Any, NoReturn

import click

EXIT_CODES = """
\b
Exit codes:
  0  conformant: no MUST failed, errored or stayed inconclusive
  1  not conformant
  2  wrong usage: no such file, claim or clause; not callable
  3  the subject could not be imported, built or called at all
  4  inconclusive
"""

_COMMANDS = {
    "check": "veriformer.cli.check",
    "clauses": "veriformer.cli.clauses",
    "explain": "veriformer.cli.explain",
    "faults": "veriformer.cli.faults",
    "init": "veriformer.cli.init",
    "map": "veriformer.cli.map",
    "compare": "veriformer.cli.compare",
    "trace": "veriformer.cli.trace",
    "replay": "veriformer.cli.replay",
    "report": "veriformer.cli.report",
}


class _Lazy(click.Group):
    """Imports a command's module when the command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click passes it
        """In the order in which they are met."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  # click passes it
        """The command, imported now."""
        import importlib

        if cmd_name not in _COMMANDS:
            return None
        found: click.Command = importlib.import_module(_COMMANDS[cmd_name]).command
        return found


@click.group(
    cls=_Lazy, epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(package_name="veriformer")
def group() -> None:
    """Is this Transformer implementation right?"""


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command and exit with its code."""
    _exit(run(arguments))


def _exit(code: int) -> NoReturn:
    """End the process without freeing what it holds: to take torch apart takes a quarter as long as to import it."""
    atexit._run_exitfuncs()  # noqa: SLF001  # the only name there is for what an exit does
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:  # whoever read it, such as head, has gone
            code = code or 1
    os._exit(code)


def run(arguments: list[str] | None = None) -> int:
    """Run the command; every mistake of the caller's is one line and its exit code."""
    try:
        code: Any = group.main(arguments, prog_name="veriformer", standalone_mode=False)
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.UsageError as mistake:
        mistake.show()
        return 2
    except click.ClickException as mistake:
        mistake.show()
        return 2
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted: nothing is decided", err=True)
        return 130
    return int(code or 0)
