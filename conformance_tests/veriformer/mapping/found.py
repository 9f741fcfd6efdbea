"""What a search for a subject's weights ends with: every parameter has its place, or why not."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from veriformer.mapping.layout import Layout
from veriformer.mapping.symmetric import Hypothesis
from veriformer.variants import Variant
from veriformer_spec.config import Config


@dataclass(frozen=True)
class Understood:
    """A subject whose every parameter has its place.

    Attributes:
        layout: where.
        variant: which function it computes: the reference as claimed, under other legal claims, or with a catalogued fault.
        config: the sizes at which it was found.
        rounds_to: the dtype whose rounding was allowed for.
        verified: the largest difference on fresh random weights, in units of that rounding.
    """

    layout: Layout
    variant: Variant
    config: Config
    rounds_to: torch.dtype
    seconds: float
    verified: float


@dataclass(frozen=True)
class NotUnderstood:
    """A subject that equals no variant that was tried.

    Attributes:
        reason: in words; the best attempt's.
        placed: whether every parameter fits some place by its shape, so that what is not understood is the function.
        partial: the parameters that were recognised, and as what.
        symmetric_difference: how far apart the outputs were under symmetric weights, relative to the largest number.
        likely: ways to read the parameters in which the output under symmetric weights was that of some variant, though its rows were not
            all told apart: of a layer that nobody calls, say.
    """

    reason: str
    placed: bool = False
    partial: Mapping[str, str] = dataclasses.field(default_factory=dict)
    symmetric_difference: float | None = None
    likely: tuple[Hypothesis, ...] = ()
