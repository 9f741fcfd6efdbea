"""The command ``veriformer``: what may be typed, and what each exit code means.

Nothing here imports torch until a subject has to be judged: ``--help`` answers at once.
"""

import sys
from typing import Any

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
    "replay": "veriformer.cli.replay",
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


def main(arguments: list[str] | None = None) -> None:
    """Run the command and exit with its code."""
    sys.exit(run(arguments))


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
