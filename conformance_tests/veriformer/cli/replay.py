"""``veriformer replay``: judge the failed cases of a report again."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import click

from veriformer.cli.refusal import refusals

if TYPE_CHECKING:
    from veriformer.request import Request
    from veriformer.result import Result
    from veriformer.verdict import Verdict


@click.command(name="replay")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--time-limit", default=60.0, show_default=True, metavar="SECONDS", help="For one clause.")
@click.option("-v", "--verbose", is_flag=True, help="Show each failure in full.")
def command(file: Path, time_limit: float, verbose: bool) -> int:  # noqa: FBT001  # click passes it by name
    """Judge each failed case of a JSON report again: exit 1 where one still fails, 0 where all pass now."""
    with refusals():
        from veriformer.report.json_lines import read

        results = read(file)
        from veriformer.result import WRONG, worst

        codes = []
        for result in results:
            if result.footer.blocked:
                codes.append(_again(result, None, time_limit, verbose=verbose))
            codes += [
                _again(result, each, time_limit, verbose=verbose) for each in result.verdicts if each.status in WRONG
            ]
        if not codes:
            click.echo(f"nothing failed in {file}")
        return worst(codes)


def _again(result: "Result", verdict: "Verdict | None", time_limit: float, *, verbose: bool) -> int:
    """Judge one failed case, or one clause that has none, or a whole subject that could not be judged."""
    from veriformer.errors import UsageError
    from veriformer.prechecks import precheck
    from veriformer.report.terminal import failure_text, headline
    from veriformer.run import run
    from veriformer.targets import Target

    header = result.header
    if not header.target:
        raise UsageError(f"{header.subject} was judged as an object in memory: there is no target to load it from")
    precheck(header.target)
    target = Target(text=header.target, role=header.role or None, claims=header.claims, sizes=header.sizes)
    (now,) = run(target.load, _request(result, verdict, time_limit), target=header.target)
    where = f"{header.subject}: {verdict.clause}" if verdict is not None else header.subject
    bad = now.failed
    if now.footer.blocked or not bad:
        click.echo(f"{where}: {headline(now) if now.footer.blocked or now.exit_code else 'passes now'}")
        return now.exit_code
    for each in bad:
        click.echo(f"{where}: still fails: {each.evidence.message if each.evidence is not None else each.reason}")
        if verbose:
            click.echo(failure_text(each, now.header))
    return 1


def _request(result: "Result", verdict: "Verdict | None", time_limit: float) -> "Request":
    from veriformer.request import Request

    header = result.header
    whole = Request(
        budget=header.budget, device=header.device, dtype=header.dtype, seed=header.seed, time_limit=time_limit
    )
    if verdict is None:
        return whole
    case = verdict.evidence.case if verdict.evidence is not None else ""
    return dataclasses.replace(whole, only=(verdict.clause,), case=case)
