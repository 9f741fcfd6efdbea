"""The report as SARIF 2.1.0, which code scanners and editors read: rules are clauses, results are what does not hold."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

from veriformer.report.failures import failures
from veriformer.report.found import how_sure, missed_in_words
from veriformer.report.terminal import headline, replay_line
from veriformer.result import CONFORMANT, INCONCLUSIVE, Result, worst
from veriformer.verdict import Header, Place, Status, Verdict
from veriformer_spec.chapters import CLAUSES
from veriformer_spec.clause import Clause, Level

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
PREFLIGHT = "preflight.the-subject-can-be-judged"
"""The rule of a subject that cannot even be built and called: without a result a scanner would take it for right."""

_LEVELS = {Level.MUST: "error", Level.SHOULD: "warning", Level.MAY: "note"}
_TOLD = (Status.FAIL, Status.ERROR, Status.UNEXPECTED_PASS, Status.EXPECTED_FAILURE, Status.INCONCLUSIVE)
_EXIT_CODES = (
    "conformant", "not conformant", "wrong usage", "a subject could not be imported, built or called", "inconclusive"
)  # fmt: skip


def text(results: Sequence[Result]) -> str:
    """The whole file."""
    return f"{json.dumps(log(results), indent=2, ensure_ascii=False)}\n"


def log(results: Sequence[Result]) -> dict[str, Any]:
    """The log: one run, whatever the number of subjects, because scanners take one run for one state of the code."""
    rules = list(_rules(results))
    index = {rule["id"]: at for at, rule in enumerate(rules)}
    versions = results[0].header.versions if results else {}
    code = worst(each.exit_code for each in results)
    run = {
        "tool": {
            "driver": {
                "name": "Veriformer",
                "fullName": "Veriformer, a conformance suite for Transformer implementations",
                "version": versions.get("veriformer", ""),
                "rules": rules,
            }
        },
        "invocations": [
            {
                "executionSuccessful": code in (CONFORMANT, 1, INCONCLUSIVE),
                "exitCode": code,
                "exitCodeDescription": _EXIT_CODES[code],
                "toolExecutionNotifications": [each for result in results for each in _notifications(result)],
            }
        ],
        "columnKind": "unicodeCodePoints",
        "results": [{**each, "ruleIndex": index[each["ruleId"]]} for result in results for each in _results(result)],
        "properties": {"subjects": [_subject(each) for each in results]},
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _rules(results: Sequence[Result]) -> Iterator[dict[str, Any]]:
    """The clauses that were asked of a subject, in the specification's order."""
    if any(result.footer.blocked for result in results):
        yield {
            "id": PREFLIGHT,
            "name": _name(PREFLIGHT),
            "shortDescription": {"text": "the subject can be imported, built and called"},
            "help": {
                "text": "Mend the import, the build function or the call that the message names, and judge again."
            },
            "defaultConfiguration": {"level": "error"},
        }
    asked = {each.clause for result in results for each in result.verdicts}
    for clause in CLAUSES.values():
        if clause.id in asked:
            yield _rule(clause)


def _rule(clause: Clause) -> dict[str, Any]:
    sentence = f"{clause.text[:1].upper()}{clause.text[1:]}."
    plain = (
        f"{clause.level}: {sentence}\n\nSource: {clause.source}.\n\nUsually broken by: {clause.breaks}.\n\n"
        f"More: veriformer explain {clause.id}"
    )
    marked = (
        f"**{clause.level}**: {_plain_in_markdown(sentence)}\n\n**Source**: {_plain_in_markdown(clause.source)}.\n\n"
        f"**Usually broken by**: {_plain_in_markdown(clause.breaks)}.\n\nMore: `veriformer explain {clause.id}`"
    )
    return {
        "id": clause.id,
        "name": _name(clause.id),
        "shortDescription": {"text": sentence},
        "fullDescription": {"text": f"{sentence} ({clause.source})"},
        "help": {"text": plain, "markdown": marked},
        "defaultConfiguration": {"level": _LEVELS[clause.level]},
        "properties": {
            "tags": ["transformer", clause.chapter, str(clause.level)],
            "precision": "very-high",
            "problem.severity": {"error": "error", "warning": "warning", "note": "recommendation"}[
                _LEVELS[clause.level]
            ],
        },
    }


def _results(result: Result) -> Iterator[dict[str, Any]]:
    header = result.header
    if result.footer.blocked:
        yield _located(header, PREFLIGHT) | {
            "level": "error",
            "message": {"text": f"{header.subject} {headline(result)}"},
        }
        return
    because = {each.clause: cause for each, cause in failures(result).followers}
    for verdict in result.verdicts:
        if verdict.status in _TOLD:
            yield _result(verdict, result, because.get(verdict.clause, ""))


def _result(verdict: Verdict, result: Result, cause: str) -> dict[str, Any]:
    header = result.header
    # a result that is no failure has no level, says the standard
    open_ = verdict.status is Status.INCONCLUSIVE
    level = "none" if open_ else _LEVELS[Level(verdict.level)]
    told = _located(header, verdict.clause) | {
        "kind": "open" if open_ else "fail",
        "level": "error" if verdict.status is Status.UNEXPECTED_PASS else level,
        "message": {"text": "\n".join(_message(verdict, result, cause))},
        "properties": {
            "status": str(verdict.status),
            "subject": header.subject,
            "examples": verdict.examples,
            "exercised": verdict.exercised,
        },
    }
    if verdict.status is Status.EXPECTED_FAILURE:
        told["suppressions"] = [{"kind": "external", "status": "accepted", "justification": verdict.reason}]
    if cause:
        told["properties"]["becauseOf"] = cause
    evidence = verdict.evidence
    if evidence is not None:
        told["properties"] |= {
            "case": evidence.case,
            "replay": replay_line(verdict, header),
            "expected": evidence.expected,
            "got": evidence.got,
        }
    return told


def _message(verdict: Verdict, result: Result, cause: str) -> Iterator[str]:
    header, evidence = result.header, verdict.evidence
    seen = evidence.message if evidence is not None and verdict.status is not Status.UNEXPECTED_PASS else verdict.reason
    yield f"{header.subject}: {seen}."
    if evidence is not None and evidence.case:
        yield f"Smallest case: {evidence.case}{f'; {evidence.margin}' if evidence.margin else ''}."
    if cause:
        yield f"Most likely because of {cause}."
    finding = result.diagnosis.findings[0] if result.diagnosis is not None and result.diagnosis.findings else None
    if finding is not None and result.diagnosis is not None and verdict.status is Status.FAIL and not cause:
        yield f"What it looks like: {finding.name} ({how_sure(finding, result.diagnosis.basis)})."
        if finding.mend:
            yield f"Mend: {finding.mend}"
    line = replay_line(verdict, header)
    if line and evidence is not None:
        yield f"Replay: {line}"


def _located(header: Header, rule: str) -> dict[str, Any]:
    """Where a result stands, and what tells it from others whatever line it stands in."""
    places = header.places
    named = {"name": header.subject, "fullyQualifiedName": header.target or header.subject, "kind": "function"}
    first: dict[str, Any] = {"logicalLocations": [named]}
    if places:
        first["physicalLocation"] = _physical(places[0])
    told: dict[str, Any] = {"ruleId": rule, "locations": [first]}
    if places[1:]:
        told["relatedLocations"] = [
            {
                "id": number,
                "physicalLocation": _physical(place),
                "message": {"text": f"{place.what if place.what == 'class' else 'build function'} {place.name}"},
            }
            for number, place in enumerate(places[1:], start=1)
        ]
    words = "\n".join((rule, header.subject, header.role, *header.options))
    told["partialFingerprints"] = {"veriformerClauseOfSubject/v1": hashlib.sha256(words.encode()).hexdigest()[:32]}
    return told


def _physical(place: Place) -> dict[str, Any]:
    return {"artifactLocation": _artifact(place.file), "region": {"startLine": place.line}}


def _artifact(file: str) -> dict[str, Any]:
    if _is_absolute(file):
        return {"uri": f"file://{'' if file.startswith('/') else '/'}{quote(file)}"}
    return {"uri": quote(file), "uriBaseId": "%SRCROOT%"}


def _is_absolute(file: str) -> bool:
    return PurePosixPath(file).is_absolute() or file[1:2] == ":"


def _notifications(result: Result) -> Iterator[dict[str, Any]]:
    """What is no result, and has to be known all the same."""
    subject = result.header.subject
    for note in result.header.notes:
        yield _note("warning", f"{subject}: {note}")
    if result.footer.blocked:
        yield _note("error", f"{subject}: {headline(result)}")
        return
    yield _note("note", f"{subject}: {headline(result)}")
    reasons: dict[str, list[str]] = {}
    for each in result.verdicts:
        if each.status is Status.NOT_CHECKED:
            reasons.setdefault(each.reason, []).append(each.clause)
    for reason, clauses in reasons.items():
        yield _note("note", f"{subject}: not checked: {reason}: {', '.join(clauses)}")
    if result.footer.not_verified:
        yield _note("warning", f"{subject}: claimed, not verified: {', '.join(result.footer.not_verified)}")
    if result.missed is not None and (could := missed_in_words(result.missed)):
        yield _note("note", f"{subject}: could have missed: {could}")


def _note(level: str, said: str) -> dict[str, Any]:
    return {"level": level, "message": {"text": said}}


def _subject(result: Result) -> dict[str, Any]:
    header = result.header
    return {
        "subject": header.subject,
        "target": header.target,
        "role": header.role,
        "device": header.device,
        "dtype": header.dtype,
        "budget": header.budget,
        "seed": header.seed,
        "versions": dict(sorted(header.versions.items())),
        "verdict": headline(result),
        "conformant": result.conformant,
        "counts": dict(sorted(result.footer.counts.items())),
    }


def _name(clause: str) -> str:
    """``masking.masked-keys-are-invisible`` as scanners like names: ``MaskedKeysAreInvisible``."""
    return "".join(word.capitalize() for word in clause.partition(".")[2].split("-"))


def _plain_in_markdown(said: str) -> str:
    """Text that reads in Markdown as it is written."""
    return "".join(f"\\{each}" if each in "\\`*_{}[]<>#|" else each for each in said)
