"""What the reference promises as a whole: shapes are checked, steps can be replaced, docstrings cite clauses that exist."""

import inspect
import re
import types
from collections.abc import Callable, Iterator
from typing import Any

import jaxtyping
import pytest
import torch
from torch import Tensor, nn

import veriformer_reference
from veriformer_reference import (
    attention,
    feed_forward,
    heads,
    masking,
    normalization,
    position,
    residual,
    stack,
)
from veriformer_reference.build import build
from veriformer_spec.chapters import CLAUSES
from veriformer_spec.config import Config
from veriformer_spec.role import Role

CHAPTERS = (attention, masking, heads, normalization, feed_forward, residual, position, stack)
CLAUSE_ID = re.compile(r"\b[a-z_]+\.[a-z0-9]+(?:-[a-z0-9]+)+")


def functions() -> Iterator[Any]:
    """Every module-level function of every chapter."""
    for chapter in CHAPTERS:
        for name, value in vars(chapter).items():
            if isinstance(value, types.FunctionType) and value.__module__ == chapter.__name__:
                yield pytest.param(chapter, name, id=f"{chapter.__name__.partition('.')[2]}.{name}")


def ones(*shape: int) -> Tensor:
    """Ones of a shape."""
    return torch.ones(*shape)


WRONG: list[tuple[str, Callable[[], Tensor]]] = [
    ("transposed key", lambda: attention.attention(ones(2, 5, 6), ones(2, 6, 7), ones(2, 7, 6))),
    ("value of another length", lambda: attention.attention(ones(2, 5, 6), ones(2, 7, 6), ones(2, 8, 6))),
    ("float mask", lambda: attention.attention(ones(2, 5, 6), ones(2, 7, 6), ones(2, 7, 6), ones(2, 5, 7))),
    (
        "transposed mask",
        lambda: attention.attention(ones(2, 5, 6), ones(2, 7, 6), ones(2, 7, 6), ones(2, 7, 5).bool()),
    ),
    (
        "heads and tokens swapped",
        lambda: build(Role.ATTENTION, Config())(ones(2, 5, 4, 6), ones(2, 4, 5, 6), ones(2, 4, 5, 6)),
    ),
    (
        "mask without heads",
        lambda: heads.MultiHeadAttention(Config())(ones(2, 5, 24), ones(2, 5, 24), ones(5, 5).bool()),
    ),
    ("another d_model", lambda: stack.EncoderLayer(Config())(ones(2, 5, 23))),
    ("one feature, which would broadcast", lambda: normalization.LayerNorm(Config())(ones(2, 5, 1))),
    ("integers", lambda: feed_forward.FeedForward(Config())(ones(2, 5, 24).long())),
    ("no batch", lambda: position.SinusoidalEncoding(Config())(ones(5, 24))),
    ("skip of another shape", lambda: residual.add(ones(2, 5, 24), ones(2, 1, 24))),
    ("mask of another length", lambda: masking.hide(ones(2, 5, 7), ones(1, 5, 1).bool())),
]


@pytest.mark.parametrize("wrong", [call for _, call in WRONG], ids=[name for name, _ in WRONG])
def test_a_wrong_shape_raises(wrong: Callable[[], Tensor]) -> None:
    """A learner who passes the wrong tensor is told before anything is multiplied."""
    with pytest.raises(jaxtyping.TypeCheckError):
        wrong()


def test_the_message_names_the_parameter() -> None:
    """The error says which parameter of which function, and which shape was expected."""
    with pytest.raises(jaxtyping.TypeCheckError) as raised:
        attention.attention(ones(2, 5, 6), ones(2, 6, 7), ones(2, 7, 6))
    message = str(raised.value)
    assert "veriformer_reference.attention.attention" in message
    assert "parameter 'key'" in message
    assert "*batch k_len d_head" in message


def test_checks_can_be_switched_off_and_come_back() -> None:
    """``checked`` works at call time, on functions already decorated, and restores what it found, also after an error."""
    x, output = ones(2, 5, 24), ones(2, 1, 24)
    with veriformer_reference.checked(False):
        assert residual.add(x, output).shape == (2, 5, 24)  # it broadcasts, unseen
        with veriformer_reference.checked(True), pytest.raises(jaxtyping.TypeCheckError):
            residual.add(x, output)
        assert residual.add(x, output).shape == (2, 5, 24)
    with pytest.raises(KeyError), veriformer_reference.checked(False):
        raise KeyError
    with pytest.raises(jaxtyping.TypeCheckError):
        residual.add(x, output)


def run_everything() -> None:
    """Every role, under claims that together reach every step."""
    every: tuple[dict[str, Any], ...] = (
        {"activation": "relu", "positions": "sinusoidal", "encoding": "sinusoidal"},
        {"activation": "gelu", "positions": "learned", "encoding": "learned", "norm": "pre", "normalization": "rms"},
        {"activation": "gelu-tanh", "kv_heads": 2, "causal": True, "layer_parameters": "shared"},
        {"activation": "swiglu", "memory": "query"},
    )
    for claims in every:
        config = Config(**claims)
        x, mask = ones(2, 5, 24), torch.ones(1, 1, 5, 5, dtype=torch.bool)
        for role in Role:
            subject = build(role, config)
            if role is Role.ATTENTION:
                subject(ones(2, 4, 5, 6), ones(2, config.kv_heads, 5, 6), ones(2, config.kv_heads, 5, 6), mask)
            elif role is Role.MULTI_HEAD_ATTENTION:
                subject(x, x, mask)
            elif role in (Role.ENCODER_LAYER, Role.ENCODER):
                subject(x, mask)
            else:
                subject(x)


class ReplacedError(Exception):
    """Raised by the step that stands in for another."""


@pytest.mark.parametrize(("chapter", "name"), list(functions()))
def test_every_step_can_be_replaced(monkeypatch: pytest.MonkeyPatch, chapter: types.ModuleType, name: str) -> None:
    """Setting a function on its module is enough: nobody has imported it out of there."""

    def replacement(*_args: object, **_keywords: object) -> Tensor:
        raise ReplacedError

    run_everything()
    monkeypatch.setattr(chapter, name, replacement)
    with pytest.raises(ReplacedError):
        run_everything()


@pytest.mark.parametrize(("chapter", "name"), list(functions()))
def test_every_step_is_documented(chapter: types.ModuleType, name: str) -> None:
    """A first sentence that ends, and a source; each clause that is cited exists."""
    documentation = inspect.getdoc(getattr(chapter, name))
    assert documentation
    first = documentation.splitlines()[0]
    assert first.endswith(".")
    for cited in CLAUSE_ID.findall(documentation):
        assert cited in CLAUSES
    assert "Source:" in documentation or name in {"initial_gain", "as_claimed"}  # nobody but us decides these


def test_every_clause_of_a_chapter_is_cited() -> None:
    """Someone holding a failure of a reference chapter can grep the clause id and find the lines that keep it."""
    names = {chapter.__name__.partition(".")[2] for chapter in CHAPTERS}
    cited = {each for chapter in CHAPTERS for each in CLAUSE_ID.findall(inspect.getsource(chapter))}
    missing = {id_ for id_, clause in CLAUSES.items() if clause.chapter in names} - cited
    assert not missing


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.ATTENTION])
def test_modules_hold_nothing_but_parameters(role: Role) -> None:
    """No buffers: what is not a parameter is made afresh at each call."""
    module = build(role, Config(positions="learned"))
    assert isinstance(module, nn.Module)
    assert not list(module.buffers())
