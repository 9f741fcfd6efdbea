"""What two modules take, found by trying: ids where there is an embedding, else features of a width that a weight has."""

import inspect
import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from veriformer.comparison.examples import Example
from veriformer.comparison.made import Call, Made, Setting
from veriformer.errors import UsageError
from veriformer.inputs import generator
from veriformer.outcome import SubjectError

BATCH, TIME = 2, 5
NAMES = ("example_inputs", "example_input", "example", "example_input_array")
"""Where an example is looked for: in OLD's module, and in its file."""


def as_example(given: Any) -> Example:
    """An example as it may be given: a tensor, a tuple of arguments, a dictionary of named ones, or a function that returns one."""
    if callable(given) and not isinstance(given, Tensor):
        given = given()
    if isinstance(given, dict):
        return Example((), given)
    if isinstance(given, list | tuple):
        if len(given) == 2 and isinstance(given[0], tuple) and isinstance(given[1], dict):
            return Example(given[0], given[1])
        return Example(tuple(given))
    if isinstance(given, Tensor):
        return Example((given,))
    raise UsageError(
        f"the example is a {type(given).__name__}: give a tensor, a tuple of arguments, or a dictionary of named ones"
    )


def guessed(old: Made, new: Made) -> tuple[Example, str]:
    """An example that both take, and what was assumed.

    Raises:
        UsageError: none was found.
    """
    module = old.module
    for name in NAMES:
        kept = getattr(module, name, None)
        if kept is not None:
            return as_example(kept), f"the example is OLD's own {name}"
    tried: list[str] = []
    for words, tensors in _candidates(old):
        call = Call(words, tensors)
        failed = next((said for each in (old, new) if (said := _fails(each, call))), "")
        if not failed:
            masks = _masks(old, new, tensors)
            said = f"assumed: both take {words}" + (f", and {masks[0]} of {list(masks[1])}" if masks else "")
            return Example(tensors, masks=masks), said
        tried.append(failed)
    last = f" (the last one: {tried[-1]})" if tried else ""
    raise UsageError(
        f"no inputs were found that both take{last}: give an example= (on the command line --example NAME): a tensor, a tuple of "
        "arguments, or a function that returns them"
    )


def _fails(made: Made, call: Call) -> str:
    dtype = (
        next((each.dtype for each in made.module.parameters()), torch.float32)
        if made.module is not None
        else torch.float32
    )
    cast = tuple(each.to(dtype) if each.is_floating_point() else each for each in call.arguments)
    try:
        made(Call(call.words, cast, call.keywords), Setting(dtype))
    except SubjectError as error:
        return str(error)
    return ""


def _candidates(old: Made) -> Iterator[tuple[str, tuple[Tensor, ...]]]:
    random = generator(0)
    count = max(1, len(_required(old.function)))
    vocab = _vocabulary(old.module)
    if vocab:
        ids = tuple(torch.randint(0, vocab, (BATCH, TIME), generator=random) for _ in range(count))
        yield f"ids below {vocab} of shape {[BATCH, TIME]}", ids
    for width in _widths(old.module):
        for shape in ((BATCH, TIME, width), (BATCH, width), (BATCH, 4, TIME, width)):
            numbers = tuple(torch.randn(shape, generator=random, dtype=torch.float64) for _ in range(count))
            yield f"{'numbers' if count == 1 else f'{count} times numbers'} of shape {list(shape)}", numbers


def _required(function: Any) -> list[str]:
    forward = function.forward if isinstance(function, nn.Module) else function
    try:
        parameters = inspect.signature(forward).parameters.values()
    except (TypeError, ValueError):
        return []
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [each.name for each in parameters if each.kind in kinds and each.default is each.empty]


def _vocabulary(module: nn.Module | None) -> int:
    """The size of the first table of embeddings; 0 where real numbers meet a linear map first."""
    for part in module.modules() if module is not None else ():
        if isinstance(part, nn.Embedding):
            return part.num_embeddings
        if isinstance(part, nn.Linear):
            return 0
    return 0


def _widths(module: nn.Module | None) -> list[int]:
    """Sizes that the weights have, in the order in which they are met."""
    sizes = [
        each.shape[axis]
        for each in (module.parameters() if module is not None else ())
        for axis in range(-1, -each.dim() - 1, -1)
    ]
    return list(dict.fromkeys([*sizes, 24, 64]))[:8]


def _masks(old: Made, new: Made, tensors: tuple[Tensor, ...]) -> tuple[str, tuple[int, ...]] | None:
    """A mask's name, and a shape in which both take a boolean one."""
    module = old.function.forward if isinstance(old.function, nn.Module) else old.function
    try:
        names = [name for name in inspect.signature(module).parameters if "mask" in name]
    except (TypeError, ValueError):
        return None
    time = tensors[0].shape[1] if tensors[0].dim() > 1 else 0
    batch = tensors[0].shape[0]
    for name in names:
        for shape in ((batch, 1, time, time), (time, time), (batch, time), (batch, time, time), (batch, 1, 1, time)):
            if math.prod(shape) and not any(
                _fails(each, Call("mask", tensors, {name: torch.ones(shape, dtype=torch.bool)})) for each in (old, new)
            ):
                return name, shape
    return None
