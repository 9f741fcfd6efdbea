"""A trace: every step of one sentence, as it is told and drawn."""

import dataclasses
from collections.abc import Sequence

from torch import Tensor

from veriformer.tracing.points import Point, in_words
from veriformer.tracing.words import Words

MOST_FEATURES = 8
"""Features of a token that are shown: a few numbers."""


@dataclasses.dataclass(frozen=True)
class Step:
    """One named point of the way.

    Attributes:
        section: the heading under which it stands, such as ``Layer 1``.
        part: the part of the layer, such as ``feed-forward network``.
        rows: the tokens that its rows belong to.
        own: in a subject that is not the reference: where it makes the same numbers; None where it is the reference that is traced.
    """

    point: Point
    section: str
    part: str
    rows: tuple[str, ...]
    own: str | None = None

    @property
    def shape(self) -> str:
        """Its shape in words."""
        return in_words(self.point.axes)

    @property
    def few(self) -> list[list[float]]:
        """The first features of each token; of several heads, the first one's."""
        values = self.point.values
        while values.dim() > 2:
            values = values[0]
        values = values[None] if values.dim() == 1 else values
        few: list[list[float]] = values[:, :MOST_FEATURES].tolist()
        return few

    @property
    def of_keys(self) -> bool:
        """Whether its columns are keys, and no features."""
        return bool(self.point.axes) and self.point.axes[-1][0] == "k_len"

    @property
    def summary(self) -> str:
        """Smallest, largest and average number."""
        return numbers(self.point.values)


@dataclasses.dataclass(frozen=True)
class Attention:
    """Who looks at whom in one head.

    Attributes:
        place: such as ``Decoder layer 1, attention to the source``.
        rows, columns: queries and keys.
        weights: a distribution over the keys in each row.
        hidden: (row, column) of keys that come after their query, where the future is hidden.
    """

    place: str
    head: int
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    weights: list[list[float]]
    hidden: frozenset[tuple[int, int]] = frozenset()


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What a model holds for likely at one position."""

    index: int
    after: str
    likely: tuple[tuple[str, float], ...]


@dataclasses.dataclass(frozen=True)
class Trace:
    """Everything about one sentence on its way.

    Attributes:
        subject: what was traced, and ``source`` the paper that describes it, where there is one.
        sizes: in words.
        target: what the decoder reads, where there is one.
        notes: what has to be known to read it: that nothing is trained, and how the tokens were made.
        probabilities: at each position, of each word of the vocabulary; empty where the role has no head.
    """

    words: Words
    subject: str
    role: str
    source: str
    sizes: str
    seed: int
    target: tuple[str, ...]
    notes: tuple[str, ...]
    steps: tuple[Step, ...]
    attention: tuple[Attention, ...]
    predictions: tuple[Prediction, ...] = ()
    probabilities: tuple[tuple[float, ...], ...] = ()

    @property
    def sections(self) -> dict[str, list[Step]]:
        """The steps under their headings, in order."""
        found: dict[str, list[Step]] = {}
        for step in self.steps:
            found.setdefault(step.section, []).append(step)
        return found

    @property
    def places(self) -> dict[str, list[Attention]]:
        """The heads of each place where tokens look at each other, in order."""
        found: dict[str, list[Attention]] = {}
        for each in self.attention:
            found.setdefault(each.place, []).append(each)
        return found


def numbers(values: Tensor) -> str:
    """A few words on many numbers; those that are not finite are what a mask puts there."""
    finite = values[values.isfinite()]
    if not finite.numel():
        return "nothing finite"
    said = f"{float(finite.min()):.3g} … {float(finite.max()):.3g}, average {float(finite.mean()):.3g}"
    return said if finite.numel() == values.numel() else f"{said}; {values.numel() - finite.numel()} hidden"


def lines(rows: Sequence[Sequence[float]]) -> str:
    """Numbers in rows, for a terminal."""
    return "\n".join("  ".join(f"{each: .2f}" for each in row) for row in rows)
