"""Second runs, changed callees, both cache formats, workers and the daemon: the same errors."""

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from self_tests.shapes.mypy_runs import PLUGIN, Run, read, run_mypy, write

LIBRARY = """
from typing import Optional
from jaxtyping import Bool, Float
from torch import Tensor

Query = Float[Tensor, "q d"]
Mask = Optional[Bool[Tensor, "q k"]]

def scores(query: Query, key: Float[Tensor, "k d"], mask: Mask = None) -> Float[Tensor, "q k"]:
    result = query @ key.T
    # The union of two tensor types, on which mypy takes attributes off (see marks.py).
    return result if mask is None else result.masked_fill(~mask, 0.0)

class Holder:
    weight: Float[Tensor, "d e"]

    def project(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n e"]:
        return x @ self.weight
"""

USER = """
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from library import Holder, Mask, Query, scores

def plain(x: Query, y: Float[Tensor, "k d"]) -> Float[Tensor, "q k"]:
    result = scores(x, y)
    return result

def masked(x: Query, y: Float[Tensor, "k d"], mask: Mask) -> Float[Tensor, "k q"]:
    return scores(x, y, mask)

def swapped(x: Query, y: Float[Tensor, "k d"], mask: Bool[Tensor, "k q"]) -> Tensor:
    return scores(x, y, mask)

def bare(x: Float[Tensor, "a b"]) -> Float[Tensor, "b a"]:
    return x

def held(holder: Holder, x: Float[Tensor, "b t d"]) -> Tensor:
    return holder.project(x)
"""

CHANGED = LIBRARY.replace('-> Float[Tensor, "q k"]:\n    result', '-> Float[Tensor, "k q"]:\n    result')


def lines(run: Run, name: str = "user.py") -> list[int]:
    return sorted({found.line for found in run.shapes if found.file == name})


COLD = [12, 15, 18, 21]
AFTER = [9, 15, 18, 21]


@pytest.fixture
def project(tmp_path: Path, warm_cache: Path) -> Path:
    write(tmp_path, library=LIBRARY, user=USER)
    shutil.copytree(warm_cache, tmp_path / "cache")
    return tmp_path


OLD_CACHE = ["--no-sqlite-cache", "--no-fixed-format-cache"]


@pytest.mark.parametrize("arguments", [[], ["-n", "2"]], ids=["one process", "two workers"])
def test_second_run_and_changed_callee(project: Path, arguments: list[str]) -> None:
    cache = project / "cache"
    cold = run_mypy(project, "user.py", *arguments, cache=cache)
    assert lines(cold) == COLD
    assert run_mypy(project, "user.py", *arguments, cache=cache).findings == cold.findings
    (project / "user.py").write_text(USER + "\n")
    assert lines(run_mypy(project, "user.py", *arguments, cache=cache)) == COLD
    write(project, library=CHANGED)
    changed = run_mypy(project, "user.py", *arguments, cache=cache)
    assert lines(changed) == AFTER
    assert lines(changed, "library.py") == [12]


def test_json_cache(project: Path) -> None:
    small = "from library import scores\n" + USER.replace(", scores", "")
    write(project, user=small)
    cold = run_mypy(project, "user.py", *OLD_CACHE)
    assert lines(cold) == [line + 1 for line in COLD]
    (project / "user.py").write_text(small + "\n")
    assert lines(run_mypy(project, "user.py", *OLD_CACHE)) == [line + 1 for line in COLD]
    write(project, library=CHANGED)
    assert lines(run_mypy(project, "user.py", *OLD_CACHE)) == [line + 1 for line in AFTER]


@pytest.fixture
def daemon(project: Path) -> Iterator[Path]:
    (project / "mypy.ini").write_text(PLUGIN)
    yield project
    ask(project, "stop")


def ask(folder: Path, *arguments: str) -> Run:
    command = [sys.executable, "-m", "mypy.dmypy", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return read(done.stdout)


def check(folder: Path) -> Run:
    # The daemon tells a changed file by its time stamp and size.
    time.sleep(1.1)
    return ask(folder, "run", "--", "--cache-dir", "cache", "user.py")


def test_daemon(daemon: Path) -> None:
    assert lines(check(daemon)) == COLD
    write(daemon, library=CHANGED)
    changed = check(daemon)
    assert lines(changed) == AFTER
    assert lines(changed, "library.py") == [12]
    write(daemon, library=LIBRARY)
    assert lines(check(daemon)) == COLD
    write(daemon, user=USER.replace('"b a"', '"a b"'))
    assert lines(check(daemon)) == [12, 15, 21]
