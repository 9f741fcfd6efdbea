"""A draft: everything that is assumed of a class, as the adapter that says it.

The text of the adapter is the one truth: ``check --as`` runs it, and ``init`` writes it. So both give the same verdict.
"""

import dataclasses
import inspect
import types
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

import veriformer
from veriformer import passing
from veriformer.assumed.spreading import spread
from veriformer.declaration import ATTRIBUTE, Declaration, UsageError
from veriformer.verdict import Assumed
from veriformer_spec.role import Role


class Undecided(UsageError):
    """Something that nobody can decide but the author.

    Attributes:
        draft: what was decided, with the open places marked; None where there is nothing to write down.
    """

    def __init__(self, why: str, draft: "Draft | None" = None) -> None:
        super().__init__(why)
        self.draft = draft


@dataclasses.dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a class comes from.

    Attributes:
        made: the class.
        module: its module, in which neighbours are looked for.
        importing: the name to import from; empty inside this process.
        name: what it is called there; dotted where it stands inside another.
    """

    made: type[nn.Module]
    module: types.ModuleType
    importing: str
    name: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mask:
    """One parameter that takes a mask.

    Attributes:
        slot: which of the specification's masks it takes: ``mask``, ``memory_mask``, ``source_mask``, ``target_mask``.
        causal: the caller hides the future through it, too.
        always: it must be passed.
        part: which part of a mask that two parameters share: ``every_row``, ``every_query``, ``None`` of it, or all where it is empty.
        query, key: the inputs that say how many there are of each.
    """

    parameter: str
    slot: str
    shape: str = passing.SHAPES[0]
    points: str = passing.POINTS[0]
    causal: bool = False
    always: bool = False
    part: str = ""
    query: str = "x"
    key: str = ""

    @property
    def expression(self) -> str:
        """What is passed, as Python."""
        named = [f"query={self.query}"]
        if self.key:
            named.append(f"key={self.key}")
        if self.shape.startswith("batch*heads"):
            named.append("heads=config.heads")
        named += [f"{word}=True" for word in ("causal", "always") if getattr(self, word)]
        return f'passing.fitted({self.part or self.slot}, "{self.shape}", "{self.points}", {", ".join(named)})'


CALLS: Mapping[Role, tuple[str, ...]] = {
    Role.ATTENTION: ("query", "key", "value", "mask=None"),
    Role.SELF_ATTENTION: ("x", "mask=None"),
    Role.ADDITIVE_ATTENTION: ("query", "memory", "mask=None"),
    Role.MULTI_HEAD_ATTENTION: ("query", "memory", "mask=None"),
    Role.ENCODER_LAYER: ("x", "mask=None"),
    Role.ENCODER: ("x", "mask=None"),
    Role.DECODER_LAYER: ("x", "memory", "mask=None", "memory_mask=None"),
    Role.DECODER: ("x", "memory", "mask=None", "memory_mask=None"),
    Role.CAUSAL_LM: ("ids", "mask=None"),
    Role.MASKED_LM: ("ids", "mask=None"),
    Role.ENCODER_DECODER: ("source", "target", "source_mask=None", "target_mask=None"),
    Role.LAYER_NORM: ("x",),
    Role.RMS_NORM: ("x",),
    Role.FEED_FORWARD: ("x",),
    Role.POSITIONAL_ENCODING: ("x",),
    Role.TOKEN_EMBEDDING: ("ids",),
}
"""How each role is called; of a role that is missing here, nothing can be assumed."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Draft:
    """An adapter in the making.

    Attributes:
        made: the expression that constructs the module, such as ``Block(config.d_model, heads=config.heads)``.
        neighbours: other names that it needs, with where each is imported from.
        settings: what the class reads its sizes from, where that is a namespace or a dictionary of fields.
        passed: parameter of forward -> expression over the role's arguments; positional where the parameter has no name.
        masks: parameters that take masks.
        sequence_first: time stands before the batch.
        batched: heads are folded into the batch: plain attention over three axes.
        padded: ids in which the module sees by itself what is padding.
        output: what takes the output out of what comes back, such as ``[0]``.
        claims: those that are made.
        todo: the open places, each a sentence.
    """

    origin: Origin
    role: Role
    made: str = ""
    neighbours: Mapping[str, tuple[str, str]] = dataclasses.field(default_factory=dict)
    settings: str = ""
    passed: Mapping[str, str] = dataclasses.field(default_factory=dict)
    masks: tuple[Mask, ...] = ()
    sequence_first: bool = False
    batched: bool = False
    padded: tuple[str, ...] = ()
    output: str = ""
    claims: Mapping[str, object] = dataclasses.field(default_factory=dict)
    sizes: Mapping[str, int] = dataclasses.field(default_factory=dict)
    assumed: tuple[Assumed, ...] = ()
    todo: tuple[str, ...] = ()

    def with_(self, **changes: Any) -> "Draft":
        """The same with something else in it."""
        return dataclasses.replace(self, **changes)

    def saying(self, what: str, value: object, how: str) -> "Draft":
        """The same with one more thing that is said to be assumed; said again, the last holds."""
        kept = tuple(each for each in self.assumed if each.what != what)
        return self.with_(assumed=(*kept, Assumed(what=what, value=str(value), how=how)))

    @property
    def plain_call(self) -> bool:
        """Whether the module is called just as the specification calls it, so that nothing has to be translated."""
        if self.masks or self.sequence_first or self.output or self.batched or self.padded:
            return False
        tensors = [each for each in CALLS[self.role] if "=" not in each]
        first = [each for each in inspect.signature(self.origin.made.forward).parameters if each != "self"]
        alone = self.claims.get("masks", ()) == ("none",) or len(tensors) == len(CALLS[self.role])
        return alone and list(self.passed.values()) == tensors and list(self.passed) == first[: len(tensors)]

    def body(self) -> str:
        """The build function, without the imports."""
        said = "".join(f", {name}={value!r}" for name, value in self.claims.items())
        if self.sizes:
            said += f", sizes=veriformer.Fixed({', '.join(f'{name}={size}' for name, size in self.sizes.items())})"
        lines = [*spread(f'@veriformer.subject("{self.role}"{said})'), "def build(config):"]
        lines += [f"    # TODO: {each}" for each in self.todo]
        lines += spread(self.settings, indent=4) if self.settings else []
        if self.plain_call:
            return "\n".join([*lines, *spread(f"return {self.made or '...'}", indent=4)]) + "\n"
        lines += spread(f"module = {self.made or '...'}", indent=4)
        lines += ["", *(f"    {each}" for each in self._call()), "", "    return module, call"]
        return "\n".join(lines) + "\n"

    def _call(self) -> list[str]:
        arguments = CALLS[self.role]
        lines = [f"def call(module, {', '.join(arguments)}):"]
        if any(each.part.startswith("every") for each in self.masks):
            lines.append("    every_row, every_query = passing.parted(mask)")
        if self.batched:
            lines.append("    shape = query.shape")
            lines.append("    query, key, value = (each.flatten(0, 1) for each in (query, key, value))")
            lines.append(
                "    mask = None if mask is None else mask.expand(-1, shape[1], -1, -1).flatten(0, 1)[:, None]"
            )
        lines += self._refusals()
        tensors = [each for each in arguments if "=" not in each]
        taken = {each.parameter for each in self.masks}
        given = [
            f"{name}={self._turned(value, tensors)}" if name.isidentifier() else self._turned(value, tensors)
            for name, value in self.passed.items()
            if name not in taken
        ]
        given += [f"{each.parameter}={each.expression}" for each in self.masks]
        turned = self.output
        if self.sequence_first:
            turned += ".transpose(0, 1)"
        if self.batched:
            turned += ".unflatten(0, shape[:2])"
        lines += spread(f"return module({', '.join(given)}){turned}", indent=4)
        return lines

    def _refusals(self) -> list[str]:
        """What to do with masks that no parameter takes."""
        taken = {each.slot for each in self.masks if each.part != "None"}
        slots = [each.partition("=")[0] for each in CALLS[self.role] if "=" in each]
        lines = []
        for slot in slots:
            if slot in taken:
                continue
            ids = next((each for each in self.padded if slot in (f"{each}_mask", "mask")), "")
            lines.append(f"    if {slot} is not None:")
            if ids:
                lines.append(f"        {ids} = {ids}.masked_fill(~{slot}, config.pad_id)")
            else:
                lines.append(f'        raise veriformer.Unsupported("it takes no {slot}")')
        return lines

    def _turned(self, value: str, tensors: list[str]) -> str:
        return f"{value}.transpose(0, 1)" if self.sequence_first and value in tensors else value

    def declaration(self) -> Declaration:
        """What the adapter declares; it is run now, with the class itself in the place of its import.

        Raises:
            ClaimError: a claim that does not exist, or is none of this role's.
        """
        made: Any = self.origin.made
        root, _, rest = self.origin.name.partition(".")
        around = getattr(self.origin.module, root, made) if rest else made
        space: dict[str, Any] = {
            "veriformer": veriformer,
            "passing": passing,
            "torch": torch,
            "SimpleNamespace": types.SimpleNamespace,
        }
        import importlib

        for name, (where, attribute) in self.neighbours.items():
            home = self.origin.module if where == self.origin.importing else importlib.import_module(where)
            space[name] = getattr(home, attribute)
        space[root] = around
        exec(compile(self.body(), f"<adapter of {self.origin.name}>", "exec"), space)  # noqa: S102  # it was written above
        declaration: Declaration = getattr(space["build"], ATTRIBUTE)
        return dataclasses.replace(declaration, name=self.origin.name, assumed=self.assumed)
