"""The specification as a whole: every chapter's clauses, in reading order."""

from collections.abc import Mapping
from types import ModuleType

from veriformer_spec import (
    attention,
    cache,
    device,
    embedding,
    feed_forward,
    generation,
    heads,
    masking,
    model,
    normalization,
    numerics,
    position,
    recurrence,
    residual,
    stack,
    state,
    training,
)
from veriformer_spec.clause import Clause

CHAPTERS: tuple[ModuleType, ...] = (
    state,
    attention,
    masking,
    heads,
    normalization,
    feed_forward,
    residual,
    position,
    embedding,
    stack,
    model,
    cache,
    generation,
    recurrence,
    training,
    numerics,
    device,
)


def _clauses() -> dict[str, Clause]:
    found: dict[str, Clause] = {}
    for chapter in CHAPTERS:
        for value in vars(chapter).values():
            if isinstance(value, Clause):
                if value.id in found:
                    raise ValueError(
                        f"clause id {value.id!r} is given twice, and ids are permanent: rename the newer one"
                    )
                found[value.id] = value
    return found


CLAUSES: Mapping[str, Clause] = _clauses()
"""Every clause by its id, in reading order."""
