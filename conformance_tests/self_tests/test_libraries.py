"""Libraries by name: ours, those of a third package, and one clear line for each that is not there."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn

import veriformer
from veriformer.adapters import libraries
from veriformer.adapters.libraries import Library
from veriformer.cli import run
from veriformer.errors import CannotLoad, UsageError
from veriformer.faults.matrix import verdicts_on
from veriformer.judge import Effort, judge
from veriformer.preflight import prepared
from veriformer.targets import Target
from veriformer.verdict import Status
from veriformer.worker import every_property
from veriformer_spec.chapters import CLAUSES

BRINGS = """
import veriformer
from torch import nn


@veriformer.subject("layer-norm")
def build(config):
    return nn.LayerNorm(config.d_model, eps=config.eps)


class Open(dict):
    more = ("Opened",)

    def __missing__(self, name):
        if name != "Opened":
            raise KeyError(name)
        return build


SUBJECTS = Open({"Norm": build, "Norm wide": build, "Layer post": build, "Layer pre": build})
WITHOUT_ROLE = {"Norm": lambda config: None}


def subjects():
    return SUBJECTS


def broken():
    raise RuntimeError("it does not work here")
"""


@pytest.fixture
def third_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that is installed, and brings subjects through the entry-point group."""
    (tmp_path / "third_package_subjects.py").write_text(BRINGS)
    about = tmp_path / "third_package-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: third-package\nVersion: 1.0\n")
    objects = {
        "third-package": "subjects",
        "third-table": "SUBJECTS",
        "third-number": "__name__",
        "third-broken": "broken",
    }
    objects["third-roleless"] = "WITHOUT_ROLE"
    lines = [f"{name} = third_package_subjects:{each}" for name, each in objects.items()]
    (about / "entry_points.txt").write_text("\n".join([f"[{libraries.GROUP}]", *lines]) + "\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "third_package_subjects", raising=False)


def refused(text: str, error: type[Exception] = UsageError) -> str:
    with pytest.raises(error) as caught:
        Target(text=text).load()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def loaded(text: str) -> list[str]:
    return [each.declaration.name for each in Target(text=text).load()]


@pytest.mark.usefixtures("third_package")
def test_a_third_package_brings_subjects() -> None:
    """Its entry point is the word before the colon: a function that returns the mapping, or the mapping itself."""
    (found,) = Target(text="third-package:Norm").load()
    assert found.declaration.role == "layer-norm"
    assert found.target == found.declaration.name == "third-package:Norm"
    assert loaded("third-table:Norm") == ["third-table:Norm"]


@pytest.mark.usefixtures("third_package")
def test_all_of_a_library_and_some_of_it() -> None:
    """The library alone is all that iteration gives; a name that goes on after a blank is all that begin so."""
    assert loaded("third_package") == [
        f"third-package:{each}" for each in ("Norm", "Norm wide", "Layer post", "Layer pre")
    ]
    assert loaded("third-package:Layer") == ["third-package:Layer post", "third-package:Layer pre"]
    assert loaded("Third-Package:Norm wide") == ["third-package:Norm wide"]


@pytest.mark.usefixtures("third_package")
def test_an_open_mapping_answers_to_more_names_than_it_lists() -> None:
    """As that of transformers does; the nearest of all its names is suggested."""
    assert loaded("third-package:Opened") == ["third-package:Opened"]
    assert "did you mean Opened?" in refused("third-package:Opend")


@pytest.mark.usefixtures("third_package")
def test_what_a_library_lacks_is_named() -> None:
    """The nearest name, or what there is."""
    assert "did you mean Norm?" in refused("third-package:Nrm")
    assert "`veriformer check third-package` judges Norm, Norm wide" in refused("third-package:something else")
    assert "did you mean third-package?" not in refused("nothing-like-it")
    assert "transformers" in refused("tranformers")


@pytest.mark.usefixtures("third_package")
def test_an_entry_point_that_is_none_is_told_as_one_line() -> None:
    """No mapping, a subject without a role, a package that does not work."""
    assert "must be a mapping from names to subjects" in refused("third-number:x")
    assert "says no role" in refused("third-roleless:Norm")
    assert "RuntimeError: it does not work here" in refused("third-broken:x", CannotLoad)


def test_a_library_that_is_missing_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, and exit code 2; nothing of it was imported."""
    absent = Library(name="some-library", package="some_library_that_nobody_has", module="some_models")
    monkeypatch.setattr(libraries, "LIBRARIES", (absent,))
    assert run(["check", "some-library:Model"]) == 2
    said = capsys.readouterr().err.strip()
    assert said.endswith("python -m pip install 'veriformer[some-library]'")
    assert "library 'some-library' is not installed" in said
    assert "\n" not in said


def test_no_library_is_imported_to_look_at_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A target with a file in it asks no entry point, and a library's own name comes before nobody's file."""
    monkeypatch.setattr(libraries, "entry_points", lambda **_: pytest.fail("entry points were looked through"))
    (tmp_path / "transformers.py").write_text("import veriformer\n" + BRINGS)
    assert loaded(f"{tmp_path}/transformers.py:build") == ["build"]


def test_every_adapter_of_ours_stands_in_the_pinned_installs_and_the_extras() -> None:
    """A library whose adapter comes with the package can be installed by its extra, and has a pinned version to be judged at."""
    import tomllib

    root = Path(__file__).parents[2]
    pinned = tomllib.loads((root / "benchmarks/libraries.toml").read_text())
    extras = tomllib.loads((root / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for each in libraries.LIBRARIES:
        assert each.name in pinned
        assert each.name in extras or each.package == "torch"


def test_what_is_beyond_the_claims_is_not_compared() -> None:
    """The reference is no oracle for it: not checked, with the reason that was declared, and never inconclusive or a failure."""

    class SideBySide(nn.Module):
        def __init__(self, config: Any) -> None:
            super().__init__()
            self.one, self.two = (
                nn.TransformerEncoderLayer(config.d_model, config.heads, config.d_ff, 0.0) for _ in "12"
            )

        def forward(self, x: Any) -> Any:
            return self.one(x.transpose(0, 1)).transpose(0, 1) + self.two(x.transpose(0, 1)).transpose(0, 1)

    @veriformer.subject("encoder-layer", masks="none", beyond="two layers side by side")
    def build(config: Any) -> nn.Module:
        return SideBySide(config)

    compared = [CLAUSES["stack.equals-the-reference"], CLAUSES["stack.symmetric-weights-give-the-known-output"]]
    declaration = getattr(build, "__veriformer__")  # noqa: B009  # the name is private
    for verdict in verdicts_on(declaration, compared, Effort(examples=2, seed=0, shrink=False)):
        assert verdict.status is Status.NOT_CHECKED
        assert "two layers side by side" in verdict.reason


def test_what_cannot_be_built_in_float64_is_judged_in_float32_and_told_once() -> None:
    """The clause on dtypes says so; the one on moving is no error for it."""

    @veriformer.subject("layer-norm", computes_in="float32")
    def build(config: Any) -> nn.Module:
        if torch.get_default_dtype() is torch.float64:
            raise TypeError("no float64 here")
        return nn.LayerNorm(config.d_model, eps=config.eps)

    ready = prepared(getattr(build, "__veriformer__"))  # noqa: B009  # the name is private
    assert ready.subject.dtype is torch.float32
    effort = Effort(examples=2, seed=0, shrink=False)
    for clause, expected in (
        ("state.every-parameter-is-registered", Status.PASS),
        ("numerics.dtype-in-is-dtype-out", Status.FAIL),
    ):
        assert judge(CLAUSES[clause], every_property()[clause], ready.subject, effort).status is expected


def _benchmark() -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks/libraries.py"
    specification = importlib.util.spec_from_file_location("libraries_benchmark", path)
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_the_page_is_written_section_by_section(tmp_path: Path) -> None:
    """One library's section is replaced, the others stay, and their order is that of the table."""
    benchmark, page = _benchmark(), tmp_path / "libraries.md"
    for name, content in (("transformers", "old"), ("torch.nn", "first"), ("transformers", "new")):
        benchmark.written(page, name, content)
    text = page.read_text()
    assert "old" not in text
    assert text.index("<!-- torch.nn -->\nfirst") < text.index("<!-- transformers -->\nnew")


def test_an_adapter_s_length_counts_code_alone() -> None:
    """No blank line, no comment and no docstring."""
    benchmark = _benchmark()
    text = (benchmark.ADAPTERS / "builtin.py").read_text()
    counted = benchmark.length(Library(name="x", package="x", module="builtin"))
    assert 5 < counted < len([line for line in text.splitlines() if line.strip()])
