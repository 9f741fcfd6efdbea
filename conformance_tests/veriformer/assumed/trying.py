"""Trying: a draft, built and called, and who is seen to see whom through it."""

import dataclasses
from collections.abc import Mapping
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from veriformer import perturbation
from veriformer.assumed.draft import Draft
from veriformer.calls import promised_shape
from veriformer.case import Case
from veriformer.declaration import Unsupported
from veriformer.errors import UsageError
from veriformer.inputs import Inputs
from veriformer.outcome import NotChecked, SubjectError, Vacuous, Violation
from veriformer.preflight import probe_case
from veriformer.subjects import Instance, Subject
from veriformer_spec.role import CROSS_ATTENDING, LAYERED

REFUSALS = (SubjectError, Unsupported, Vacuous, Violation, NotChecked, UsageError)
"""What a try may end in."""
BATCH = 3
SEEN = 1e-9
"""Share of the output's size above which a change is a change."""


def unknown_weights(_: nn.Module) -> NoReturn:
    """No weights function: nothing is searched for while conventions are tried.

    Raises:
        NotChecked: always.
    """
    raise NotChecked("the weights are not looked for yet")


@dataclasses.dataclass
class Trial:
    """A draft, ready to be built and called at sizes of which no two coincide: batch 3, heads 4, time 5 and 7."""

    draft: Draft
    dtype: torch.dtype = torch.float64

    def __post_init__(self) -> None:
        declared = dataclasses.replace(self.draft.declaration(), weights=unknown_weights)
        self.subject = Subject(declared, dtype=self.dtype, rounds_to=self.dtype)

    def case(self, *, mask: str = "none", side: str = "self", **changes: Any) -> Case:
        """The case that is tried: one layer, where the class does not say how many it has."""
        sizes = self.subject.declaration.sizes
        case = probe_case(self.subject, mask=mask)
        layers = sizes.get("layers", 1) if self.subject.role in LAYERED else 1
        case = dataclasses.replace(case, batch=sizes.get("batch", BATCH), layers=layers)
        if side == "cross" and self.subject.role in CROSS_ATTENDING:
            case = dataclasses.replace(case, side="cross", k_len=sizes.get("k_len", 7), context=0)
        return dataclasses.replace(case, **changes)

    def built(self, case: Case, *, own_weights: bool = False) -> Instance:
        """The module, with random weights, or as it is made."""
        return self.subject.instance(case, random_weights=not own_weights)

    def inputs(self, case: Case) -> Inputs:
        """What it is called with."""
        return self.subject.inputs(case)


def returned(trial: Trial, case: Case) -> Any:
    """What one call gives, whatever it is.

    Raises:
        SubjectError: it cannot be built, or called.
        Unsupported: it refuses.
    """
    with torch.no_grad():
        return trial.built(case).raw(*trial.inputs(case).passed())


def outputs_in(result: object) -> list[tuple[str, Tensor]]:
    """Every tensor in what a call gave, with what takes it out; the thing itself first."""
    if isinstance(result, Tensor):
        return [("", result)]
    named = ("logits", "last_hidden_state", "hidden_states", "output", "out", "x", "sample")
    if isinstance(result, Mapping):
        ordered = [name for name in named if name in result] + [name for name in result if name not in named]
        dotted = all(hasattr(result, str(name)) for name in ordered)
        tensors = [name for name in ordered if isinstance(result[name], Tensor)]
        return [(f".{name}" if dotted else f"[{name!r}]", result[name]) for name in tensors]
    if isinstance(result, tuple | list):
        return [(f"[{place}]", each) for place, each in enumerate(result) if isinstance(each, Tensor)]
    parts = {name: getattr(result, name, None) for name in named}
    return [(f".{name}", each) for name, each in parts.items() if isinstance(each, Tensor)]


def output_of(trial: Trial, case: Case) -> tuple[str, Tensor] | None:
    """Which part of what comes back has the promised shape; None where none has."""
    wanted = promised_shape(case)
    return next(((how, each) for how, each in outputs_in(returned(trial, case)) if tuple(each.shape) == wanted), None)


def influence(trial: Trial, case: Case, inputs: Inputs | None = None) -> Tensor | None:
    """``batch q_len k_len``: by how much each output changes with each key, as a share; None where it cannot be called.

    What is not finite changes with nothing that could be told.
    """
    try:
        instance = trial.built(case)
        apart, base = perturbation.key_influence(
            instance, inputs if inputs is not None else trial.inputs(case), perturbation.EVERY_ROW, 1, grad=False
        )
    except REFUSALS:
        return None
    if tuple(base.shape) != promised_shape(case) or not bool(base.isfinite().all()) or not bool(apart.isfinite().all()):
        return None
    return apart / base.abs().max().clamp(min=1e-30)


def seen(apart: Tensor) -> Tensor:
    """Which of ``influence`` is more than rounding."""
    return apart > SEEN


def across_rows(trial: Trial, case: Case) -> tuple[bool, bool]:
    """Whether the output at one token changes with the same place of another row, and with another place of its own row.

    Raises:
        SubjectError, Vacuous, Unsupported: it cannot be found out.
    """
    instance, inputs = trial.built(case), trial.inputs(case)
    random = torch.Generator().manual_seed(2)
    base = instance(inputs)
    last = case.q_len - 1  # a causal module shows something at the end only
    other_row = instance(perturbation.with_key_changed(inputs, 0, last, random))
    other_token = instance(perturbation.with_key_changed(inputs, case.batch - 1, 0, random))
    size = float(base.abs().max())
    across = perturbation.difference(base, other_row)[case.batch - 1, last] > SEEN * size
    along = perturbation.difference(base, other_token)[case.batch - 1, last] > SEEN * size
    return bool(across), bool(along)


def shapes(module: nn.Module) -> dict[str, tuple[int, ...]]:
    """The shape of every parameter."""
    return {name: tuple(each.shape) for name, each in module.named_parameters()}
