"""The precision-leak watch: is anything in a float64 run computed in a narrower dtype?

Much correct code computes in float32 inside. Where such an island is found, results are judged by float32's rounding, and that
something was rounded is reported by a clause of its own. Two things are watched: a rounding of float64 to a narrower dtype, and a
tensor of a narrower dtype that feeds a float64 result, with values that show lost digits.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from veriformer.dispatch import Watch, tensors_in
from veriformer.inputs import Inputs
from veriformer.subjects import Instance

_NARROW = (torch.float32, torch.bfloat16, torch.float16)
_GRID = 2.0**12
"""Multiples of 1/4096 are written down exactly in float32: whole numbers, halves and the like are no sign of rounding."""
_MASKING = 1e4
"""Numbers of this size are what masks add to scores, and no intermediate results: minus a billion, or the smallest number there is."""


class LeakWatch(Watch):
    """Notes each operation of a float64 run that loses precision.

    Attributes:
        leaks: what each did, in words, in the order met.
    """

    def __init__(self) -> None:
        super().__init__()
        self.leaks: list[str] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Iterable[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run ``func`` and look at what went in and what came out."""
        result = func(*args, **(kwargs or {}))
        taken, given = list(tensors_in(args, kwargs)), list(tensors_in(result))
        name = str(func).rpartition(".")[0].removeprefix("aten.").strip("_")
        if narrow := self._rounds(taken, given):
            self.leaks.append(f"{name} rounds to {word(narrow)}")
        elif narrow := self._feeds(taken, given):
            self.leaks.append(f"{name} takes numbers that were computed in {word(narrow)}")
        return result

    @staticmethod
    def _rounds(taken: list[Tensor], given: list[Tensor]) -> torch.dtype | None:
        wide = [each for each in taken if each.dtype is torch.float64]
        for after in given:
            if after.dtype in _NARROW and any(
                before.shape == after.shape and _differ(before, after) for before in wide
            ):
                return after.dtype
        return None

    @staticmethod
    def _feeds(taken: list[Tensor], given: list[Tensor]) -> torch.dtype | None:
        if not any(each.dtype is torch.float64 for each in given):
            return None
        return next((each.dtype for each in taken if each.dtype in _NARROW and not _is_exact(each)), None)


def _differ(before: Tensor, after: Tensor) -> bool:
    """Whether digits were lost; a mask's large number may become infinite, and is none."""
    one, other = before.detach(), after.detach().double()
    return bool(((one != other) & (one.abs() < _MASKING)).any())


def _is_exact(values: Tensor) -> bool:
    """Whether nothing shows that digits were lost: masks, indices and whole numbers are as they would be in float64."""
    size = values.detach().double().abs()
    return bool((((size * _GRID).frac() == 0) | ~(size < _MASKING)).all())


class Widening(Watch):
    """While active, whatever asks for a narrower dtype gets float64: what is computed in float32 or in a half becomes exact."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Iterable[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run ``func``, in float64 where it names another floating-point dtype."""
        asked = dict(kwargs or {})
        if asked.get("dtype") in _NARROW:
            asked["dtype"] = torch.float64
        return func(*args, **asked)


def rounded_buffers(module: nn.Module) -> list[str]:
    """Float64 tables whose every number fits into float32: they were made there and cast."""
    tables = [
        *module.named_buffers(),
        *((name, each) for name, each in module.named_parameters() if not each.requires_grad),
    ]
    return [
        name
        for name, table in tables
        if table.dtype is torch.float64 and not _is_exact(table) and not _differ(table, table.detach().float())
    ]


def found_inside(instance: Instance, inputs: Inputs) -> str:
    """Where a float64 call loses digits, with or without gradients, in words; empty where it loses none."""
    tables = [] if instance.module is None else rounded_buffers(instance.module)
    for grad in (False, True):
        watch = LeakWatch()
        with watch:
            instance(inputs, grad=grad)
        if watch.leaks:
            return watch.leaks[0]
    return f"the table {tables[0]} was made in a narrower dtype and cast" if tables else ""


def word(dtype: torch.dtype) -> str:
    """A dtype as people say it."""
    return f"{dtype}".removeprefix("torch.")
