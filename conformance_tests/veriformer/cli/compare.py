"""``veriformer compare``: does NEW do what OLD does?"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from veriformer.cli.refusal import Refusal, refusals


@click.command(name="compare", no_args_is_help=True)
@click.argument("old", metavar="OLD")
@click.argument("new", metavar="NEW", required=False)
@click.option("--compile", "compiled", is_flag=True, help="Compare OLD with its torch.compile'd self, in place of NEW.")
@click.option("--as", "role", metavar="ROLE", help="What both are, where neither says so.")
@click.option("--set", "claims", multiple=True, metavar="CLAIM=VALUE", help="A claim of both, such as norm=pre.")
@click.option(
    "--size", "sizes", multiple=True, metavar="NAME=N", help="A size that an instance has, such as d_model=768."
)
@click.option(
    "--with", "options", multiple=True, metavar="NAME=VALUE", help="An argument of build functions that take no config."
)
@click.option(
    "--example", metavar="NAME", help="In OLD's file, or file.py:name: what both take, where no role is declared."
)
@click.option(
    "--convert", metavar="NAME", help="In NEW's file, or file.py:name: a function from OLD's state_dict to NEW's."
)
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path), metavar="FILE", help="Write what was found as JSON."
)
@click.option(
    "--time-limit",
    default=600.0,
    show_default=True,
    metavar="SECONDS",
    help="For everything together; torch.compile takes a minute.",
)
@click.option("-v", "--verbose", is_flag=True, help="Every run.")
def command(*, old: str, new: str | None, compiled: bool, json_file: Path | None, verbose: bool, **said: Any) -> int:
    r"""Put the same probes to OLD and NEW, with the same state, and say where they first part.

    OLD and NEW read file.py:name, package.module:name or library:Name: build functions with or without @veriformer.subject, classes,
    instances or functions. For a refactoring, an upgrade, a rewrite in another kernel: neither claims nor a mapping are needed.

    \b
    Exit codes: 0 equal, or equal within rounding; 1 differs; 2 wrong usage, or a state that does not fit;
    3 cannot be built or called, or not in time.
    """
    with refusals():
        from veriformer.errors import UsageError
        from veriformer.prechecks import precheck

        if compiled == (new is not None):
            raise UsageError("compare takes OLD and NEW, or OLD alone with --compile")
        for target in (old, new):
            if target is not None:
                precheck(target)
        return _compared(old, new, json_file=json_file, verbose=verbose, **said)


def _compared(
    old: str,
    new: str | None,
    *,
    json_file: Path | None,
    verbose: bool,
    role: str | None,
    claims: tuple[str, ...],
    sizes: tuple[str, ...],
    options: tuple[str, ...],
    example: str | None,
    convert: str | None,
    time_limit: float,
) -> int:
    from veriformer.cli.check import claim_said, size_said
    from veriformer.comparison import Comparison, compare
    from veriformer.comparison.loading import beside, compiled_self, loaded
    from veriformer.declaration import Fixed
    from veriformer.forked import answer
    from veriformer.isolation import why_no_child
    from veriformer.outcome import Inconclusive, SubjectError

    first = loaded(old)
    shown = None if example is None else beside(old, example)
    second = compiled_self(first) if new is None else loaded(new)
    converting = None if convert is None else beside(new or old, convert)

    def made() -> Comparison:
        return compare(
            first,
            second,
            role=role,
            sizes=Fixed(**dict(map(size_said, sizes))) if sizes else None,
            example=shown,
            convert=converting,
            options=_options(options),
            names=(old, new or f"torch.compile({old})"),
            **dict(map(claim_said, claims)),
        )

    try:
        found = made() if why_no_child() else answer(made, within=time_limit)
    except SubjectError as error:
        raise Refusal(error, 3) from None
    except TimeoutError as error:
        raise Refusal(f"{error}: it may hang, or need longer: --time-limit SECONDS", 3) from None
    except Inconclusive as stop:
        raise Refusal(f"comparing could not be finished: {stop}", 3) from None
    except ProcessLookupError:
        raise Refusal("comparing took the process down: a crash in compiled code, or memory ran out", 3) from None
    from rich.console import Console

    from veriformer.report.comparison import show, text

    console = Console(highlight=False)
    if console.is_terminal:
        show(console, found, verbose=verbose)
    else:
        click.echo(text(found, verbose=verbose))
    if json_file is not None:
        import msgspec

        try:
            json_file.write_bytes(msgspec.json.format(msgspec.json.encode(found)) + b"\n")
        except OSError as error:
            raise Refusal(f"--json: {json_file} cannot be written: {error.strerror}", 2) from None
    return found.exit_code


def _options(words: tuple[str, ...]) -> Mapping[str, object]:
    from veriformer.cli.check import claim_said

    return dict(map(claim_said, words))
