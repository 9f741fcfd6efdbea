"""Causes before consequences: the report leads with the clause that the bug is about."""

import pytest

from veriformer.causes import EXPLAINS, causes_first, explained_by
from veriformer_spec.chapters import CLAUSES

MERGE = "heads.time-stays-time"
LEAK = "masking.masked-keys-are-invisible"
REFERENCE = "heads.equals-the-reference"
ROUNDING = "numerics.error-within-rounding"


def test_every_cause_is_a_clause() -> None:
    """A table of slugs that nothing checks would rot."""
    assert set(EXPLAINS) <= set(CLAUSES)


@pytest.mark.parametrize(
    ("failed", "causes"),
    [
        ([LEAK, MERGE, REFERENCE], [MERGE]),  # heads mixed over time make masked keys visible
        ([LEAK, REFERENCE], [LEAK]),
        ([REFERENCE, ROUNDING], [REFERENCE]),  # wrong in float64 is wrong in float32
        ([ROUNDING], [ROUNDING]),
        ([LEAK, "state.inputs-are-not-modified"], [LEAK, "state.inputs-are-not-modified"]),
    ],
)
def test_the_cause_stands_first(failed: list[str], causes: list[str]) -> None:
    """Whatever the order in which clauses failed."""
    assert causes_first(failed)[0] == causes
    assert causes_first(failed[::-1])[0] == causes[::-1]


def test_what_needs_a_mask_is_the_mask_s_fault() -> None:
    """A clause about something else that fails only under a mask stands behind the masking clause."""
    clause = "attention.one-key-returns-its-value"
    assert explained_by(clause, [clause, LEAK], [clause]) == LEAK
    assert explained_by(clause, [clause, LEAK]) is None


def test_something_always_leads() -> None:
    """No failure may explain itself away: every pair keeps a cause."""
    for first in CLAUSES:
        for second in CLAUSES:
            assert causes_first([first, second])[0], (first, second)
