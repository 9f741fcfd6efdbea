"""A module's parameters, each once, and the ways in which one may be read as rows: one row for each feature that comes out."""

import contextlib
import itertools
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Reading:
    """How a parameter is read: which axes count its rows, which its columns; a vector has no columns.

    ``[out, in]`` is rows ``(0,)`` and columns ``(1,)``; ``[heads, d_model, d_head]`` is rows ``(0, 2)`` and columns ``(1,)``.
    """

    rows: tuple[int, ...]
    columns: tuple[int, ...] = ()

    def of(self, tensor: Tensor) -> Tensor:
        """``rows columns``, or ``rows`` of a vector; a view where torch can make one."""
        if self.columns == () and self.rows == ():
            return tensor.reshape(-1)
        turned = tensor.permute(*self.rows, *self.columns)
        count = math.prod(turned.shape[: len(self.rows)])
        return turned.reshape(count, -1) if self.columns else turned.reshape(-1)

    def put(self, tensor: Tensor, rows: Tensor) -> None:
        """Write ``rows columns`` into ``tensor``, in place."""
        axes = (*self.rows, *self.columns)
        if not axes:
            tensor.copy_(rows.reshape(tensor.shape))
            return
        turned = tensor.permute(*axes)
        turned.copy_(rows.reshape(turned.shape))


WHOLE = Reading(())
"""Every number a row of its own: vectors, whatever axes of size one they have."""
OUT_IN = Reading((0,), (1,))
IN_OUT = Reading((1,), (0,))


@dataclass(frozen=True, eq=False)
class Held:
    """One parameter.

    Attributes:
        name: its path in the module; the first one, where it is tied.
        tensor: the parameter itself.
        owner: the module that has it as an attribute.
        attribute: under which name.
    """

    name: str
    tensor: nn.Parameter
    owner: nn.Module
    attribute: str

    @property
    def kind(self) -> tuple[type, str]:
        """Parameters of one kind follow one convention: the owner's class and the attribute, whatever it counts."""
        return type(self.owner), re.sub("[0-9]+", "", self.attribute)

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape."""
        return tuple(self.tensor.shape)

    @property
    def is_vector(self) -> bool:
        """Whether at most one axis is longer than one."""
        return self.tensor.numel() == max(self.shape, default=1)


def held(module: nn.Module) -> list[Held]:
    """Every weight once, in the module's order; tables that are kept as frozen parameters beside trainable ones are none."""
    found = []
    for name, parameter in module.named_parameters():
        path, _, attribute = name.rpartition(".")
        if parameter.is_floating_point() and parameter.numel():
            found.append(Held(name, parameter, module.get_submodule(path), attribute))
    trainable = [each for each in found if each.tensor.requires_grad]
    return trainable or found


def changed(module: nn.Module) -> None:
    """Tell a module that its weights are others now: what keeps something made of them drops it when it goes into training."""
    module.train()
    module.eval()


@contextlib.contextmanager
def kept(module: nn.Module) -> Iterator[None]:
    """Whatever happens inside: afterwards every parameter and buffer holds the bits it held, and no gradient is left."""
    parameters = [(each, each.detach().clone(), each.grad, each.requires_grad) for each in module.parameters()]
    buffers = [(each, each.detach().clone()) for each in module.buffers()]
    try:
        yield
    finally:
        changed(module)
        with torch.no_grad():
            for parameter, value, gradient, trains in parameters:
                parameter.requires_grad_(False)
                parameter.copy_(value)
                parameter.requires_grad_(trains)
                parameter.grad = gradient
            for buffer, value in buffers:
                if buffer.shape == value.shape:
                    buffer.copy_(value)


def readings(shape: tuple[int, ...], columns: set[int]) -> Iterator[Reading]:
    """Every way to read a parameter of ``shape`` as a matrix with one of these numbers of columns, ``[out, in]`` first."""
    axes = range(len(shape))
    for count in range(1, len(shape)):
        for chosen in itertools.combinations(reversed(axes), count):
            across = tuple(sorted(chosen))
            if math.prod(shape[axis] for axis in across) in columns:
                yield Reading(tuple(axis for axis in axes if axis not in across), across)
