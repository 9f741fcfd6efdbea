"""Layout: a subject's tensors under the reference's names, at any sizes at which the same recipe holds."""

import dataclasses
import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

import veriformer_reference
from veriformer.mapping.recipes import PLAIN, Found, Order
from veriformer.mapping.tensors import Reading
from veriformer_reference.build import build
from veriformer_spec.config import Config
from veriformer_spec.role import Role


class LayoutError(ValueError):
    """A layout cannot be applied: other sizes than those it is known at, or a parameter that is not there."""


@dataclass(frozen=True)
class Counter:
    """A number in a parameter's name that counts layers or heads: ``slope * index + start``."""

    of: str
    slope: int
    start: int

    def at(self, index: int) -> str:
        """The number that stands in the name."""
        return str(self.slope * index + self.start)


Name = tuple[str | Counter, ...]
"""A parameter's name, in pieces: numbers, and what stands between them."""


def named(name: Name, layer: int, head: int) -> str:
    """The name in one layer, for one head."""
    return "".join(each if isinstance(each, str) else each.at(layer if each.of == "layer" else head) for each in name)


@dataclass(frozen=True)
class Rule:
    """Some tensors of the subject, one below the other, and the parts of the reference that lie in them.

    Attributes:
        sources: the subject's names; one with a counter of heads stands for all heads.
        reading: how each is read as rows.
        parts: the reference's names, in their order of storage.
        rows: where no recipe explains it, the stored row of every row of every part.
        stored: how many rows there were where it was found.
        flat: whether the sources have one axis.
    """

    sources: tuple[Name, ...]
    reading: Reading
    parts: tuple[Name, ...]
    order: Order = PLAIN
    offset: int = 0
    rows: tuple[tuple[int, ...], ...] = ()
    stored: int = 0
    flat: bool = False

    @property
    def per_layer(self) -> bool:
        """Whether it stands for every layer."""
        return any(isinstance(each, Counter) and each.of == "layer" for name in self.parts for each in name)

    @property
    def per_head(self) -> bool:
        """Whether its one source stands for every head."""
        return any(isinstance(each, Counter) and each.of == "head" for name in self.sources for each in name)


class _Undrawn(TorchFunctionMode):
    """While active, nothing is drawn: initial values are nobody's concern where only shapes are asked for."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None) -> Any:
        """Run ``func``, unless it would fill a tensor with random numbers."""
        if getattr(func, "__name__", "") in {"normal_", "uniform_", "xavier_uniform_"}:
            return args[0] if args else (kwargs or {})["tensor"]
        return func(*args, **(kwargs or {}))


@functools.lru_cache(maxsize=256)
def reference_shapes(role: Role, config: Config) -> Mapping[str, tuple[int, ...]]:
    """The shapes of the reference's parameters."""
    with veriformer_reference.checked(on=False), torch.device("meta"), _Undrawn():
        module = build(role, dataclasses.replace(config, dropout=0.0))
    return (
        {name: tuple(each.shape) for name, each in module.named_parameters()} if isinstance(module, nn.Module) else {}
    )


@dataclass(frozen=True)
class Layout:
    """Where the reference's parameters are in a subject.

    Attributes:
        rules: at sizes of which ``generic`` says whether they may change.
        silent: parameters of the reference that do nothing under the claims made (a key's bias), and that the subject lacks.
        idle: parameters of the subject that do nothing.
        claims: what the reference is built with besides the subject's own claims.
        attributes: expressions of ``module`` that say how many heads there are, where some do.
    """

    role: Role
    config: Config
    rules: tuple[Rule, ...]
    silent: tuple[Name, ...] = ()
    idle: tuple[str, ...] = ()
    claims: tuple[tuple[str, object], ...] = ()
    attributes: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def built(self) -> Config:
        """What the reference was built with where it was found."""
        return dataclasses.replace(self.config, **dict(self.claims))  # type: ignore[arg-type]  # claims are fields of it

    def adapter(self) -> str:
        """Python source of a function ``weights`` to keep."""
        from veriformer.mapping.adapter import source

        return source(self)

    @property
    def generic(self) -> bool:
        """Whether it holds at other sizes than those it was found at."""
        return not any(rule.rows for rule in self.rules)

    def weights(self, module: nn.Module, config: Config | None = None) -> dict[str, Tensor]:
        """The module's tensors under the reference's names, as views where that can be.

        Raises:
            LayoutError: the sizes are other ones than it is known at, or a tensor is missing or of another shape.
        """
        config = dataclasses.replace(config or self.config, **dict(self.claims))  # type: ignore[arg-type]  # claims are fields
        if not self.generic and _sizes(config) != _sizes(self.config):
            raise LayoutError("known only at the sizes it was found at: no recipe explains the order of its rows")
        shapes = reference_shapes(self.role, config)
        parameters = dict(module.named_parameters(remove_duplicate=False))
        found: dict[str, Tensor] = {}
        for rule in self.rules:
            for layer in self._layers(rule, shapes):
                self._apply(rule, layer, parameters, shapes, config, found)
        like = next(iter(parameters.values()), torch.empty(0))
        for name in self.silent:
            for layer in range(config.layers) if any(isinstance(each, Counter) for each in name) else (0,):
                said = named(name, layer, 0)
                if said in shapes:
                    found[said] = like.new_zeros(shapes[said])
        missing = sorted(shapes.keys() - found.keys())
        if missing:
            raise LayoutError(f"no tensor is known for {', '.join(missing)}")
        return found

    @staticmethod
    def _layers(rule: Rule, shapes: Mapping[str, tuple[int, ...]]) -> Iterator[int]:
        layer = 0
        while named(rule.parts[0], layer, 0) in shapes and (layer == 0 or rule.per_layer):
            yield layer
            layer += 1

    @staticmethod
    def _apply(
        rule: Rule,
        layer: int,
        parameters: Mapping[str, Tensor],
        shapes: Mapping[str, tuple[int, ...]],
        config: Config,
        found: dict[str, Tensor],
    ) -> None:
        parts = [named(name, layer, 0) for name in rule.parts]
        if any(part not in shapes for part in parts):
            raise LayoutError(f"the reference has no {', '.join(part for part in parts if part not in shapes)}")
        sources = list(_sources(rule, layer, parameters))
        try:
            stored = [rule.reading.of(parameters[name]) for name in sources]
        except KeyError as missing:
            raise LayoutError(f"the subject has no parameter {missing}") from None
        rows = stored[0] if len(stored) == 1 else torch.cat(stored)
        counts = [_rows_of(shapes[part], rows) for part in parts]
        if rule.rows:
            dealt = [rows[list(each)] for each in rule.rows]
        else:
            rows = rows[rule.offset : rule.offset + sum(counts)] if len(parts) == 1 else rows
            if len(rows) != sum(counts) or not rule.order.pieces(counts, config):
                raise LayoutError(
                    f"{', '.join(sources)} has {len(rows)} rows, where {' + '.join(map(str, counts))} are expected"
                )
            dealt = rule.order.dealt(rows, counts, config)
        for part, tensor in zip(parts, dealt, strict=True):
            if tensor.numel() != torch.Size(shapes[part]).numel():
                raise LayoutError(f"{part} has shape {shapes[part]}, and {tuple(tensor.shape)} was found")
            found[part] = tensor.reshape(shapes[part])


def _rows_of(shape: tuple[int, ...], rows: Tensor) -> int:
    return shape[0] if rows.dim() == 2 else torch.Size(shape).numel()


def _sources(rule: Rule, layer: int, parameters: Mapping[str, Tensor]) -> Iterable[str]:
    if not rule.per_head:
        return [named(name, layer, 0) for name in rule.sources]
    found: list[str] = []
    head = 0
    while all(named(name, layer, head) in parameters for name in rule.sources):
        found += [named(name, layer, head) for name in rule.sources]
        head += 1
    return found


def _sizes(config: Config) -> tuple[int, ...]:
    return (config.d_model, config.heads, config.kv_heads, config.d_ff, config.layers, config.vocab)


@dataclass(frozen=True)
class Plain:
    """One explained group of tensors, before names become patterns."""

    sources: tuple[str, ...]
    reading: Reading
    found: Found | None
    parts: tuple[str, ...]
    rows: tuple[tuple[int, ...], ...] = ()
    stored: int = 0
    flat: bool = False


def patterned(plain: Sequence[Plain], silent: Sequence[str]) -> tuple[tuple[Rule, ...], tuple[Name, ...]]:
    """Rules out of groups: what is said of every layer is said once."""
    rules: list[Rule] = []
    first = {_shape_of(each): each for each in plain if _layer(each.parts) == 0}
    following: dict[object, list[Plain]] = {}
    for each in plain:
        if (_layer(each.parts) or 0) > 0:
            following.setdefault(_shape_of(each), []).append(each)
    for each in plain:
        layer = _layer(each.parts)
        if layer is None:
            rules.append(_rule(each, [_words(name) for name in each.sources], _words))
            continue
        others = following.get(_shape_of(each), [])
        template = _template(first.get(_shape_of(each)), others) if others else None
        if template is None:
            rules.append(_rule(each, [_words(name) for name in each.sources], _words))
        elif layer == 0:
            rules.append(_rule(each, template, _layered))
    names = dict.fromkeys(_layered(name) for name in silent)
    return tuple(rules), tuple(names)


def _rule(each: Plain, sources: Sequence[Name], part: Callable[[str], Name]) -> Rule:
    order = each.found.order if each.found else PLAIN
    offset = each.found.offset if each.found else 0
    parts = tuple(part(name) for name in each.parts)
    return Rule(_by_head(tuple(sources)), each.reading, parts, order, offset, each.rows, each.stored, each.flat)


def _by_head(sources: tuple[Name, ...]) -> tuple[Name, ...]:
    """One source that counts heads, in place of a list of them."""
    if len(sources) < 2:
        return sources
    differing = [
        place for place in range(len(sources[0])) if len({name[place] for name in sources if len(name) > place}) > 1
    ]
    if len(differing) != 1 or any(len(name) != len(sources[0]) for name in sources):
        return sources
    place = differing[0]
    words = [name[place] for name in sources]
    if not all(isinstance(word, str) and word.isdecimal() for word in words):
        return sources
    numbers = [int(str(word)) for word in words]
    slope = numbers[1] - numbers[0]
    if slope < 1 or numbers != [numbers[0] + slope * index for index in range(len(numbers))]:
        return sources
    return ((*sources[0][:place], Counter("head", slope, numbers[0]), *sources[0][place + 1 :]),)


def _words(name: str) -> Name:
    return tuple(re.findall(r"[0-9]+|[^0-9]+", name))


def _layered(name: str) -> Name:
    """A name of the reference, with its layer counted."""
    words = _words(name)
    return tuple(
        Counter("layer", 1, 0) if str(before).endswith("layers.") else word
        for before, word in zip(("", *words), words, strict=False)
    )


def _layer(parts: Sequence[str]) -> int | None:
    """The one layer that all parts are of."""
    seen = [re.search(r"layers[.]([0-9]+)[.]", name) for name in parts]
    found = {None if each is None else int(each[1]) for each in seen}
    return found.pop() if len(found) == 1 else None


def _shape_of(each: Plain) -> object:
    order = (each.found.order, each.found.offset) if each.found else None
    return tuple(_layered(name) for name in each.parts), order, each.reading, each.rows, len(each.sources)


def _template(first: Plain | None, others: Sequence[Plain]) -> list[Name] | None:
    """The sources' names with the layer counted; None where they do not follow from it."""
    if first is None:
        return None
    result = []
    for index, name in enumerate(first.sources):
        words = [str(word) for word in _words(name)]
        later = [
            (each, _layer(each.parts) or 0, [str(word) for word in _words(each.sources[index])]) for each in others
        ]
        made: list[str | Counter] = []
        for place, word in enumerate(words):
            if any(len(said) != len(words) for _, _, said in later):
                return None
            if all(said[place] == word for _, _, said in later):
                made.append(word)
                continue
            if not word.isdecimal() or not all(said[place].isdecimal() for _, _, said in later):
                return None
            _, layer, said = later[0]
            slope = (int(said[place]) - int(word)) // layer
            if any(int(said[place]) != int(word) + slope * layer for _, layer, said in later):
                return None
            made.append(Counter("layer", slope, int(word)))
        result.append(tuple(made))
    return result
