"""SARIF: what code scanners are told.

No package on the index ships the standard's schema, so that the part of it which is written here is restated below, by hand from the
standard: names, which of them must be there, and what values they may have. Anything else is an error.
"""

import json
from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta

from self_tests.test_report import EVIDENCE, FAILED, FOUND, HEADER, MIXED, result, verdict
from veriformer.report import sarif
from veriformer.result import Result, footer_of
from veriformer.verdict import Place, Status
from veriformer_spec.chapters import CLAUSES

Text = Annotated[str, Meta(min_length=1)]
Level = Literal["none", "note", "warning", "error"]


class Struct(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """Nothing that the standard does not name; lists of the standard are sets unless it says otherwise."""


class Message(Struct):  # 3.11
    text: Text
    markdown: Text | None = None


class Artifact(Struct):  # 3.4
    uri: Annotated[str, Meta(pattern=r"^(file:///)?[A-Za-z0-9_./~%-]+$")]
    uri_base_id: Text | None = None


class Region(Struct):  # 3.30
    start_line: Annotated[int, Meta(ge=1)]


class Physical(Struct):  # 3.29
    artifact_location: Artifact
    region: Region


class Logical(Struct):  # 3.33
    name: Text
    fully_qualified_name: Text
    kind: Text


class Location(Struct):  # 3.28
    id: Annotated[int, Meta(ge=-1)] = -1
    physical_location: Physical | None = None
    logical_locations: list[Logical] = []
    message: Message | None = None


class Suppression(Struct):  # 3.35
    kind: Literal["inSource", "external"]
    status: Literal["accepted", "underReview", "rejected"]
    justification: Text


class Found(Struct):  # 3.27
    rule_id: Text
    rule_index: Annotated[int, Meta(ge=-1)]
    message: Message
    locations: Annotated[list[Location], Meta(min_length=1)]
    partial_fingerprints: dict[str, Text]
    kind: Literal["notApplicable", "pass", "fail", "review", "open", "informational"] = "fail"
    level: Level = "warning"
    related_locations: list[Location] = []
    suppressions: list[Suppression] = []
    properties: dict[str, Any] = {}


class Configuration(Struct):  # 3.50
    level: Level


class Rule(Struct):  # 3.49
    id: Text
    name: Text
    short_description: Message
    help: Message
    default_configuration: Configuration
    full_description: Message | None = None
    properties: dict[str, Any] = {}


class Driver(Struct):  # 3.19
    name: Text
    full_name: Text
    version: str
    rules: list[Rule]


class Tool(Struct):  # 3.18
    driver: Driver


class Notification(Struct):  # 3.58
    level: Level
    message: Message


class Invocation(Struct):  # 3.20
    execution_successful: bool
    exit_code: int
    exit_code_description: str
    tool_execution_notifications: list[Notification]


class Run(Struct):  # 3.14
    tool: Tool
    invocations: list[Invocation]
    column_kind: Literal["utf16CodeUnits", "unicodeCodePoints"]
    results: list[Found]
    properties: dict[str, Any]


class Log(Struct):  # 3.13
    version: Literal["2.1.0"]
    runs: list[Run]
    schema: str = msgspec.field(name="$schema")


def read(*results: Result) -> Run:
    """The log, as the standard allows it."""
    log = msgspec.json.decode(sarif.text(results), type=Log)
    assert log.schema.endswith("sarif-schema-2.1.0.json")
    (run,) = log.runs
    ids = [rule.id for rule in run.tool.driver.rules]
    assert len(set(ids)) == len(ids)
    for each in run.results:
        assert ids[each.rule_index] == each.rule_id
        assert each.kind == "fail" or each.level == "none", "3.27.10"
        assert len({location.id for location in each.related_locations}) == len(each.related_locations)
    return run


def placed(*places: Place) -> Result:
    header = msgspec.structs.replace(HEADER, places=list(places))
    return Result(header, (FAILED,), footer_of(header, (FAILED,), 1.0))


HERE = Place(what="class", name="Layer", file="a folder/mine.py", line=12)
BUILD = Place(what="build", name="build", file="a folder/mine.py", line=40)
ELSEWHERE = Place(what="class", name="Linear", file="/usr/lib/torch/linear.py", line=3)


def test_every_end_of_a_clause_is_told_as_the_standard_has_it() -> None:
    """What holds and what was not checked are no results; a SHOULD warns; what was expected is suppressed; doubt is open."""
    told = {each.rule_id: each for each in read(MIXED).results}
    assert {clause: (each.kind, each.level, len(each.suppressions)) for clause, each in told.items()} == {
        "masking.masked-keys-are-invisible": ("fail", "error", 0),
        "masking.masks-broadcast": ("fail", "error", 0),
        "masking.no-mask-is-an-all-true-mask": ("fail", "error", 0),
        "state.calls-are-silent": ("fail", "warning", 0),
        "masking.padding-does-not-change-real-positions": ("fail", "error", 0),
        "heads.time-stays-time": ("open", "none", 0),
        "residual.the-skip-adds-the-input-once": ("fail", "error", 1),
    }
    assert told["residual.the-skip-adds-the-input-once"].suppressions[0].justification == "known [https://example.org]"


def test_a_result_says_what_a_reader_of_the_scanner_needs() -> None:
    """What was seen, the smallest case, the bug's name and mend, the replay line; what follows from it names it."""
    told = {each.rule_id: each for each in read(FOUND).results}
    said = told["masking.masked-keys-are-invisible"].message.text
    for words in (
        "build: a masked key is visible.",
        "Smallest case: batch=1 q_len=2 seed=0; changes by 3.",
        "What it looks like: merge-heads-without-transpose (exact).",
        "Mend: x.transpose(1, 2).reshape(b, t, d)",
        "Replay: veriformer check mine.py:build --set norm=pre --only masking.masked-keys-are-invisible",
    ):
        assert words in said, words
    follower = told["masking.no-mask-is-an-all-true-mask"]
    assert "Mend:" not in follower.message.text
    assert "call raised RuntimeError" in follower.message.text


def test_rules_are_the_clauses_that_were_asked() -> None:
    """Each with its sentence, its source and what usually breaks it, at its own level."""
    run = read(MIXED)
    rules = {each.id: each for each in run.tool.driver.rules}
    assert set(rules) == {each.clause for each in MIXED.verdicts}
    rule, clause = rules["masking.masked-keys-are-invisible"], CLAUSES["masking.masked-keys-are-invisible"]
    assert rule.name == "MaskedKeysAreInvisible"
    for words in (clause.source, clause.breaks, "MUST", "veriformer explain masking.masked-keys-are-invisible"):
        assert words in rule.help.text
    assert rules["state.calls-are-silent"].default_configuration.level == "warning"
    assert rule.properties["tags"] == ["transformer", "masking", "MUST"]


def test_markdown_of_the_help_is_plain_text_for_every_clause() -> None:
    """No sentence is read as markup: what a scanner shows is what stands in the specification."""
    every = result(*(verdict(clause, Status.NOT_CHECKED, reason="why") for clause in CLAUSES))
    for rule in read(every).tool.driver.rules:
        assert rule.help.markdown is not None
        assert rule.help.markdown.replace("\\", "").count(CLAUSES[rule.id].source) == 1
        assert not set("<>") & set(rule.help.markdown.replace("\\<", "").replace("\\>", ""))


def test_a_result_stands_where_the_subject_is_written() -> None:
    """A path from the folder of the run, or a file: address; the other place is related."""
    (one,) = read(placed(HERE, BUILD)).results
    first = one.locations[0].physical_location
    assert first is not None
    assert (first.artifact_location.uri, first.artifact_location.uri_base_id) == ("a%20folder/mine.py", "%SRCROOT%")
    assert first.region.start_line == 12
    assert [each.physical_location.region.start_line for each in one.related_locations if each.physical_location] == [
        40
    ]
    (other,) = read(placed(ELSEWHERE)).results
    assert other.locations[0].physical_location is not None
    assert other.locations[0].physical_location.artifact_location.uri == "file:///usr/lib/torch/linear.py"
    (nowhere,) = read(placed()).results
    assert nowhere.locations[0].physical_location is None
    assert nowhere.locations[0].logical_locations[0].fully_qualified_name == "mine.py:build"


def test_a_fingerprint_outlives_the_line() -> None:
    """It is the clause on the subject, wherever that stands and whatever case was found; two subjects have two."""

    def prints(given: Result) -> list[str]:
        return [value for each in read(given).results for value in each.partial_fingerprints.values()]

    moved = msgspec.structs.replace(HERE, line=90)
    assert prints(placed(HERE)) == prints(placed(moved)) == prints(placed())
    other = msgspec.structs.replace(HEADER, subject="other")
    assert prints(Result(other, (FAILED,), FOUND.footer)) != prints(placed())
    assert len(set(prints(MIXED))) == len(prints(MIXED))


def test_what_is_no_result_is_said_beside_them() -> None:
    """What was not checked, what could have been missed, what the adapter smells of."""
    (invocation,) = read(FOUND).invocations
    assert invocation.execution_successful and invocation.exit_code == 1
    said = "\n".join(each.message.text for each in invocation.tool_execution_notifications)
    for words in (
        "the mask points the other way",
        "1 of 9 not checked",
        "no weights mapping: heads.equals-the-reference",
        "4 would pass unnoticed",
    ):
        assert words in said, words


@pytest.mark.parametrize("code", [2, 3])
def test_a_subject_that_could_not_be_judged_is_a_result(code: int) -> None:
    """A log without results would close every alert."""
    run = read(result(blocked="call raised RuntimeError", exit_code=code))
    (one,) = run.results
    assert one.level == "error" and "call raised RuntimeError" in one.message.text
    assert not run.invocations[0].execution_successful
    assert run.invocations[0].exit_code == code


def test_any_text_is_json() -> None:
    """Quotes, control characters, half a surrogate."""
    odd = msgspec.structs.replace(EVIDENCE, message='"\x00\ud800</script>', got=["nan"])
    content = sarif.text([result(verdict("heads.time-stays-time", Status.FAIL, evidence=odd))])
    assert (
        "</script>" in json.loads(content.encode("utf-8", errors="replace"))["runs"][0]["results"][0]["message"]["text"]
    )
