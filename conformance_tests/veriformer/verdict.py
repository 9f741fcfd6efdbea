"""Verdicts, and the other lines of a report; msgspec validates them and makes the schema."""

from enum import StrEnum

import msgspec


class Status(StrEnum):
    """How a clause ended."""

    PASS = "pass"  # noqa: S105  # no password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    NOT_CHECKED = "not checked"
    ERROR = "error"
    EXPECTED_FAILURE = "expected failure"
    UNEXPECTED_PASS = "unexpected pass"  # noqa: S105  # no password


class CaseEvidence(msgspec.Struct, frozen=True, kw_only=True):
    """The smallest case that failed, small enough for one screen."""

    property: str
    case: str
    message: str
    expected: list[object] | float | str | None = None
    got: list[object] | float | str | None = None
    index: list[int] = []
    margin: str = ""


class Verdict(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="verdict"):
    """One clause on one subject.

    Attributes:
        examples: cases run.
        exercised: cases that could have failed.
        seconds: wall time.
        reason: why it was not checked, is inconclusive, or was expected to fail.
    """

    clause: str
    level: str
    status: Status
    examples: int
    exercised: int
    seconds: float
    evidence: CaseEvidence | None = None
    reason: str = ""


class Header(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="header"):
    """What was judged, by what.

    Attributes:
        target: what to type to judge the subject again; empty where nothing can be typed for it.
        options: what else was typed that changes the subject, such as ``--set norm=pre``.
        notes: what the preflight noticed about the adapter, and what the run assumed.
    """

    versions: dict[str, str]
    target: str
    options: list[str] = []
    subject: str
    role: str
    claims: dict[str, object]
    sizes: dict[str, int]
    device: str
    dtype: str
    budget: str
    seed: int
    notes: list[str] = []


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="diagnosis"):
    """What the failures look like, most likely first."""

    faults: list[str]
    exact: bool


class Footer(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="footer"):
    """The end of one subject's report; a report without one was cut off, and is refused.

    Attributes:
        counts: clauses by status.
        not_verified: claims that differ from the default and that no clause that ran has tested.
        blocked: why the subject could not be judged at all; empty where it was.
    """

    counts: dict[str, int]
    conformant: bool
    exit_code: int
    seconds: float
    not_verified: list[str] = []
    blocked: str = ""


Line = Header | Verdict | Diagnosis | Footer
