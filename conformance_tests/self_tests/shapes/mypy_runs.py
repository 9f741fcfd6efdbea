"""Runs mypy with the plugin, in a folder of its own, and reads what it prints."""

import re
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"

PLUGIN = "[mypy]\nplugins = veriformer_shapes.mypy\nshow_traceback = True\n"
PLAIN = "[mypy]\nshow_traceback = True\n"

_LINE = re.compile(r"(?P<file>[^:]+):(?P<line>\d+): (?P<kind>error|note): (?P<text>.*)")


@dataclass(frozen=True, order=True)
class Finding:
    """One line of mypy's output."""

    file: str
    line: int
    kind: str
    text: str

    @property
    def is_shape(self) -> bool:
        return self.text.endswith("[tensor-shape]")


@dataclass(frozen=True)
class Run:
    """What one run of mypy printed."""

    findings: list[Finding]
    output: str

    @property
    def shapes(self) -> list[Finding]:
        """The findings of the plugin."""
        return [found for found in self.findings if found.is_shape and found.kind == "error"]

    def notes(self) -> dict[int, str]:
        """The shapes revealed, by line."""
        reveals = {f.line: f.text for f in self.findings if f.text.startswith("Revealed shape")}
        return {line: text.split('"')[1] for line, text in reveals.items()}


def read(output: str) -> Run:
    """Read mypy's output."""
    findings = []
    for line in output.splitlines():
        match = _LINE.fullmatch(line)
        if match is not None:
            name = Path(match["file"]).name
            findings.append(Finding(name, int(match["line"]), match["kind"], match["text"]))
    return Run(findings, output)


def run_mypy(
    folder: Path,
    *arguments: str | Path,
    cache: Path | None = None,
    config: str = PLUGIN,
) -> Run:
    """Run mypy in `folder` on the files named."""
    (folder / "mypy.ini").write_text(config)
    where = [] if cache is None else ["--cache-dir", str(cache)]
    command = [sys.executable, "-m", "mypy", *where, *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    output = done.stdout + done.stderr
    assert "INTERNAL ERROR" not in output, output
    assert "failed on" not in output, output
    return read(output)


def write(folder: Path, **files: str) -> None:
    """Write Python files, by name."""
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)


def marked_lines(path: Path) -> set[int]:
    """The lines of a mistake file where an error belongs."""
    lines = path.read_text().splitlines()
    return {number for number, line in enumerate(lines, 1) if "# error" in line}


RUNNER = """
import importlib, sys
from jaxtyping import install_import_hook
sys.path.insert(0, sys.argv[1])
names = sys.argv[2:]
with install_import_hook(names, "beartype.beartype"):
    for name in names:
        try:
            importlib.import_module(name).run()
        except Exception as problem:
            print(name, "fails", type(problem).__name__)
        else:
            print(name, "passes")
"""


def run_files(folder: Path, names: Iterable[str]) -> dict[str, bool]:
    """Run files under jaxtyping and beartype: the name of each, and whether it passed."""
    command = [sys.executable, "-c", RUNNER, str(folder), *names]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    words = [line.split() for line in done.stdout.splitlines()]
    return {line[0]: line[1] == "passes" for line in words if len(line) >= 2}
