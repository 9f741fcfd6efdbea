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


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """Two small matrices that a page draws side by side.

    Attributes:
        shows: ``numbers``; ``may depend``, where a 1 in ``expected`` allows a dependence and a 1 in ``got`` is one; or
            ``must depend``, where a 1 in ``expected`` demands it.
        rows: what goes down, such as ``query``; empty where that is not known.
        columns: what goes across.
        at: row and column, among those shown, of what the message speaks of; empty where it speaks of no place.
        first: the indices of the first row and column shown.
        of: how many rows and columns there are; those that are not shown are left out.
        fixed: where in a larger tensor the matrix stands: the indices of the axes before the last two.
        place: the same in words.
    """

    shows: str
    rows: str = ""
    columns: str = ""
    expected: list[list[object]]
    got: list[list[object]]
    at: list[int] = []
    first: list[int]
    of: list[int]
    fixed: list[int] = []
    place: str = ""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where something is written.

    Attributes:
        what: ``class`` of what the subject builds, or ``build`` function.
        name: its name.
        file: its file: below the folder of the run as a path from there, with slashes; elsewhere in full.
        line: its first line, from 1.
    """

    what: str
    name: str
    file: str
    line: int


class CaseEvidence(msgspec.Struct, frozen=True, kw_only=True):
    """The smallest case that failed, small enough for one screen; with a picture where a page has more room."""

    property: str
    case: str
    message: str
    expected: list[object] | float | str | None = None
    got: list[object] | float | str | None = None
    index: list[int] = []
    margin: str = ""
    picture: Picture | None = None


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


class Assumed(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that nobody said of a subject, and that was taken to be so.

    Attributes:
        what: what it is about, such as ``the mask attn_mask``.
        value: what was assumed.
        how: how that was found out.
    """

    what: str
    value: str
    how: str


class Header(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="header"):
    """What was judged, by what.

    Attributes:
        assumed: what was assumed of a subject that no adapter presents.
        target: what to type to judge the subject again; empty where nothing can be typed for it.
        options: what else was typed that changes the subject, such as ``--set norm=pre``.
        notes: what the preflight noticed about the adapter, and what the run assumed.
        places: where the subject is written, as far as that is known: the class of what it builds, and the build function; what is
            below the folder of the run first.
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
    places: list[Place] = []
    notes: list[str] = []
    assumed: list[Assumed] = []


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What a subject behaves as: another legal claim, a catalogued fault, or two of them together.

    Attributes:
        claims: claim values, such as ``norm=pre``, under which the reference does what the subject does.
        faults: catalogued faults that, planted in the reference together, make it do what the subject does.
        exact: equal within rounding wherever it was compared, and nothing else is; otherwise it is only the nearest.
        distance: the largest difference, as a share of the largest number compared; None where numbers were not compared.
        same: other faults that are the same function here.
        sentence: what is wrong, in one sentence.
        written: how it usually gets written.
        mend: how to mend it, in a line or two.
        source: where it was seen.
    """

    claims: list[str] = []
    faults: list[str] = []
    exact: bool
    distance: float | None = None
    same: list[str] = []
    sentence: str = ""
    written: str = ""
    mend: str = ""
    source: str = ""

    @property
    def name(self) -> str:
        """How it is called in a report."""
        return " and ".join([*self.claims, *self.faults])


class Departure(msgspec.Struct, frozen=True, kw_only=True):
    """Where the computation first leaves the reference's.

    Attributes:
        after: the last named point at which both agree; empty where there is none.
        at: the first at which they do not.
        difference: the largest difference there.
        expected: the reference's numbers there, a small matrix of them.
        got: the subject's.
    """

    after: str
    at: str
    difference: float
    expected: list[object] = []
    got: list[object] = []


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="diagnosis"):
    """What the failures look like, most likely first.

    Attributes:
        basis: what was compared: ``weights``, ``symmetric weights``, ``outputs`` where there are no weights, or ``clauses that failed``.
        findings: ranked; empty where nothing is near enough to be named.
        said: the same in one sentence.
        departure: where the computation first departs, where the subject shows its inside.
        seconds: wall time.
    """

    basis: str = ""
    findings: list[Finding] = []
    said: str = ""
    departure: Departure | None = None
    seconds: float = 0.0


class Missed(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="missed"):
    """What this run could have missed: catalogued faults that none of the clauses that ran is known to find.

    Attributes:
        faults: their ids.
        known: catalogued faults that a subject of this role, with these claims, may have.
        closing: what would close part of the gap -> how many it would find, such as ``a weights mapping``.
    """

    faults: list[str]
    known: int
    closing: dict[str, int] = {}


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


Line = Header | Verdict | Diagnosis | Missed | Footer
