"""Where a subject is written."""

import functools
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn

from veriformer.cli import run
from veriformer.places import places_of
from veriformer.report.json_lines import read

SOURCE = '''"""Line 1."""
import dataclasses
import functools
from torch import nn


def marked(function):
    @functools.wraps(function)
    def inside(*arguments):
        return function(*arguments)
    return inside


class Layer(nn.Module):  # line 14
    size = 3

    @marked
    def forward(self, x):
        return x


@marked
@marked
def build(config):  # line 24
    return Layer()


def plain(config):  # line 28
    class Inner(nn.Module):  # line 29
        def forward(self, x):
            return x

    return Inner()


class Empty(Layer):
    pass


@dataclasses.dataclass(eq=False)
class Table(nn.Module):  # line 41
    size: int = 3

    def __post_init__(self):
        super().__init__()

    def forward(self, x):
        return x
'''


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A file whose name is that of another module: what is written in it must not be looked for there."""
    path = tmp_path / "functional.py"
    path.write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    specification = importlib.util.spec_from_file_location("torch.functional", path)
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    monkeypatch.setitem(sys.modules, "torch.functional", torch.functional)
    specification.loader.exec_module(module)
    return module


def lines(build: Any, module: Any = None) -> list[tuple[str, str, int]]:
    return [(each.what, each.file, each.line) for each in places_of(build, module)]


def test_class_and_function_are_found_below_their_decorators(mine: ModuleType) -> None:
    """By their code and not by their module's name; a decorator's own code is no place."""
    assert lines(mine.build, mine.Layer()) == [("class", "functional.py", 14), ("build", "functional.py", 24)]
    assert lines(mine.plain, mine.plain(None)) == [("class", "functional.py", 29), ("build", "functional.py", 28)]
    assert lines(functools.partial(mine.plain)) == [("build", "functional.py", 28)]
    assert lines(None, mine.Table()) == [("class", "functional.py", 41)]


def test_what_lies_beside_comes_first(mine: ModuleType) -> None:
    """Whoever judges a library's class wrote the build function; the class stands behind it, in full."""
    own, other = places_of(mine.build, nn.LayerNorm(2))
    assert (own.file, own.line) == ("functional.py", 24)
    assert other.name == "LayerNorm" and Path(other.file).is_absolute()


def test_a_build_function_of_this_package_is_told_where_there_is_no_class(mine: ModuleType) -> None:
    """What stands between a user's class and the suite is nothing that the user can mend."""
    from veriformer.places import _place

    assert lines(_place, mine.Layer()) == [("class", "functional.py", 14)]
    assert [what for what, _, _ in lines(_place)] == ["build"]


def test_what_is_wrapped_is_looked_into(mine: ModuleType) -> None:
    """What compiles a module has no place of its own."""
    assert lines(None, torch.compile(mine.Layer(), backend="eager")) == [("class", "functional.py", 14)]
    assert lines(None, nn.DataParallel(mine.Layer())) == [("class", "functional.py", 14)]


def test_what_has_no_place_has_none(mine: ModuleType, tmp_path: Path) -> None:
    """A built-in function, a class without code of its own, what was typed in a shell, a file that has gone."""
    typed: dict[str, Any] = {}
    exec("def build(config): pass", typed)
    for thing in (print, 3, typed["build"], object()):
        assert places_of(thing, None) == []
    assert places_of(None, mine.Empty()) == []
    (tmp_path / "functional.py").unlink()
    assert places_of(mine.build, mine.Layer()) == []


def test_a_report_says_where_its_subject_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The build function where the subject cannot be built, too."""
    (tmp_path / "mine.py").write_text(
        "import veriformer\nfrom torch import nn\n\nclass Norm(nn.LayerNorm):\n    def forward(self, x):\n        return super().forward(x)\n\n"
        "@veriformer.subject('layer-norm')\ndef build(config):\n    return Norm(config.d_model)\n\n"
        "@veriformer.subject('layer-norm')\ndef broken(config):\n    raise OSError('gone')\n"
    )
    monkeypatch.chdir(tmp_path)
    clause = ("--budget", "quick", "--only", "state.calls-are-silent")
    assert run(["check", "mine.py:build", "mine.py:broken", *clause, "--json", "r.json"]) == 3
    good, broken = (each.header.places for each in read("r.json"))
    assert [(each.what, each.name, each.file, each.line) for each in good] == [
        ("class", "Norm", "mine.py", 4), ("build", "build", "mine.py", 9),
    ]  # fmt: skip
    assert [(each.name, each.line) for each in broken] == [("broken", 13)]
