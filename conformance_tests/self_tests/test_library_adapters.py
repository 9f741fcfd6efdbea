"""Adapters of libraries that continuous integration does not install: one clause on one subject each, where the library is there."""

import importlib

import pytest

import veriformer
from veriformer.adapters.libraries import LIBRARIES, subjects_of

ONE = {
    "x-transformers": ("Attention flash", "masking.masked-keys-are-invisible"),
    "torchtune": ("llama2", "masking.causal-outputs-ignore-the-future"),
    "litgpt": ("Llama", "cache.one-by-one-equals-the-full-pass"),
    "labml-nn": ("MultiHeadAttention", "masking.masked-keys-are-invisible"),
    "keras": ("MultiHeadAttention", "masking.masked-keys-are-invisible"),
    "attention-kernels": ("sdpa math", "masking.masked-keys-are-invisible"),
}
"""A subject of each library, and a clause that its adapter would break with a mask that points the other way."""


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("library", ONE)
def test_an_adapter_speaks_the_library_s_language(library: str) -> None:
    """The library is imported, a subject built and called under masks."""
    package = next(each.package for each in LIBRARIES if each.name == library)
    pytest.importorskip(package, exc_type=ImportError)
    importlib.import_module(package)
    name, clause = ONE[library]
    (subject,) = subjects_of(library, name)
    result = veriformer.check(subject, budget="quick", only=clause, isolate=False)
    assert [verdict.status for verdict in result.verdicts] == ["pass"], result.verdicts
