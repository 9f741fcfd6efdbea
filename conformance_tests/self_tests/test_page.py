"""The report as a page: a stranger who has nothing else knows what is wrong, where, and how to mend it."""

import dataclasses
from pathlib import Path

import msgspec
import pytest

from self_tests.page_reader import Reader
from self_tests.pages_in_a_browser import looked_at, needs_browser
from self_tests.test_report import EVIDENCE, FAILED, FOUND, HEADER, MIXED, result, verdict
from veriformer.case import CLAIMED, SHOWN
from veriformer.report import page
from veriformer.result import Result, footer_of
from veriformer.verdict import Picture, Place, Status
from veriformer_spec.chapters import CLAUSES

EVIL = "</title><script>alert('x')</script><img src=x onerror=alert(1)> & \"quoted\" 'too' \u202e"
DEPENDENCE = Picture(
    shows="may depend", rows="query", columns="key", expected=[[1, 0], [1, 1]], got=[[1, 1], [1, 1]], at=[0, 1],
    first=[0, 0], of=[2, 2], place="row of the batch 0",
)  # fmt: skip


def read(*results: Result) -> tuple[str, list[tuple[str, dict[str, str | None]]]]:
    reader = Reader()
    reader.feed(page.text(results))
    reader.close()
    assert reader.open == []
    ids = [attributes["id"] for _, attributes in reader.tags if "id" in attributes]
    assert len(set(ids)) == len(ids)
    return " ".join(" ".join(reader.words).split()), reader.tags


PLACED = dataclasses.replace(
    FOUND,
    header=msgspec.structs.replace(HEADER, places=[Place(what="class", name="Layer", file="mine.py", line=12)]),
)


def test_a_stranger_is_told_what_where_and_how_to_mend_it() -> None:
    """All that the report knows stands on the page, in words."""
    said, _ = read(PLACED)
    for words in (
        "Not conformant: 1 MUST failed, 2 MUSTs ended in an error, 1 passed that was expected to fail; 1 of 9 not checked",
        "What is wrong: Heads are merged as they stand.",
        "Mend: x.transpose(1, 2).reshape(b, t, d)",
        "Where to look: mine.py , line 12 (class Layer )",
        "its numbers are right up to layer 0: context , and wrong from layer 0: merge on",
        "merge-heads-without-transpose (exact)",
        "nothing else that is catalogued does",
        "cannot be told from the-other",
        "Seen in: a paper",
        "departs at layer 0: merge , by up to 1.5",
        "Note. the mask points the other way",
        "masking.masked-keys-are-invisible MUST",
        "The output at a query does not depend on any key or value that is masked for it",
        "Vaswani et al. 2017",
        "Seen: a masked key is visible",
        "q_len = 2 tokens that ask (queries)",
        "By how much: changes by 3",
        "Usual causes: the mask is dropped on one code path",
        "veriformer check mine.py:build --set norm=pre --only masking.masked-keys-are-invisible --case 'batch=1 q_len=2 seed=0'",
        "1 no weights mapping",
        "2 of 25 cases could have failed",
        "known [https://example.org]",
        "it was expected to fail",
        "Of 60 catalogued faults that such a subject may have, 4 would pass unnoticed; a weights mapping would find 3",
        "All 9 that were asked of it",
        "budget standard, seed 0",
        "its sizes d_model = 8",
    ):
        assert words in said, words
    for each in MIXED.verdicts:
        assert CLAUSES[each.clause].text in said, "every clause is in the table, with its sentence"


def test_a_failure_that_follows_names_its_cause() -> None:
    """It is folded, with all that is known of it."""
    said, tags = read(result(FAILED, verdict("masking.no-mask-is-an-all-true-mask", Status.FAIL, evidence=EVIDENCE)))
    assert "Most likely because of it: 1 more" in said
    assert "Most likely because of masking.masked-keys-are-invisible" in said
    assert ("details", {"class": "card"}) in tags


def test_numbers_and_dependences_are_drawn() -> None:
    """Three pictures each, with what goes down and across."""
    drawn = msgspec.structs.replace(
        FAILED, evidence=msgspec.structs.replace(EVIDENCE, picture=DEPENDENCE, margin="by 1; 1 = depends")
    )
    said, tags = read(result(drawn))
    assert [attributes.get("class") for tag, attributes in tags if tag == "table"].count("heat") == 3
    assert "Row of the batch 0; one row for each query, one column for each key." in said
    assert "wrong: ✗ depends and may not" in said
    assert "By how much: by 1." in said
    text = msgspec.structs.replace(FAILED, evidence=msgspec.structs.replace(EVIDENCE, expected=[[[1.0]]], got="none"))
    said, tags = read(result(text))
    assert "heat" not in [attributes.get("class") for tag, attributes in tags if tag == "table"]
    assert "none got" in said, "what is no matrix is told as it is"


def test_what_was_not_looked_at_is_not_green() -> None:
    """A subject of which nothing was checked is no success."""
    _, tags = read(result(verdict("heads.time-stays-time", Status.NOT_CHECKED, reason="no CUDA device")))
    assert ("p", {"class": "lead headline open"}) in tags
    said, tags = read(result(verdict("heads.time-stays-time", Status.PASS)))
    assert ("p", {"class": "lead headline good"}) in tags
    assert "No violation found" in said and "What does not hold" not in said
    assert "Nothing is known of that: the run ended before it was worked out" in said


def test_an_error_of_the_build_is_told_once_with_its_remedy() -> None:
    """However many clauses it stopped."""
    stopped = [
        verdict(clause, Status.ERROR, reason="build raised ValueError at mine.py:4: no", evidence=EVIDENCE)
        for clause in ("state.inputs-are-not-modified", "masking.masks-broadcast")
    ]
    said, _ = read(result(*stopped))
    assert "It stopped 2 clauses, of which nothing is known" in said
    assert "raise veriformer.Unsupported(why)" in said


def test_several_subjects_have_a_table_and_a_part_each() -> None:
    """Each can be jumped to; what is right is folded; what could not be judged says why."""
    good = result(verdict("heads.time-stays-time", Status.PASS))
    said, tags = read(good, MIXED, result(blocked="call raised", exit_code=3), result(blocked="no role", exit_code=2))
    assert "4 subjects: 1 no violation found, 1 not conformant, 2 could not be judged" in said
    for number in range(1, 5):
        assert ("a", {"href": f"#subject-{number}"}) in tags
    folded = {
        attributes["id"]: "open" not in attributes
        for tag, attributes in tags
        if tag == "details" and "id" in attributes
    }
    assert folded == {"subject-1": True, "subject-2": False, "subject-3": False, "subject-4": False}
    assert "Why: call raised" in said and "What was asked for cannot be meant: no role" in said
    assert "Nothing was judged" in read()[0]


def evil() -> Result:
    """Everything that a subject, or whoever wrote its report, can put a word into."""
    assert FOUND.diagnosis is not None and FOUND.missed is not None
    finding = msgspec.structs.replace(
        FOUND.diagnosis.findings[0],
        faults=[EVIL],
        same=[EVIL],
        sentence=EVIL,
        written=EVIL,
        mend=EVIL,
        source=EVIL,
    )
    seen = msgspec.structs.replace(
        EVIDENCE,
        message=EVIL,
        margin=EVIL,
        case=f"batch={EVIL}",
        picture=msgspec.structs.replace(DEPENDENCE, place=EVIL, rows=EVIL),
    )
    header = msgspec.structs.replace(
        HEADER, subject=EVIL, target=EVIL, role=EVIL, notes=[EVIL], claims={EVIL: EVIL}, options=[EVIL], sizes={EVIL: 1},
        places=[Place(what="class", name=EVIL, file=EVIL, line=1)], versions={"veriformer": EVIL, "spec": EVIL},
    )  # fmt: skip
    verdicts = (
        msgspec.structs.replace(FAILED, evidence=seen),
        *(verdict(clause, status, reason=EVIL) for clause, status in (
            ("masking.masks-broadcast", Status.ERROR), ("heads.time-stays-time", Status.INCONCLUSIVE),
            ("heads.equals-the-reference", Status.NOT_CHECKED), ("residual.the-skip-adds-the-input-once", Status.EXPECTED_FAILURE),
        )),
    )  # fmt: skip
    return Result(
        header,
        verdicts,
        msgspec.structs.replace(footer_of(header, verdicts, 1.0), not_verified=[EVIL]),
        msgspec.structs.replace(FOUND.diagnosis, findings=[finding, finding], said=EVIL),
        msgspec.structs.replace(FOUND.missed, faults=[EVIL], closing={EVIL: 1}),
    )


def test_nothing_that_a_subject_says_becomes_part_of_the_page() -> None:
    """Neither tags nor attributes, in a page of one subject or of several."""
    blocked = result(blocked=EVIL, exit_code=3)
    for results in (
        (evil(),),
        (evil(), dataclasses.replace(blocked, header=evil().header)),
        (dataclasses.replace(blocked, header=evil().header),),
    ):
        said, tags = read(*results)
        assert not {"script", "img", "iframe", "object", "form"} & {tag for tag, _ in tags}
        assert not any(name.startswith("on") for _, attributes in tags for name in attributes)
        assert "<script>alert('x')</script>" in said


def test_the_page_needs_nothing_else() -> None:
    """No address is loaded, no script is run, and the browser is told to allow neither."""
    _, tags = read(FOUND)
    assert [
        attributes
        for tag, attributes in tags
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    for tag, attributes in tags:
        assert "src" not in attributes and tag != "script"
        assert (attributes.get("href") or "#").startswith(("#", "data:")), attributes


def test_sentences_of_another_specification_are_said_to_be() -> None:
    """A report of last year is shown with the sentences of today, which may be others."""
    old = msgspec.structs.replace(HEADER, versions={"spec": "12 clauses, 00000000", "veriformer": "0"})
    said, _ = read(Result(old, (FAILED,), footer_of(old, (FAILED,), 1.0)))
    assert "some may have changed since" in said
    assert "some may have changed since" not in read(FOUND)[0]


def test_every_word_of_a_case_is_explained() -> None:
    """Whoever reads a case for the first time need not look anything up."""
    assert set(page.SIZES) >= {name for shown in SHOWN.values() for name in shown} | {*CLAIMED, "seed"}


@needs_browser
@pytest.mark.parametrize("dark", [False, True])
def test_a_browser_draws_it_without_a_complaint(tmp_path: Path, dark: bool) -> None:
    """Light and dark, wide and on a phone: no scrolling sideways, pictures that can be read, nothing loaded, nothing run."""
    drawn = msgspec.structs.replace(FAILED, evidence=msgspec.structs.replace(EVIDENCE, picture=DEPENDENCE))
    path = tmp_path / "page.html"
    path.write_text(page.text([PLACED, result(drawn), evil()]), encoding="utf-8", errors="replace")
    views, complaints = looked_at(path, dark=dark)
    assert complaints == []
    assert len(views) == 2
    for seen in views:
        assert seen.scripts == seen.images == 0 and seen.loaded == []
        assert seen.dark is dark
        assert seen.wider == 0, "the page is wider than the screen"
        assert seen.cells >= 30
        assert seen.contrast > 7
        assert seen.faintest > 4


@needs_browser
def test_a_browser_that_looks_at_a_bad_page_says_so(tmp_path: Path) -> None:
    """What the test above asks for can be missing: a script that is refused, a picture that is fetched, a line that is too wide."""
    path = tmp_path / "page.html"
    whole = page.text([result(FAILED)])
    bad = '<script>alert(1)</script><img src="none.png" alt=""><div style="width:3000px">wide</div></body>'
    path.write_text(whole.replace("</body>", bad), encoding="utf-8")
    views, complaints = looked_at(path, dark=False)
    assert any("Content Security Policy" in each for each in complaints)
    for seen in views:
        assert seen.scripts == seen.images == 1
        assert seen.wider > 0
