"""Checking: which shape checker the reference runs under, and the switch that turns it off.

No chapter of the specification. The checks cost several times the arithmetic at the suite's sizes, so hot loops switch them
off with ``checked(False)``. That works on functions already decorated, because jaxtyping's wrapper reads
``jaxtyping.config.jaxtyping_disable`` at each call (jaxtyping 0.3.11).
"""

from collections.abc import Iterator
from contextlib import contextmanager

import jaxtyping
from beartype import BeartypeConf, beartype

typecheck = beartype(conf=BeartypeConf(is_pep484_tower=True))
"""Beartype, with an int accepted where a float is asked for, as mypy does: ``eps=0`` is a number."""


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
