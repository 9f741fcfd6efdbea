"""Annotations that cannot be read, names of jaxtyping by other names, silence, and safety."""

import subprocess
import sys
from pathlib import Path

import pytest

from self_tests.shapes.mypy_runs import run_mypy, write
from veriformer_shapes import reveal_shape

IMPORTS = "import torch\nfrom jaxtyping import Float\nfrom torch import Tensor\n"


def test_broken_shape_string(tmp_path: Path, warm_cache: Path) -> None:
    write(tmp_path, broken=IMPORTS + 'def f(x: Float[Tensor, "b t t+"]) -> None: ...\n')
    (found,) = run_mypy(tmp_path, "broken.py", cache=warm_cache).findings
    assert found.line == 4
    assert found.is_shape
    assert 'Shape "b t t+" cannot be read: "t+" is neither a name' in found.text


def test_unknown_dtype(tmp_path: Path, warm_cache: Path) -> None:
    text = "import jaxtyping\nfrom torch import Tensor\nfrom jaxtyping import Floaty\n"
    text += 'def f(x: jaxtyping.Float128[Tensor, "b t"]) -> None: ...\n'
    write(tmp_path, dtype=text)
    found = run_mypy(tmp_path, "dtype.py", cache=warm_cache).findings
    assert [(f.line, f.kind) for f in found] == [(3, "error"), (4, "error")]
    assert 'has no attribute "Floaty"' in found[0].text
    assert "Float128" in found[1].text


def test_shape_on_what_is_no_tensor(tmp_path: Path, warm_cache: Path) -> None:
    text = IMPORTS + 'def f(x: Float[list[Tensor], "b t"], y: Float[str, "b"]) -> None: ...\n'
    text += 'def g(x: Float[float, ""]) -> None: ...\n'
    write(tmp_path, other=text)
    found = run_mypy(tmp_path, "other.py", cache=warm_cache).shapes
    assert [f.line for f in found] == [4, 4]
    assert 'is put on "list", which is not a tensor; write Float[Tensor, ...]' in found[0].text


SPELLINGS = """
import typing
import jaxtyping
import jaxtyping as jt
import torch
from typing import Annotated, NotRequired, TypedDict
from jaxtyping import Float as F32, Int as I
from torch import Tensor, nn
from veriformer_shapes import reveal_shape

class Options(TypedDict):
    scale: NotRequired[Annotated[int, "positive"]]

def f(
    a: jaxtyping.Float[Tensor, "b t"],
    b: jt.Bool[Tensor, "b t"],
    c: F32[Tensor, " word"],
    d: I[Tensor, "..."],
    e: "F32[Tensor, 'b t']",
    g: F32["Tensor", "b t"],
    h: F32[F32[Tensor, "t d"], "b"],
    i: F32[nn.Parameter, "b t"],
    j: Annotated[Tensor, "b t"],
    k: F32[Tensor, "a|b"] | None,
) -> None:
    reveal_shape(a)
    reveal_shape(b)
    reveal_shape(c)
    reveal_shape(d)
    reveal_shape(e)
    reveal_shape(g)
    reveal_shape(h)
    reveal_shape(i)
    reveal_shape(j)
"""


def test_spellings(tmp_path: Path, warm_cache: Path) -> None:
    write(tmp_path, spellings=SPELLINGS)
    notes = run_mypy(tmp_path, "spellings.py", cache=warm_cache).notes()
    assert list(notes.values()) == [
        "Float b t",
        "Bool b t",
        "Float word",
        "Int ...",
        "Float b t",
        "Float b t",
        "Float b t d",
        "Float b t",
        "Shaped ...",
    ]


def test_one_line_is_silenced_by_its_code(tmp_path: Path, warm_cache: Path) -> None:
    strict = "# mypy: warn-unused-ignores\n"
    text = IMPORTS + 'def f(x: Float[Tensor, "a b"]) -> Float[Tensor, "b a"]:\n'
    write(
        tmp_path,
        silenced=strict + text + "    return x  # type: ignore[tensor-shape]\n",
        unused=strict + text + "    return x.T  # type: ignore[tensor-shape]\n",
        disabled='# mypy: disable-error-code="tensor-shape"\n' + text + "    return x\n",
    )
    files = ("silenced.py", "unused.py", "disabled.py")
    found = run_mypy(tmp_path, *files, cache=warm_cache).findings
    assert [(f.file, f.line) for f in found] == [("unused.py", 6)]


def test_ordinary_errors_stay_as_they_are(tmp_path: Path, warm_cache: Path) -> None:
    """These two are what mypy says without the plugin (benchmarks/shapes_real.py compares more)."""
    text = IMPORTS + (
        'def f(x: Float[Tensor, "a b"], xs: list[Float[Tensor, "a b"]]) -> str:\n'
        "    y: list[Tensor] = xs\n"
        "    z = x if xs else torch.ones(2)\n"
        "    x.no_such_method()\n"
        "    return z\n"
    )
    write(tmp_path, ordinary=text)
    texts = [found.text for found in run_mypy(tmp_path, "ordinary.py", cache=warm_cache).findings]
    assert texts == [
        '"Tensor" has no attribute "no_such_method"  [attr-defined]',
        'Incompatible return value type (got "Tensor", expected "str")  [return-value]',
    ]


def test_reveal_shape_costs_nothing_at_run_time() -> None:
    value = object()
    assert reveal_shape(value) is value


def test_the_package_imports_neither_torch_nor_the_rest() -> None:
    code = (
        "import sys, veriformer_shapes.mypy; "
        "print([m for m in ('torch', 'jaxtyping', 'veriformer_spec') if m in sys.modules])"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


SABOTAGE = """
from veriformer_shapes import mypy as shapes
from veriformer_shapes.checking import functions, statements

def fail(*arguments, **named):
    raise RuntimeError("sabotage")

statements.Walker._return = fail
shapes.shaped_alias = fail
plugin = shapes.plugin
"""


def test_a_failure_of_the_plugin_is_no_internal_error(tmp_path: Path) -> None:
    """The functions it fails on are not checked, everything else is as without it."""
    write(tmp_path, sabotaged=SABOTAGE, user=IMPORTS + (
        'Rows = Float[Tensor, "a b"]\n'
        "def f(x: Rows) -> Rows:\n    return x.T\n"
        'def g(x: Float[Tensor, "a b"]) -> None:\n    x @ x\n'
        'number: int = "text"\n'
    ))  # fmt: skip
    config = "[mypy]\nplugins = sabotaged.py\n"
    found = run_mypy(tmp_path, "user.py", config=config).findings
    assert [(f.line, f.is_shape) for f in found] == [(8, True), (9, False)]


PLANTED = {
    "call": ("scores(x, y)  # a call", "scores(x, y.T)"),
    "return": ("return result  # a return", "return result.T"),
    "module": ("self.inner(x)  # a module", "self.inner(x.mT)"),
}

REFERENCE = """
from jaxtyping import Float
from torch import Tensor, nn

def scores(query: Float[Tensor, "q d"], key: Float[Tensor, "k d"]) -> Float[Tensor, "q k"]:
    result = query @ key.T
    return result  # a return

def use(x: Float[Tensor, "a d"], y: Float[Tensor, "b d"]) -> Float[Tensor, "a b"]:
    return scores(x, y)  # a call

class Inner(nn.Module):
    def forward(self, x: Float[Tensor, "b t d"]) -> Float[Tensor, "b t d"]:
        return x * 2

class Outer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = Inner()

    def forward(self, x: Float[Tensor, "b t d"]) -> Float[Tensor, "b t d"]:
        return self.inner(x)  # a module
"""


@pytest.mark.parametrize("place", PLANTED)
def test_planted_swap(place: str, tmp_path: Path, warm_cache: Path) -> None:
    old, new = PLANTED[place]
    line = REFERENCE[: REFERENCE.index(old)].count("\n") + 1
    write(tmp_path, planted=REFERENCE.replace(old, new))
    assert line in {f.line for f in run_mypy(tmp_path, "planted.py", cache=warm_cache).shapes}


def test_the_unplanted_file_is_clean(tmp_path: Path, warm_cache: Path) -> None:
    write(tmp_path, planted=REFERENCE)
    assert run_mypy(tmp_path, "planted.py", cache=warm_cache).findings == []
