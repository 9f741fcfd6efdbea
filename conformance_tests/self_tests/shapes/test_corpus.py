"""Mistakes people make in attention code are reported, correct code is not."""

from pathlib import Path

import pytest

from self_tests.shapes.mypy_runs import CORPUS, Run, marked_lines, run_files, run_mypy

MISTAKES = sorted((CORPUS / "mistakes").glob("*.py"))
CORRECT = sorted((CORPUS / "correct").glob("*.py"))


@pytest.fixture(scope="module")
def mistakes_run(tmp_path_factory: pytest.TempPathFactory, warm_cache: Path) -> Run:
    return run_mypy(tmp_path_factory.mktemp("mistakes"), *MISTAKES, cache=warm_cache)


@pytest.fixture(scope="module")
def correct_run(tmp_path_factory: pytest.TempPathFactory, warm_cache: Path) -> Run:
    return run_mypy(tmp_path_factory.mktemp("correct"), *CORRECT, cache=warm_cache)


def test_the_corpus_is_as_large_as_promised() -> None:
    assert len(MISTAKES) >= 40
    assert len(CORRECT) >= 40


@pytest.mark.parametrize("path", MISTAKES, ids=lambda path: path.stem)
def test_mistake_is_reported_at_its_line(path: Path, mistakes_run: Run) -> None:
    found = {finding.line for finding in mistakes_run.shapes if finding.file == path.name}
    assert found == marked_lines(path)


@pytest.mark.parametrize("path", CORRECT, ids=lambda path: path.stem)
def test_correct_file_raises_no_alarm(path: Path, correct_run: Run) -> None:
    assert [finding for finding in correct_run.findings if finding.file == path.name] == []


def test_the_run_agrees_about_the_mistakes() -> None:
    """Each fails under jaxtyping and beartype, or says in its docstring why it does not."""
    passed = run_files(CORPUS / "mistakes", [path.stem for path in MISTAKES])
    assert len(passed) == len(MISTAKES)
    for path in MISTAKES:
        assert passed[path.stem] == ("(the run passes" in path.read_text().splitlines()[0]), path


def test_the_run_agrees_about_the_correct_files() -> None:
    passed = run_files(CORPUS / "correct", [path.stem for path in CORRECT])
    assert passed == {path.stem: True for path in CORRECT}
