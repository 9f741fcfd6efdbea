"""Checking: which shape checker the reference runs under, and the switch that turns it off.

No chapter of the specification. The checks cost several times the arithmetic at the suite's sizes, so hot loops switch them
off with ``checked(False)``. That works on functions already decorated, because jaxtyping's wrapper reads
``jaxtyping.config.jaxtyping_disable`` at each call (jaxtyping 0.3.11).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import jaxtyping


def typecheck(function: Callable[..., Any]) -> Callable[..., Any]:
    """``function`` under beartype, which is asked when ``function`` is called for the first time.

    Writing the checks of every step takes as long as a third of importing torch, and whoever runs with the checks switched
    off never needs one.
    """
    checking: Callable[..., Any] | None = None

    def call(*positional: Any, **named: Any) -> Any:
        """Call the function, checked; the checks are written at the first call."""
        nonlocal checking
        if checking is None:
            checking = _under_beartype(function)
        return checking(*positional, **named)

    return call


def _under_beartype(function: Callable[..., Any]) -> Callable[..., Any]:
    """An int is accepted where a float is asked for, as mypy does it: ``eps=0`` is a number."""
    from beartype import BeartypeConf, beartype

    return beartype(conf=BeartypeConf(is_pep484_tower=True))(function)


@contextmanager
def checked(on: bool) -> Iterator[None]:  # noqa: FBT001  # "checked(False)" reads as what it does
    """Switch the shape checks on or off for a while, and put them back as they were.

    The switch is jaxtyping's own and global to the process: other packages that use jaxtyping follow it too.
    """
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", not on)
    try:
        yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", before)
