"""The report as a page: everything that the lines of a report say, for someone who has nothing but the page."""

import dataclasses
import shlex
from collections import Counter
from collections.abc import Iterable, Sequence

from veriformer.report.failures import failures
from veriformer.report.found import how_sure, missed_in_words
from veriformer.report.numbers import matrix
from veriformer.report.pages import render
from veriformer.report.pictures import Pictures, of_departure, of_evidence
from veriformer.report.terminal import BUILD_REMEDY, headline, in_a_word, replay_line
from veriformer.result import CONFORMANT, INCONCLUSIVE, RAN, Result, specification_version
from veriformer.verdict import CaseEvidence, Departure, Diagnosis, Finding, Header, Place, Status, Verdict
from veriformer_spec.chapters import CLAUSES
from veriformer_spec.config import CLAIMS
from veriformer_spec.role import Role

SIGNS = {
    Status.PASS: ("✓", "good"),
    Status.FAIL: ("✗", "bad"),
    Status.ERROR: ("!", "bad"),
    Status.UNEXPECTED_PASS: ("↑", "bad"),
    Status.INCONCLUSIVE: ("?", "open"),
    Status.EXPECTED_FAILURE: ("~", "open"),
    Status.NOT_CHECKED: ("–", "soft"),
}
"""A sign and a colour for each end of a clause; the sign is enough where colours are not seen."""

SIZES = {
    "batch": "sequences that are given at once",
    "q_len": "tokens that ask (queries)",
    "k_len": "tokens that are asked (keys and values)",
    "d_model": "features of a token",
    "heads": "heads of attention",
    "kv_heads": "heads of keys and values",
    "d_head": "features of a query or a key in one head",
    "d_value": "features of a value in one head",
    "d_ff": "features inside the feed-forward network",
    "layers": "layers",
    "vocab": "words of the vocabulary",
    "context": "tokens of the memory",
    "window": "tokens that a query sees",
    "d_input": "features of an input before its projection",
    "side": "which keys are looked at: the token's own side, or the memory (cross)",
    "mask": "what is hidden from whom",
    "seed": "the number that all random numbers come from",
}
"""The words of a case, for someone who reads one for the first time."""

_BASIS = {
    "weights": "with the subject's own weights in the reference",
    "symmetric weights": "with weights that are equal wherever shapes are",
    "outputs": "on the same inputs",
}


@dataclasses.dataclass(frozen=True)
class Group:
    """Clauses that ended alike, for one reason."""

    reason: str
    clauses: tuple[tuple[str, str], ...]


@dataclasses.dataclass(frozen=True)
class Failure:
    """One failure, with all that is known of it.

    Attributes:
        seen: what was seen, in one sentence.
        case: the words of the smallest case: name, value, meaning.
        pictures: expected, got and difference.
        numbers: expected and got as text, where they are no picture.
        same: other clauses that met the same error.
        because: the clause that most likely explains it.
    """

    clause: str
    level: str
    status: str
    sign: str
    tone: str
    sentence: str
    source: str
    usually: str
    seen: str
    reason: str
    case: tuple[tuple[str, str, str], ...]
    pictures: Pictures | None
    numbers: tuple[str, str] | None
    margin: str
    replay: str
    same: tuple[str, ...] = ()
    because: str = ""


@dataclasses.dataclass(frozen=True)
class Named:
    """One finding of a diagnosis, and how sure it is."""

    finding: Finding
    sure: str
    meaning: str


@dataclasses.dataclass(frozen=True)
class Subject:
    """One subject, as a page tells it."""

    result: Result
    anchor: str
    name: str
    word: str
    tone: str
    short: str
    facts: tuple[tuple[str, str], ...]
    claims: tuple[tuple[str, str, str], ...]
    counts: tuple[tuple[str, int, str, str, float], ...]
    named: tuple[Named, ...]
    departure: Departure | None
    departure_pictures: Pictures | None
    stopped: tuple[Failure, ...]
    causes: tuple[Failure, ...]
    followers: tuple[Failure, ...]
    expected: tuple[Group, ...]
    doubtful: tuple[Group, ...]
    unchecked: tuple[Group, ...]
    unchecked_count: int
    missed: str
    rows: tuple[tuple[Verdict, str, str, str], ...]
    again: str


def text(results: Sequence[Result]) -> str:
    """The whole page."""
    subjects = [_subject(result, f"subject-{number}") for number, result in enumerate(results, start=1)]
    one = subjects[0] if len(subjects) == 1 else None
    return render(
        "check.html.j2",
        subjects=subjects,
        title=f"{one.name}: {one.word}" if one else _together(subjects),
        headline="" if one else _together(subjects),
        versions=_versions(results),
        remedy=BUILD_REMEDY,
        total=len(CLAUSES),
    )


def _together(subjects: Sequence[Subject]) -> str:
    """The verdicts on several subjects, counted."""
    if not subjects:
        return "Nothing was judged"
    counts = Counter(each.word for each in subjects)
    return f"{len(subjects)} subjects: {', '.join(f'{count} {word}' for word, count in counts.items())}"


def _versions(results: Sequence[Result]) -> tuple[str, ...]:
    """What the reports were written with, and a warning where the clauses have changed since."""
    said = {
        ", ".join(f"{name} {version}" for name, version in sorted(each.header.versions.items())) for each in results
    }
    specs = {each.header.versions.get("spec", "") for each in results}
    if specs <= {"", specification_version()}:
        return tuple(sorted(said))
    warning = f"the sentences on this page are those of a specification with {specification_version()}: some may have changed since"
    return (*sorted(said), warning)


def _subject(result: Result, anchor: str) -> Subject:
    header, footer = result.header, result.footer
    found = failures(result)
    total = len(result.verdicts)
    counts = tuple(
        (str(status), count, *SIGNS[status], 100 * count / total)
        for status in Status
        if (count := footer.counts.get(status, 0))
    )
    departure = result.diagnosis.departure if result.diagnosis is not None else None
    return Subject(
        result=result,
        anchor=anchor,
        name=header.target if header.target.endswith(f":{header.subject}") else header.subject,
        word=in_a_word(result),
        tone={CONFORMANT: "good", INCONCLUSIVE: "open"}.get(result.exit_code, "bad") if _looked(result) else "open",
        short=headline(result) if not footer.blocked else in_a_word(result),
        facts=tuple(_facts(header, result)),
        claims=tuple(_claims(header)),
        counts=counts,
        named=tuple(_named(result.diagnosis)),
        departure=departure,
        departure_pictures=of_departure(departure) if departure is not None else None,
        stopped=tuple(_failure(each, header) for each in found.stopped),
        causes=tuple(_failure(each, header) for each in found.causes),
        followers=tuple(_failure((each,), header, because) for each, because in found.followers),
        expected=_groups(result, Status.EXPECTED_FAILURE),
        doubtful=_groups(result, Status.INCONCLUSIVE),
        unchecked=_groups(result, Status.NOT_CHECKED),
        unchecked_count=footer.counts.get(Status.NOT_CHECKED, 0),
        missed=missed_in_words(result.missed) if result.missed is not None else "",
        rows=tuple((each, *SIGNS[each.status], CLAUSES[each.clause].text) for each in result.verdicts),
        again=_again(header),
    )


def _looked(result: Result) -> bool:
    """Whether anything was tested at all; what was not looked at is not shown in green."""
    return bool(result.footer.blocked) or result.exit_code != CONFORMANT or any(
        each.status in RAN for each in result.verdicts
    )  # fmt: skip


def _facts(header: Header, result: Result) -> Iterable[tuple[str, str]]:
    if header.role:
        yield "claims to be", header.role
    if header.places:
        yield "written in", "; ".join(map(_place, header.places))
    if header.target and (header.options or header.target != header.subject):
        yield "judged as", " ".join([header.target, *header.options])
    yield "calculated", f"on {header.device}, in {header.dtype}"
    examples = sum(each.examples for each in result.verdicts)
    yield "effort", f"{examples} cases in {result.footer.seconds:.1f} s (budget {header.budget}, seed {header.seed})"
    if header.sizes:
        yield "its sizes", ", ".join(f"{name} = {value}" for name, value in sorted(header.sizes.items()))
    if result.footer.not_verified:
        yield "claimed, not verified", ", ".join(result.footer.not_verified)


def _place(place: Place) -> str:
    what = "class" if place.what == "class" else "build function"
    return f"{place.file}, line {place.line} ({what} {place.name})"


def _claims(header: Header) -> Iterable[tuple[str, str, str]]:
    """What the subject claims beyond the defaults: name, value, meaning."""
    for name, value in sorted(header.claims.items()):
        claim = CLAIMS.get(name)
        if claim is None:
            yield name, _said(value), ""
            continue
        usual = claim.default_for(Role(header.role)) if header.role in set(Role) else claim.default
        if value not in (usual, list(usual) if isinstance(usual, tuple) else usual, {"grad": usual, "no-grad": usual}):
            yield name, _said(value), claim.meaning


def _said(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _again(header: Header) -> str:
    """What to type to judge the subject again."""
    return shlex.join(["veriformer", "check", header.target, *header.options]) if header.target else ""


def _named(diagnosis: Diagnosis | None) -> Iterable[Named]:
    if diagnosis is None:
        return
    where = _BASIS.get(diagnosis.basis, "")
    for finding in diagnosis.findings:
        what = "under this claim" if finding.claims and not finding.faults else "with this mistake in it"
        if diagnosis.basis == "clauses that failed":
            meaning = (
                "No numbers could be compared: it is the catalogued mistake that most nearly fails the same clauses."
            )
        elif finding.exact:
            meaning = f"The reference {what} computes what the subject computes, within rounding, {where}; nothing else that is catalogued does."
        else:
            meaning = f"Nothing that is catalogued computes the same. The reference {what} comes nearest, {where}."
        yield Named(finding, how_sure(finding, diagnosis.basis), meaning)


def _failure(group: Sequence[Verdict], header: Header, because: str = "") -> Failure:
    verdict, *others = group
    clause, evidence = CLAUSES[verdict.clause], verdict.evidence
    sign, tone = SIGNS[verdict.status]
    message = evidence.message if evidence is not None else ""
    pictures = of_evidence(evidence) if evidence is not None else None
    numbers = None
    if evidence is not None and pictures is None and (evidence.expected is not None or evidence.got is not None):
        numbers = (matrix(evidence.expected), matrix(evidence.got))
    return Failure(
        clause=clause.id,
        level=verdict.level,
        status=str(verdict.status),
        sign=sign,
        tone=tone if verdict.level == "MUST" or verdict.status is Status.UNEXPECTED_PASS else "open",
        sentence=clause.text,
        source=clause.source,
        usually=clause.breaks,
        seen=message,
        reason=verdict.reason if verdict.reason != message else "",
        case=tuple(_case(evidence.case)) if evidence is not None else (),
        pictures=pictures,
        numbers=numbers,
        margin=_margin(evidence) if evidence is not None else "",
        replay=replay_line(verdict, header),
        same=tuple(each.clause for each in others),
        because=because,
    )


def _margin(evidence: CaseEvidence) -> str:
    """By how much; what the numbers of a dependence mean is said by the pictures."""
    drawn = evidence.picture is not None and evidence.picture.shows != "numbers"
    return evidence.margin.partition("; 1 = ")[0] if drawn else evidence.margin


def _case(case: str) -> Iterable[tuple[str, str, str]]:
    for word in case.split():
        name, _, value = word.partition("=")
        yield name, value, SIZES.get(name, "")


def _groups(result: Result, status: Status) -> tuple[Group, ...]:
    reasons: dict[str, list[str]] = {}
    for each in result.verdicts:
        if each.status is status:
            reasons.setdefault(each.reason, []).append(each.clause)
    return tuple(
        Group(reason, tuple((clause, CLAUSES[clause].text) for clause in clauses))
        for reason, clauses in reasons.items()
    )
