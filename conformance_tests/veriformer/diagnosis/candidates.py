"""Candidates: what a subject may turn out to be, other legal claims first, then catalogued faults."""

import contextlib
import dataclasses
import functools
import importlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from veriformer.faults.fault import Fault, patched
from veriformer.oracle import OTHER_EPS
from veriformer_spec.config import CLAIMS, FIELDS, Config
from veriformer_spec.role import LAYERED, Role

Claimed = tuple[tuple[str, object], ...]


@dataclasses.dataclass(frozen=True)
class Candidate:
    """The reference under other claims, or with faults planted in it, or both.

    Attributes:
        claims: those that differ from the subject's own, with the values under which the reference is built.
        faults: planted together.
    """

    claims: Claimed = ()
    faults: tuple[Fault, ...] = ()

    @property
    def name(self) -> str:
        """``CORRECT``, claims as ``norm=pre``, faults by their ids."""
        said = [*(f"{name}={shown(value)}" for name, value in self.claims), *(fault.id for fault in self.faults)]
        return " and ".join(said) or "CORRECT"

    @property
    def kind(self) -> str:
        """``claim``, ``fault`` or ``pair``."""
        if len(self.claims) + len(self.faults) > 1:
            return "pair"
        return "claim" if self.claims else "fault"

    @property
    def parts(self) -> int:
        """How many departures it is made of."""
        return len(self.claims) + len(self.faults)

    @property
    def targets(self) -> frozenset[str]:
        """The functions of the reference that its faults replace."""
        return frozenset(target for fault in self.faults for target, _ in fault.patches)

    def with_(self, other: "Candidate") -> "Candidate":
        """Both together."""
        return Candidate((*self.claims, *other.claims), (*self.faults, *other.faults))

    def compatible(self, other: "Candidate") -> bool:
        """Whether both can be had together: no claim is given twice, and no function is replaced twice."""
        claimed = {name for name, _ in self.claims} & {name for name, _ in other.claims}
        return not claimed and not self.targets & other.targets


CORRECT = Candidate()


def shown(value: object) -> str:
    """A claim's value as a report says it."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


_NOT_A_FUNCTION = frozenset({
    "kv_heads", "dropout", "computes_in", "masks", "padding_sides", "padding_row", "strategies", "nothing_visible", "padded_rows",
})  # fmt: skip
"""Claims that do not change what the reference computes at one call, or that change what may be passed to it."""
_OPEN = frozenset({"unspecified", "as-placed", "folded"})
"""Values that are another value, or any."""


def other_claims(role: Role, claims: Mapping[str, Any], config: Config) -> list[Candidate]:
    """The reference under every other value of each claim, one at a time."""
    found = []
    for name, claimed in claims.items():
        if name not in FIELDS or name in _NOT_A_FUNCTION:
            continue
        values: tuple[object, ...] = CLAIMS[name].values
        if name == "eps":
            values = OTHER_EPS
        elif name == "positions" and role not in LAYERED:
            values = tuple(each for each in values if each not in ("sinusoidal", "learned"))
        elif name == "rotary_base":
            values = (10000.0, 500000.0)
        current = config.ends_in_norm if name == "final_norm" else claimed
        found += [Candidate(((name, each),)) for each in values if each != current and each not in _OPEN]
    return found


def planted(faults: Mapping[str, Fault], called: frozenset[str]) -> list[Candidate]:
    """Each fault of the catalogue that replaces a function which a correct run calls."""
    return [
        Candidate(faults=(fault,))
        for fault in faults.values()
        if fault.patches and any(target in called for target, _ in fault.patches)
    ]


@functools.cache
def targets() -> tuple[str, ...]:
    """Every function of the reference that some fault replaces: ``chapter.function``."""
    from veriformer.faults.catalogue import FAULTS

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
