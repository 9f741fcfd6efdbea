"""Same draws: one seed draws the same cases, whatever else is loaded.

Now and then Hypothesis draws a number that stands in the code of some module that is not installed: in the subject's file, in a test
beside it, in the suite itself where it is installed in place. So the same clause, subject and seed would be judged by other cases on
another day, and a verdict could come and go.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

from hypothesis.internal.conjecture import providers

_private: Any = providers
"""No public setting turns it off; a version of Hypothesis that keeps its constants elsewhere is left as it is."""


def _ours() -> dict[str, Any]:
    """What stands in the place of what Hypothesis knows: no constants, and a cache that has seen none."""
    try:
        nothing, cache = type(_private._local_constants)(), type(_private.CONSTANTS_CACHE)(1024)  # noqa: SLF001
    except AttributeError:
        return {}
    return {"_get_local_constants": lambda: nothing, "CONSTANTS_CACHE": cache}


_OURS = _ours()


@contextlib.contextmanager
def from_the_seed_alone() -> Iterator[None]:
    """While active, Hypothesis knows the constants that it brings along, and no others."""
    before = {name: getattr(_private, name) for name in _OURS}
    for name, each in _OURS.items():
        setattr(_private, name, each)
    try:
        yield
    finally:
        for name, each in before.items():
            setattr(_private, name, each)
