"""The named points of the reference: which function makes each, in the words of that function's own docstring."""

import contextlib
import dataclasses
import functools
import importlib
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, get_type_hints

import torch
from torch import Tensor, nn

from veriformer.departure import POINTS
from veriformer_reference.checking import checked

MORE: Final = {
    "position.add": "the sum with positions",
    "rotary.rotate": "turned by position",
    "attention.cap": "the scores, bent",
    "feed_forward.gate": "the gated features",
    "model.scale_head": "scaled for the head",
    "recurrence.both_ways": "the states of both readings",
    "recurrence.additive_scores": "the scores",
    "recurrence.step": "one step of the decoder",
}
"""Further points, which a comparison has no need of."""
NAMES: Final[Mapping[str, str]] = {**POINTS, **MORE}
LEFT_OUT: Final = ("residual.connect",)
"""What comes out of these is what comes out of the last function within."""


@dataclasses.dataclass(frozen=True)
class Point:
    """One step.

    Attributes:
        function: the reference's, such as ``attention.scores``.
        name: what the specification calls what it returns.
        where: the module whose call it is part of, such as ``stack.layers.0.attention``; of a norm that bears a name, the norm.
        sentence: what it does, and ``equation``: its line of mathematics, both out of the function's docstring.
        axes: the words of its shape, from the glossary, with the sizes.
        inside: how many functions that are points themselves it was called by.
    """

    function: str
    name: str
    where: str
    sentence: str
    equation: str
    axes: tuple[tuple[str, int], ...]
    values: Tensor
    inside: int


def record(reference: nn.Module, call: Callable[[], Tensor]) -> tuple[list[Point], Tensor]:
    """The points of one call of the reference, in the order in which they are reached, and what comes out."""
    found: list[Point] = []
    where: list[str] = []
    depth = [0]

    def watched(target: str, words: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **options: Any) -> Any:
            depth[0] += 1
            try:
                result = function(*arguments, **options)
            finally:
                depth[0] -= 1
            made = result[0] if isinstance(result, tuple) else result
            if isinstance(made, Tensor) and not any(made is each for each in (*arguments, *options.values())):
                sentence, equation = described(function)
                path = where[-1] if where else ""
                values = made.detach().double().clone()
                found.append(Point(target, words, path, sentence, equation, _axes(function, made), values, depth[0]))
            return result

        return run

    with contextlib.ExitStack() as undo, torch.no_grad(), checked(on=False):
        for target, words in NAMES.items():
            if target in LEFT_OUT:
                continue
            chapter, _, name = target.partition(".")
            module = importlib.import_module(f"veriformer_reference.{chapter}")
            original = getattr(module, name)
            undo.callback(setattr, module, name, original)
            setattr(module, name, watched(target, words, original))
        for path, part in reference.named_modules():
            undo.callback(part.register_forward_pre_hook(functools.partial(_enter, where, path)).remove)
            undo.callback(part.register_forward_hook(functools.partial(_leave, where)).remove)
        output = call()
    return found, output


def _enter(where: list[str], path: str, *_: object) -> None:
    where.append(path)


def _leave(where: list[str], *_: object) -> None:
    where.pop()


@functools.cache
def described(function: Callable[..., Any]) -> tuple[str, str]:
    """A function's first sentence, and the line of mathematics below it where there is one."""
    paragraphs = (inspect.getdoc(inspect.unwrap(function)) or "").split("\n\n")
    paragraphs = [" ".join(each.replace("``", "").split()) for each in paragraphs]
    sentence, second = paragraphs[0], paragraphs[1].partition(". ")[0] if len(paragraphs) > 1 else ""
    holds = second and not second.startswith(("Source", "Args", "Returns", "Raises"))
    formula = bool(re.search(r"[=·ᵀ⊗√Σ^]| / | \+ |softmax|tanh\(|Concat|\(equation", second))
    return sentence, second if holds and formula and len(second) < 160 else ""


def _axes(function: Callable[..., Any], made: Tensor) -> tuple[tuple[str, int], ...]:
    """Each axis with its word: from the function's own signature, where leading axes are batch and heads."""
    hint = get_type_hints(inspect.unwrap(function)).get("return")
    said = str(getattr(hint, "dim_str", "")) or " ".join(("batch", "time", "features")[:: 2 if made.dim() == 2 else 1])
    own = [word for word in said.split() if not word.startswith("*")]
    over_keys = own[:1] in (["q_len"], ["k_len"]) or made.dim() - len(own) > 2
    leading: tuple[str, ...] = ("batch", "heads") if over_keys or own[:1] == ["time"] else ("batch", "time")
    leading = ("batch", "heads", "time") if made.dim() - len(own) > 2 else leading
    names = [*leading[: max(made.dim() - len(own), 0)], *own][-made.dim() :] if made.dim() else []
    names = ["features" if name == "_" else name.replace("*", "·") for name in names]
    if len(names) != made.dim():
        names = [f"axis {index}" for index in range(made.dim())]
    return tuple(zip(names, made.shape, strict=True))


def in_words(axes: Iterator[tuple[str, int]] | tuple[tuple[str, int], ...]) -> str:
    """A shape, in words."""
    return " · ".join(f"{size} {name}" for name, size in axes)
