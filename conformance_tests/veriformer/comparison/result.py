"""What a comparison found, as it is told and written."""

from enum import StrEnum

import msgspec


class Likeness(StrEnum):
    """How alike two builds are."""

    EQUAL = "equal"
    WITHIN_ROUNDING = "equal within rounding"
    DIFFERS = "differs"


class Parting(msgspec.Struct, frozen=True, kw_only=True):
    """The first point at which NEW leaves OLD.

    Attributes:
        after: the last point of OLD before it whose numbers NEW makes too; empty where there is none.
        at: where in OLD: its module and operation.
        there: where in NEW the nearest numbers are made.
        named: what the specification calls the point, where OLD's weights are understood.
        difference: the largest there.
        old: a small matrix of OLD's numbers, around the largest difference.
        new: NEW's.
        index: of the largest difference, in OLD's tensor.
    """

    after: str = ""
    at: str
    there: str = ""
    named: str = ""
    difference: float
    old: list[object] = []
    new: list[object] = []
    index: list[int] = []


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One call of both, in one setting.

    Attributes:
        call: what was passed, such as ``plain`` or ``one row all padded``.
        setting: dtype, mode, gradients.
        likeness: of what came back.
        units: how far apart, in units of rounding; 0 where every bit is equal.
        reason: what differs, in a sentence, where something does.
    """

    call: str
    setting: str
    likeness: Likeness
    units: float = 0.0
    reason: str = ""


class Comparison(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="comparison"):
    """OLD and NEW, set against each other.

    Attributes:
        role: what both claim to be; empty where nobody said.
        state: how NEW was given OLD's state.
        runs: every call in every setting.
        state_differences: parameters and buffers that differ in shape or in value before NEW was given OLD's state.
        notes: what was assumed, and what could not be compared.
        case: the smallest case that differs.
        parting: where; None where nothing differs, or where the inside cannot be seen.
    """

    old: str
    new: str
    role: str = ""
    likeness: Likeness
    said: str
    state: str
    runs: list[Run]
    state_differences: list[str] = []
    notes: list[str] = []
    case: str = ""
    parting: Parting | None = None
    seconds: float = 0.0

    @property
    def exit_code(self) -> int:
        """0 where NEW does what OLD does, 1 where it does not."""
        return int(self.likeness is Likeness.DIFFERS)

    @property
    def units(self) -> float:
        """The largest distance of any run that is within rounding."""
        return max((each.units for each in self.runs if each.likeness is not Likeness.DIFFERS), default=0.0)

    @property
    def by_call(self) -> dict[str, list[Run]]:
        """The runs that differ, by what was passed."""
        return {
            call: [run for run in self.differing if run.call == call]
            for call in dict.fromkeys(run.call for run in self.differing)
        }

    @property
    def differing(self) -> list[Run]:
        """The runs that differ."""
        return [each for each in self.runs if each.likeness is Likeness.DIFFERS]

    def __str__(self) -> str:
        from veriformer.report.comparison import text

        return text(self)
