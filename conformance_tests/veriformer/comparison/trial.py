"""A trial: both sides, built with one state, and the call that is put to them; and a world, which makes trials."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Protocol

import torch

from veriformer.comparison.made import Call, Made, Setting
from veriformer.comparison.parting import Named


@dataclasses.dataclass(frozen=True)
class Trial:
    """OLD and NEW with the same state, and one call."""

    old: Made
    new: Made
    call: Call


Differs = Callable[[Trial], bool]


class World(Protocol):
    """Where trials come from: a role's own probes, or an example of what both take."""

    role: str
    notes: list[str]
    state_differences: list[str]

    @property
    def state(self) -> str:
        """How NEW was given OLD's state."""
        ...

    def kinds(self) -> Sequence[str]:
        """The calls that are put to both, in words, the plainest first."""
        ...

    def trial(self, kind: str, dtype: torch.dtype) -> Trial | None:
        """Both sides, and one call; None where neither can be built or called so."""
        ...

    def smallest(self, trial: Trial, kind: str, dtype: torch.dtype, differs: Differs) -> Trial:
        """The smallest trial of the same kind that still differs."""
        ...

    def named(self, trial: Trial, setting: Setting) -> Named:
        """What the specification calls the tensors of OLD."""
        ...
