"""Every tensor that a call makes on its way, and which module made it."""

import contextlib
import dataclasses
import functools
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from veriformer.comparison.made import COMPILED, Call, Made, Setting
from veriformer.dispatch import Watch

MOST_STEPS = 5_000
MOST_NUMBERS = 20_000_000
"""A call that makes more is watched no further."""


@dataclasses.dataclass(frozen=True)
class Step:
    """One tensor.

    Attributes:
        path: of the module that made it; empty for the subject itself.
        operation: as torch calls it, such as ``native_layer_norm``.
        fresh: whether it is no view of another tensor.
        order: which of the tensors of the call it is.
    """

    path: str
    operation: str
    values: Tensor
    fresh: bool
    order: int

    @functools.cached_property
    def sorted(self) -> Tensor:
        """Its numbers in order: what is the same in any order of axes."""
        return self.values.flatten().nan_to_num(nan=torch.inf, posinf=torch.inf, neginf=-torch.inf).sort().values

    @property
    def tells(self) -> bool:
        """Whether its numbers are not all one: anything may show a constant by chance."""
        finite = self.values[self.values.isfinite()]
        return finite.numel() > 1 and bool((finite != finite[0]).any())

    def __str__(self) -> str:
        return f"{self.path or 'the subject itself'}: {self.operation}"


class _Noting(Watch):
    """Notes what each operation gives; changes one of them on the way where it is told to."""

    def __init__(self, where: list[str], disturbed: int | None) -> None:
        super().__init__()
        self.where, self.disturbed = where, disturbed
        self.steps: list[Step] = []
        self.count = self.numbers = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Iterable[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run ``func``, and note its results."""
        result = func(*args, **(kwargs or {}))
        name = str(func).split(".")[1].strip("_")
        fresh = not any(each.alias_info is not None for each in func._schema.returns)  # noqa: SLF001  # no public way to ask
        several = list(result) if isinstance(result, list | tuple) else [result]
        for index, each in enumerate(several):
            if isinstance(each, Tensor) and each.is_floating_point() and each.numel() > 1:
                several[index] = self._noted(each, name, fresh=fresh)
        return type(result)(several) if isinstance(result, list | tuple) else several[0]

    def _noted(self, value: Tensor, name: str, *, fresh: bool) -> Tensor:
        order, self.count = self.count, self.count + 1
        if order >= MOST_STEPS or self.numbers > MOST_NUMBERS:
            return value
        self.numbers += value.numel()
        path = self.where[-1] if self.where else ""
        values = value.detach().to(device="cpu", dtype=torch.float64, copy=True)
        self.steps.append(Step(path, name, values, fresh, order))
        if order == self.disturbed and fresh:
            with torch.no_grad():
                value.copy_(value * 1.5 + 0.1)
        return value


@dataclasses.dataclass(frozen=True)
class Trail:
    """The tensors that one call makes, in order, and what it returns."""

    steps: list[Step]
    output: Any


def trail(made: Made, call: Call, setting: Setting, *, disturbed: int | None = None) -> Trail:
    """What one call makes; attention kernels are asked for their plain form, so that scores are seen.

    Args:
        disturbed: the order of a tensor whose numbers are changed on the way, to see what depends on it.
    """
    where: list[str] = []
    with contextlib.ExitStack() as undo:
        for path, part in made.module.named_modules() if made.module is not None else ():
            said = path.replace(f"{COMPILED}.", "").removesuffix(COMPILED)
            undo.callback(part.register_forward_pre_hook(functools.partial(_enter, where, said)).remove)
            undo.callback(part.register_forward_hook(functools.partial(_leave, where), always_call=True).remove)
        noting = _Noting(where, disturbed)
        undo.enter_context(sdpa_kernel(SDPBackend.MATH))
        with noting:
            output = made(call, setting)
    return Trail(noting.steps, output)


def _enter(where: list[str], path: str, *_: object) -> None:
    where.append(path)


def _leave(where: list[str], *_: object) -> None:
    if where:
        where.pop()
