"""Equivalence: which planted faults are one function, as far as any probe of the diagnosis can tell.

Two slugs for one function would be one bug with two names. At every place, a role under claims, in which any fault is planted, all
faults that reach it answer the same probes; those that answer alike stay together, and are asked on.
"""

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping

import torch

from veriformer.adapters import reference
from veriformer.diagnosis.answers import Answer, apart
from veriformer.diagnosis.candidates import CORRECT, Candidate, planted
from veriformer.diagnosis.inquiry import grounds_of
from veriformer.diagnosis.probes import probes_of
from veriformer.diagnosis.ranking import Comparison
from veriformer.faults.catalogue import FAULTS
from veriformer.faults.fault import Planted
from veriformer.preflight import prepared
from veriformer_spec.role import Role


@dataclasses.dataclass(frozen=True)
class Alike:
    """Faults that no probe keeps apart at one place.

    Attributes:
        place: the role and its claims.
        ids: of the faults; ``CORRECT`` among them where no probe sees them; none where all are kept apart.
        asked: all that were asked there.
    """

    place: str
    ids: frozenset[str]
    asked: frozenset[str]


def named(place: Planted) -> str:
    """A place in words."""
    return " ".join((place.role, *(f"{name}={value}" for name, value in sorted(place.claims.items()))))


def places(role: Role | None = None) -> list[Planted]:
    """Every role and its claims in which some fault is planted."""
    found: dict[str, Planted] = {}
    for fault in FAULTS.values():
        for place in fault.planted:
            if role in (None, place.role):
                found.setdefault(named(place), place)
    return list(found.values())


def near(role: Role) -> list[str]:
    """The faults planted in a role, and those planted elsewhere that replace a function which one of them replaces, too."""
    here = [fault for fault in FAULTS.values() if any(each.role is role for each in fault.planted)]
    targets = {target for fault in here for target, _ in fault.patches}
    return [name for name, fault in FAULTS.items() if any(target in targets for target, _ in fault.patches)]


def comparison_at(place: Planted) -> Comparison:
    """The reference, correct, beside the reference with any fault in it: what each says to every probe."""
    subject = prepared(reference.declaration(place.role, **place.claims)).subject
    (grounds,) = grounds_of(subject, symmetric=False)
    return Comparison(grounds, probes_of(subject), torch.float64)


def classes_at(place: Planted) -> Iterator[Alike]:
    """The faults ``near`` the role that the probes leave together, of those that replace a function which is called at ``place``."""
    comparison = comparison_at(place)
    wanted = near(place.role)
    classes = [[CORRECT, *(each for each in planted(comparison.called) if each.name in wanted)]]
    asked = frozenset(each.name for each in classes[0])
    yield Alike(named(place), frozenset(), asked)
    for probe in comparison.probes:
        parted = [_parted([(each, comparison.answer(each, probe)) for each in group]) for group in classes]
        classes = [group for groups in parted for group in groups if len(group) > 1]
        if not classes:
            return
    yield from (Alike(named(place), frozenset(each.name for each in group), asked) for group in classes)


def _parted(answers: list[tuple[Candidate, Answer | None]]) -> list[list[Candidate]]:
    """Those that answer alike, together."""
    groups: list[tuple[Answer | None, list[Candidate]]] = []
    for candidate, answer in answers:
        known = next((members for first, members in groups if _alike(first, answer)), None)
        if known is None:
            groups.append((answer, [candidate]))
        else:
            known.append(candidate)
    return [members for _, members in groups]


def _alike(one: Answer | None, other: Answer | None) -> bool:
    """Whether two answers are one function's, computed in two ways."""
    if one is None or other is None:
        return one is other
    distance = apart(other, one, torch.float64)
    return distance.equal or distance.relative < ROUNDING


ROUNDING = 1e-11
"""The share of the largest number by which one function, computed in two ways, may differ from itself."""


def pairs(alike: Iterable[Alike]) -> dict[frozenset[str], list[str]]:
    """Each two that are alike at some place where probes see them, and the places."""
    found: dict[frozenset[str], list[str]] = {}
    for each in alike:
        if CORRECT.name in each.ids:
            continue  # nothing is seen of them there, which makes nobody one function
        for two in itertools.combinations(sorted(each.ids), 2):
            found.setdefault(frozenset(two), []).append(each.place)
    return found


KEPT_APART: Mapping[frozenset[str], str] = {
    frozenset({"causal-dropped-under-a-mask", "packing-reduced-to-keys"}): (
        "the one forgets that attention is causal by itself, the other reduces a mask to its keys: alike where a mask is causal, too"
    ),
    frozenset(
        {"mask-dropped-under-causality", "mask-ignored"}
    ): "alike where everything is causal; elsewhere the first obeys its mask",
    frozenset({"ended-rows-go-on", "padding-is-a-number-in-the-code"}): (
        "a probe reads a text up to its end token; behind it the one writes on, and the other writes zeros"
    ),
    frozenset({"key-for-value", "output-in-the-shape-of-the-query"}): (
        "the one averages keys for values, the other reshapes what is averaged: both fail alike where a value is longer than a key"
    ),
}
"""Pairs that are alike at some place and at no place apart, and why they are two entries."""


def synonyms(alike: Iterable[Alike]) -> Iterator[tuple[frozenset[str], list[str]]]:
    """Pairs that are alike wherever both were asked, where no reason says why they are two; and the places."""
    alike = list(alike)
    asked = {each.place: each.asked for each in alike}
    for two, together in pairs(alike).items():
        unseen = {each.place for each in alike if CORRECT.name in each.ids and two & each.ids}
        everywhere = {place for place, names in asked.items() if two <= names} - unseen
        if two not in KEPT_APART and everywhere == set(together):
            yield two, together


def main() -> int:
    """Ask every role at every place, which takes long, and print what is alike at each; 1 where two are one function."""
    found: list[Alike] = []
    for place in places():
        here = list(classes_at(place))
        found += here
        print(f"{named(place)}: {len(here[0].asked)} asked", flush=True)  # noqa: T201  # that is what it is for
        for each in here[1:]:
            print(f"    {', '.join(sorted(each.ids))}", flush=True)  # noqa: T201
    suspects = list(synonyms(found))
    for two, together in suspects:
        print(f"one function: {' and '.join(sorted(two))}, in {len(together)} places")  # noqa: T201
    return 1 if suspects else 0


if __name__ == "__main__":
    raise SystemExit(main())
