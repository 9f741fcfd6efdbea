"""Signature: which of forward's parameters takes which argument of the role."""

import dataclasses
import inspect

from torch import nn

from veriformer.assumed import names
from veriformer_spec.role import DECODERS, LANGUAGE_MODELS, Role


@dataclasses.dataclass(frozen=True)
class Reading:
    """What forward's parameters take.

    Attributes:
        passed: parameter -> an argument of the role's call; positional ones have a number as their name.
        masks: parameters that are tried as masks, and whether each must be passed.
        labels: a parameter for targets, which some models want before they return every logit.
        open: required parameters that nobody knows what to pass to.
        memory: whether the memory is passed at all.
    """

    passed: dict[str, str]
    masks: dict[str, bool]
    labels: str = ""
    open: tuple[str, ...] = ()

    @property
    def memory(self) -> bool:
        """Whether a second input is passed."""
        return any(each in ("memory", "key", "value") for each in self.passed.values())


_MEMORY = names.MEMORIES | names.KEYS | names.VALUES
_TOKENS = names.TOKENS | names.QUERIES | names.KEYS | names.VALUES
_FIRST = {
    Role.CAUSAL_LM: (("ids", names.IDS),),
    Role.MASKED_LM: (("ids", names.IDS),),
    Role.TOKEN_EMBEDDING: (("ids", names.IDS),),
    Role.ENCODER_DECODER: (("target", names.TARGETS - names.SOURCES), ("source", names.SOURCES), ("target", names.TARGETS)),
    Role.DECODER_LAYER: (("memory", _MEMORY), ("x", names.TOKENS | names.QUERIES)),
    Role.DECODER: (("memory", _MEMORY), ("x", names.TOKENS | names.QUERIES)),
    Role.ATTENTION: (("query", names.QUERIES), ("key", names.KEYS), ("value", names.VALUES)),
    Role.MULTI_HEAD_ATTENTION: (
        ("query", names.QUERIES), ("memory", names.KEYS), ("memory", names.VALUES), ("query", names.TOKENS), ("memory", names.MEMORIES),
    ),
    Role.ADDITIVE_ATTENTION: (
        ("query", names.QUERIES), ("memory", names.KEYS), ("memory", names.VALUES), ("query", names.TOKENS), ("memory", names.MEMORIES),
    ),
}  # fmt: skip
"""What each name takes, in the order in which it is asked; every other role has one input."""
_INPUTS = {
    Role.ATTENTION: ("query", "key", "value"),
    Role.MULTI_HEAD_ATTENTION: ("query", "memory", "memory"),
    Role.ADDITIVE_ATTENTION: ("query", "memory", "memory"),
    Role.DECODER_LAYER: ("x", "memory"),
    Role.DECODER: ("x", "memory"),
    Role.ENCODER_DECODER: ("source", "target"),
}
"""In which order inputs stand where their names say nothing."""


def read(made: type[nn.Module], role: Role) -> Reading:
    """What ``made``'s forward takes."""
    try:
        parameters = [each for each in inspect.signature(made.forward).parameters.values() if each.name != "self"]
    except (TypeError, ValueError):
        parameters = []
    asked = _FIRST.get(role, (("x", _TOKENS),))
    passed: dict[str, str] = {}
    masks: dict[str, bool] = {}
    labels, unknown = "", list[inspect.Parameter]()
    for each in parameters:
        if each.kind in (each.VAR_POSITIONAL, each.VAR_KEYWORD):
            continue
        free, word = each.default is each.empty, names.plain(each.name)
        slot = next((slot for slot, words in asked if word in words), "")
        if names.speaks_of_a_mask(each.name) and not isinstance(each.default, bool):
            masks[each.name] = free
        elif role in LANGUAGE_MODELS and word in names.LABELS and "ids" in passed.values():
            labels = each.name
        elif slot and (free or slot not in passed.values()) and not isinstance(each.default, bool):
            passed[each.name] = slot
        elif free:
            unknown.append(each)
    _place(role, passed, unknown)
    if not passed:  # *args, or a forward that says nothing
        passed = {str(place): slot for place, slot in enumerate(_INPUTS.get(role, (asked[0][0],)))}
    ordered = {each.name: passed[each.name] for each in parameters if each.name in passed} or passed
    return Reading(ordered, masks, labels, tuple(each.name for each in unknown))


def _place(role: Role, passed: dict[str, str], unknown: list[inspect.Parameter]) -> None:
    """Inputs whose names say nothing take the places that are left, in order."""
    wanted = list(_INPUTS.get(role, (_FIRST.get(role, (("x", frozenset()),))[0][0],)))
    for slot in passed.values():
        if slot in wanted:
            wanted.remove(slot)
    if role in DECODERS and "memory" in passed.values() and "x" not in passed.values():
        wanted = ["x"]
    while unknown and wanted:
        passed[unknown.pop(0).name] = wanted.pop(0)


def mask_slots(role: Role, parameter: str) -> tuple[str, ...]:
    """Which of the specification's masks a parameter may take, the likelier first."""
    lowered = parameter.lower()
    other = any(word in lowered for word in names.OTHER_SIDE)
    if role in DECODERS:
        return ("memory_mask", "mask") if other else ("mask", "memory_mask")
    if role is Role.ENCODER_DECODER:
        return ("source_mask", "target_mask") if other else ("target_mask", "source_mask")
    return ("mask",)
