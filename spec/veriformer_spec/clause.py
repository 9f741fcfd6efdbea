"""A clause: one requirement, in one sentence that a test can fail."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from veriformer_spec.role import Role


class Level(StrEnum):
    """How binding a clause is, in the words of RFC 2119."""

    MUST = "MUST"
    SHOULD = "SHOULD"
    MAY = "MAY"


@dataclass(frozen=True, kw_only=True)
class Clause:
    """One requirement of the specification.

    Attributes:
        id: permanent slug, ``chapter.the-sentence-in-short``; never a number, numbers shift.
        level: MUST, SHOULD or MAY.
        text: the requirement: one sentence that a test can fail.
        source: author, year, section and equation that demand it.
        breaks: what usually breaks it, in the words of someone who did.
        roles: what the clause is asked of.
        when: claims that select it: claim name -> the values (or types of value) for which it applies.
        needs_masks: kinds of mask, one of which the subject must accept for the clause to be checked.
    """

    id: str
    level: Level = Level.MUST
    text: str
    source: str
    breaks: str
    roles: tuple[Role, ...]
    when: Mapping[str, tuple[object, ...]] = field(default_factory=dict)
    needs_masks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z_]+\.[a-z0-9]+(-[a-z0-9]+)+", self.id):
            raise ValueError(
                f"clause id {self.id!r} must read chapter.words-joined-by-hyphens, because ids are permanent slugs"
            )

    @property
    def chapter(self) -> str:
        """The chapter's name, the same in all three source roots."""
        return self.id.partition(".")[0]

    @property
    def sentence_hash(self) -> str:
        """Eight hexadecimal digits of the sentence.

        A property stores them, so that editing the sentence fails until the property's author has looked again.
        """
        return hashlib.sha256(self.text.encode()).hexdigest()[:8]

    def selected_by(self, role: Role, claims: Mapping[str, Any]) -> bool:
        """Whether the clause is asked of a subject of ``role`` that makes ``claims``."""
        return role in self.roles and all(
            any(_holds(claims[name], value) for value in values) for name, values in self.when.items() if name in claims
        )

    def __str__(self) -> str:
        return f"{self.id} ({self.level}): {self.text} [{self.source}]"


def _holds(claimed: object, value: object) -> bool:
    """Whether what is claimed is ``value``, is of that type, or is a list that names it."""
    listed = isinstance(claimed, tuple) and value in claimed
    return listed or claimed == value or (isinstance(value, type) and type(claimed) is value)
