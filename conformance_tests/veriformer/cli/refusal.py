"""One line and an exit code for whatever cannot be done."""

import contextlib
from collections.abc import Iterator

import click


class Refusal(click.exceptions.Exit):
    """Ends the command with ``exit_code`` after one line on standard error."""

    def __init__(self, why: object, exit_code: int) -> None:
        click.echo(f"veriformer: {why}", err=True)
        super().__init__(exit_code)


@contextlib.contextmanager
def refusals() -> Iterator[None]:
    """Wrong usage exits with 2, a subject that cannot be imported with 3."""
    from veriformer.errors import CannotLoad, UsageError
    from veriformer_spec.config import ClaimError

    try:
        yield
    except (UsageError, ClaimError) as mistake:
        raise Refusal(mistake, 2) from None
    except CannotLoad as failure:
        raise Refusal(failure, 3) from None
