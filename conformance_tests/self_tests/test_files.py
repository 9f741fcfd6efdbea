"""Reports in files: whole or not at all, refused before any work, made again from saved lines."""

import errno
import json
import os
import stat
from pathlib import Path

import pytest

from self_tests.subject_files import GOOD
from self_tests.test_report import FOUND, MIXED, result, verdict, written
from veriformer.cli import run
from veriformer.errors import UsageError
from veriformer.report import badge
from veriformer.report.files import Output, require_writable
from veriformer.result import Result
from veriformer.verdict import Status

FAST = ("--budget", "quick", "--only", "state.batch-rows-are-independent")
EVERY = ("--html", "r.html", "--sarif", "r.sarif", "--badge", "r.svg", "--junit", "r.xml")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "mine.py").write_text(GOOD)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def output(path: Path, content: str = "whole") -> Output:
    return Output("--html", path, lambda _: content)


def test_a_file_takes_the_place_of_the_one_before_it(tmp_path: Path) -> None:
    """With the rights that one had, and through a link to it; nothing else is left in the folder."""
    path, link = tmp_path / "page.html", tmp_path / "link.html"
    path.write_text("before")
    path.chmod(0o640)
    link.symlink_to(path)
    output(link).write([])
    assert path.read_text() == "whole" and link.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert sorted(each.name for each in tmp_path.iterdir()) == ["link.html", "page.html"]


def test_a_new_file_has_the_usual_rights(tmp_path: Path) -> None:
    """Those of any file that is written here, not the narrow ones of a temporary one."""
    output(tmp_path / "page.html").write([])
    (tmp_path / "other").write_text("")
    assert (tmp_path / "page.html").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_a_page_that_cannot_be_finished_leaves_the_one_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk is one clear line, and half a page is nowhere."""
    path = tmp_path / "page.html"
    path.write_text("before")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(UsageError, match="cannot be written: No space left on device"):
        output(path).write([])
    assert [each.name for each in tmp_path.iterdir()] == ["page.html"]
    assert path.read_text() == "before"


def test_a_pipe_is_written_and_not_replaced(tmp_path: Path) -> None:
    """So that a report can be handed on."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    require_writable([output(pipe), output(pipe)])
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    output(pipe).write([])
    assert os.read(reader, 100) == b"whole"
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    """A folder that is not there, a folder in the file's place, one file for two reports."""
    for path, said in ((tmp_path / "no" / "page.html", "No such file"), (tmp_path, "it is a folder")):
        with pytest.raises(UsageError, match=said):
            require_writable([output(path)])
    with pytest.raises(UsageError, match="asked for twice"):
        require_writable([output(tmp_path / "x"), output(tmp_path / "x")])
    with pytest.raises(UsageError, match="asked for twice"):
        require_writable([output(tmp_path / "x")], beside=[None, tmp_path / "x"])
    require_writable([output(tmp_path / "x"), output(tmp_path / "y")])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="nothing is forbidden to root")
def test_what_must_not_be_overwritten_is_refused(tmp_path: Path) -> None:
    """A file that is protected stays as it is."""
    path = tmp_path / "page.html"
    path.write_text("kept")
    path.chmod(0o400)
    with pytest.raises(UsageError, match="may not be overwritten"):
        require_writable([output(path)])


@pytest.mark.parametrize("option", ["--html", "--sarif", "--badge", "--junit"])
def test_the_command_refuses_before_it_judges(folder: Path, capsys: pytest.CaptureFixture[str], option: str) -> None:
    """One line, exit code 2, and nothing was imported: the target would say so."""
    (folder / "loud.py").write_text("raise RuntimeError('imported')\n")
    assert run(["check", "loud.py:build", option, "no/such/report.svg"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.startswith(f"veriformer: {option}: no/such/report.svg cannot be written")


def test_a_badge_of_an_unknown_kind(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its ending decides, so it must be one of two."""
    assert run(["check", "mine.py:build", "--badge", "badge.png"]) == 2
    assert "must end in .svg, or in .json" in capsys.readouterr().err


def test_check_writes_what_report_makes_of_its_lines(folder: Path) -> None:
    """Byte for byte: everything that a file holds is in the lines."""
    assert run(["check", "mine.py:batch_norm", "mine.py:build", *FAST, "--json", "r.json", *EVERY]) == 1
    first = {name: Path(name).read_bytes() for name in EVERY[1::2]}
    for name in first:
        Path(name).unlink()
    assert run(["report", "r.json", *EVERY]) == 0
    assert {name: Path(name).read_bytes() for name in EVERY[1::2]} == first
    assert all(first.values())


def test_report_shows_on_the_terminal(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where no file is asked for; several reports are one."""
    path = written(folder, MIXED)
    assert run(["report", str(path)]) == 0
    assert "FAIL masking.masked-keys-are-invisible MUST" in capsys.readouterr().out
    assert run(["report", str(path), str(path)]) == 0
    assert "2 subjects, 2 not conformant" in capsys.readouterr().out


def test_report_refuses_what_proves_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A report without its footer, none at all, and one that would be overwritten; nothing is written."""
    path = written(folder, MIXED)
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    for name, said in ((str(path), "cut off"), ("none.json", "cannot be read")):
        assert run(["report", name, "--html", "page.html"]) == 2
        error = capsys.readouterr().err
        assert said in error and error.count("\n") == 1
    assert run(["report", str(path), "--html", str(path)]) == 2
    assert "asked for twice" in capsys.readouterr().err
    assert not (folder / "page.html").exists()


def test_report_needs_no_torch(folder: Path) -> None:
    """Whoever has only the lines need not have what was judged with."""
    import subprocess
    import sys

    path = written(folder, FOUND)
    code = (
        "import sys; sys.modules['torch'] = None\n"
        f"from veriformer.cli import run; sys.exit(run(['report', {str(path)!r}, *{list(EVERY)!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, text=True)
    assert done.returncode == 0, done.stderr


def test_a_target_that_cannot_be_loaded_is_in_every_report(folder: Path) -> None:
    """An earlier page must not stand for it, nor must the subjects beside it."""
    (folder / "bad.py").write_text("raise ValueError('<b>not today</b>')\n")
    arguments = ["check", "mine.py:build", "bad.py:build", "--as", "layer-norm", *FAST, "--json", "r.json", *EVERY]
    assert run(arguments) == 3
    page = Path("r.html").read_text(encoding="utf-8")
    assert "2 subjects: 1 no violation found, 1 could not be judged" in page
    assert "&lt;b&gt;not today&lt;/b&gt;" in page and "<b>not" not in page
    log = json.loads(Path("r.sarif").read_text(encoding="utf-8"))["runs"][0]
    assert [each["ruleId"] for each in log["results"]] == ["preflight.the-subject-can-be-judged"]
    assert log["invocations"][0]["executionSuccessful"] is False
    assert "could not be judged, 1 of 2 subjects" in Path("r.svg").read_text()
    assert Path("r.xml").read_text().count("<error") == 1
    assert run(["replay", "r.json"]) == 3


GREEN = result(verdict("state.calls-are-silent", Status.PASS), verdict("heads.time-stays-time", Status.NOT_CHECKED))
OPEN = result(verdict("heads.time-stays-time", Status.INCONCLUSIVE))
UNSEEN = result(verdict("heads.time-stays-time", Status.NOT_CHECKED))
BLOCKED = result(blocked="no", exit_code=3)


@pytest.mark.parametrize(
    ("results", "message", "colour"),
    [
        ([GREEN], "conformant, 1 of 2 clauses hold", "brightgreen"),
        ([MIXED], "not conformant, 5 of 9 clauses fail", "red"),
        ([OPEN], "inconclusive, 1 of 1 clauses open", "yellow"),
        ([UNSEEN], "nothing checked", "lightgrey"),
        ([BLOCKED], "could not be judged", "red"),
        ([], "nothing judged", "lightgrey"),
        ([GREEN, GREEN], "conformant, 2 subjects", "brightgreen"),
        ([GREEN, MIXED, OPEN], "not conformant, 1 of 3 subjects", "red"),
        ([GREEN, OPEN], "inconclusive, 1 of 2 subjects", "yellow"),
        ([GREEN, UNSEEN], "nothing checked, 1 of 2 subjects", "lightgrey"),
        ([GREEN, BLOCKED, MIXED], "could not be judged, 1 of 3 subjects", "red"),
    ],
)
def test_a_badge_is_green_for_what_was_looked_at_only(results: list[Result], message: str, colour: str) -> None:
    """In both forms; the drawn one is XML that says its words to those who do not see it."""
    from xml.etree import ElementTree as ET

    assert json.loads(badge.endpoint(results)) == {
        "schemaVersion": 1, "label": "veriformer", "message": message, "color": colour,
    }  # fmt: skip
    root = ET.fromstring(badge.svg(results))
    assert root.get("aria-label") == f"veriformer: {message}"
    assert [each.text for each in root.iter("{http://www.w3.org/2000/svg}text")] == ["veriformer", message]


def _block(name: str) -> str:
    """A block of README, without its fences."""
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    inside: str = readme.partition(f"<!-- {name} -->")[2].partition(f"<!-- /{name} -->")[0]
    return "\n".join(inside.strip().splitlines()[1:-1])


def test_the_workflow_in_readme_runs_what_there_is(folder: Path) -> None:
    """Its command is one that the command line takes, its files are those that it hands on, its list of failures can be read."""
    import re
    import shlex

    from veriformer.cli.check import command
    from veriformer.expectations import read

    workflow = _block("actions")
    typed = re.search(r"run: >-\n((?: {10}\S.*\n)+)", workflow)
    assert typed is not None
    program, name, *arguments = shlex.split(typed[1])
    assert (program, name) == ("veriformer", "check")
    taken = command.make_context("check", arguments, resilient_parsing=False).params
    assert taken["targets"] == ("mymodel.py:build",)
    assert {str(taken[f"{each}_file"]) for each in ("json", "html", "sarif", "badge")} == {
        "report.json", "report.html", "report.sarif", "report.svg",
    }  # fmt: skip
    assert f"sarif_file: {taken['sarif_file']}" in workflow
    Path("expected.toml").write_text(_block("expected"))
    assert [each.clause for each in read("expected.toml")] == ["masking.each-head-obeys-its-own-mask"]
