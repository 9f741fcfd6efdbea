"""Beside another plugin that hooks ``typing.Annotated``: mypy asks only the first that answers."""

import shutil
from pathlib import Path

import pytest

from self_tests.shapes.mypy_runs import run_mypy, write

OTHER = """
from mypy.plugin import AnalyzeTypeContext, Plugin
from mypy.types import Type

def first(context: AnalyzeTypeContext) -> Type:
    return context.api.analyze_type(context.type.args[0])

class Other(Plugin):
    def get_type_analyze_hook(self, fullname):
        return first if fullname in ("typing.Annotated", "typing_extensions.Annotated") else None

def plugin(version):
    return Other
"""

USER = """
from typing import Annotated
from jaxtyping import Float
from torch import Tensor

def swapped(x: Float[Tensor, "a b"], count: Annotated[int, "no shape"]) -> Float[Tensor, "b a"]:
    return x

def ordinary(x: Float[Tensor, "a b"]) -> str:
    return x
"""


@pytest.mark.parametrize(
    ("plugins", "lines"),
    [
        ("veriformer_shapes.mypy, ./other.py", [7, 10]),
        # Listed first, the other plugin takes the annotations: no shapes, and no crash.
        ("./other.py, veriformer_shapes.mypy", [10]),
    ],
    ids=["listed first", "listed second"],
)
def test_beside_another_plugin(tmp_path: Path, warm_cache: Path, plugins: str, lines: list[int]) -> None:
    write(tmp_path, other=OTHER, user=USER)
    shutil.copytree(warm_cache, tmp_path / "cache")
    config = f"[mypy]\nplugins = {plugins}\nshow_traceback = True\n"
    run = run_mypy(tmp_path, "user.py", cache=tmp_path / "cache", config=config)
    assert sorted(found.line for found in run.findings if found.kind == "error") == lines
