"""The command: its exit codes, its one clear line for each mistake, and what it writes."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from self_tests.subject_files import GOOD
from veriformer.cli import run
from veriformer.errors import UsageError
from veriformer.report import json_lines

FAST = ("--budget", "quick", "--only", "state")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "mine.py").write_text(GOOD)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    said: str = capsys.readouterr().err
    assert said.count("\n") == 1, said
    assert said.startswith("veriformer: ")
    return said


def test_a_conformant_subject_exits_with_0(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The headline says that nothing was found."""
    assert run(["check", "mine.py:build", *FAST]) == 0
    assert "no violation found" in capsys.readouterr().out


def test_a_faulty_subject_exits_with_1(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The clause is named, with the line that judges the case again; and that line fails, too."""
    assert run(["check", "mine.py:batch_norm", *FAST]) == 1
    said = capsys.readouterr().out
    assert "FAIL state.batch-rows-are-independent MUST" in said
    line = next(each for each in said.splitlines() if "replay" in each and "batch-rows-are-independent" in each)
    import shlex

    assert run(shlex.split(line)[2:]) == 1
    assert " 1 case in " in capsys.readouterr().out


def test_several_subjects_exit_with_the_worst_code(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Wrong usage goes before the rest, and the others are judged all the same."""
    assert run(["check", "mine.py:build", "mine.py:batch_norm", *FAST]) == 1
    assert "2 subjects, 1 not conformant: batch_norm" in capsys.readouterr().out
    assert run(["check", "mine.py:build", "mine.py:nothing", "mine.py:batch_norm", *FAST]) == 2
    captured = capsys.readouterr()
    assert "2 subjects" in captured.out
    assert "has no nothing" in captured.err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["nosuch.py:x"], 2, "nosuch.py does not exist"),
        (["mine.py"], 2, "mine.py:build"),
        (["mine.py:number"], 2, "cannot be called"),
        (["mine.py:undeclared"], 2, "--as ROLE"),
        (["mine.py:buidl"], 2, "did you mean build?"),
        (["mine.py:undeclared", "--as", "layernorm"], 2, "role 'layernorm' does not exist"),
        (["mine.py:build", "--set", "epsilon=1"], 2, "claim epsilon=1 does not exist"),
        (["mine.py:build", "--set", "eps"], 2, "a claim reads name=value"),
        (["mine.py:build", "--set", "norm_bias=perhaps"], 2, "must be True, False"),
        (["mine.py:build", "--size", "d_model"], 2, "a size reads name=whole number"),
        (["mine.py:build", "--size", "d=3"], 2, "does not exist"),
        (["mine.py:build", "--only", "state.inputs"], 2, "does not exist"),
        (["mine.py:build", "--skip", "stat"], 2, "did you mean state?"),
        (["mine.py:build", "--budget", "endless"], 2, "budget 'endless' does not exist"),
        (["mine.py:build", "--case", "batch=1"], 2, "exactly one clause"),
        (["mine.py:build", "--expect-failures", "none.toml"], 2, "none.toml cannot be read"),
        (["mine.py:build", "--json", "no/such/folder.json"], 2, "cannot be written"),
        (["syntax.py:x"], 3, "syntax.py:2: SyntaxError"),
        (["raises.py:x"], 3, "raises.py:1: ValueError: not today"),
        (["exits.py:x"], 3, "called sys.exit(0)"),
        (["dies.py:x"], 3, "os._exit(9)"),
        (["loops.py:x", "--time-limit", "1"], 3, "no answer within 1 s"),
    ],
)
def test_each_mistake_is_one_clear_line(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, said: str
) -> None:
    """2 for what the caller got wrong, 3 for what cannot be imported."""
    (folder / "syntax.py").write_text("x = 1\ndef f(:\n")
    (folder / "raises.py").write_text("raise ValueError('not today')\n")
    (folder / "exits.py").write_text("import sys\nprint('PRINTED')\nsys.exit(0)\n")
    (folder / "dies.py").write_text("import os\nos._exit(9)\n")
    (folder / "loops.py").write_text("while True:\n    pass\n")
    assert run(["check", "--budget", "quick", *arguments]) == code
    assert said in one_line(capsys)


def test_a_case_that_is_no_case(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A word that is no size, or a size that cannot be, is wrong usage."""
    for case, said in (
        ("batch", "must read name=value"),
        ("size=3", "must read name=value"),
        ("batch=two", "must give a whole number"),
        ("batch=0", "must give a whole number of 1 or more"),
    ):
        assert run(["check", "mine.py:build", "--only", "state.inputs-are-not-modified", "--case", case]) == 2
        assert said in one_line(capsys)


def test_clicks_own_refusals_exit_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown option or command, a missing argument."""
    assert run(["check", "--no-such-option", "x"]) == 2
    assert run(["chekc"]) == 2
    assert run(["explain"]) == 2
    assert run(["check"]) == 2
    assert "Usage" in capsys.readouterr().err


def test_a_subject_that_cannot_be_built_exits_with_3(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The reason is in the report."""
    (folder / "broken.py").write_text(
        GOOD + "\n@veriformer.subject('layer-norm')\ndef broken(config):\n    return nn.LayerNorm(config.size)\n"
    )
    assert run(["check", "broken.py:broken", *FAST]) == 3
    assert "config has no size" in capsys.readouterr().out


def test_a_target_that_prints_is_not_heard(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Neither on import nor in a call."""
    (folder / "loud.py").write_text("print('PRINTED')\n" + GOOD)
    assert run(["check", "loud.py:build", *FAST]) == 0
    assert "PRINTED" not in "".join(capfd.readouterr())


def test_claims_sizes_and_roles_may_be_typed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And are typed again in the replay line."""
    arguments = [
        "mine.py:undeclared",
        "--as",
        "layer-norm",
        "--set",
        "norm_bias=true",
        "--set",
        "eps=1e-5",
        "--size",
        "d_model=6",
    ]
    assert run(["check", *arguments, *FAST]) == 0
    assert "d_model=6" in capsys.readouterr().out


def test_only_a_clause_that_is_not_asked(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is judged, and that is wrong usage."""
    assert run(["check", "mine.py:build", "--only", "masking.masks-broadcast"]) == 2
    assert "is not asked of layer-norm" in one_line(capsys)


def without_times(path: Path) -> list[object]:
    import json

    return [
        {name: value for name, value in json.loads(line).items() if name != "seconds"}
        for line in path.read_text().splitlines()
    ]


def test_the_same_run_twice_gives_the_same_report(folder: Path) -> None:
    """Byte for byte but for the times; two targets are two blocks."""
    for name in ("one.json", "two.json"):
        assert (
            run(["check", "mine.py:build", "mine.py:batch_norm", *FAST, "--json", name, "--junit", "report.xml"]) == 1
        )
    assert without_times(folder / "one.json") == without_times(folder / "two.json")
    assert [each.header.subject for each in json_lines.read("one.json")] == ["build", "batch_norm"]
    assert (folder / "report.xml").read_text().count("<testsuite ") == 2


def test_verbose_lists_every_clause(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also those that passed."""
    assert run(["check", "mine.py:build", *FAST, "-v"]) == 0
    assert "state.inputs-are-not-modified" in capsys.readouterr().out


def test_replay(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A report's failed cases fail again, until the subject is mended; then they pass."""
    run(["check", "mine.py:batch_norm", *FAST, "--json", "report.json"])
    capsys.readouterr()
    assert run(["replay", "report.json", "-v"]) == 1
    said = capsys.readouterr().out
    assert "batch_norm: state.batch-rows-are-independent: still fails" in said
    assert "usually" in said
    (folder / "mine.py").write_text(GOOD.replace("nn.BatchNorm1d(config.d_model)", "nn.Identity()"))
    assert run(["replay", "report.json"]) == 0
    assert "passes now" in capsys.readouterr().out


def test_replay_of_a_report_without_failures(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """There is nothing to do."""
    run(["check", "mine.py:build", *FAST, "--json", "report.json"])
    assert run(["replay", "report.json"]) == 0
    assert "nothing failed" in capsys.readouterr().out


def test_replay_of_a_subject_that_could_not_be_judged(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is tried again as a whole."""
    broken = GOOD + "\n@veriformer.subject('layer-norm')\ndef broken(config):\n    return nn.LayerNorm(config.size)\n"
    (folder / "mine.py").write_text(broken)
    assert run(["check", "mine.py:broken", "--budget", "quick", "--json", "report.json"]) == 3
    assert run(["replay", "report.json"]) == 3
    (folder / "mine.py").write_text(broken.replace("config.size", "config.d_model"))
    assert run(["replay", "report.json"]) == 0


def test_replay_refuses_what_proves_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No file, a report that was cut off, an object that was in memory."""
    assert run(["replay", "none.json"]) == 2
    run(["check", "mine.py:batch_norm", *FAST, "--json", "report.json"])
    lines = (folder / "report.json").read_bytes().splitlines(keepends=True)
    (folder / "cut.json").write_bytes(b"".join(lines[:-1]))
    (folder / "memory.json").write_bytes(b"".join(lines).replace(b'"mine.py:batch_norm"', b'""'))
    capsys.readouterr()
    assert run(["replay", "cut.json"]) == 2
    assert "cut off" in one_line(capsys)
    assert run(["replay", "memory.json"]) == 2
    assert "in memory" in one_line(capsys)


def test_clauses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The specification, printed and as a document."""
    assert run(["clauses"]) == 0
    said = capsys.readouterr().out
    assert "masking.masked-keys-are-invisible  MUST" in said
    assert run(["clauses", "--markdown", str(tmp_path / "clauses.md")]) == 0
    assert "### masking.masked-keys-are-invisible" in (tmp_path / "clauses.md").read_text()
    assert run(["clauses", "--markdown", str(tmp_path / "no" / "folder.md")]) == 2


def test_explain(capsys: pytest.CaptureFixture[str]) -> None:
    """A clause, a fault, a near-miss; the nearest name for anything else."""
    from veriformer.faults.catalogue import FAULTS, NEAR_MISSES

    assert run(["explain", "attention.scale-is-the-inverse-root-of-the-key-size"]) == 0
    said = capsys.readouterr().out
    assert "scale is inverse-root or none or folded or any float" in said
    assert "usually broken by" in said
    for name in (*list(FAULTS)[:1], *list(NEAR_MISSES)[:1]):
        assert run(["explain", name]) == 0
        assert name in capsys.readouterr().out
    assert run(["explain", "masking.masks-brodcast"]) == 2
    assert "did you mean masking.masks-broadcast?" in one_line(capsys)


def test_faults(capsys: pytest.CaptureFixture[str]) -> None:
    """The catalogue, whole or in part, and the matrix of a part."""
    from veriformer.faults.catalogue import FAULTS

    assert run(["faults"]) == 0
    assert f"{len(FAULTS)} faults" in capsys.readouterr().out
    assert run(["faults", "no-such-fault-anywhere"]) == 2
    capsys.readouterr()
    small = min(FAULTS, key=lambda name: len(FAULTS[name].subjects()))
    for jobs in ("1", "2"):
        assert run(["faults", "--matrix", "--jobs", jobs, small]) == 0
        said = capsys.readouterr().out
        assert "X" in said
        assert "1 of 1 faults killed" in said


def command(*arguments: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "veriformer", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=_interruptible,  # noqa: PLW1509  # it sets what a signal does, and nothing else
    )


def _interruptible() -> None:
    """What a shell starts in the background ignores interrupts, and so would the command that is tested."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_help_does_not_import_torch() -> None:
    """It answers at once."""
    code = "import sys; from veriformer.cli import run; run(sys.argv[1:]); sys.exit('torch' in sys.modules)"
    for arguments in (
        ["--help"],
        ["check", "--help"],
        ["clauses", "--help"],
        ["faults", "--help"],
        ["check", "nosuch.py:x"],
        ["--version"],
    ):
        done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, check=False)
        assert done.returncode == 0, arguments


def test_a_check_imports_neither_sympy_nor_beartype(folder: Path) -> None:
    """They cost a tenth of a check, and nothing that it does needs them."""
    code = (
        "import sys; from veriformer.cli import run; assert run(sys.argv[1:]) == 0; "
        "sys.exit(', '.join({'sympy', 'beartype'} & sys.modules.keys()) or 0)"
    )
    check = ["check", "mine.py:build", "--budget", "quick", "--no-isolate", "--only", "state", "--only", "training"]
    done = subprocess.run([sys.executable, "-c", code, *check], capture_output=True, check=False, text=True)
    assert done.returncode == 0, done.stderr


def test_the_process_ends_with_the_code_and_says_everything(folder: Path) -> None:
    """It is left at once and not taken down, but what was written comes out and what waited for the end is run."""
    (folder / "last.py").write_text(f"{GOOD}\nimport atexit; atexit.register(print, 'the last word')\n")
    check = ["check", "last.py:batch_norm", *FAST, "--no-isolate"]
    done = subprocess.run([sys.executable, "-m", "veriformer", *check], capture_output=True, check=False, text=True)
    assert done.returncode == 1
    assert done.stdout.endswith("the last word\n")
    assert "FAIL state.batch-rows-are-independent MUST" in done.stdout


SLOW = GOOD.replace(
    "return nn.LayerNorm(config.d_model)\n", "import time; time.sleep(0.1); return nn.LayerNorm(config.d_model)\n", 1
)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_is_killed_in_the_middle_leaves_no_footer(folder: Path, how: signal.Signals) -> None:
    """The report is refused, no half page is left, and no child lives on."""
    (folder / "slow.py").write_text(SLOW)
    with command("check", "slow.py:build", "--json", "report.json", "--html", "page.html") as process:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if (folder / "report.json").exists() and (folder / "report.json").read_bytes().count(b"\n") >= 2:
                break
            time.sleep(0.02)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        child = children.read_text().split() if children.exists() else []
        process.send_signal(how)
        _, err = process.communicate(timeout=30)
    assert process.returncode == (130 if how == signal.SIGINT else -how)
    if how == signal.SIGINT:
        assert b"interrupted" in err
        assert b"Traceback" not in err
    with pytest.raises(UsageError, match="cut off"):
        json_lines.read(folder / "report.json")
    assert not [each.name for each in folder.iterdir() if "page.html" in each.name]
    for pid in child:
        for _ in range(100):
            if not Path(f"/proc/{pid}").exists():
                break
            time.sleep(0.05)
        else:
            assert Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"


def test_the_module_is_the_command() -> None:
    """``python -m veriformer`` is the same."""
    with command("--version") as process:
        out, _ = process.communicate(timeout=60)
    assert b"veriformer" in out
    assert process.returncode == 0
