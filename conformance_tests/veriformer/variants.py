"""Variants: the reference as a subject may turn out to be, under other claims or with catalogued faults in it."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from veriformer.faults.fault import Fault, patched
from veriformer.inputs import Inputs
from veriformer_reference.build import build
from veriformer_spec.config import Config
from veriformer_spec.role import Role


@dataclasses.dataclass(frozen=True, kw_only=True)
class Variant:
    """The reference in one role: under the claims in ``config``, with ``faults`` planted in it.

    Attributes:
        claims: what differs from the subject's own claims, such as ``{"norm": "pre"}``; already in ``config``.
        faults: planted together; their patches touch different functions.
    """

    role: Role
    config: Config
    claims: tuple[tuple[str, object], ...] = ()
    faults: tuple[Fault, ...] = ()

    @property
    def name(self) -> str:
        """How it is called in a report: ``CORRECT``, claims as ``norm=pre``, faults by their ids."""
        said = [*(f"{name}={value}" for name, value in self.claims), *(fault.id for fault in self.faults)]
        return " and ".join(said) or "CORRECT"

    def built(self) -> nn.Module | Callable[..., Any]:
        """It, in float64 and evaluation mode; a module wherever it has weights."""
        with torch.random.fork_rng(devices=[]):
            made = build(self.role, dataclasses.replace(self.config, dropout=0.0, computes_in="input"))
        return made.double().eval() if isinstance(made, nn.Module) else made

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """While this is entered, ``built()`` computes what the variant computes: enter it around every call, and no longer."""
        patches = tuple(patch for fault in self.faults for patch in fault.patches)
        with patched(patches):  # which switches the shape checks off, too
            yield


def called(function: Callable[..., Any], inputs: Inputs) -> Tensor:
    """What a variant's ``built()`` says to a call's inputs, in float64 on the CPU; its ``running()`` is the caller's to enter."""
    arguments = inputs.to(torch.float64).passed(Tensor.cpu)
    while arguments[-1] is None:
        arguments = arguments[:-1]
    result: Tensor = function(*arguments)
    return inputs.specified(result)
