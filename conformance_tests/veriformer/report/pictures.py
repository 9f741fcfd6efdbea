"""The little matrices of a failure as heat maps: expected, got, and what is between them."""

import dataclasses
import math
from collections.abc import Callable, Iterable, Sequence

from veriformer.report.pages.heat import Cell, HeatMap
from veriformer.verdict import CaseEvidence, Departure, Picture

MOST_IN_A_ROW = 16
"""Numbers of a single row that a page shows as a picture."""

Matrix = Sequence[Sequence[float]]


@dataclasses.dataclass(frozen=True)
class Pictures:
    """Expected, got and their difference, side by side.

    Attributes:
        axes: what goes down and across, and which part is shown, in a sentence; empty where that is not known.
    """

    axes: str
    maps: tuple[HeatMap, ...]


def of_evidence(evidence: CaseEvidence) -> Pictures | None:
    """The numbers of a failure; None where the evidence holds none that can be drawn."""
    if evidence.picture is not None:
        return _drawn(evidence.picture)
    expected, got = _as_row(evidence.expected), _as_row(evidence.got)
    if expected is None or got is None or len(expected[0]) != len(got[0]):
        return None
    return Pictures("", _numbers(expected, got, rows=("",), columns=_indices(len(expected[0]))))


def of_departure(departure: Departure) -> Pictures | None:
    """The corner of the first result that is not the reference's."""
    expected, got = _as_matrix(departure.expected), _as_matrix(departure.got)
    if expected is None or got is None or [len(each) for each in expected] != [len(each) for each in got]:
        return None
    rows, columns = _indices(len(expected)), _indices(len(expected[0]))
    maps = _numbers(expected, got, rows=rows, columns=columns, captions=("the reference", "the subject"))
    return Pictures("The first of its numbers", maps)


def _drawn(picture: Picture) -> Pictures | None:
    expected, got = _as_matrix(picture.expected), _as_matrix(picture.got)
    if expected is None or got is None:
        return None
    rows = _indices(len(expected), picture.first[0])
    columns = _indices(len(expected[0]), picture.first[1])
    at = (picture.at[0], picture.at[1]) if picture.at else None
    draw = _numbers if picture.shows == "numbers" else _dependences(must=picture.shows == "must depend")
    return Pictures(_axes(picture), draw(expected, got, rows=rows, columns=columns, at=at))


def _axes(picture: Picture) -> str:
    """What is shown, in a sentence."""
    said = [picture.place] if picture.place else []
    if picture.rows and picture.columns:
        said.append(f"one row for each {picture.rows}, one column for each {picture.columns}")
    rows, columns = len(picture.expected), len(picture.expected[0])
    if picture.of != [rows, columns]:
        said.append(f"{rows} by {columns} out of {picture.of[0]} by {picture.of[1]}")
    together = "; ".join(said)
    return together[:1].upper() + together[1:]


def _map(caption: str, cells: Iterable[Iterable[Cell]], rows: tuple[str, ...], columns: tuple[str, ...]) -> HeatMap:
    return HeatMap(caption, tuple(map(tuple, cells)), rows, columns)


def _numbers(
    expected: Matrix,
    got: Matrix,
    *,
    rows: tuple[str, ...],
    columns: tuple[str, ...],
    at: tuple[int, int] | None = None,
    captions: tuple[str, str] = ("expected", "got"),
) -> tuple[HeatMap, ...]:
    """Expected and got in one scale, and their difference in its own, because it may be small."""
    apart = [list(map(_apart, seen, right)) for seen, right in zip(got, expected, strict=True)]
    largest, worst = _largest(expected, got), _largest(apart)
    digits = _digits(apart, largest)

    def drawn(values: Matrix, caption: str, top: float, digits: int | None) -> HeatMap:
        cells = (
            (Cell(_written(each, digits), _share(each, top), (i, j) == at) for j, each in enumerate(row))
            for i, row in enumerate(values)
        )
        return _map(caption, cells, rows, columns)

    return (
        drawn(expected, captions[0], largest, digits),
        drawn(got, captions[1], largest, digits),
        drawn(apart, f"difference ({captions[1]} − {captions[0]})", worst, 2 if 0.01 <= worst < 1000 else None),
    )


def _dependences(*, must: bool) -> Callable[..., tuple[HeatMap, ...]]:
    """Who may, or must, depend on whom; who does; and where that is wrong."""

    def drawn(
        expected: Matrix, got: Matrix, *, rows: tuple[str, ...], columns: tuple[str, ...], at: tuple[int, int] | None
    ) -> tuple[HeatMap, ...]:
        def one(kind: str, caption: str) -> HeatMap:
            cells = (
                (
                    _dependence(kind, bool(right), bool(seen), must=must, marked=(i, j) == at)
                    for j, (right, seen) in enumerate(zip(*lines, strict=True))
                )
                for i, lines in enumerate(zip(expected, got, strict=True))
            )
            return _map(caption, cells, rows, columns)

        lacking = "; ○ does not depend and must" if must else ""
        return (
            one("expected", f"expected: ● {'must' if must else 'may'} depend"),
            one("got", "got: ● depends"),
            one("wrong", f"wrong: ✗ depends and may not{lacking}"),
        )

    return drawn


def _dependence(kind: str, right: bool, seen: bool, *, must: bool, marked: bool) -> Cell:  # noqa: FBT001  # two sides of one cell
    if kind == "wrong":
        leaks, lacks = seen and not right, must and right and not seen
        return Cell("✗" if leaks else "○" if lacks else "", -1.0 if leaks or lacks else 0.0, marked)
    shown = right if kind == "expected" else seen
    return Cell("●" if shown else "·", 1.0 if shown else 0.0, marked)


def _as_row(values: object) -> list[list[float]] | None:
    """A flat list of numbers, which is not too long, as a matrix of one row."""
    if not isinstance(values, list) or not 1 <= len(values) <= MOST_IN_A_ROW:
        return None
    return _as_matrix([values])


def _as_matrix(values: object) -> list[list[float]] | None:
    """Rows of numbers, all of one length; NaN and the infinities are words in a report."""
    if not isinstance(values, list) or not values or not all(isinstance(row, list) and row for row in values):
        return None
    try:
        rows = [[float(each) for each in row] for row in values]
    except (TypeError, ValueError):
        return None
    return rows if len({len(row) for row in rows}) == 1 else None


def _indices(count: int, first: int = 0) -> tuple[str, ...]:
    return tuple(str(first + each) for each in range(count))


def _apart(got: float, expected: float) -> float:
    if got == expected or (math.isnan(got) and math.isnan(expected)):
        return 0.0
    return got - expected


def _largest(*matrices: Matrix) -> float:
    finite = (abs(each) for matrix in matrices for row in matrix for each in row if math.isfinite(each))
    return max(finite, default=0.0) or 1.0


def _digits(apart: Matrix, largest: float) -> int | None:
    """So many that the largest difference can be seen; None for powers of ten."""
    worst = _largest(apart) if any(each for row in apart for each in row) else largest
    if largest >= 1000 or largest < 0.01 or worst < 1e-6:
        return None if largest >= 1e6 or largest < 0.01 else 2
    return max(2, min(7, 1 - math.floor(math.log10(worst))))


def _written(value: float, digits: int | None) -> str:
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "∞" if value > 0 else "−∞"
    if value == 0:
        return "0"
    return (f"{value:.1e}" if digits is None else f"{value:.{digits}f}").replace("-", "−")


def _share(value: float, top: float) -> float:
    if math.isnan(value):
        return -1.0
    return max(-1.0, min(1.0, value / top))
