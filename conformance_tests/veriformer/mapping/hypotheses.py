"""Hypotheses: how the parameters of an unknown module may be read and filled, all together; the plainest first."""

import itertools
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import torch
from torch import Tensor, nn

from veriformer.inputs import generator
from veriformer.mapping.matching import DEAD
from veriformer.mapping.symmetric import Choice, Hypothesis, Places, choices
from veriformer.mapping.tensors import IN_OUT, OUT_IN, Held, Reading, held

MOST = 192
"""Hypotheses about one module, at most."""
MOST_FILLS = 24
"""Of which so many with one way of reading."""
FILLS_FOR_A_WAY = 4
"""Fills that are tried of one way of reading before the next way is begun."""

_Way = tuple[Reading, str]
"""How a parameter is read, and what it is filled with."""
_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


def measured_readings(module: nn.Module, call: Callable[[], Tensor]) -> dict[int, Reading]:
    """Which way round the matrix of each affine leaf is stored, found by watching the leaves at work; by a parameter's id."""
    found: dict[int, Reading] = {}

    def watch(leaf: nn.Module, given: tuple[object, ...], result: object) -> None:
        own = list(leaf.parameters(recurse=False))
        matrices = [each for each in own if each.dim() == 2]
        biases = [each for each in own if each.dim() == 1]
        if len(matrices) != 1 or not given or not isinstance(given[0], Tensor) or not isinstance(result, Tensor):
            return
        x, weight = given[0], matrices[0]
        if not x.is_floating_point() or x.dtype != weight.dtype:
            return
        for reading, used in ((OUT_IN, weight.mT), (IN_OUT, weight)):
            if x.shape[-1] == used.shape[0] and result.shape[-1] == used.shape[1]:
                expected = x @ used + (biases[0] if biases else 0)
                if torch.allclose(result, expected, rtol=1e-4, atol=1e-6):
                    found[id(weight)] = reading

    hooks = [leaf.register_forward_hook(watch) for leaf in module.modules() if not any(leaf.children())]
    try:
        call()
    finally:
        for hook in hooks:
            hook.remove()
    return found


def idle(module: nn.Module, known: Places, call: Callable[[], Tensor]) -> frozenset[str]:
    """Parameters that have no place in the function and on which nothing depends, such as the bias of an additive score.

    The softmax takes no notice of what is added to all scores alike, so an implementation may have such a bias, and be right.
    """
    parameters = held(module) if known.any else []
    homeless = [each for each in parameters if not choices(each, known)]
    if not homeless:
        return frozenset()
    output = call()
    if not output.requires_grad:
        return frozenset()
    along = torch.randn(output.shape, generator=generator(7), dtype=torch.float64).to(output)
    tensors = [each.tensor for each in parameters]
    towards = torch.autograd.grad((output * along).sum(), tensors, allow_unused=True, materialize_grads=True)
    moved = {each.name: float(gradient.abs().max()) for each, gradient in zip(parameters, towards, strict=True)}
    dead = DEAD[torch.float64 if output.dtype is torch.float64 else torch.float32] * max(moved.values())
    return frozenset(each.name for each in homeless if moved[each.name] <= dead)


def hypotheses(
    module: nn.Module, known: Places, measured: Mapping[int, Reading], *, without: Collection[str] = ()
) -> Iterator[Hypothesis] | str:
    """Joint choices for all parameters; or why there are none.

    Parameters of one kind (owner's class and attribute) and shape are read in one way. They are filled in one way too, but
    for square ones, of which some belong to heads and others to tokens. A bias follows the weight beside it.

    Args:
        measured: how matrices are stored of which that is known, by the parameter's id.
        without: parameters that need no place.
    """
    parameters = [each for each in held(module) if each.name not in without] if known.any else []
    possible: dict[str, list[Choice]] = {}
    for each in parameters:
        found = choices(each, known)
        if id(each.tensor) in measured and not each.is_vector:
            found = [one for one in found if one.reading == measured[id(each.tensor)]] or found
        if not found:
            return f"the parameter {each.name} of shape {each.shape} has no place in the claimed function"
        possible[each.name] = found
    return itertools.islice(_joint(parameters, possible, _partners(parameters)), MOST)


def _read_key(each: Held) -> object:
    return each.kind, each.shape


def _fill_key(each: Held) -> object:
    square = len(each.shape) > 1 and each.shape[0] == each.shape[-1]
    return _read_key(each), re.sub("[0-9]+", "", each.name) if square else ""


def _joint(
    parameters: Sequence[Held], possible: Mapping[str, list[Choice]], partners: Mapping[str, str]
) -> Iterator[Hypothesis]:
    options: dict[object, list[_Way]] = {}
    for each in parameters:
        options.setdefault(_read_key(each), list(dict.fromkeys((one.reading, one.fill) for one in possible[each.name])))
    ways = list(itertools.islice(_ways(options), MOST))
    begun = {index: _filled(way, parameters, possible, partners) for index, way in enumerate(ways)}
    # a way's other fills wait for the first ones of the next ways: neither is looked at to its end before the other is begun
    for step in range(len(ways) * FILLS_FOR_A_WAY + MOST_FILLS):
        for index in [index for index in begun if step >= index * FILLS_FOR_A_WAY]:
            hypothesis = next(begun[index], None)
            if hypothesis is None:
                del begun[index]
            else:
                yield hypothesis


def _filled(
    way: Mapping[object, _Way],
    parameters: Sequence[Held],
    possible: Mapping[str, list[Choice]],
    partners: Mapping[str, str],
) -> Iterator[Hypothesis]:
    """Every way to fill what is read in one way."""
    fills: dict[object, list[Choice]] = {}
    for each in parameters:
        fitting = [one for one in possible[each.name] if (one.reading, one.fill) == way[_read_key(each)]]
        fills.setdefault(_fill_key(each), fitting)
    for fill in itertools.islice(_changes(fills), MOST_FILLS):
        chosen = {each.name: fill[_fill_key(each)] for each in parameters}
        for name, partner in partners.items():
            if chosen[name].base == chosen[partner].base:
                chosen[name] = replace(chosen[name], inner=chosen[partner].inner)
        yield chosen


def _ways(options: Mapping[object, Sequence[_Way]]) -> Iterator[dict[object, _Way]]:
    """Both conventions for all matrices, what goes in last and what goes in first, each with every table there may be; then any mixture."""
    first = {key: values[0] for key, values in options.items()}
    inwards = {
        key: next((each for each in values if each[0].columns[:1] == (0,) and each[1] == values[0][1]), values[0])
        for key, values in options.items()
    }
    seen: list[dict[object, _Way]] = []
    for convention in (first, inwards):
        tables = [(key, each) for key, values in options.items() for each in values if each[1] == "equal-rows"]
        for way in (convention, *({**convention, key: each} for key, each in tables)):
            if way not in seen:
                seen.append(way)
                yield way
    for way in _changes(options):
        if way not in seen:
            yield way


def _changes(options: Mapping[_Key, Sequence[_Value]]) -> Iterator[dict[_Key, _Value]]:
    """Every key's first value; all keys' second ones; then one key's other values, two keys', and so on."""
    first = {key: values[0] for key, values in options.items()}
    yield first
    several = [key for key, values in options.items() if len(values) > 1]
    if len(several) > 1:
        yield {key: values[1] if len(values) > 1 else values[0] for key, values in options.items()}
    for count in range(1, len(several) + 1):
        for keys in itertools.combinations(several, count):
            for values in itertools.product(*(options[key][1:] for key in keys)):
                yield {**first, **dict(zip(keys, values, strict=True))}


def _partners(parameters: Sequence[Held]) -> dict[str, str]:
    """The weight beside each bias: of as many rows, in the same owner; the first with the first, where there are several."""
    found: dict[str, str] = {}
    for owner in dict.fromkeys(each.owner for each in parameters):
        own = [each for each in parameters if each.owner is owner]
        matrices = [each for each in own if not each.is_vector and len(each.shape) > 1]
        counts: dict[int, int] = {}
        for each in own:
            if each.is_vector and len(each.shape) == 1:
                length = each.shape[0]
                beside = [
                    one for one in matrices if length in one.shape or one.tensor.numel() == length * one.shape[-2]
                ]
                at = counts.get(length, 0)
                counts[length] = at + 1
                if at < len(beside):
                    found[each.name] = beside[at].name
    return found
