"""Reach: which functions of the reference a call comes by, and so which planted faults it can show."""

import contextlib
import functools
import importlib
from collections.abc import Callable, Iterator
from typing import Any

from veriformer.faults.catalogue import FAULTS
from veriformer.faults.fault import Fault, patched


def reached(called: frozenset[str]) -> list[Fault]:
    """Each planted fault that replaces one of the functions ``called``."""
    return [fault for fault in FAULTS.values() if any(target in called for target, _ in fault.patches)]


@functools.cache
def targets() -> tuple[str, ...]:
    """Every function of the reference that some fault replaces: ``chapter.function``."""
    found = sorted({target for fault in FAULTS.values() for target, _ in fault.patches})
    return tuple(target for target in found if callable(_function(target)))


def _function(target: str) -> Any:
    chapter, _, name = target.partition(".")
    return getattr(importlib.import_module(f"veriformer_reference.{chapter}"), name, None)


@contextlib.contextmanager
def tracing() -> Iterator[set[str]]:
    """Those of ``targets`` that are called while this is entered."""
    seen = set[str]()

    def noting(target: str) -> Callable[..., Any]:
        function = _function(target)

        @functools.wraps(function)
        def noted(*given: Any, **named: Any) -> Any:
            seen.add(target)
            return function(*given, **named)

        return noted

    with patched(tuple((target, noting(target)) for target in targets())):
        yield seen
