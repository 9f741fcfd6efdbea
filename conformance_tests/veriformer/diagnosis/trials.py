"""Trials: subjects of which the truth is known, to see whether they are called by their names."""

import dataclasses
import functools
import itertools
import random
from collections.abc import Callable, Iterator, Sequence

import torch

from veriformer.adapters import reference
from veriformer.declaration import Declaration
from veriformer.diagnosis.candidates import Candidate
from veriformer.diagnosis.inquiry import inquire
from veriformer.faults.catalogue import FAULTS
from veriformer.faults.fault import Fault, Planted, patched
from veriformer.faults.same_as import READ
from veriformer.preflight import prepared
from veriformer.subjects import Subject
from veriformer.verdict import Diagnosis
from veriformer_spec import normalization
from veriformer_spec.chapters import CLAUSES
from veriformer_spec.role import Role

OUTCOMES = ("named", "subset", "not exact", "equal", "unnamed", "guess", "claim", "wrong", "elsewhere", "doubted")
"""Exactly named; exactly named as a part of what was planted, which hides the rest; the truth is among what is said to be near; equal
to the specification wherever it was asked; without a name; guessed from clauses; another legal claim that it equals;
exactly named as what it is not; equal, as it shows on other devices or in narrower dtypes alone; and, of builds of which somebody
only read that they are the same as something planted, not confirmed to be."""
_ELSEWHERE = frozenset(
    {
        normalization.HALVES_ARE_NORMALISED_IN_FLOAT32.id,
        *(each for each in CLAUSES if each.startswith(("device.", "numerics."))),
    }
)
"""Clauses that run on other devices, or in other dtypes, than the diagnosis."""


@dataclasses.dataclass(frozen=True)
class Trial:
    """One subject, and what it is.

    Attributes:
        truth: the ids of the faults in it; one entry that is a claim, such as ``norm=pre``, where it is one. Empty where it equals
            nothing that is catalogued.
        read: whether somebody only read that the subject is that.
    """

    name: str
    truth: frozenset[str]
    subject: Callable[[], Declaration]
    read: bool = False


def of_catalogue(ids: Sequence[str], role: str = "") -> list[Trial]:
    """Every subject of the catalogue whose truth is known, those of one role and the same claims together."""
    found: list[tuple[str, Trial]] = []
    for fault in FAULTS.values():
        for declaration, truth in _with_truth(fault):
            if (not ids or fault.id in ids) and role in ("", declaration.role):
                place = f"{declaration.role} {sorted(declaration.claims.items(), key=str)}"
                name = declaration.name if not fault.foreign else f"{fault.id}: {declaration.name}"
                read = declaration.name in READ.get(fault.id, {})
                found.append((place, Trial(name, truth, functools.partial(_itself, declaration), read)))
    return [trial for _, trial in sorted(found, key=lambda each: each[0])]


def _with_truth(fault: Fault) -> Iterator[tuple[Declaration, frozenset[str]]]:
    """The fault's subjects, each with what it equals, where that is catalogued: one entry, or two at once."""
    for declaration in fault.subjects():
        truth = fault.equals(declaration.name) if fault.foreign else frozenset({fault.id})
        if truth:
            yield declaration, truth


def _itself(declaration: Declaration) -> Declaration:
    return declaration


def of_combinations(count: int, size: int, role: str = "", seed: int = 0) -> list[Trial]:
    """Random combinations of faults that are planted in one role under the same claims, and replace different functions."""
    rolls = random.Random(seed + size)
    places: dict[str, list[tuple[Planted, Fault]]] = {}
    for fault in FAULTS.values():
        for place in fault.planted:
            if role in ("", place.role):
                places.setdefault(f"{place.role} {sorted(place.claims.items(), key=str)}", []).append((place, fault))
    possible = {name: each for name, each in places.items() if len(each) >= 2 * size}
    found: dict[tuple[str, frozenset[str]], Trial] = {}
    weights = [len(each) for each in possible.values()]
    for _ in range(50 * count):
        if len(found) >= count or not possible:
            break
        (name,) = rolls.choices(list(possible), weights)
        drawn = rolls.sample(possible[name], size)
        faults = tuple(fault for _, fault in drawn)
        if all(_compatible(one, other) for one, other in itertools.combinations(faults, 2)):
            truth = frozenset(fault.id for fault in faults)
            found[name, truth] = Trial(f"{name}: {' and '.join(sorted(truth))}", truth, _together(drawn[0][0], faults))
    return [found[key] for key in sorted(found, key=str)]


def _compatible(one: Fault, other: Fault) -> bool:
    return Candidate(faults=(one,)).compatible(Candidate(faults=(other,)))


def _together(place: Planted, faults: tuple[Fault, ...]) -> Callable[[], Declaration]:
    patches = tuple(patch for fault in faults for patch in fault.patches)

    def subject() -> Declaration:
        return dataclasses.replace(
            reference.declaration(Role(place.role), **place.claims), during=lambda: patched(patches)
        )

    return subject


def diagnosed(trial: Trial, *, symmetric: bool) -> Diagnosis:
    """What is said of it, without a word of what failed."""
    declaration = trial.subject()
    if declaration.name.startswith("reference."):
        narrow = declaration.claims.get("computes_in") == "float32"
        return inquire(
            Subject(declaration, rounds_to=torch.float32 if narrow else torch.float64), (), symmetric=symmetric
        )
    return inquire(prepared(declaration).subject, (), symmetric=symmetric)


def claims_equal_to(trial: Trial) -> frozenset[frozenset[str]]:
    """Legal claims that are the same function as the fault in the trial: the names by which the fault itself is called in the reference.

    A subject that lacks the parameters that the fault leaves unused is called by the claim that leaves them out, and rightly.
    """
    if len(trial.truth) != 1 or not trial.truth <= FAULTS.keys():
        return frozenset()
    declaration = trial.subject()
    (fault,) = (FAULTS[each] for each in trial.truth)
    claims = {
        name: value
        for name, value in declaration.claims.items()
        if name not in ("masks", "padding_sides", "nothing_visible")
    }
    return _also_called(fault.id, declaration.role, tuple(sorted(claims.items(), key=str)))


@functools.lru_cache(maxsize=512)
def _also_called(fault: str, role: Role, claims: tuple[tuple[str, object], ...]) -> frozenset[frozenset[str]]:
    planted = dataclasses.replace(
        reference.declaration(role, **dict(claims)), during=lambda: patched(FAULTS[fault].patches)
    )
    findings = inquire(Subject(planted), ()).findings
    said = {frozenset((*each.claims, *each.faults)) for each in findings}
    said |= {frozenset(same.split(" and ")) for each in findings for same in each.same}
    return frozenset(said) if frozenset({fault}) in said and all(each.exact for each in findings) else frozenset()


def outcome(trial: Trial, diagnosis: Diagnosis) -> str:
    """One of ``OUTCOMES``."""
    found = _outcome(trial, diagnosis)
    clauses = [clause for each in trial.truth if each in FAULTS for clause in FAULTS[each].clauses]
    if found == "equal" and clauses and {clause.id for clause in clauses} <= _ELSEWHERE:
        return "elsewhere"
    return "doubted" if trial.read and found not in ("named", "wrong") else found


def _outcome(trial: Trial, diagnosis: Diagnosis) -> str:
    findings = diagnosis.findings
    said = {frozenset((*each.claims, *each.faults)) for each in findings}
    said |= {frozenset(same.split(" and ")) for each in findings for same in each.same}
    exact = any(each.exact for each in findings)
    if diagnosis.basis == "clauses that failed":
        return "guess"
    if trial.truth in said:
        return "named" if exact else "not exact"
    if not findings:
        return "equal" if diagnosis.said.startswith("equals") else "unnamed"
    if not exact:
        return "unnamed"
    if any(each < trial.truth for each in said):
        return "subset"
    if said & claims_equal_to(trial):
        return "named"
    return "claim" if all(not each.faults for each in findings) else "wrong"
