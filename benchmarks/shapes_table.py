"""Plain mypy, mypy with the plugin, pyrefly, and the run: who finds the mistakes of the corpus?

``python benchmarks/shapes_table.py [--pyrefly PATH]`` prints a Markdown table. pyrefly is
measured if its executable is given (install pyrefly, pyrefly-torch-stubs and
pyrefly-shape-extensions beside torch, jaxtyping and einops): on the files as they are, and
with its ``@static_jaxtyping`` on every function. A correct file counts as a false alarm of
pyrefly's decorators only if it has more errors with them than without.
"""

import argparse
import ast
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

from self_tests.shapes.mypy_runs import CORPUS, PLAIN, PLUGIN, run_files, run_mypy

MISTAKES = sorted((CORPUS / "mistakes").glob("*.py"))
CORRECT = sorted((CORPUS / "correct").glob("*.py"))
NAMES = [*(f"mistake_{p.stem}" for p in MISTAKES), *(f"correct_{p.stem}" for p in CORRECT)]


def main() -> None:
    """Measure every way and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pyrefly", type=Path, help="the pyrefly executable")
    pyrefly = parser.parse_args().pyrefly
    print(f"| | mistakes found / {len(MISTAKES)} | false alarms / {len(CORRECT)} | seconds |")
    print("|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        copy(folder, lambda text: text)
        for title, config in (("plain mypy", PLAIN), ("mypy + veriformer_shapes", PLUGIN)):
            cache = folder / f"cache-{len(config)}"
            # The first run fills the cache with torch; what is measured is the corpus.
            (folder / "warm.py").write_text("import torch, einops, jaxtyping, beartype\n")
            run_mypy(folder, "warm.py", cache=cache, config=config)
            row(title, partial(by_mypy, folder, config, cache))
        if pyrefly is not None:
            base = by_pyrefly(folder, pyrefly)
            row("pyrefly, files as they are", lambda: by_pyrefly(folder, pyrefly))
            copy(folder, decorated)
            row("pyrefly, every function decorated", lambda: by_pyrefly(folder, pyrefly) - base)
            copy(folder, lambda text: text)
        row("jaxtyping + beartype, run", lambda: by_running(folder))


def row(title: str, measure: Callable[[], Counter[str]]) -> None:
    """Print one line of the table."""
    start = time.perf_counter()
    errors = measure()
    seconds = time.perf_counter() - start
    found = sum(errors[f"mistake_{path.stem}"] > 0 for path in MISTAKES)
    alarms = sum(errors[f"correct_{path.stem}"] > 0 for path in CORRECT)
    print(f"| {title} | {found} | {alarms} | {seconds:.1f} |", flush=True)


def copy(folder: Path, change: Callable[[str], str]) -> None:
    """Write the corpus to a folder, changed."""
    for prefix, paths in (("mistake", MISTAKES), ("correct", CORRECT)):
        for path in paths:
            (folder / f"{prefix}_{path.stem}.py").write_text(change(path.read_text()))


def by_mypy(folder: Path, config: str, cache: Path) -> Counter[str]:
    """Errors by file."""
    run = run_mypy(folder, *(f"{name}.py" for name in NAMES), cache=cache, config=config)
    return Counter(f.file.removesuffix(".py") for f in run.findings if f.kind == "error")


def by_pyrefly(folder: Path, pyrefly: Path) -> Counter[str]:
    """Errors by file."""
    python = pyrefly.parent / "python"
    command = [str(pyrefly), "check", "--python-interpreter-path", str(python)]
    command += ["--output-format", "min-text", *(f"{name}.py" for name in NAMES)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    errors: Counter[str] = Counter()
    for line in done.stdout.splitlines():
        if "ERROR" in line:
            errors.update(name for name in NAMES if f"{name}.py:" in line)
    return errors


def by_running(folder: Path) -> Counter[str]:
    """One error for each file whose run fails."""
    return Counter({name: int(not passed) for name, passed in run_files(folder, NAMES).items()})


def decorated(text: str) -> str:
    """The file with pyrefly's decorator on every function that has shapes."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            names = axis_names(node)
            if names:
                call = f"static_jaxtyping({' '.join(names)!r})"
                node.decorator_list.insert(0, ast.parse(call, mode="eval").body)
    at = 1 if ast.get_docstring(tree) else 0
    tree.body[at:at] = ast.parse("from shape_extensions import static_jaxtyping").body
    return ast.unparse(tree) + "\n"


def axis_names(function: ast.FunctionDef) -> list[str]:
    """The axis names in the annotations of a signature."""
    found: dict[str, None] = {}
    parts = [argument.annotation for argument in ast.walk(function.args)
             if isinstance(argument, ast.arg)]  # fmt: skip
    for part in [*parts, function.returns]:
        for node in ast.walk(part) if part is not None else ():
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                for word in node.value.replace("#", "").split():
                    if word.lstrip("*").isidentifier():
                        found[word] = None
    return list(found)


if __name__ == "__main__":
    main()
