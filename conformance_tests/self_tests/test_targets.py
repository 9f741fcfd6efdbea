"""Targets: what may be typed, and one clear line for everything that cannot be meant."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import veriformer
from self_tests.subject_files import GOOD
from veriformer.errors import CannotLoad, UsageError
from veriformer.prechecks import precheck
from veriformer.targets import Target
from veriformer_spec.config import ClaimError, Config


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "subjects_of_mine.py"
    path.write_text(GOOD)
    return path


def refused(text: str, error: type[Exception] = UsageError, **said: Any) -> str:
    def load() -> None:
        precheck(text)
        Target(text=text, **said).load()

    with pytest.raises(error) as caught:
        load()
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_file_and_a_name(file: Path) -> None:
    """The function's declaration is found, under the name that was typed."""
    (found,) = Target(text=f"{file}:build").load()
    assert found.declaration.name == "build"
    assert found.declaration.role == "layer-norm"
    assert found.target == f"{file}:build"
    assert found.options == ()


def test_a_module_and_a_name(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module that can be imported works as well as a file."""
    monkeypatch.syspath_prepend(file.parent)
    (found,) = Target(text="subjects_of_mine:build").load()
    assert found.declaration.role == "layer-norm"


def test_neighbours_of_the_file_can_be_imported(tmp_path: Path) -> None:
    """The file's folder is where Python would look, had it run the file."""
    (tmp_path / "neighbour_of_mine.py").write_text(GOOD)
    (tmp_path / "importing.py").write_text("from neighbour_of_mine import build\n")
    assert Target(text=f"{tmp_path}/importing.py:build").load()


def test_a_built_in_name_and_a_family() -> None:
    """One subject by its whole name, or all whose names begin so."""
    (found,) = Target(text="torch.nn.LayerNorm").load()
    assert found.target == "torch.nn.LayerNorm"
    assert len(Target(text="torch.nn").load()) > 10
    assert {each.declaration.role for each in Target(text="reference").load()} >= {"encoder", "attention"}


def test_what_is_said_beside_the_target_goes_into_the_replay_line(file: Path) -> None:
    """Role, claims and sizes that were typed must be typed again."""
    target = Target(text=f"{file}:undeclared", role="layer-norm", claims={"eps": 1e-6}, sizes={"d_model": 8})
    (found,) = target.load()
    assert found.declaration.claims["eps"] == 1e-6
    assert found.declaration.sizes == {"d_model": 8}
    assert list(found.options) == ["--as", "layer-norm", "--set", "eps=1e-06", "--size", "d_model=8"]


def test_what_does_not_exist_is_named(tmp_path: Path, file: Path) -> None:
    """Missing files, modules, names; what to type instead where that can be guessed."""
    assert "does not exist" in refused(f"{tmp_path}/nosuch.py:x")
    assert "did you mean build?" in refused(f"{file}:biuld")
    assert "is no name" in refused(f"{file}:")
    assert "cannot be found" in refused("no_such_module:build")
    assert "cannot be found" in refused("no_such_package.module:build")
    assert "did you mean torch.nn.LayerNorm?" in refused("torch.nn.LayerNrom")
    assert "is no built-in subject" in refused("something-else-entirely")
    assert f"{file}:build" in refused(str(file))


def test_what_is_no_subject_is_refused(file: Path) -> None:
    """A number cannot be called; an undecorated function says no role; a module needs its sizes."""
    assert "cannot be called" in refused(f"{file}:number")
    assert "--as ROLE" in refused(f"{file}:undeclared")
    assert "Fixed(" in refused(f"{file}:module", role="layer-norm")
    assert "role 'layernorm' does not exist" in refused(f"{file}:undeclared", role="layernorm")
    assert "did you mean norm_bias?" in refused(f"{file}:build", ClaimError, claims={"normbias": True})


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def f(:", "SyntaxError"),
        ("x = 1 / 0", "broken.py:1: ZeroDivisionError: division by zero"),
        ("import no_such_thing_anywhere", "ModuleNotFoundError"),
        ("import sys; sys.exit(4)", "sys.exit(4)"),
        ("raise RuntimeError('first line\\nsecond line')", "first line"),
    ],
)
def test_what_cannot_be_imported_says_why(tmp_path: Path, source: str, said: str) -> None:
    """One line with the place and the exception."""
    path = tmp_path / "broken.py"
    path.write_text(source)
    assert said in refused(f"{path}:build", CannotLoad)


def test_a_file_that_is_named_as_a_module_that_is_loaded(tmp_path: Path) -> None:
    """A file called torch.py is judged, and torch stays torch."""
    (tmp_path / "torch.py").write_text("def build(config):\n    return None\n")
    assert Target(text=f"{tmp_path}/torch.py:build", role="layer-norm").load()
    import sys

    assert sys.modules["torch"] is torch


def test_an_object_passed_to_check_is_a_target_where_it_can_be_typed() -> None:
    """A function at the top of a module has a replay line; one inside a function has none."""
    from veriformer.targets import found

    def inside(config: Config) -> nn.Module:
        return nn.LayerNorm(config.d_model)

    assert found(at_the_top, claims={}).target.endswith("test_targets.py:at_the_top")
    assert found(inside, role="layer-norm", claims={}).target == ""
    assert found(at_the_top, weights=lambda module: dict(module.named_parameters()), claims={}).target == ""


@veriformer.subject("layer-norm")
def at_the_top(config: Config) -> nn.Module:
    return nn.LayerNorm(config.d_model)
