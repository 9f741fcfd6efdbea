"""The project's sessions: ``python -m nox -l`` lists them, ``python -m nox -s NAME`` runs one.

Everything is installed under ``constraints.txt``, torch first: without its pin, several gigabytes of CUDA would come.
"""

import sys
from pathlib import Path

import nox

nox.needs_version = ">=2024.10.9"
nox.options.default_venv_backend = "virtualenv"
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = ["lint", "types", "tests", "check"]

CONSTRAINTS = "constraints.txt"
PROJECT = nox.project.load_toml("pyproject.toml")
LIBRARIES = nox.project.load_toml("benchmarks/libraries.toml")
SOURCES = ("spec", "reference", "conformance_tests", "benchmarks", "noxfile.py")


def install(session: nox.Session, *groups: str, package: bool = True) -> None:
    """Install the package in place, and the named dependency groups of pyproject.toml, at the pinned versions."""
    torch = next(line for line in Path(CONSTRAINTS).read_text().splitlines() if line.startswith("torch=="))
    if package:
        session.install(torch, "-c", CONSTRAINTS)
        session.install("-e", ".[pytest]", "-c", CONSTRAINTS)
    if groups:
        session.install(*nox.project.dependency_groups(PROJECT, *groups), "-c", CONSTRAINTS)


@nox.session
def check(session: nox.Session) -> None:
    """Judge torch.nn's Transformer parts and the reference, clause by clause."""
    install(session)
    session.run("veriformer", "check", "torch.nn", "reference", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Test the suite itself: every fault dies by its clause, every near-miss lives; with branch coverage."""
    install(session, "tests")
    session.run("pytest", "-n", "2", "--cov", "--cov-report=", *session.posargs)
    if session.posargs:
        return  # a part of the tests covers a part of the code
    session.run("coverage", "report", "--include=*/reference/veriformer_reference/*", "--fail-under=100")
    session.run("coverage", "report", "--include=*/conformance_tests/veriformer/*", "--fail-under=90")


@nox.session
def types(session: nox.Session) -> None:
    """Run mypy --strict over specification, reference, suite, self-tests, benchmarks and this file."""
    install(session, "types")
    session.run("mypy", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Run ruff, as linter and as formatter; ``-- --fix`` mends what can be mended."""
    install(session, "lint", package=False)
    fix = "--fix" in session.posargs
    session.run("ruff", "check", *(["--fix"] if fix else []), *SOURCES)
    session.run("ruff", "format", *([] if fix else ["--check"]), *SOURCES)


@nox.session(default=False)
def cuda(session: nox.Session) -> None:
    """Judge torch.nn's parts on CUDA; says so, and checks nothing, where there is none."""
    install(session)
    session.run("veriformer", "check", "torch.nn", "--device", "cuda", *session.posargs)


@nox.session(default=False)
def bench(session: nox.Session) -> None:
    """Measure how long a check takes and where the time goes; writes docs/benchmarks.md."""
    install(session)
    session.run("python", "benchmarks/speed.py", "--write", "docs/benchmarks.md", *session.posargs)


@nox.session(default=False)
def learn(session: nox.Session) -> None:
    """Train small models to copy, rightly and with two mistakes in the loss; draws docs/learning.svg."""
    install(session)
    session.run("python", "benchmarks/learn.py", "--faults", "--write", "docs/learning.svg", *session.posargs)


@nox.session(default=False)
def soak(session: nox.Session) -> None:
    """Judge torch.nn's parts under 200 seeds, in one process: no correct subject may ever fail."""
    install(session)
    session.run("python", "benchmarks/soak.py", *(session.posargs or ["--seeds", "200"]))


@nox.session(default=False)
@nox.parametrize("library", ["torch.nn", *LIBRARIES], ids=["torch.nn", *LIBRARIES])
def libraries(session: nox.Session, library: str) -> None:
    """Judge the libraries people use, each in an environment of its own; writes docs/libraries.md, section by section."""
    install(session)
    for arguments in LIBRARIES.get(library, {}).get("install", []):
        session.install(*arguments, "-c", CONSTRAINTS)
    session.run("python", "benchmarks/libraries.py", library, "--write", "docs/libraries.md", *session.posargs)


@nox.session(default=False)
def mutants(session: nox.Session) -> None:
    """Plant every mutant of the reference, one at a time; goes on where it was broken off, and writes docs/mutants.md."""
    install(session)
    session.run("python", "-m", "veriformer.mutation", "--write", "docs/mutants.md", *session.posargs)


@nox.session(name="shapes-real", default=False)
def shapes_real(session: nox.Session) -> None:
    """Check a real annotated library, transformer_lens: no shape finding may be untrue, no ordinary one may change."""
    install(session, "types")
    target = session.create_tmp()
    session.install("--no-deps", "--target", target, "transformer_lens==4.3.0")
    session.run("python", "benchmarks/shapes_real.py", f"{target}/transformer_lens")


if __name__ == "__main__":
    sys.exit("run `python -m nox`, which reads this file")
