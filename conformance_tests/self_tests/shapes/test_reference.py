"""Swapped axes planted in the real reference are reported, each at its line, and nothing else is."""

import shutil
from pathlib import Path

import pytest

from self_tests.shapes.mypy_runs import PLUGIN, run_mypy

ROOT = Path(__file__).parents[3]

CALL = (
    "return encoder_layer(x, mask, self, self.config, positions)",
    "return encoder_layer(x.mT, mask, self, self.config, positions)",
)
RETURN = ("return query @ key.mT * factor", "return (query @ key.mT * factor).mT")
# The layer hands its attention on in a lambda, which is not walked: here it is called at once.
MODULE = (
    "connect(x, lambda tokens: own.attention(tokens, tokens, mask, positions), own.attention_norm)",
    "own.attention(x, x.transpose(1, 2), mask)",
)


def planted(folder: Path, file: str, old: str, new: str) -> int:
    """Replace `old` in one file of the reference; the line it stands on."""
    path = folder / "veriformer_reference" / file
    text = path.read_text()
    assert text.count(old) == 1, (file, old)
    path.write_text(text.replace(old, new))
    return text[: text.index(old)].count("\n") + 1


@pytest.fixture
def reference(tmp_path: Path, warm_cache: Path) -> Path:
    shutil.copytree(ROOT / "reference" / "veriformer_reference", tmp_path / "veriformer_reference")
    shutil.copytree(warm_cache, tmp_path / "cache")
    return tmp_path


def test_swapped_axes_in_a_call_a_return_and_a_module_call(reference: Path) -> None:
    config = f"{PLUGIN}mypy_path = {ROOT / 'spec'}\n"
    clean = run_mypy(reference, "veriformer_reference", cache=reference / "cache", config=config)
    assert clean.findings == []
    expected = {
        ("stack.py", planted(reference, "stack.py", *CALL)),
        ("attention.py", planted(reference, "attention.py", *RETURN)),
        ("stack.py", planted(reference, "stack.py", *MODULE)),
    }
    run = run_mypy(reference, "veriformer_reference", cache=reference / "cache", config=config)
    assert {(found.file, found.line) for found in run.shapes} == expected
