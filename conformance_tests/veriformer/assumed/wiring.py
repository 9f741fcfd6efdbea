"""Wiring: parts that a constructor takes ready made, looked for among the classes that stand beside it."""

import dataclasses
import inspect
from collections.abc import Mapping

from torch import nn

from veriformer.assumed import names, signature
from veriformer.assumed.constructor import Way, annotation, constructions, neighbours_of, parameters_of
from veriformer.assumed.draft import Origin
from veriformer_spec.role import Role

DEEPEST = 3


@dataclasses.dataclass
class Wiring:
    """Finds the class for a part, and says why where it cannot.

    Attributes:
        why: for each part that could not be decided, the reason.
        taken: for each part that was, the class.
    """

    origin: Origin
    role: Role
    said: Mapping[str, object]
    depth: int = 0
    why: dict[str, str] = dataclasses.field(default_factory=dict)
    taken: dict[str, str] = dataclasses.field(default_factory=dict)

    def __call__(self, made_for: type, part: inspect.Parameter) -> list[Way]:
        """Ways to make the part."""
        owner, parameter = made_for.__name__, part.name
        hint = annotation(made_for, part)
        named = hint if hint is not None and issubclass(hint, nn.Module) and hint is not nn.Module else None
        wanted = _wanted(parameter, self.role) or (named.__name__ if named is not None else None)
        if wanted is None or self.depth >= DEEPEST:
            return []
        fitting: dict[str, type] = {named.__name__: named} if named is not None else self._fitting(wanted, owner)
        if len(fitting) != 1:
            said = (
                f"{len(fitting)} classes may be meant: {', '.join(fitting)}"
                if fitting
                else f"no class beside {owner} may be meant"
            )
            self.why[parameter] = f"it takes a module ({wanted}), and {said}"
            return []
        ((name, made),) = fitting.items()
        inner = Wiring(self.origin, self.role, self.said, self.depth + 1, self.why, self.taken)
        found = []
        for each in constructions(made, name, self.role, self.said, inner):
            if each.open:
                self.why.setdefault(parameter, f"{name} takes {each.open[0]}, which nobody knows what to do with")
                continue
            found.append(Way(each.made, {name: (self.origin.importing, name), **each.neighbours}))
        if found:
            self.taken[parameter] = name
        return found[:2]

    def _fitting(self, wanted: str, owner: str) -> dict[str, type]:
        """The classes whose names say that they are it; where one says more than the others, that one."""
        modules = {
            name: each
            for name, each in neighbours_of(self.origin).items()
            if issubclass(each, nn.Module) and each.__name__ != owner and each.__module__ == self.origin.module.__name__
        }
        words = _CLASSES[wanted]
        for demanded in words:
            found = {name: each for name, each in modules.items() if _says(name, demanded)}
            if len(found) == 1:
                return found
            if found:
                # those that are only a part of another one (heads, scaled dot products) take no heads
                whole = {name: each for name, each in found.items() if _has_heads(each)}
                if wanted == "attention" and whole:
                    asking = {
                        name: each
                        for name, each in whole.items()
                        if signature.read(each, Role.MULTI_HEAD_ATTENTION).memory
                    }
                    return asking or whole
                return found
        return {}


_CLASSES: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "attention": (("multi", "att"), ("attention",), ("attn",)),
    "feed-forward network": (("feed", "forward"), ("ffn",), ("mlp",), ("feedforward",)),
    "encoder layer": (("encoder", "layer"), ("encoder", "block"), ("transformerblock",)),
    "decoder layer": (("decoder", "layer"), ("decoder", "block")),
    "encoder": (("encoder",),),
    "decoder": (("decoder",),),
    "layer": (("layer",), ("block",)),
}
"""What the name of a class that is such a part holds."""


def _wanted(parameter: str, role: Role) -> str | None:
    word = names.plain(parameter)
    if word in names.ATTENTIONS:
        return "attention"
    if word in names.FEED_FORWARDS:
        return "feed-forward network"
    if word in names.LAYERS:
        if "enc" in word or role is Role.ENCODER:
            return "encoder layer"
        return "decoder layer" if "dec" in word or role is Role.DECODER else "layer"
    return word if word in names.STACKS else None


def _says(name: str, words: tuple[str, ...]) -> bool:
    lowered = names.plain(name)
    if words in (("encoder",), ("decoder",)) and any(each in lowered for each in ("layer", "block", "encoderdecoder")):
        return False
    if words == ("layer",) and "norm" in lowered:
        return False
    return all(each in lowered for each in words)


def _has_heads(made: type) -> bool:
    return any(names.plain(each.name) in names.SIZES["heads"] for each in parameters_of(made))
