"""What a judging process tells the one that watches it: one line each, in JSON."""

import msgspec

from veriformer.expectations import Expected
from veriformer.verdict import Diagnosis, Header, Missed, Place, Verdict


class Loaded(msgspec.Struct, frozen=True, tag_field="kind", tag="loaded"):
    """The target was imported; it holds these subjects. What their preflight notices is not in these headers yet."""

    subjects: list[Header]


class Refused(msgspec.Struct, frozen=True, tag_field="kind", tag="refused"):
    """The target cannot be judged at all: why, and the exit code that says so."""

    why: str
    exit_code: int


class Conditions(msgspec.Struct, frozen=True):
    """What the preflight found out about how the subject has to be judged, so that a second process need not find it out again."""

    dtype: str
    rounds_to: str
    neutralise_dropout: bool


class Ready(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="ready"):
    """A subject went through the preflight.

    Attributes:
        clauses: what it will be judged by, in this order.
        blocked: why it cannot be judged; empty where it can.
        exit_code: what ``blocked`` means: 2 or 3.
        places: where the subject is written, as far as that is known.
    """

    subject: int
    notes: list[str]
    conditions: Conditions
    clauses: list[str]
    expected: list[Expected] = []
    blocked: str = ""
    exit_code: int = 0
    places: list[Place] = []


class Begin(msgspec.Struct, frozen=True, tag_field="kind", tag="begin"):
    """A clause is about to be judged."""

    subject: int
    clause: str


class CaseSeen(msgspec.Struct, frozen=True, tag_field="kind", tag="case"):
    """A case is about to be run."""

    case: str


class Judged(msgspec.Struct, frozen=True, tag_field="kind", tag="judged"):
    """A clause was judged."""

    subject: int
    verdict: Verdict


class Diagnosed(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="diagnosed"):
    """A subject was judged by all of its clauses: what its failures look like, where there are any, and what may have been missed."""

    subject: int
    diagnosis: Diagnosis | None = None
    missed: Missed | None = None


class Finished(msgspec.Struct, frozen=True, tag_field="kind", tag="finished"):
    """Every subject was judged by every clause."""


class Broke(msgspec.Struct, frozen=True, tag_field="kind", tag="broke"):
    """Something that is not the subject's own doing stopped the child: it says what, and ends."""

    why: str


Event = Loaded | Refused | Ready | Begin | CaseSeen | Judged | Diagnosed | Finished | Broke
