"""``veriformer report``: show a saved report again, or write it in another form."""

from pathlib import Path
from typing import Any

import click

from veriformer.cli import files
from veriformer.cli.refusal import refusals


@click.command(name="report", no_args_is_help=True)
@click.argument("saved", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@files.options
@click.option("-v", "--verbose", is_flag=True, help="On the terminal: every failure in full, and every clause.")
def command(*, saved: tuple[Path, ...], verbose: bool, **given: Any) -> int:
    """Show reports that `check --json` wrote, or write them in another form; several become one.

    Nothing is judged, so that the exit code is 0 whatever the verdict was; 2 where a FILE is no whole report.
    """
    with refusals():
        from veriformer.report.files import require_writable
        from veriformer.report.json_lines import read

        outputs = files.outputs(given)
        require_writable(outputs, beside=saved)
        results = [result for each in saved for result in read(each)]
        for output in outputs:
            output.write(results)
        if not outputs:
            from rich.console import Console

            from veriformer.report import terminal

            terminal.show(Console(highlight=False), results, verbose=verbose)
    return 0
