"""The report: on a terminal, as JSON lines, as JUnit XML."""

import dataclasses
import io
import json
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import msgspec
import pytest
from rich.console import Console

from veriformer.errors import UsageError
from veriformer.report import json_lines, junit, terminal
from veriformer.report.progress import Bar
from veriformer.result import Result, footer_of
from veriformer.verdict import CaseEvidence, Departure, Diagnosis, Finding, Header, Missed, Status, Verdict

HEADER = Header(
    versions={"veriformer": "0"}, target="mine.py:build", options=["--set", "norm=pre"], subject="build", role="encoder-layer",
    claims={}, sizes={"d_model": 8}, device="cpu", dtype="float64", budget="standard", seed=0, notes=["the mask points the other way"],
)  # fmt: skip
EVIDENCE = CaseEvidence(
    property="test_masked_keys_are_invisible", case="batch=1 q_len=2 seed=0", message="a masked key is visible",
    expected=[[1.0, 0.0], [0.25, "nan"]], got=[[1, 1], [1, 1]], index=[0, 1], margin="changes by 3",
)  # fmt: skip


def verdict(
    clause: str, status: Status, *, level: str = "MUST", reason: str = "", evidence: CaseEvidence | None = None
) -> Verdict:
    return Verdict(
        clause=clause,
        level=level,
        status=status,
        examples=25,
        exercised=24,
        seconds=0.5,
        reason=reason,
        evidence=evidence,
    )


def result(*verdicts: Verdict, blocked: str = "", exit_code: int = 0) -> Result:
    return Result(HEADER, verdicts, footer_of(HEADER, verdicts, 1.5, blocked=blocked, exit_code=exit_code))


FAILED = verdict("masking.masked-keys-are-invisible", Status.FAIL, evidence=EVIDENCE)
MIXED = result(
    verdict("state.inputs-are-not-modified", Status.PASS),
    FAILED,
    verdict("masking.masks-broadcast", Status.ERROR, reason="call raised RuntimeError"),
    verdict("masking.no-mask-is-an-all-true-mask", Status.ERROR, reason="call raised RuntimeError"),
    verdict(
        "state.calls-are-silent",
        Status.FAIL,
        level="SHOULD",
        evidence=msgspec.structs.replace(EVIDENCE, message="it prints"),
    ),
    verdict("masking.padding-does-not-change-real-positions", Status.UNEXPECTED_PASS, reason="it was expected to fail"),
    verdict("heads.time-stays-time", Status.INCONCLUSIVE, reason="2 of 25 cases could have failed"),
    verdict("heads.equals-the-reference", Status.NOT_CHECKED, reason="no weights mapping"),
    verdict("residual.the-skip-adds-the-input-once", Status.EXPECTED_FAILURE, reason="known [https://example.org]"),
)


@pytest.mark.parametrize("width", [80, 120])
def test_the_report_is_one_screen_that_says_everything(width: int) -> None:
    """Headline, counts, failures with what is known about them, and what was not checked, within the terminal's width."""
    said = terminal.text([MIXED], width=width)
    together = " ".join(said.split())
    for words in (
        "note: the mask points the other way",
        "not conformant: 1 MUST failed, 2 MUSTs ended in an error, 1 passed that was expected to fail; 1 of 9 not checked",
        "FAIL masking.masked-keys-are-invisible MUST",
        "the output at a query does not depend on any key or value that is masked for it",
        "Vaswani et al. 2017",
        "a masked key is visible",
        "batch=1 q_len=2 seed=0",
        "expected got at [0, 1]",
        "changes by 3",
        "the mask is dropped on one code path",
        "most likely because of it (in full with -v):",
        "masking.no-mask-is-an-all-true-mask",
        "no weights mapping: heads.equals-the-reference",
        "2 of 25 cases could have failed: heads.time-stays-time",
        "known [https://example.org]",
        "it prints",
    ):
        assert words in together, words
    assert (
        "veriformer check mine.py:build --set norm=pre --only masking.masked-keys-are-invisible --case 'batch=1 q_len=2 seed=0'"
        in said
    )
    lines = [line for line in said.splitlines() if not line.startswith("  replay")]
    assert max(map(len, lines)) <= width
    assert len(said.splitlines()) < 70
    assert "\x1b" not in said
    assert all(line == line.rstrip() for line in said.splitlines())


def test_verbose_shows_every_failure_and_every_clause() -> None:
    """Nothing is left out with -v."""
    said = terminal.text([MIXED], verbose=True)
    assert "also (in full" not in said
    assert said.count("usually") == 5
    assert "state.inputs-are-not-modified" in said


def test_an_error_of_the_build_is_said_once() -> None:
    """However many clauses met it, and whatever sizes its words name; what is left is shown as ever."""
    at = "build raised ValueError at mine.py:4"
    stopped = [
        verdict(clause, Status.ERROR, reason=f"{at}: cannot do {size} features", evidence=EVIDENCE)
        for size, clause in enumerate(
            ("state.inputs-are-not-modified", "masking.masks-broadcast", "heads.time-stays-time")
        )
    ]
    said = terminal.text([result(*stopped, FAILED)])
    assert said.count("ValueError") == 1
    assert said.count("the build raised") == 1
    together = " ".join(said.split())
    assert "ERROR the build raised ValueError at mine.py:4: cannot do 0 features" in together
    assert "stopped 3 clauses" in together
    assert "veriformer.Unsupported" in together
    assert "FAIL masking.masked-keys-are-invisible MUST" in together, "no clause is hidden behind the build"
    assert said.count("replay") == 2


def test_many_failures_are_a_line_each() -> None:
    """Causes in full, what follows from them in one line each."""
    many = [msgspec.structs.replace(FAILED, clause=each) for each in (
        "masking.masks-broadcast", "heads.time-stays-time", "heads.equals-the-reference", "masking.masked-keys-are-invisible",
        "state.every-parameter-is-registered",
    )]  # fmt: skip
    said = terminal.text([result(*many)])
    assert said.count("usually") == 2
    assert "most likely because of it (in full with -v):" in said
    assert said.index("heads.time-stays-time") < said.index("state.every-parameter-is-registered")


@pytest.mark.parametrize(
    ("verdicts", "said"),
    [
        ((verdict("state.calls-are-silent", Status.PASS),), "no violation found"),
        ((verdict("state.calls-are-silent", Status.NOT_CHECKED),), "nothing was checked: 1 of 1 not checked"),
        ((verdict("heads.time-stays-time", Status.INCONCLUSIVE),), "inconclusive: 1 MUST could not be decided"),
        ((FAILED,), "not conformant: 1 MUST failed"),
        ((verdict("state.calls-are-silent", Status.FAIL, level="SHOULD"),), "no violation found"),
    ],
)
def test_headlines(verdicts: tuple[Verdict, ...], said: str) -> None:
    """One sentence, and how much was not looked at."""
    assert terminal.headline(result(*verdicts)) == said


def test_a_subject_that_could_not_be_judged() -> None:
    """The reason is the headline."""
    said = terminal.text([result(blocked="call raised RuntimeError", exit_code=3)])
    assert "could not be judged: call raised RuntimeError" in said


def test_several_subjects_are_a_table() -> None:
    """A line each, and only what is wrong in full."""
    good = result(verdict("state.inputs-are-not-modified", Status.PASS))
    said = terminal.text(
        [
            good,
            MIXED,
            result(blocked="no", exit_code=3),
            result(),
            result(verdict("heads.time-stays-time", Status.INCONCLUSIVE)),
        ]
    )
    assert said.count("no violation found") == 1
    assert "5 subjects, 3 not conformant" in said
    assert "nothing asked" in said
    assert "2 subjects: no violation found" in terminal.text([good, good])


def test_claims_that_were_not_verified_are_said() -> None:
    """A claim whose clauses did not run stands in the report."""
    header = msgspec.structs.replace(HEADER, role="attention", claims={"causal": True})
    said = terminal.text([Result(header, (), footer_of(header, (), 0.0))])
    assert "claimed, not verified: causal=True" in said


def test_the_terminal_shows_a_bar_while_it_works() -> None:
    """The bar is there, counts, and is gone in the end."""
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=100)
    with Bar(console) as bar:
        bar.header(HEADER, ["masking.masks-broadcast", "heads.time-stays-time"])
        bar.begin("masking.masks-broadcast")
        bar.verdict(FAILED)
        bar.begin("heads.time-stays-time")
        bar.footer(MIXED.footer)
    assert "1 failed · heads.time-stays-time" in file.getvalue()
    assert "1/2" in file.getvalue()
    terminal.show(console, [MIXED])
    assert "\x1b[" in file.getvalue()


def written(tmp_path: Path, *results: Result) -> Path:
    path = tmp_path / "report.json"
    with path.open("wb") as file:
        observer = json_lines.JsonLines(file)
        for each in results:
            observer.header(each.header, [])
            for one in each.verdicts:
                observer.begin(one.clause)
                observer.verdict(one)
            observer.diagnosis(each.diagnosis, each.missed)
            observer.footer(each.footer)
    return path


def test_json_lines_are_read_as_they_were_written(tmp_path: Path) -> None:
    """Several subjects are several blocks of header, verdicts, footer."""
    path = written(tmp_path, MIXED, result())
    assert json_lines.read(path) == [MIXED, result()]
    kinds = [json.loads(line)["kind"] for line in path.read_text().splitlines()]
    assert kinds == ["header", *["verdict"] * 9, "footer", "header", "footer"]


def test_the_schema_in_the_package_is_that_of_the_lines() -> None:
    """Whoever reads the report with other tools is told the truth; to write it anew, dump ``json_lines.schema()``."""
    assert json.loads(json_lines.SCHEMA.read_text()) == json_lines.schema()


FOUND = dataclasses.replace(
    MIXED,
    diagnosis=Diagnosis(
        basis="weights",
        findings=[
            Finding(
                faults=["merge-heads-without-transpose"], exact=True, distance=0.0, sentence="Heads are merged as they stand.",
                written="x.reshape(b, t, d)", mend="x.transpose(1, 2).reshape(b, t, d)", source="a paper", same=["the-other"],
            ),
            Finding(claims=["norm=pre"], exact=False, distance=0.25),
        ],
        said="it does exactly what merge-heads-without-transpose does",
        departure=Departure(after="layer 0: context", at="layer 0: merge", difference=1.5, expected=[[1.0, 2.0]], got=[[2.0, 1.0]]),
        seconds=0.5,
    ),
    missed=Missed(faults=["a", "b", "c", "d"], known=60, closing={"a weights mapping": 3}),
)  # fmt: skip


def test_a_diagnosis_is_read_as_it_was_written(tmp_path: Path) -> None:
    """What was found and what could have been missed are lines of their own."""
    path = written(tmp_path, FOUND)
    assert json_lines.read(path) == [FOUND]
    kinds = [json.loads(line)["kind"] for line in path.read_text().splitlines()]
    assert kinds[-3:] == ["diagnosis", "missed", "footer"]


def test_the_screen_leads_with_the_name() -> None:
    """The name, how sure it is, the mend, and where the computation departs; then what could have been missed."""
    said = terminal.text([FOUND])
    assert "found: merge-heads-without-transpose (exact)" in said
    assert said.index("found:") < said.index("FAIL masking.masked-keys-are-invisible")
    for words in (
        "x.transpose(1, 2).reshape(b, t, d)",
        "cannot be told from the-other",
        "agrees with the reference up to layer 0: context; at layer 0: merge it is off by 1.5",
        "of 60 catalogued faults that such a subject may have, 4 would pass unnoticed; a weights mapping would find 3",
        "a, b, c and 1 more (-v)",
    ):
        assert words in " ".join(said.split()), words
    assert "found: norm=pre" not in said and "(nearest" not in said
    assert "norm=pre (nearest, 0.25 away)" in terminal.text([FOUND], verbose=True)


def test_a_guess_is_called_one() -> None:
    """Nothing is named as found that was only near, or only looks alike by its clauses."""
    assert FOUND.diagnosis is not None
    near = msgspec.structs.replace(
        FOUND.diagnosis, findings=[Finding(faults=["softmax-over-heads"], exact=False)], said="near"
    )
    said = terminal.text(
        [dataclasses.replace(MIXED, diagnosis=msgspec.structs.replace(near, basis="clauses that failed"))]
    )
    assert "found:" not in said
    assert "softmax-over-heads (a guess, by the clauses that failed)" in said


def test_junit_names_the_bug() -> None:
    """As properties of the suite."""
    properties = {each.get("name"): each.get("value") for each in junit.tree_of([FOUND]).iter("property")}
    assert properties["found"] == "merge-heads-without-transpose (exact): x.transpose(1, 2).reshape(b, t, d)"
    assert "4 would pass unnoticed" in str(properties["could have missed"])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda lines: lines[:-1], "no footer"),
        (lambda lines: [], "no footer"),
        (lambda lines: [*lines[:2], b"{}", *lines[2:]], "line 3"),
        (lambda lines: [lines[0], b"not json", *lines[1:]], "line 2"),
        (lambda lines: [lines[0][:-20]], "line 1"),
        (lambda lines: [lines[0], lines[0], *lines[1:]], "line 2: a header before the footer"),
        (lambda lines: lines[1:], "line 1: a verdict before any header"),
        (
            lambda lines: [lines[0], lines[1].replace(b"inputs-are", b"inputz-are"), *lines[2:]],
            "does not exist in this version",
        ),
        (lambda lines: [lines[0], lines[1].replace(b'"pass"', b'"perhaps"'), *lines[2:]], "perhaps"),
    ],
)
def test_reports_that_prove_nothing_are_refused(
    tmp_path: Path, change: Callable[[list[bytes]], list[bytes]], said: str
) -> None:
    """The line and the reason are named."""
    path = written(tmp_path, MIXED)
    path.write_bytes(b"\n".join(change(path.read_bytes().splitlines())))
    with pytest.raises(UsageError, match=said):
        json_lines.read(path)


def test_a_report_that_is_not_there(tmp_path: Path) -> None:
    """A missing file is wrong usage."""
    with pytest.raises(UsageError, match="cannot be read"):
        json_lines.read(tmp_path / "none.json")


def test_junit_is_well_formed_and_counts(tmp_path: Path) -> None:
    """One test case for each clause; control characters in a message do not break the file."""
    odd = verdict("state.output-has-the-promised-shape", Status.ERROR, reason="call raised \x00\x1b[31m <&>")
    path = tmp_path / "report.xml"
    path.write_text(junit.text([result(*MIXED.verdicts, odd), result(blocked="no", exit_code=3)]), encoding="utf-8")
    root = ET.parse(path).getroot()
    first, second = root.findall("testsuite")
    assert [each.get("name") for each in first.findall("testcase")] == [each.clause for each in (*MIXED.verdicts, odd)]
    assert (first.get("tests"), first.get("failures"), first.get("errors"), first.get("skipped")) == (
        "10",
        "2",
        "4",
        "2",
    )
    assert second.get("errors") == "1"
