"""The little matrices of a failure: what is cut out of a comparison, and how a page draws it."""

import math

import pytest
import torch

from veriformer import perturbation, tolerance
from veriformer.case import Case
from veriformer.inputs import Inputs
from veriformer.judge import _sayable_picture
from veriformer.outcome import Violation
from veriformer.picture import MOST_COLUMNS, MOST_ROWS, axes_of, moved_down
from veriformer.report.pictures import of_departure, of_evidence
from veriformer.subjects import Instance
from veriformer.verdict import CaseEvidence, Departure, Picture
from veriformer_spec.role import Role


def violation(got: torch.Tensor, expected: torch.Tensor) -> Violation:
    with pytest.raises(Violation) as caught:
        tolerance.require_close(got, expected, "no", dtype=torch.float64)
    return caught.value


def picture(got: torch.Tensor, expected: torch.Tensor) -> Picture:
    found = violation(got, expected).evidence.picture
    assert found is not None
    return found


def evidence(drawn: Picture | None, **more: object) -> CaseEvidence:
    return CaseEvidence(property="", case="", message="", picture=drawn, **more)  # type: ignore[arg-type]


def test_a_comparison_leaves_the_matrix_and_not_the_row_alone() -> None:
    """The last two axes around the worst number; the report on a terminal keeps its one row."""
    expected = torch.arange(24.0, dtype=torch.float64).view(2, 3, 4)
    got = expected.clone()
    got[1, 2, 3] += 1
    seen = violation(got, expected).evidence
    assert seen.expected == expected[1, 2].tolist()
    assert seen.picture is not None
    assert seen.picture.expected == expected[1].tolist() and seen.picture.got == got[1].tolist()
    assert (seen.picture.at, seen.picture.fixed, seen.picture.of) == ([2, 3], [1], [3, 4])


def test_a_large_matrix_is_cut_around_the_place() -> None:
    """No report grows with the subject's sizes; what is left out is told."""
    expected = torch.zeros(40, 50, dtype=torch.float64)
    for row, column in ((0, 0), (20, 30), (39, 49)):
        got = expected.clone()
        got[row, column] = 1
        cut = picture(got, expected)
        assert len(cut.got) == MOST_ROWS and len(cut.got[0]) == MOST_COLUMNS
        assert [cut.first[0] + cut.at[0], cut.first[1] + cut.at[1]] == [row, column]
        assert cut.got[cut.at[0]][cut.at[1]] == 1 and cut.of == [40, 50]
    drawn = of_evidence(evidence(cut))
    assert drawn is not None and drawn.axes == "8 by 12 out of 40 by 50"
    assert drawn.maps[0].rows[0] == "32" and drawn.maps[0].columns[-1] == "49"


def test_what_has_no_two_axes_has_no_picture() -> None:
    """A single row is drawn from the evidence as it is."""
    seen = violation(torch.ones(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64)).evidence
    assert seen.picture is None
    drawn = of_evidence(evidence(None, expected=seen.expected, got=seen.got))
    assert drawn is not None and len(drawn.maps[0].cells) == 1
    for expected, got in (
        (None, [1.0]),
        ([1.0], [1.0, 2.0]),
        ([[[1.0]]], [[[1.0]]]),
        ("words", "others"),
        ([0.0] * 99, [1.0] * 99),
    ):
        assert of_evidence(evidence(None, expected=expected, got=got)) is None


@pytest.mark.parametrize(
    ("expected", "got", "index"),
    [
        (torch.zeros(2, 2), torch.zeros(3, 2), ()),
        (torch.zeros(2, 2), None, ()),
        (torch.zeros(0, 2), torch.zeros(0, 2), ()),
        (torch.zeros(2, 2, 2), torch.ones(2, 2, 2), (1,)),
        (torch.zeros(2, 2, dtype=torch.complex64), torch.zeros(2, 2, dtype=torch.complex64), ()),
    ],
)
def test_what_cannot_be_set_side_by_side_has_no_picture(
    expected: torch.Tensor, got: torch.Tensor | None, index: tuple[int, ...]
) -> None:
    """Other shapes, one side missing, nothing at all, a place that is not told."""
    assert Violation("no", expected=expected, got=got, index=index).evidence.picture is None


def test_an_index_that_means_something_else_marks_nothing() -> None:
    """A property may give one number, or none, or one beyond the matrix."""
    for index in ((), (1,), (1, 7)):
        found = Violation("no", expected=torch.zeros(2, 2), got=torch.ones(2, 2), index=index).evidence.picture
        assert found is not None and found.at == []


def test_axes_are_named_only_where_sizes_tell() -> None:
    """A wrong word is worse than none."""

    def words(case: Case, of: list[int], fixed: list[int]) -> tuple[tuple[str, ...], str, str]:
        return axes_of(Picture(shows="numbers", expected=[], got=[], first=[0, 0], of=of, fixed=fixed), case)

    layer = Case(role=Role.ENCODER_LAYER, q_len=3, k_len=3, d_model=8)
    assert words(layer, [3, 8], [1]) == (("row of the batch",), "token", "feature")
    assert words(layer, [3, 9], [1]) == ((), "", "")
    assert words(layer, [4, 8], [1]) == ((), "", "")
    assert words(layer, [3, 8], []) == ((), "", "")
    model = Case(role=Role.CAUSAL_LM, q_len=3, k_len=3, d_model=8, vocab=11)
    assert words(model, [3, 11], [0]) == (("row of the batch",), "token", "word")
    attention = Case(role=Role.ATTENTION, q_len=3, k_len=4, d_model=10, heads=2, d_value=5)
    assert words(attention, [3, 5], [0, 1]) == (("row of the batch", "head"), "token", "feature")
    assert words(attention, [3, 4], [0, 1]) == ((), "", ""), "weights over keys are no features"
    assert words(Case(role=Role.ATTENTION_BIAS, q_len=3, k_len=3), [3, 24], [1]) == ((), "", "")


def test_numbers_travel_as_json_can_hold_them() -> None:
    """NaN is a word on the way, and the place is told in words."""
    expected = torch.zeros(1, 2, 24, dtype=torch.float64)
    got = expected.clone()
    got[0, 1, 3] = math.nan
    told = _sayable_picture(picture(got, expected), Case(role=Role.ENCODER_LAYER, batch=1, q_len=2, k_len=2))
    assert "nan" in told.got[1] and told.place == "row of the batch 0"
    drawn = of_evidence(evidence(told))
    assert drawn is not None
    assert (
        drawn.axes == "Row of the batch 0; one row for each token, one column for each feature; 2 by 12 out of 2 by 24"
    )
    assert "NaN" in [cell.text for cell in drawn.maps[1].cells[1]]
    assert [cell.text for cell in drawn.maps[2].cells[1] if cell.marked] == ["NaN"]


@pytest.mark.parametrize(
    ("expected", "got", "texts"),
    [
        (1.0, 1.5, ["1.00", "1.50", "0.50"]),
        (1.0, 1.00001, ["1.000000", "1.000010", "1.0e−05"]),
        (-1234.5, 0.0, ["−1234.50", "0", "1.2e+03"]),
        (1e-7, 3e-7, ["1.0e−07", "3.0e−07", "2.0e−07"]),
        (1.0, math.inf, ["1.00", "∞", "∞"]),
        (1e300, -math.inf, ["1.0e+300", "−∞", "−∞"]),
    ],
)
def test_so_many_digits_that_the_difference_is_seen(expected: float, got: float, texts: list[str]) -> None:
    """Two numbers that look alike explain nothing."""
    drawn = of_evidence(
        evidence(None, expected=[expected], got=["inf" if got == math.inf else "-inf" if got == -math.inf else got])
    )
    assert drawn is not None
    assert [each.cells[0][0].text for each in drawn.maps] == texts


def test_dependences_are_dots_and_what_is_wrong_is_a_cross() -> None:
    """May: only a dependence too many is wrong; must: one that is missing, too."""
    matrices = {"expected": [[1, 0], [1, 1]], "got": [[1, 1], [0, 1]]}
    for shows, wrong in (("may depend", ["", "✗", "", ""]), ("must depend", ["", "✗", "○", ""])):
        drawn = of_evidence(
            evidence(Picture(shows=shows, rows="query", columns="key", at=[0, 1], first=[0, 0], of=[2, 2], **matrices))  # type: ignore[arg-type]
        )
        assert drawn is not None
        assert [[cell.text for row in each.cells for cell in row] for each in drawn.maps] == [
            ["●", "·", "●", "●"], ["●", "●", "·", "●"], wrong,
        ]  # fmt: skip
        assert all(each.cells[0][1].marked and not each.cells[1][0].marked for each in drawn.maps)


def test_a_leak_is_drawn_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """What paired perturbation finds says by itself that it is about who depends on whom."""
    monkeypatch.setattr(perturbation, "explained", lambda *_, **__: 0.0)
    instance, hidden = Instance(None, None, None, lambda: None), torch.tensor([[False, True], [False, False]])  # type: ignore[arg-type]
    with pytest.raises(Violation) as caught:
        perturbation.refuse_leaks(
            instance, Inputs.__new__(Inputs), torch.zeros(1), torch.tensor([[1.0, 2.0], [0.0, 1.0]]), hidden,
            who="it", what="key", grad=False,
        )  # fmt: skip
    found = caught.value.evidence.picture
    assert found is not None
    assert (found.shows, found.rows, found.columns, found.at) == ("may depend", "query", "key", [0, 1])
    assert found.expected == [[1, 0], [1, 1]] and found.got == [[1, 1], [0, 1]]


def test_a_later_part_of_something_longer_keeps_its_place() -> None:
    """Chunks of a text are compared one by one."""
    part = Picture(shows="numbers", expected=[[1]], got=[[2]], first=[1, 0], of=[3, 1])
    moved = moved_down(part, 4, ("token", "word"))
    assert moved is not None and (moved.first, moved.rows, moved.columns) == ([5, 0], "token", "word")
    assert moved_down(None, 4, ("token", "word")) is None


def test_where_the_computation_departs_is_drawn() -> None:
    """As reference and subject; without numbers there is nothing to draw."""
    drawn = of_departure(Departure(after="", at="x", difference=1.0, expected=[[1.0, 2.0]], got=[[1.0, 3.0]]))
    assert drawn is not None and [each.caption for each in drawn.maps][:2] == ["the reference", "the subject"]
    assert of_departure(Departure(after="", at="x", difference=1.0)) is None
    assert of_departure(Departure(after="", at="x", difference=1.0, expected=[[1.0]], got=[[1.0, 2.0]])) is None
    assert of_departure(Departure(after="", at="x", difference=1.0, expected=["?"], got=[[1.0, 2.0]])) is None
