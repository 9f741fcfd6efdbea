"""The report as JUnit XML: one test suite for each subject, one test case for each clause."""

from collections.abc import Sequence
from xml.etree import ElementTree as ET

from veriformer.report.found import how_sure, missed_in_words
from veriformer.report.terminal import failure_text, headline
from veriformer.result import Result
from veriformer.verdict import Header, Status, Verdict
from veriformer_spec.clause import Level

_ERRORS = (Status.ERROR, Status.INCONCLUSIVE)
_FAILURES = (Status.FAIL, Status.UNEXPECTED_PASS)


def text(results: Sequence[Result]) -> str:
    """The whole file."""
    tree = tree_of(results)
    ET.indent(tree)
    return f"<?xml version='1.0' encoding='utf-8'?>\n{ET.tostring(tree, encoding='unicode')}\n"


def tree_of(results: Sequence[Result]) -> ET.Element:
    """The XML tree."""
    root = ET.Element("testsuites", name="veriformer")
    for result in results:
        root.append(_suite(result))
    return root


def _suite(result: Result) -> ET.Element:
    suite = ET.Element("testsuite", name=_clean(result.header.subject))
    for verdict in result.verdicts:
        suite.append(_case(verdict, result.header))
    _name_the_bug(suite, result)
    if result.footer.blocked:
        case = ET.SubElement(suite, "testcase", classname=_clean(result.header.subject), name="preflight", time="0")
        ET.SubElement(case, "error", message=_clean(headline(result)))
    for kind in ("failure", "error", "skipped"):
        suite.set(
            {"failure": "failures", "error": "errors", "skipped": "skipped"}[kind],
            str(len(suite.findall(f"testcase/{kind}"))),
        )
    suite.set("tests", str(len(suite.findall("testcase"))))
    suite.set("time", f"{result.footer.seconds:.3f}")
    return suite


def _name_the_bug(suite: ET.Element, result: Result) -> None:
    """What was found, and what could have been missed, as properties: readers show them beside the cases."""
    said: dict[str, str] = {}
    if result.diagnosis is not None:
        for finding in result.diagnosis.findings:
            said.setdefault("found", f"{finding.name} ({how_sure(finding, result.diagnosis.basis)}): {finding.mend}")
        said["diagnosis"] = result.diagnosis.said
    if result.missed is not None:
        said["could have missed"] = missed_in_words(result.missed)
    said = {name: value for name, value in said.items() if value}
    if said:
        properties = ET.SubElement(suite, "properties")
        for name, value in said.items():
            ET.SubElement(properties, "property", name=name, value=_clean(value))


def _case(verdict: Verdict, header: Header) -> ET.Element:
    case = ET.Element("testcase", classname=_clean(header.subject), name=verdict.clause, time=f"{verdict.seconds:.3f}")
    said = verdict.evidence.message if verdict.evidence is not None else verdict.reason
    if verdict.status is Status.NOT_CHECKED or verdict.status is Status.EXPECTED_FAILURE:
        ET.SubElement(case, "skipped", message=_clean(f"{verdict.status}: {verdict.reason}"))
    elif verdict.status in _FAILURES + _ERRORS:
        if verdict.level == Level.MUST or verdict.status is Status.UNEXPECTED_PASS:
            kind = "failure" if verdict.status in _FAILURES else "error"
            ET.SubElement(case, kind, message=_clean(said)).text = _clean(failure_text(verdict, header))
        else:  # a SHOULD warns
            ET.SubElement(case, "system-out").text = _clean(failure_text(verdict, header))
    return case


def _clean(said: str) -> str:
    """Without the characters that XML cannot hold."""
    return "".join(
        each
        for each in said
        if each in "\t\n" or " " <= each <= "\ud7ff" or "\ue000" <= each <= "\ufffd" or each > "\uffff"
    )
