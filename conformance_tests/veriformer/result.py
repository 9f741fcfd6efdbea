"""The result of judging one subject, and what exit code it stands for."""

import dataclasses
import functools
import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from veriformer.verdict import Diagnosis, Footer, Header, Missed, Status, Verdict
from veriformer_spec.chapters import CLAUSES
from veriformer_spec.clause import Level
from veriformer_spec.config import CLAIMS

CONFORMANT, NOT_CONFORMANT, WRONG_USAGE, CANNOT_RUN, INCONCLUSIVE = range(5)
"""What the command's exit codes mean."""

_PRECEDENCE = (WRONG_USAGE, CANNOT_RUN, NOT_CONFORMANT, INCONCLUSIVE, CONFORMANT)

WRONG = (Status.FAIL, Status.ERROR)
RAN = (Status.PASS, Status.FAIL, Status.EXPECTED_FAILURE, Status.UNEXPECTED_PASS)
"""Ends of a clause that tested something."""


@dataclasses.dataclass(frozen=True)
class Result:
    """One subject, judged; as text it is the report that the command prints."""

    header: Header
    verdicts: tuple[Verdict, ...]
    footer: Footer
    diagnosis: Diagnosis | None = None
    missed: Missed | None = None

    @property
    def conformant(self) -> bool:
        """Whether no MUST failed, errored or stayed inconclusive, and every expected failure failed."""
        return self.footer.conformant

    @property
    def exit_code(self) -> int:
        """What the command would exit with."""
        return self.footer.exit_code

    @property
    def failed(self) -> tuple[Verdict, ...]:
        """The clauses that do not hold, errors and unexpected passes among them; a SHOULD too."""
        return tuple(each for each in self.verdicts if each.status in (*WRONG, Status.UNEXPECTED_PASS))

    @property
    def notes(self) -> tuple[str, ...]:
        """What the preflight noticed about the adapter, and what the run assumed."""
        return tuple(self.header.notes)

    def __str__(self) -> str:
        from veriformer.report.terminal import text

        return text([self])


def footer_of(
    header: Header, verdicts: Sequence[Verdict], seconds: float, *, blocked: str = "", exit_code: int = 0
) -> Footer:
    """The end of one subject's report.

    Args:
        blocked: why the subject could not be judged; ``exit_code`` says what that means.
    """
    code = exit_code if blocked else exit_code_of(verdicts)
    return Footer(
        counts={str(status): count for status, count in Counter(each.status for each in verdicts).items()},
        conformant=code == CONFORMANT,
        exit_code=code,
        seconds=round(seconds, 3),
        not_verified=[] if blocked else not_verified(header.role, header.claims, verdicts),
        blocked=blocked,
    )


def exit_code_of(verdicts: Iterable[Verdict]) -> int:
    """What the verdicts on one subject stand for: 1, 4 or 0."""
    verdicts = tuple(verdicts)
    musts = {each.status for each in verdicts if each.level == Level.MUST}
    if musts & set(WRONG) or any(each.status is Status.UNEXPECTED_PASS for each in verdicts):
        return NOT_CONFORMANT
    return INCONCLUSIVE if Status.INCONCLUSIVE in musts else CONFORMANT


def worst(codes: Iterable[int]) -> int:
    """One exit code for several: wrong usage before cannot run, before not conformant, before inconclusive."""
    return min(codes, key=_PRECEDENCE.index, default=CONFORMANT)


def not_verified(role: str, claims: Mapping[str, object], verdicts: Sequence[Verdict]) -> list[str]:
    """Claims that differ from their default and that no clause which ran depends on.

    A claim is verified by the clauses that it selects, by those named for it below, and, where it shows in the numbers, by those
    that compare with the reference, which need the weights.
    """
    from veriformer.worker import every_property

    ran = {each.clause for each in verdicts if each.status in RAN}
    in_full = {each.clause for each in verdicts if each.status in RAN and WITNESS_NOT_CHECKED not in each.reason}
    by_numbers = {
        clause for clause, tests in every_property().items() if any(one.needs_weights for one in tests)
    } & in_full
    found = []
    for name, value in claims.items():
        if name not in CLAIMS or name in _VERIFIED_BY_WHAT_IS_PASSED or value == _default(name):
            continue
        selecting = {clause.id for clause in CLAUSES.values() if name in clause.when and role in clause.roles}
        testing = ran & (selecting | set(_NAMED_FOR.get(name, ())))
        if not testing and (name in _NOT_IN_THE_NUMBERS or not by_numbers):
            found.append(f"{name}={_in_a_word(value)}")
    return found


@functools.cache
def specification_version() -> str:
    """How many clauses there are, and eight digits that change with any of their sentences."""
    said = "\n".join(map(str, CLAUSES.values()))
    return f"{len(CLAUSES)} clauses, {hashlib.sha256(said.encode()).hexdigest()[:8]}"


WITNESS_NOT_CHECKED = "one witness was not checked"
"""What a verdict says that is a pass without the property that needs the weights."""

_NAMED_FOR: Mapping[str, tuple[str, ...]] = {
    "norm": ("residual.norm-placement-is-as-claimed",),
    "final_norm": ("residual.a-pre-norm-stack-ends-in-a-norm",),
    "causal": ("masking.causal-outputs-ignore-the-future",),
    "nothing_visible": ("masking.a-row-with-nothing-visible-is-as-claimed",),
    "memory": ("heads.time-stays-time",),
}
"""Clauses that test a claim without being selected by it."""

_NOT_IN_THE_NUMBERS = ("nothing_visible", "dropout", "computes_in")
"""Claims about what a comparison with the reference does not look at."""

_VERIFIED_BY_WHAT_IS_PASSED = ("masks",)
"""Claims that decide what the subject is called with: the calls themselves verify them."""


def _in_a_word(value: object) -> object:
    """One value for both code paths is said once."""
    if isinstance(value, Mapping) and len(set(value.values())) == 1:
        return next(iter(value.values()))
    return value


def _default(name: str) -> object:
    default = CLAIMS[name].default
    if name == "nothing_visible":
        return {"grad": default, "no-grad": default}
    return list(default) if isinstance(default, tuple) else default
