"""Judge classes of tutorials without an adapter, and write docs/assumed.md: what each was assumed to be, and its verdict.

Run as ``python benchmarks/assumed.py --write docs/assumed.md``; ``--only WORD`` takes those whose target holds the word, and
``--keep FOLDER`` keeps each answer there, so that a run that was broken off goes on where it was; after ``--minutes`` no other is judged,
and with a negative number none is looked at: what was kept is written.
"""

import argparse
import hashlib
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "conformance_tests"))

from self_tests.tutorial_classes import OTHERWISE, PUBLISHED, RIGHT, WRONG, Class
from veriformer.errors import CannotLoad, UsageError
from veriformer.request import Request
from veriformer.result import Result
from veriformer.run import run
from veriformer.targets import Target
from veriformer.verdict import Assumed

HEAD = """# Classes without an adapter

Written by `python benchmarks/assumed.py --write docs/assumed.md`: `veriformer check file.py:Class --as ROLE` on classes in the style of
well-known tutorials ([`tutorials/`](../conformance_tests/self_tests/tutorials)), at `--budget {budget}`. Nothing but the role was said.
What was *proved* equals the reference on fresh random weights under the claims that were found out.
"""


def judged(each: Class, folder: Path, budget: str) -> tuple[Result | str, float]:
    """The result, or why there is none; and the processor's seconds that it took to assume and to judge."""
    started = time.perf_counter()
    target = Target(text=each.typed(folder), role=each.role)
    try:
        (result,) = run(target.load, Request(budget=budget), target=target.text)
    except (UsageError, CannotLoad) as refused:
        return str(refused), time.perf_counter() - started
    return result, time.perf_counter() - started


def verdict(result: Result | str) -> str:
    """In a few words: the counts, what failed, and its name."""
    if isinstance(result, str):
        return f"not decided: {result}"
    counts = ", ".join(f"{count} {status}" for status, count in result.footer.counts.items())
    found = result.diagnosis.findings[:1] if result.diagnosis is not None else []
    called = f"; called **{found[0].name}**{' (exact)' if found[0].exact else ''}" if found else ""
    failed = [each.clause for each in result.failed]
    listed = (
        f"; failed: {', '.join(f'`{clause}`' for clause in failed[:4])}{f' and {len(failed) - 4} more' if len(failed) > 4 else ''}"
        if failed
        else ""
    )
    return (
        f"{'no violation' if result.conformant else 'not conformant' if failed else 'open'}: {counts}{listed}{called}"
    )


def told(each: Class, result: Result | str) -> list[str]:
    """One class: what it is, what was assumed of it, and the verdict."""
    lines = _titled(each, verdict(result))
    return lines if isinstance(result, str) else [*lines, *_table(result.header.assumed)]


def _titled(each: Class, said: str) -> list[str]:
    lines = [f"### `{each.target}` as `{each.role}`", "", f"{each.style}."]
    if each.old:
        lines[-1] += f" With `{each.new or '(nothing)'}` in the place of `{each.old}`."
    return [*lines, "", f"Verdict: {said}", ""]


def _table(assumed: Sequence[Assumed]) -> list[str]:
    rows = [f"| {one.what} | {_cell(one.value)} | {one.how} |" for one in assumed]
    return ["| assumed | value | how |", "|---|---|---|", *rows, ""]


def _cell(text: str) -> str:
    return text.replace("|", "\\|") if len(text) < 220 else f"{text[:217]}..."


def main() -> int:
    """Judge them and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path)
    parser.add_argument("--only", default="")
    parser.add_argument("--budget", default="quick")
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--minutes", type=float, default=1e9)
    options = parser.parse_args()
    options.until = time.perf_counter() + 60 * options.minutes
    lines = HEAD.format(budget=options.budget).splitlines()
    with tempfile.TemporaryDirectory() as folder:
        for title, classes in (
            ("One line wrong", WRONG),
            ("Right, with masks that point another way", OTHERWISE),
            ("As published, and not conformant", PUBLISHED),
            ("Right", RIGHT),
        ):
            lines += ["", f"## {title}", ""]
            lines += _all([each for each in classes if options.only in each.target], Path(folder), options)
    if options.write:
        options.write.write_text("\n".join(lines) + "\n")
    return 0


def _all(classes: Sequence[Class], folder: Path, options: argparse.Namespace) -> list[str]:
    rows, details = ["| class | role | verdict |", "|---|---|---|"], list[str]()
    for each in classes:
        said = _kept(each, folder, options)
        rows.append(f"| {_cell(each.name)} | {each.role} | {said[0]} |")
        details += said[1:]
    return [*rows, "", *details]


def _only_assumed(each: Class, folder: Path) -> list[str]:
    """What is assumed of a class that there is no time to judge."""
    (found,) = Target(text=each.typed(folder), role=each.role).load()
    lines = _titled(each, "not judged in this run")
    return ["not judged in this run", *lines, *_table(found.declaration.assumed)]


def _kept(each: Class, folder: Path, options: argparse.Namespace) -> list[str]:
    """The verdict in a few words, then the section; from ``--keep`` where it is there."""
    name = hashlib.sha256(f"{each.name} {each.role} {options.budget}".encode()).hexdigest()[:16]
    file = options.keep / f"{name}.json" if options.keep else None
    if file is not None and file.exists():
        kept: list[str] = json.loads(file.read_text())
        return kept
    if options.minutes < 0:
        return ["not judged in this run"]
    if time.perf_counter() > options.until:
        return _only_assumed(each, folder)
    result, seconds = judged(each, folder, options.budget)
    print(f"{each.name} {each.role}: {verdict(result)} ({seconds:.0f} s)", flush=True)
    said = [verdict(result), *told(each, result)]
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(said))
    return said


if __name__ == "__main__":
    sys.exit(main())
