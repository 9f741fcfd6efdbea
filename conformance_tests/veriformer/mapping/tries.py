"""Tries: what a subject may turn out to compute, in the order in which it is asked: as claimed, other legal claims, catalogued faults."""

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator, Mapping

import torch

from veriformer.inputs import Inputs
from veriformer.mapping.layout import reference_shapes
from veriformer.other_claims import other_claims
from veriformer.subjects import Subject
from veriformer.variants import Variant, called
from veriformer_spec.config import Config

_SILENT = frozenset({
    "alignment", "value_size", "entrance", "cache", "cell", "shifts", "smoothing", "layer_parameters", "bias_kind", "direction",
})  # fmt: skip
"""Claims that do not change what one call without masks computes, or that change what its parameters are."""
OF_ONE_CALL = frozenset({
    "attention", "masking", "heads", "normalization", "feed_forward", "residual", "position", "embedding", "stack", "model",
    "recurrence",
})  # fmt: skip
"""Chapters whose faults change what one call computes; others keep something, print, or train otherwise, and would do so here."""
FITTED: Mapping[str, tuple[float, float]] = {
    "scale": (1e-3, 30.0),
    "eps": (1e-10, 3.0),
    "soft_cap": (0.3, 300.0),
    "rotary_base": (2.0, 1e7),
    "rotary_scaling": (0.1, 30.0),
}
"""Claims that take any number, and the range in which one is looked for."""


def with_claims(claimed: Variant, changes: tuple[tuple[str, object], ...]) -> Variant:
    """The same under other claims."""
    config = dataclasses.replace(claimed.config, **dict(changes))  # type: ignore[arg-type]  # claims are fields of it
    return dataclasses.replace(claimed, config=config, claims=changes)


def single_claims(subject: Subject, config: Config) -> list[tuple[str, object]]:
    """Every other value of every claim that shows here."""
    return [each for each in other_claims(subject.role, subject.claims, config) if each[0] not in _SILENT]


def numbers_in(role_variant: Variant) -> int:
    """How many numbers the parameters of the reference hold."""
    return sum(math.prod(shape) for shape in reference_shapes(role_variant.role, role_variant.config).values())


def claim_pairs(claimed: Variant, singles: list[tuple[str, object]], own: int) -> Iterator[Variant]:
    """Two other claims at once, where the reference then has as many numbers as the subject."""
    fits = {each: numbers_in(with_claims(claimed, (each,))) - numbers_in(claimed) for each in singles}
    missing = own - numbers_in(claimed)
    for one, other in itertools.combinations(singles, 2):
        if one[0] != other[0] and abs(fits[one] + fits[other] - missing) <= abs(missing) // 2:
            variant = with_claims(claimed, (one, other))
            if numbers_in(variant) == own:
                yield variant


def faults(claimed: Variant, inputs: Inputs) -> Iterator[Variant]:
    """Every catalogued fault that replaces a function which a correct run calls."""
    from veriformer.reach import reached, tracing  # loads the catalogue, which a right subject never needs

    with tracing() as seen, claimed.running(), torch.no_grad():
        made = claimed.built()
        called(made, inputs)
    for fault in reached(frozenset(seen)):
        if any(clause.chapter in OF_ONE_CALL for clause in fault.clauses):
            yield dataclasses.replace(claimed, faults=(fault,))


def fitted(claimed: Variant, name: str, apart: Callable[[Variant], float], enough: float) -> Variant | None:
    """The claim's number with which the reference comes nearest, if that is near ``enough``: looked for along a line."""
    low, high = (math.log(each) for each in FITTED[name])
    steps = 16

    def distance(place: float) -> float:
        return apart(with_claims(claimed, ((name, math.exp(place)),)))

    places = [low + (high - low) * index / steps for index in range(steps + 1)]
    values = [distance(place) for place in places]
    best = min(range(len(places)), key=values.__getitem__)
    if not values[best] < 0.7 * apart(claimed):
        return None
    left, right = places[max(best - 1, 0)], places[min(best + 1, steps)]
    ratio = (math.sqrt(5) - 1) / 2
    inner, outer = right - ratio * (right - left), left + ratio * (right - left)
    at_inner, at_outer = distance(inner), distance(outer)
    for _ in range(70):
        if at_inner < at_outer:
            right, outer, at_outer = outer, inner, at_inner
            inner = right - ratio * (right - left)
            at_inner = distance(inner)
        else:
            left, inner, at_inner = inner, outer, at_outer
            outer = left + ratio * (right - left)
            at_outer = distance(outer)
        if right - left < 1e-14 or (_ == 12 and min(at_inner, at_outer) > 0.05):
            break
    if min(at_inner, at_outer) > enough:
        return None
    return with_claims(claimed, ((name, float(f"{math.exp((left + right) / 2):.10g}")),))
