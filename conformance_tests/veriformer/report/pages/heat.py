"""Heat maps: a matrix, each number with the strength of its colour."""

import dataclasses
import math
from collections.abc import Collection, Sequence

Entry = float | bool | None
"""A number, a yes or no, or nothing."""

STRONG = 0.7
"""The strength from which on black ink on light paper, and white on dark, would be read less easily than the other way round."""


@dataclasses.dataclass(frozen=True)
class Cell:
    """One number of a heat map.

    Attributes:
        text: the number as it is written.
        share: its strength: between -1 and 1, a share of the largest.
        marked: whether it is the one that is spoken of.
        hidden: whether it could not have been anything else, such as what a mask hides.
    """

    text: str
    share: float
    marked: bool = False
    hidden: bool = False

    @property
    def kind(self) -> str:
        """Words for the style: which of two colours, and how it is written on."""
        words = ["hidden"] if self.hidden else ["below" if self.share < 0 else "above"]
        words += ["strong"] if abs(self.share) >= STRONG and not self.hidden else []
        return " ".join([*words, "marked"] if self.marked else words)


@dataclasses.dataclass(frozen=True)
class HeatMap:
    """A matrix that can be drawn as a table with coloured cells, or as a picture.

    Attributes:
        caption: one sentence, which stands under it and is read out in its place.
        rows, columns: what each row and column is, such as words; empty for none.
        row_axis, column_axis: what rows and columns are, such as ``queries`` and ``keys``.
    """

    caption: str
    cells: tuple[tuple[Cell, ...], ...]
    rows: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    row_axis: str = ""
    column_axis: str = ""

    @property
    def upright(self) -> bool:
        """Whether the words above the columns are too long to lie: they are set upright."""
        return any(len(each) > 3 for each in self.columns)


def heat_map(
    values: Sequence[Sequence[Entry]],
    *,
    caption: str,
    rows: Sequence[str] = (),
    columns: Sequence[str] = (),
    row_axis: str = "",
    column_axis: str = "",
    largest: float | None = None,
    digits: int = 2,
    marked: Collection[tuple[int, int]] = (),
    hidden: Collection[tuple[int, int]] = (),
) -> HeatMap:
    """A heat map of ``values``, whose colours are shares of the largest number in it.

    Args:
        values: numbers, whose sign picks one of two colours; True and False are drawn as a dot and nothing; None is no number.
        largest: the number of full strength, where several maps shall be compared; None takes the largest of ``values``.
        digits: behind the point.
        marked: (row, column) of cells to draw a frame around.
        hidden: (row, column) of cells to hatch.
    """
    finite = [abs(each) for row in values for each in row if each is not None and math.isfinite(each)]
    top = (max(finite, default=0.0) if largest is None else largest) or 1.0
    cells = tuple(
        tuple(
            Cell(_text(each, digits), _share(each, top), (i, j) in marked, (i, j) in hidden)
            for j, each in enumerate(row)
        )
        for i, row in enumerate(values)
    )
    return HeatMap(caption, cells, tuple(rows), tuple(columns), row_axis, column_axis)


def _share(value: Entry, top: float) -> float:
    if value is None or math.isnan(value):
        return 0.0
    return max(-1.0, min(1.0, value / top))


def _text(value: Entry, digits: int) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "●" if value else "·"
    if not math.isfinite(value):
        return {math.inf: "∞", -math.inf: "−∞"}.get(value, "NaN")
    written = f"{value:.{digits}f}" if abs(value) < 1000 else f"{value:.2g}"
    return (written if float(written) else written.lstrip("-")).replace(
        "-", "−"
    )  # no number is less than nothing by nothing
