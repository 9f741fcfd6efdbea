"""``veriformer compare``: what is typed, the exit codes, and what is written."""

from pathlib import Path

import msgspec
import pytest

from veriformer.cli import run

FILE = """
from torch import nn
from helper import EPS

def build(config):
    return nn.LayerNorm(config.d_model, eps=EPS)

def broken(config):
    return missing

def convert(state):
    return state

example = __import__("torch").randn(2, 5, 24)
"""


def test_the_command_tells_two_files_of_one_name_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Their neighbours have one name, too; exit codes 0, 1, 2 and 3; and what was found as JSON."""
    for folder, eps in (("old", "1e-5"), ("same", "1e-5"), ("new", "1e-3")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "model.py").write_text(FILE)
        (tmp_path / folder / "helper.py").write_text(f"EPS = {eps}\n")
    old, same, new = (f"{tmp_path / folder / 'model.py'}:build" for folder in ("old", "same", "new"))
    assert run(["compare", old, same]) == 0
    assert "equal, bit for bit" in capsys.readouterr().out
    file = tmp_path / "found.json"
    assert run(["compare", old, new, "--example", "example", "--convert", "convert", "--json", str(file), "-v"]) == 1
    assert "they part at" in capsys.readouterr().out
    assert msgspec.json.decode(file.read_bytes())["likeness"] == "differs"
    assert run(["compare", old, f"{old}s"]) == 2
    assert run(["compare", old]) == 2
    assert run(["compare", old, new, "--json", str(tmp_path / "no" / "where.json")]) == 2
    assert run(["compare", old, old.replace(":build", ":broken")]) == 3
    assert "building NEW raised NameError" in capsys.readouterr().err
    assert run(["compare", "reference.layer-norm", "reference.layer-norm", "--set", "eps=1e-6"]) == 0
    assert run(["compare", "reference", "reference"]) == 2


def test_the_command_ends_what_hangs_and_survives_what_dies(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Either is told in a line, with the remedy; the library's names are targets too."""
    (tmp_path / "mine.py").write_text(
        "import os, time\nimport torch\n\nx = torch.ones(2, 3)\n\n"
        "def fine(x):\n    return x\n\ndef hangs(x):\n    time.sleep(600)\n\ndef dies(x):\n    os._exit(9)\n"
    )
    monkeypatch.chdir(tmp_path)
    asked = ["compare", "mine.py:fine", "--example", "x"]
    assert run([*asked, "mine.py:hangs", "--time-limit", "1"]) == 3
    assert "no answer within 1 s: it may hang, or need longer: --time-limit SECONDS" in capsys.readouterr().err
    assert run([*asked, "mine.py:dies"]) == 3
    assert "took the process down" in capsys.readouterr().err
    kernel = "attention-kernels:sdpa flash"
    assert run(["compare", kernel, kernel]) == 0
    assert "equal, bit for bit" in capsys.readouterr().out
