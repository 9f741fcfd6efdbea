"""Same draws: one seed draws the same cases, whatever else is loaded.

Now and then Hypothesis draws a number that stands in the code of some module that is not installed: in the subject's file, in a test
beside it, in the suite itself where it is installed in place. So the same clause, subject and seed would be judged by other cases on
another day, and a verdict could come and go.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

from hypothesis.internal.conjecture import providers

_PLACES = ("_get_local_constants", "_local_constants", "CONSTANTS_CACHE")
_private: Any = providers
"""No public setting turns it off; a version of Hypothesis that keeps its constants elsewhere is left as it is."""
_KEPT: dict[str, Any] = {name: getattr(_private, name, None) for name in _PLACES}
_OURS: dict[str, Any] = {}


@contextlib.contextmanager
def from_the_seed_alone() -> Iterator[None]:
    """While active, Hypothesis knows the constants that it brings along, and no others."""
    if any(each is None for each in _KEPT.values()):
        yield
        return
    if not _OURS:
        nothing = type(_KEPT["_local_constants"])()
        cache = type(_KEPT["CONSTANTS_CACHE"])(1024)
        _OURS.update({"_get_local_constants": lambda: nothing, "CONSTANTS_CACHE": cache})
    before = {name: getattr(_private, name) for name in _OURS}
    for name, each in _OURS.items():
        setattr(_private, name, each)
    try:
        yield
    finally:
        for name, each in before.items():
            setattr(_private, name, each)
