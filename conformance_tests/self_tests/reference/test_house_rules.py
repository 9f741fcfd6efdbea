"""What the reference promises as a whole: shapes are checked, steps can be replaced, docstrings cite clauses that exist."""

import inspect
import re
import types
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jaxtyping
import pytest
import torch
from torch import Tensor, nn

import veriformer_reference
from self_tests.reference import calls
from veriformer_reference import (
    attention,
    cache,
    decoder,
    embedding,
    feed_forward,
    generation,
    heads,
    masking,
    model,
    normalization,
    position,
    recurrence,
    relative,
    residual,
    rotary,
    stack,
    training,
)
from veriformer_reference.build import build
from veriformer_spec.chapters import CLAUSES
from veriformer_spec.config import CLAIMS, Config
from veriformer_spec.role import Role

CHAPTERS = (
    attention, masking, heads, normalization, feed_forward, residual, position, rotary, relative, embedding, stack, decoder,
    model, cache, generation, recurrence, training,
)  # fmt: skip
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


EVERY: tuple[dict[str, Any], ...] = (
    {"activation": "relu", "positions": "sinusoidal", "encoding": "sinusoidal", "segments": True},
    {"activation": "gelu", "positions": "learned", "encoding": "learned", "norm": "pre", "normalization": "rms"},
    {"activation": "gelu-tanh", "kv_heads": 2, "causal": True, "layer_parameters": "shared", "sliding_window": True},
    {"activation": "swiglu", "memory": "query", "positions": "rotary", "alignment": "start", "causal": True},
    {"activation": "silu", "positions": "relative", "bias_kind": "relative", "query_key_norm": "layer", "tied": True},
    {"positions": "alibi", "entrance": "projection", "head": "transform", "padding_row": "frozen", "cell": "gru"},
)
"""Claims that together reach every step."""


def every_call() -> Iterator[Callable[[], object]]:
    """Every role under every one of these claims that means something for it, and what no role calls."""
    for claims in EVERY:
        for role in Role:
            config = Config(**{name: value for name, value in claims.items() if role in CLAIMS[name].roles})
            positional, named, _ = calls.arguments(role, config, ones)
            yield lambda role=role, config=config, args=positional, named=named: build(role, config)(*args, **named)  # type: ignore[misc]  # bound now
    for strategy in ("beam", "sample"):
        positional, named, _ = calls.arguments(Role.GENERATION, Config(), ones)
        yield partial(generation.generate, *positional, **{**named, "strategy": strategy})
    yield lambda: build(Role.DROPOUT, Config(dropout=0.5))(ones(2, 5, 24))
    yield go_on_from_a_cache


def go_on_from_a_cache() -> None:
    """A step, its cache's rows exchanged, and a copy."""
    own = model.CausalLM(Config())
    read = cache.step(own, calls.words(2, 3, 11), None, cache.start(own, 2, 3))[1]
    cache.copy(own, cache.reorder(own, read, torch.tensor([1, 0])))


@pytest.fixture(scope="module")
def reaching() -> dict[tuple[str, str], Callable[[], object]]:
    """For every step one call that reaches it."""
    found: dict[tuple[str, str], Callable[[], object]] = {}
    reached: set[tuple[str, str]] = set()

    def watched(key: tuple[str, str], step: Callable[..., Any]) -> Callable[..., Any]:
        def watching(*positional: Any, **named: Any) -> Any:
            reached.add(key)
            return step(*positional, **named)

        return watching

    with pytest.MonkeyPatch.context() as patch:
        for case in functions():
            chapter, name = case.values
            patch.setattr(chapter, name, watched((chapter.__name__, name), getattr(chapter, name)))
        for call in every_call():
            reached.clear()
            call()
            for key in reached:
                found.setdefault(key, call)
    return found


class ReplacedError(Exception):
    """Raised by the step that stands in for another."""


@pytest.mark.parametrize(("chapter", "name"), list(functions()))
def test_every_step_can_be_replaced(
    monkeypatch: pytest.MonkeyPatch,
    reaching: dict[tuple[str, str], Callable[[], object]],
    chapter: types.ModuleType,
    name: str,
) -> None:
    """Setting a function on its module is enough: nobody has imported it out of there."""

    def replacement(*_args: object, **_keywords: object) -> Tensor:
        raise ReplacedError

    call = reaching[chapter.__name__, name]
    call()
    monkeypatch.setattr(chapter, name, replacement)
    with pytest.raises(ReplacedError):
        call()


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


@pytest.mark.parametrize("role", [role for role in Role if isinstance(build(role, Config()), nn.Module)])
def test_modules_hold_nothing_but_parameters(role: Role) -> None:
    """No buffers: what is not a parameter is made afresh at each call."""
    module = build(role, Config(positions="learned"))
    assert isinstance(module, nn.Module)
    assert not list(module.buffers())
