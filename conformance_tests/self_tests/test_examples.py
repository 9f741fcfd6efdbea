"""The examples do what README says they do."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def check(target: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the command as README has it."""
    return subprocess.run(
        [sys.executable, "-m", "veriformer", "check", target, *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_the_faulty_layer_is_found_and_its_case_is_small() -> None:
    """Heads merged by reshape without the transpose: exit 1, the clause on time, no size larger than it needs."""
    done = check("examples/encoder_layer.py:build")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "heads.time-stays-time" in done.stdout
    assert "batch=1 q_len=2" in done.stdout


def test_the_mended_layer_conforms() -> None:
    """With the transpose back: exit 0."""
    done = check("examples/encoder_layer.py:build_mended")
    assert done.returncode == 0, done.stdout + done.stderr


def test_positions_that_start_again_are_found_and_named() -> None:
    """A language model whose cached steps count from zero: exit 1, led by the clause on steps; with the count carried on: exit 0."""
    done = check("examples/language_model.py:build", "--only", "cache")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "FAIL" in done.stdout
    assert done.stdout.partition("FAIL ")[2].startswith("cache.one-by-one-equals-the-full-pass")
    mended = check("examples/language_model.py:build_mended", "--budget", "quick")
    assert mended.returncode == 0, mended.stdout + mended.stderr


def test_readme_shows_what_the_commands_print() -> None:
    """The failure and the table of claims in README are what is printed today."""
    done = subprocess.run([sys.executable, "benchmarks/readme.py", "--check"], cwd=ROOT, timeout=300, check=False)
    assert done.returncode == 0, "run python benchmarks/readme.py"


def test_the_written_specification_is_today_s(tmp_path: Path) -> None:
    """docs/clauses.md is what the command writes."""
    fresh = tmp_path / "clauses.md"
    subprocess.run(
        [sys.executable, "-m", "veriformer", "clauses", "--markdown", fresh], cwd=ROOT, timeout=300, check=True
    )
    assert (ROOT / "docs/clauses.md").read_text() == fresh.read_text(), (
        "run veriformer clauses --markdown docs/clauses.md"
    )
