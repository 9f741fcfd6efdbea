"""Tests for a suite of one's own: ``test_mine = veriformer.conformance(build)`` makes one test for each clause."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from torch import nn

from veriformer.declaration import Build, Declaration, Fixed, Weights
from veriformer.expectations import read as read_expectations
from veriformer.report.terminal import failure_text
from veriformer.request import Request
from veriformer.run import Session
from veriformer.steps import Steps
from veriformer.targets import found
from veriformer.verdict import Status
from veriformer_spec.clause import Level


def conformance(
    build: Build | nn.Module | Declaration,
    *,
    role: str | None = None,
    weights: Weights | None = None,
    sizes: Fixed | None = None,
    steps: Steps | None = None,
    budget: str = "standard",
    device: Any = "cpu",
    dtype: Any = "float64",
    seed: int = 0,
    only: str | Sequence[str] = (),
    skip: str | Sequence[str] = (),
    expect_failures: Any = None,
    isolate: bool = True,
    time_limit: float = 60.0,
    **claims: object,
) -> Callable[[str], None]:
    """A test function with one case for each clause that is asked of the subject; the arguments are those of ``check``.

    A clause that cannot be checked is skipped with its reason; a failure that was expected is an xfail, and one that was
    expected and passes fails; a SHOULD that does not hold is an xfail.

    Raises:
        UsageError: an argument names something that does not exist, or cannot be meant.
    """
    request = Request(
        budget=budget,
        device=str(device),
        dtype=str(dtype).removeprefix("torch."),
        seed=seed,
        only=(only,) if isinstance(only, str) else tuple(only),
        skip=(skip,) if isinstance(skip, str) else tuple(skip),
        expected=read_expectations(expect_failures) if expect_failures is not None else (),
        isolate=isolate,
        time_limit=time_limit,
    )
    session = Session(found(build, role=role, weights=weights, sizes=sizes, steps=steps, claims=claims), request)

    @pytest.mark.parametrize("clause", session.clauses)
    def test(clause: str) -> None:
        require(session, clause)

    test.__doc__ = f"{session.subject.declaration.name} keeps what the clause says."
    return test


def require(session: Session, clause: str) -> None:
    """Judge one clause and end as pytest wants to hear it."""
    result = session.result(clause)
    if not result.verdicts:
        pytest.fail(f"{result.header.subject} could not be judged: {result.footer.blocked}", pytrace=False)
    (verdict,) = result.verdicts
    match verdict.status:
        case Status.PASS:
            return
        case Status.NOT_CHECKED:
            pytest.skip(f"not checked: {verdict.reason}")
        case Status.EXPECTED_FAILURE:
            pytest.xfail(verdict.reason)
        case _:
            said = failure_text(verdict, result.header)
            if verdict.level != Level.MUST and verdict.status is not Status.UNEXPECTED_PASS:
                pytest.xfail(
                    f"a {verdict.level}, no MUST: {verdict.evidence.message if verdict.evidence else verdict.reason}"
                )
            notes = "".join(f"note: {note}\n" for note in result.notes)
            pytest.fail(f"{notes}{said}", pytrace=False)
