"""``veriformer init``: the adapter of a class that has none, with the open places marked."""

from pathlib import Path

import click

from veriformer.cli.refusal import Refusal, refusals


@click.command(name="init", no_args_is_help=True)
@click.argument("target", metavar="TARGET")
@click.option(
    "--as", "role", metavar="ROLE", help="What the class claims to be; without it, a guess is written down and marked."
)
@click.option("--set", "claims", multiple=True, metavar="CLAIM=VALUE", help="A claim, such as norm=pre.")
@click.option(
    "--size", "sizes", multiple=True, metavar="NAME=N", help="A size that cannot be changed, such as d_model=768."
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Where to write it; by default veriformer_NAME.py beside the class's file.",
)
@click.option("--force", is_flag=True, help="Overwrite the file where it exists.")
def command(
    *, target: str, role: str | None, claims: tuple[str, ...], sizes: tuple[str, ...], output: Path | None, force: bool
) -> int:
    """Write an adapter for TARGET, file.py:Class or package.module:Class: how it is built and called, and what it claims.

    What can be found out by trying is filled in; the rest is marked `TODO`. Exit 0 where nothing is open, 4 where something is.
    """
    with refusals():
        from veriformer.cli.check import claim_said, size_said
        from veriformer.prechecks import precheck

        precheck(target)
        import torch

        from veriformer.assumed import Undecided, writing
        from veriformer.targets import Target, origin_of

        torch.set_num_threads(1)
        named = Target(text=target, role=role, claims=dict(map(claim_said, claims)), sizes=dict(map(size_said, sizes)))
        origin, source = origin_of(named)
        file = (
            output
            or (source.parent if source is not None else Path())
            / f"veriformer_{origin.name.replace('.', '_').lower()}.py"
        )
        if file.exists() and not force:
            raise Refusal(f"{file} exists; give another --output, or --force to overwrite it", 2)
        why = ""
        try:
            draft = named.draft(origin)
        except Undecided as open_:
            if open_.draft is None:
                raise
            draft, why = open_.draft, str(open_)
        if role is None:
            draft = draft.with_(todo=(f"the role: {draft.role} is a guess", *draft.todo))
        text = writing.adapter(draft, target, file=file, source=source)
        try:
            file.write_text(text, encoding="utf-8")
        except OSError as error:
            raise Refusal(f"{file} cannot be written: {error.strerror}", 2) from None
        for line in writing.table(draft.assumed):
            click.echo(f"assumed: {line}")
        if why:
            click.echo(f"open: {why}")
        click.echo(
            f"wrote {file}{' with places marked TODO' if draft.todo else ''}; judge it with: veriformer check {file}:build"
        )
        return 4 if draft.todo else 0
