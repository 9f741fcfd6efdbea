"""Candidates: what a subject may turn out to be, other legal claims first, then catalogued faults."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from veriformer.faults.fault import Fault
from veriformer.other_claims import other_claims
from veriformer.reach import reached
from veriformer_spec.config import Config
from veriformer_spec.role import Role

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


def claims_in_place(role: Role, claims: Mapping[str, Any], config: Config) -> list[Candidate]:
    """The reference under every other value of each claim, one at a time."""
    return [Candidate((each,)) for each in other_claims(role, claims, config)]


def planted(called: frozenset[str]) -> list[Candidate]:
    """Each fault of the catalogue that replaces a function which a correct run calls."""
    return [Candidate(faults=(fault,)) for fault in reached(called)]
