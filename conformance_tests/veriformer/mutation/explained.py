"""Explained: mutants that survive, and why that is no hole in the suite, or which hole it is.

A reason stands above the mutants that it explains, each by its id. A self-test requires that every id here is still a
mutant's, so that no explanation outlives what it explains.
"""

from collections.abc import Mapping
from typing import Final

_EQUIVALENT: Final[Mapping[str, tuple[str, ...]]] = {}
"""It computes the same for everything that the role's call may be given; or the specification leaves the difference free."""

_HOLES: Final[Mapping[str, tuple[str, ...]]] = {}
"""It computes something else, which a clause should see and none does."""


def _by_id(grouped: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    return {each: reason for reason, every in grouped.items() for each in every}


EQUIVALENT: Final = _by_id(_EQUIVALENT)
"""Mutants that nobody can kill, and why."""

HOLES: Final = _by_id(_HOLES)
"""Mutants that somebody should kill, and what is missing."""
