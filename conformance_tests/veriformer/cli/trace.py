"""``veriformer trace``: watch a sentence go through a Transformer."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from veriformer.cli.refusal import Refusal, refusals

if TYPE_CHECKING:
    from veriformer.tracing.trace import Trace


@click.command(name="trace", no_args_is_help=True)
@click.argument("sentence", metavar="TEXT")
@click.argument("target", metavar="[TARGET]", required=False)
@click.option(
    "--profile",
    metavar="NAME",
    help="The reference as a known model: original-2017 (the default), bert, gpt-2, llama, t5 ...",
)
@click.option("--as", "role", metavar="ROLE", help="What an undeclared TARGET claims to be.")
@click.option("--set", "claims", multiple=True, metavar="CLAIM=VALUE", help="A claim of TARGET, such as norm=pre.")
@click.option("--size", "sizes", multiple=True, metavar="NAME=N", help="A size, such as heads=2 or layers=1.")
@click.option(
    "--by", type=click.Choice(["words", "characters"]), help="What a token is; words where there are several."
)
@click.option("--seed", default=0, show_default=True, help="Of the random weights.")
@click.option(
    "--html",
    "html_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write a page, one file, with pictures.",
)
@click.option("-v", "--verbose", is_flag=True, help="With each step's sentence, equation and first numbers.")
def command(
    *,
    sentence: str,
    target: str | None,
    profile: str | None,
    role: str | None,
    claims: tuple[str, ...],
    sizes: tuple[str, ...],
    by: str | None,
    seed: int,
    html_file: Path | None,
    verbose: bool,
) -> int:
    """Show every step of TEXT from ids to probabilities, with the names of the specification, and who looks at whom.

    Without TARGET it goes through the reference, a small one with random weights; with TARGET (file.py:name, package.module:name, a
    built-in name) through that subject.
    """
    with refusals():
        from veriformer.errors import UsageError
        from veriformer.prechecks import precheck

        if target is not None and profile is not None:
            raise UsageError("--profile is the reference's: give it, or a TARGET")
        if target is not None:
            precheck(target)
        from veriformer.cli.check import claim_said, size_said
        from veriformer.outcome import SubjectError
        from veriformer.tracing.following import follow, follow_profile
        from veriformer.tracing.words import split

        words = split(sentence, by=by or "")
        said = dict(map(size_said, sizes))
        try:
            if target is None:
                traced = follow_profile(words, profile or "original-2017", number=seed, sizes=said)
            else:
                from veriformer.targets import Target

                asked = Target(text=target, role=role, claims=dict(map(claim_said, claims)), sizes=said)
                traced = follow(words, asked.one("trace").declaration, number=seed)
        except SubjectError as error:
            raise Refusal(error, 3) from None
        return _told(traced, html_file, verbose=verbose)


def _told(traced: "Trace", html_file: Path | None, *, verbose: bool) -> int:
    from rich.console import Console

    from veriformer.report.trace import page, show, text

    console = Console(highlight=False)
    if html_file is not None:
        try:
            html_file.write_text(page(traced), encoding="utf-8")
        except OSError as error:
            raise Refusal(f"--html: {html_file} cannot be written: {error.strerror}", 2) from None
        click.echo(f"{html_file}: {len(traced.steps)} steps, {len(traced.attention)} heads")
    elif console.is_terminal:
        show(console, traced, verbose=verbose)
    else:
        click.echo(text(traced, verbose=verbose))
    return 0
