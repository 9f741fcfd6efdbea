"""The pytest plugin and ``veriformer.conformance``: pytest's own words for every verdict."""

import subprocess
import sys
from pathlib import Path

import pytest

import veriformer.testing  # noqa: F401  # loaded now, or each run in the process below would load a copy of its own
from self_tests.subject_files import GOOD

pytest_plugins = ["pytester"]

CLAUSE = "state.batch-rows-are-independent"
OPTIONS = ("-p", "no:cacheprovider", "--veriformer-budget", "quick")


@pytest.fixture
def folder(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makepyfile(mine=GOOD)
    return pytester


def test_the_plugin_does_not_import_torch() -> None:
    """Every pytest run on the machine loads it."""
    code = "import sys, veriformer.plugin; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_suite_runs_from_an_empty_folder(pytester: pytest.Pytester) -> None:
    """One item for each clause and subject."""
    arguments = ("--pyargs", "veriformer.suite", *OPTIONS, "--veriformer-only", "state", "--veriformer-only", "device")
    done = pytester.runpytest_subprocess(*arguments, "--veriformer-subject", "torch.nn.LayerNorm", "-rs", "-v")
    assert done.ret == 0
    done.stdout.fnmatch_lines(["*state*batch-rows-are-independent?torch.nn.LayerNorm? PASSED*"])
    done.stdout.fnmatch_lines(["*not checked: no CUDA device*"])
    done.stdout.no_fnmatch_line("*masking*")


def test_without_a_subject_the_suite_says_what_it_needs(pytester: pytest.Pytester) -> None:
    """One line, not a hundred errors about fixtures."""
    done = pytester.runpytest_subprocess("--pyargs", "veriformer.suite", "-rs", "-p", "no:cacheprovider")
    done.assert_outcomes(skipped=1)
    done.stdout.fnmatch_lines(["*say what to judge: pytest --pyargs veriformer.suite --veriformer-subject*"])


def test_several_subjects_and_failures(folder: pytest.Pytester) -> None:
    """A failure's message is the clause's report; an expected failure is skipped over."""
    subjects = ("--veriformer-subject", "mine.py:build", "--veriformer-subject", "mine.py:batch_norm")
    arguments = ("--pyargs", "veriformer.suite", *OPTIONS, "--veriformer-only", CLAUSE, *subjects)
    done = folder.runpytest_inprocess(*arguments)
    done.assert_outcomes(passed=1, failed=1)
    done.stdout.fnmatch_lines(["*FAIL state.batch-rows-are-independent MUST*", "*replay*mine.py:batch_norm --only*"])
    entry = (
        f'[[expected]]\nclause = "{CLAUSE}"\nreason = "known"\nlink = "https://example.org"\nsubject = "batch_norm"\n'
    )
    Path("expected.toml").write_text(entry)
    done = folder.runpytest_inprocess(*arguments, "--veriformer-expect-failures", "expected.toml")
    done.assert_outcomes(passed=1, xfailed=1)
    Path("expected.toml").write_text(entry.replace("batch_norm", "build"))
    done = folder.runpytest_inprocess(*arguments, "--veriformer-expect-failures", "expected.toml")
    done.assert_outcomes(failed=2)
    done.stdout.fnmatch_lines(["*UNEXPECTED PASS*"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--veriformer-subject", "nosuch.py:x"), "nosuch.py does not exist"),
        (("--veriformer-subject", "mine.py:number"), "cannot be called"),
        (("--veriformer-subject", "mine.py:build", "--veriformer-only", "stat"), "did you mean state?"),
    ],
)
def test_wrong_usage_is_one_line(folder: pytest.Pytester, arguments: tuple[str, ...], said: str) -> None:
    """As the command says it."""
    done = folder.runpytest_inprocess("--pyargs", "veriformer.suite", *OPTIONS, *arguments)
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    done.stderr.fnmatch_lines([f"*{said}*"])


def test_conformance_makes_a_test_for_each_clause(folder: pytest.Pytester) -> None:
    """In a file of one's own, beside one's own tests."""
    folder.makepyfile(
        test_mine=f"""
        import veriformer
        from mine import batch_norm, build

        def test_of_my_own():
            pass

        test_build = veriformer.conformance(build, budget="quick", only=["state", "device"])
        test_batch_norm = veriformer.conformance(batch_norm, budget="quick", only="{CLAUSE}", isolate=False)
        """
    )
    done = folder.runpytest_inprocess("-p", "no:cacheprovider", "-rs", "-v")
    done.stdout.fnmatch_lines(
        [
            "test_mine.py::test_of_my_own PASSED*",
            f"test_mine.py::test_build?{CLAUSE}? PASSED*",
            f"test_mine.py::test_batch_norm?{CLAUSE}? FAILED*",
            "*FAIL state.batch-rows-are-independent MUST*",
            "*not checked: no CUDA device*",
        ]
    )
    outcomes = done.parseoutcomes()
    assert outcomes["failed"] == 1
    assert outcomes["passed"] > 10
    one = folder.runpytest_inprocess("-p", "no:cacheprovider", "-k", f"test_build and {CLAUSE.partition('.')[2]}")
    assert one.parseoutcomes()["passed"] == 1


def test_conformance_says_what_it_cannot_judge(folder: pytest.Pytester) -> None:
    """A subject that cannot be built fails every test with the reason; a SHOULD that does not hold is an xfail."""
    folder.makepyfile(
        test_mine="""
        import veriformer
        from torch import nn

        def broken(config):
            return nn.LayerNorm(config.size)

        def loud(config):
            class Loud(nn.LayerNorm):
                def forward(self, x):
                    print("x")
                    return super().forward(x)
            return Loud(config.d_model)

        two = ["state.inputs-are-not-modified", "state.calls-are-silent"]
        test_broken = veriformer.conformance(broken, role="layer-norm", budget="quick", only=two)
        test_loud = veriformer.conformance(loud, role="layer-norm", budget="quick", only=two)
        """
    )
    done = folder.runpytest_inprocess("-p", "no:cacheprovider", "-rx")
    done.assert_outcomes(failed=2, passed=1, xfailed=1)
    done.stdout.fnmatch_lines(["*could not be judged: *build raised*config has no size*"])
    done.stdout.fnmatch_lines(["*a SHOULD, no MUST*"])


def test_a_property_that_is_imported_is_not_collected(folder: pytest.Pytester) -> None:
    """Somebody may use the suite's functions in tests of their own."""
    folder.makepyfile(test_mine="from veriformer.suite.test_state import *\n\ndef test_of_my_own():\n    pass\n")
    folder.runpytest_inprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)
