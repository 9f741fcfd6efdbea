"""Judge libraries by their adapters, each subject by ``veriformer check`` in a process of its own, and write docs/libraries.md.

    python benchmarks/libraries.py x-transformers --write docs/libraries.md

rewrites that library's section and leaves the others. Failures that are known stand in docs/findings/<library>.toml, strict: one that
passes is an error, and so is one of a subject that is not judged. Reports are kept; ``--resume`` goes on where a run was broken off.
"""

import argparse
import ast
import importlib.metadata
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from veriformer.adapters import builtin
from veriformer.adapters.libraries import LIBRARIES, Library, subjects_of
from veriformer.expectations import Expected, read
from veriformer.report import json_lines
from veriformer.request import EXAMPLES
from veriformer.result import Result
from veriformer.verdict import Status, Verdict

ROOT = Path(__file__).parents[1]
ADAPTERS = ROOT / "conformance_tests/veriformer/adapters"
TORCH = Library(name="torch.nn", package="torch", module="torch_nn", also=("torch_decoders",), distribution="torch")
"""Comes with the package under a name of its own."""
ALL = {each.name: each for each in (TORCH, *LIBRARIES)}
WRONG = (Status.FAIL, Status.ERROR, Status.UNEXPECTED_PASS)
HEAD = """# Libraries, judged

Written by `python -m nox -s libraries`; one section for each library, by `python benchmarks/libraries.py LIBRARY --write docs/libraries.md`.
`veriformer check 'SUBJECT'` judges one of them again. *Known* failures are the library's own, reduced to a script in
[docs/findings](findings/); nothing else may fail. *Mapped*: whether it was found out which weight is which, so that numbers and gradients
were compared with the reference's. An adapter's length is its lines of code, without blank lines, comments and docstrings. Seconds are
wall time on whatever machine wrote the table.
"""


def judged(library: Library, options: argparse.Namespace) -> Iterator[tuple[str, int, Result | None]]:
    """Every subject's name, exit code and report."""
    known = ROOT / f"docs/findings/{library.name}.toml"
    names = [
        each.name for each in (builtin.subjects_named("torch.nn") if library is TORCH else subjects_of(library.name))
    ]
    stale = {each.subject for each in _expected(known)} - {*names, ""}
    if stale:
        sys.exit(f"{known}: nobody is called {', '.join(sorted(stale))}")
    options.reports.mkdir(parents=True, exist_ok=True)
    for name in names:
        report = options.reports / f"{re.sub(r'[^a-zA-Z0-9.=-]', '_', name)}.json"
        if not (options.resume and _whole(report)):
            command = [
                sys.executable,
                "-m",
                "veriformer",
                "check",
                name,
                "--budget",
                options.budget,
                "--json",
                str(report),
            ]
            command += ["--time-limit", str(options.time_limit)]
            command += ["--expect-failures", str(known)] if known.exists() else []
            subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, check=False)
        result = json_lines.read(report)[0] if _whole(report) else None
        yield name, 3 if result is None else result.exit_code, result


def _expected(path: Path) -> Sequence[Expected]:
    return read(path) if path.exists() else ()


def _whole(report: Path) -> bool:
    """Whether the run that wrote it came to its end."""
    return report.exists() and b'"kind":"footer"' in report.read_bytes().rstrip().rpartition(b"\n")[2]


def length(library: Library) -> int:
    """Lines of code of an adapter: what is left without blank lines, comments and docstrings."""
    count = 0
    for module in (library.module, *library.also):
        text = (ADAPTERS / f"{module}.py").read_text(encoding="utf-8")
        silent: set[int] = set()
        for node in ast.walk(ast.parse(text)):
            if (
                isinstance(node, ast.Expr)
                and isinstance(node.value, ast.Constant)
                and isinstance(node.value.value, str)
            ):
                silent |= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
        lines = enumerate(text.splitlines(), start=1)
        count += sum(bool(line.strip()) and not line.strip().startswith("#") and at not in silent for at, line in lines)
    return count


def mapped(verdicts: Sequence[Verdict]) -> str:
    """Whether the weights were understood, and if not, why not, in a few words."""
    compared = [each for each in verdicts if each.clause.endswith(".equals-the-reference")]
    if not compared:
        return "no weights"
    verdict = compared[0]
    if verdict.status is not Status.NOT_CHECKED:
        return "yes"
    beyond = re.search(r"beyond what claims can say: ([^;]*)", verdict.reason)
    return f"beyond: {beyond[1]}" if beyond else "no"


def section(library: Library, options: argparse.Namespace) -> tuple[str, int]:
    """A library's part of the page, and how many of its subjects failed without being known to."""
    version = importlib.metadata.version(library.distribution or library.name)
    rows = [
        "| subject | passed | failed | known | open | not checked | mapped | seconds |",
        "|---|---|---|---|---|---|---|---|",
    ]
    said: dict[str, list[str]] = {}
    unexplained: list[str] = []
    for name, code, result in judged(library, options):
        print(f"{name}: exit code {code}", flush=True)
        if result is None or result.footer.blocked:
            unexplained.append(f"- `{name}` could not be judged: {result.footer.blocked if result else 'no report'}")
            continue
        of = {status: [each for each in result.verdicts if each.status is status] for status in Status}
        wrong = [each for status in WRONG for each in of[status]]
        counts = (
            len(of[Status.PASS]),
            len(wrong),
            *(len(of[each]) for each in (Status.EXPECTED_FAILURE, Status.INCONCLUSIVE, Status.NOT_CHECKED)),
        )
        rows.append(
            f"| `{name}` | {' | '.join(map(str, counts))} | {mapped(result.verdicts)} | {result.footer.seconds:.0f} |"
        )
        unexplained += [
            f"- `{name}`: `{each.clause}` ({each.level}, {each.status})" for each in (*wrong, *of[Status.INCONCLUSIVE])
        ]
        for each in of[Status.EXPECTED_FAILURE]:
            said.setdefault(_linked(each.reason), []).append(f"`{name.partition(':')[2] or name}` (`{each.clause}`)")
    lines = [
        f"## {library.name} {version}",
        "",
        f"Adapter: {length(library)} lines. Budget: {options.budget}.",
        "",
        *rows,
    ]
    if said:
        lines += ["", "Known failures:", "", *(f"- {reason}: {', '.join(who)}" for reason, who in said.items())]
    if unexplained:
        lines += ["", "**Not explained:**", "", *unexplained]
    return "\n".join(lines), len(unexplained)


def _linked(reason: str) -> str:
    """The reason that was written down, with its script as a link."""
    return re.sub(r"\[docs/(findings/(\S+?))\].*", r"[\2](\1)", reason, flags=re.DOTALL)


def written(page: Path, name: str, content: str) -> None:
    """Put a section into the page, in the order of the libraries."""
    text = page.read_text(encoding="utf-8") if page.exists() else ""
    block = r"<!-- (\S+) -->\n(.*?)\n<!-- /\1 -->"
    sections = {found[1]: found[2] for found in re.finditer(block, text, re.DOTALL)} | {name: content}
    parts = [f"<!-- {each} -->\n{sections[each]}\n<!-- /{each} -->" for each in ALL if each in sections]
    page.write_text("\n\n".join([HEAD.strip(), *parts]) + "\n", encoding="utf-8")


def main() -> int:
    """Judge the libraries that are named; 1 where one has a failure that is not known."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("libraries", nargs="+", choices=ALL)
    parser.add_argument("--budget", choices=EXAMPLES, default="quick")
    parser.add_argument("--time-limit", type=float, default=300.0, help="seconds for one clause")
    parser.add_argument("--write", type=Path, help="the page whose sections are rewritten")
    parser.add_argument("--reports", type=Path, default=ROOT / "build/libraries", help="where reports are kept")
    parser.add_argument("--resume", action="store_true", help="leave subjects whose report is complete")
    options = parser.parse_args()
    failures = 0
    for name in options.libraries:
        content, wrong = section(ALL[name], options)
        failures += wrong
        print(content)
        if options.write:
            written(options.write, name, content)
    return int(failures > 0)


if __name__ == "__main__":
    sys.exit(main())
