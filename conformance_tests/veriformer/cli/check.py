"""``veriformer check``: judge one subject or several."""

import ast
import contextlib
import gc
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from veriformer.cli import files
from veriformer.cli.refusal import Refusal, refusals

if TYPE_CHECKING:
    from rich.console import Console

    from veriformer.report.files import Output
    from veriformer.request import Request
    from veriformer.result import Result
    from veriformer.run import Observer

_JUDGING = (
    click.option(
        "--budget",
        default="standard",
        show_default=True,
        metavar="quick|standard|deep",
        help="5, 25 or 400 cases for each property.",
    ),
    click.option("--device", default="cpu", show_default=True, help="cpu, cuda, cuda:1."),
    click.option("--dtype", default="float64", show_default=True, help="What the subject is built and called in."),
    click.option(
        "--seed", default=0, show_default=True, help="0 draws the same cases each time; another number hunts."
    ),
    click.option(
        "--time-limit",
        default=60.0,
        show_default=True,
        metavar="SECONDS",
        help="For one clause; the next one still runs.",
    ),
    click.option(
        "--memory",
        default=8.0,
        show_default=True,
        metavar="GIB",
        help="What the subject's process may take; 0 for no limit.",
    ),
    click.option("--no-isolate", is_flag=True, help="Judge inside this process: for debugging."),
)


@click.command(name="check", no_args_is_help=True)
@click.argument("targets", metavar="TARGET...", nargs=-1, required=True)
@click.option("--as", "role", metavar="ROLE", help="What an undeclared subject claims to be.")
@click.option("--set", "claims", multiple=True, metavar="CLAIM=VALUE", help="A claim, such as norm=pre.")
@click.option(
    "--size", "sizes", multiple=True, metavar="NAME=N", help="A size that cannot be changed, such as d_model=768."
)
@click.option("--only", multiple=True, metavar="CLAUSE", help="A clause's id or a chapter; may be repeated.")
@click.option("--skip", multiple=True, metavar="CLAUSE", help="Likewise, left out.")
@click.option(
    "--case", default="", metavar="TEXT", help="With one --only: judge exactly this case, as a report printed it."
)
@click.option(
    "--expect-failures", type=click.Path(path_type=Path), metavar="FILE", help="Failures that are known (TOML)."
)
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path), metavar="FILE", help="Write the report as JSON lines."
)
@files.options
@click.option("-v", "--verbose", is_flag=True, help="Every failure in full, and every clause.")
def command(
    *,
    targets: tuple[str, ...],
    role: str | None,
    claims: tuple[str, ...],
    sizes: tuple[str, ...],
    json_file: Path | None,
    verbose: bool,
    **judging: Any,
) -> int:
    """Judge each TARGET: file.py:name, package.module:name, or a built-in name such as torch.nn or reference."""
    with refusals():
        from veriformer.report.files import require_writable

        outputs = files.outputs(judging)
        require_writable(outputs, beside=[json_file])
        request = _request(**judging)
        from veriformer.prechecks import precheck

        for target in targets:
            precheck(target)
        said = {"role": role, "claims": dict(map(claim_said, claims)), "sizes": dict(map(size_said, sizes))}
        return _checked(targets, said, request, json_file=json_file, outputs=outputs, verbose=verbose)


for _option in reversed(_JUDGING):
    command = _option(command)


def _request(*, expect_failures: Path | None, no_isolate: bool, **judging: Any) -> "Request":
    from veriformer.expectations import read
    from veriformer.request import Request

    expected = read(expect_failures) if expect_failures is not None else ()
    return Request(expected=expected, isolate=not no_isolate, **judging)


def claim_said(text: str) -> tuple[str, object]:
    """``name=value``; numbers, True, False and tuples are read as Python, everything else as a word."""
    from veriformer.errors import UsageError

    name, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f"--set {text}: a claim reads name=value, as in norm=pre")
    try:
        return name, ast.literal_eval(value.capitalize() if value in ("true", "false") else value)
    except (ValueError, SyntaxError):
        return name, tuple(value.split(",")) if "," in value else value


def size_said(text: str) -> tuple[str, int]:
    """A size as it is typed, ``name=number``.

    Raises:
        UsageError: it reads otherwise.
    """
    from veriformer.errors import UsageError

    name, _, value = text.partition("=")
    if not value.isdecimal():
        raise UsageError(f"--size {text}: a size reads name=whole number, as in d_model=768")
    return name, int(value)


def _checked(
    targets: Sequence[str],
    said: dict[str, Any],
    request: "Request",
    *,
    json_file: Path | None,
    outputs: "Sequence[Output]",
    verbose: bool,
) -> int:
    from rich.console import Console

    from veriformer.report import terminal
    from veriformer.result import WRONG_USAGE, worst

    console = Console(highlight=False)
    results: list[Result] = []
    said_already: list[Result] = []
    with _observers(console, json_file) as observers:
        with _nothing_collected():
            from veriformer.errors import CannotLoad, UsageError
            from veriformer.run import not_loaded, run
            from veriformer.targets import Target
            from veriformer.worker import header_of_target
            from veriformer_spec.config import ClaimError

        for text in targets:
            target = Target(text=text, **said)
            try:
                results += run(target.load, request, target=text, observers=observers)
            except (UsageError, ClaimError, CannotLoad) as refused:
                click.echo(f"veriformer: {refused}", err=True)
                results.append(not_loaded(header_of_target(text, request, **said), refused, observers))
                said_already.append(results[-1])
    for result in results:
        if result.exit_code == WRONG_USAGE and result not in said_already:
            click.echo(f"veriformer: {result.header.subject}: {result.footer.blocked}", err=True)
            said_already.append(result)
    shown = [result for result in results if result not in said_already]
    if shown:
        terminal.show(console, shown, verbose=verbose)
    for output in outputs:
        output.write(results)
    return worst(result.exit_code for result in results)


@contextlib.contextmanager
def _nothing_collected() -> Iterator[None]:
    """Imports make half a million objects and no garbage: looking for some takes a tenth of the time to import torch."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()  # nor does anything of it become garbage later
        if collects:
            gc.enable()


@contextlib.contextmanager
def _observers(console: "Console", json_file: Path | None) -> "Iterator[list[Observer]]":
    """Whoever wants to be told: the report that is written line by line, and on a terminal a progress bar."""
    with contextlib.ExitStack() as stack:
        observers: list[Observer] = []
        if json_file is not None:
            from veriformer.report.json_lines import JsonLines

            try:
                observers.append(JsonLines(stack.enter_context(json_file.open("wb"))))
            except OSError as error:
                raise Refusal(f"--json: {json_file} cannot be written: {error.strerror}", 2) from None
        if console.is_terminal:
            from veriformer.report.progress import Bar

            observers.append(stack.enter_context(Bar(console)))
        else:
            from veriformer.report.progress import Lines

            observers.append(Lines(lambda line: click.echo(line, err=True)))
        yield observers
