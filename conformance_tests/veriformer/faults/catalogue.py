"""The catalogue: every fault and every near-miss of every chapter."""

import dataclasses
import importlib
import pkgutil
from collections.abc import Mapping
from typing import TypeVar

import veriformer.faults
import veriformer.faults.second
from veriformer.declaration import Build
from veriformer.faults.fault import Fault, NearMiss
from veriformer.faults.same_as import EQUALS

_Entry = TypeVar("_Entry", Fault, NearMiss)


def _collected() -> tuple[dict[str, Fault], dict[str, NearMiss]]:
    faults: dict[str, Fault] = {}
    near_misses: dict[str, NearMiss] = {}
    for found in pkgutil.iter_modules(veriformer.faults.__path__):
        module = importlib.import_module(f"veriformer.faults.{found.name}")
        for value in vars(module).values():
            if isinstance(value, Fault):
                _add(faults, value.id, value)
            elif isinstance(value, NearMiss):
                _add(near_misses, value.id, value)
    synonyms = {other: fault.id for fault in faults.values() for other in fault.synonyms}
    for called, builds in _of_another_style().items():
        name = synonyms.get(called, called)
        if name not in faults:
            raise ValueError(
                f"veriformer.faults.second writes {name!r} in another style, and the catalogue has no such fault"
            )
        faults[name] = dataclasses.replace(faults[name], builds=(*faults[name].builds, *builds))
    for name, equals in EQUALS.items():
        faults[name] = dataclasses.replace(faults[name], same_as={**faults[name].same_as, **equals})
    return faults, near_misses


def _of_another_style() -> dict[str, tuple[Build, ...]]:
    """The builds that the modules of ``veriformer.faults.second`` add to catalogued faults, as ``SECOND``: by the fault's id."""
    gathered: dict[str, tuple[Build, ...]] = {}
    for found in pkgutil.iter_modules(veriformer.faults.second.__path__):
        module = importlib.import_module(f"veriformer.faults.second.{found.name}")
        second: Mapping[str, tuple[Build, ...]] = getattr(module, "SECOND", {})
        for name, builds in second.items():
            gathered[name] = (*gathered.get(name, ()), *builds)
    return gathered


def _add(into: dict[str, _Entry], name: str, value: _Entry) -> None:
    if into.setdefault(name, value) is not value:
        raise ValueError(f"id {name!r} is given twice in the catalogue, and ids are permanent: rename the newer one")


FAULTS: Mapping[str, Fault]
NEAR_MISSES: Mapping[str, NearMiss]
FAULTS, NEAR_MISSES = _collected()
SYNONYMS: Mapping[str, str] = {other: fault.id for fault in FAULTS.values() for other in fault.synonyms}
"""The id of the entry, by each other slug of the same function."""


def resolved(name: str) -> str:
    """The id of the entry that ``name`` means: itself, or the one that it is another name of."""
    return SYNONYMS.get(name, name)
