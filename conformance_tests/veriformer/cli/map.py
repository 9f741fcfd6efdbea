"""``veriformer map``: where the reference's parameters are in a module, as an adapter to keep."""

from typing import TYPE_CHECKING

import click

from veriformer.cli.refusal import Refusal, refusals

if TYPE_CHECKING:
    from veriformer.declaration import Declaration
    from veriformer.mapping import NotUnderstood, Understood
    from veriformer.subjects import Subject


@click.command(name="map", no_args_is_help=True)
@click.argument("target", metavar="TARGET")
@click.option("--as", "role", metavar="ROLE", help="What an undeclared subject claims to be.")
@click.option("--set", "claims", multiple=True, metavar="CLAIM=VALUE", help="A claim, such as norm=pre.")
@click.option(
    "--size", "sizes", multiple=True, metavar="NAME=N", help="A size that cannot be changed, such as d_model=768."
)
def command(*, target: str, role: str | None, claims: tuple[str, ...], sizes: tuple[str, ...]) -> int:
    """Find TARGET's weights without being told one name, verify them, and print the function to keep.

    Exit 0 where it computes what it claims; 1 where it computes another legal claim or a catalogued fault; 4 where it is not
    understood. What was found is said on standard error, the function on standard output.
    """
    with refusals():
        from veriformer.cli.check import claim_said, size_said
        from veriformer.prechecks import precheck

        precheck(target)
        import torch

        from veriformer.targets import Target

        torch.set_num_threads(1)
        named = Target(text=target, role=role, claims=dict(map(claim_said, claims)), sizes=dict(map(size_said, sizes)))
        return max(_mapped(each.declaration) for each in named.load())


def _mapped(declaration: "Declaration") -> int:
    from veriformer.mapping import Understood, automatic
    from veriformer.preflight import prepared

    ready = prepared(declaration)
    if ready.blocked:
        raise Refusal(ready.blocked, 3)
    found = automatic(ready.subject)
    if isinstance(found, Understood):
        return _understood(ready.subject, found)
    return _not_understood(ready.subject, found)


def _understood(subject: "Subject", found: "Understood") -> int:
    config = found.config
    sizes = f"d_model={config.d_model} heads={config.heads} kv_heads={config.kv_heads} d_ff={config.d_ff} layers={config.layers}"
    rounding = str(found.rounds_to).removeprefix("torch.")
    said = [
        f"{subject.declaration.name}: every parameter has its place ({found.seconds:.1f} s)",
        f"verified on fresh random weights at {sizes}: {found.verified:.1f} units of {rounding} rounding apart at most",
        "holds at any sizes"
        if found.layout.generic
        else "holds at these sizes alone: no recipe explains the order of its rows",
    ]
    if found.layout.idle:
        said.append(f"does nothing: {', '.join(found.layout.idle)}")
    if found.variant.claims or found.variant.faults:
        kind = "has the catalogued fault" if found.variant.faults else "does not compute what is claimed, but"
        said.append(f"it {kind} {found.variant.name}; the names are those of the reference so")
    for line in said:
        click.echo(line, err=True)
    click.echo(found.layout.adapter(), nl=False)
    return 1 if found.variant.claims or found.variant.faults else 0


def _not_understood(subject: "Subject", found: "NotUnderstood") -> int:
    click.echo(f"veriformer: {subject.declaration.name}: not understood: {found.reason}", err=True)
    if found.partial:
        click.echo("recognised so far, as of the reference's:", err=True)
        width = max(map(len, found.partial))
        for name, part in found.partial.items():
            click.echo(f"  {name:{width}}  {part}", err=True)
    return 4
