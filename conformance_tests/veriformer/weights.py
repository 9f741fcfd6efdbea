"""Weights: fresh random ones, so that nothing hides behind an initial zero or one."""

import contextlib
import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from veriformer.inputs import generator

MATRIX_NOISE = 0.7
"""Standard deviation added to a matrix, times 1/sqrt(fan in): scores stay of order one, where no dependency underflows."""
VECTOR_NOISE = 0.3
"""Standard deviation added to gains and biases: far from both zero and one."""


def trainable(module: nn.Module) -> list[tuple[str, nn.Parameter]]:
    """The parameters that may be changed: a table kept as a frozen parameter is not a weight."""
    return [(name, each) for name, each in module.named_parameters() if each.requires_grad and each.is_floating_point()]


@torch.no_grad()
def randomise(module: nn.Module, seed: int) -> None:
    """Add noise to every trainable parameter.

    Added, not replaced: a gain stays near the one it started from, and structure that an initialiser put there stays visible.
    """
    parameters = [each for _, each in trainable(module)]
    sizes = [each.numel() for each in parameters]
    noise = torch.randn(sum(sizes), generator=generator(seed), dtype=torch.float64)  # one draw for all: half the time
    for parameter, drawn in zip(parameters, torch.split(noise, sizes), strict=True):
        matrix = parameter.dim() >= 2
        size = MATRIX_NOISE / math.sqrt(max(parameter.shape[-2:])) if matrix else VECTOR_NOISE
        parameter.add_(drawn.view(parameter.shape).to(parameter), alpha=size)


@torch.no_grad()
def scale_matrices(module: nn.Module, factor: float) -> None:
    """Multiply every trainable parameter with two or more axes by ``factor``."""
    for _, parameter in trainable(module):
        if parameter.dim() >= 2:
            parameter.mul_(factor)


def is_vector(parameter: Tensor) -> bool:
    """Whether at most one axis is longer than one: a bias, a gain, a shift, however it is shaped."""
    return parameter.numel() == max(parameter.shape, default=1)


def is_untouched_gain(parameter: Tensor) -> bool:
    """Whether ``parameter`` is a vector of ones, as gains are before training."""
    return parameter.numel() > 1 and is_vector(parameter) and bool((parameter == 1).all())


def can_be_cleared(module: nn.Module) -> bool:
    """Whether setting every trainable parameter to zero silences every linear map.

    A frozen matrix stays, and a weight that is computed from parameters (orthogonal, for instance) need not be zero when they are.
    """
    frozen = any(
        not each.requires_grad and each.is_floating_point() and not is_vector(each) for each in module.parameters()
    )
    return not frozen and not any(parametrize.is_parametrized(each) for each in module.modules())


def is_view_into(tensor: Tensor, module: nn.Module) -> bool:
    """Whether writing into ``tensor`` changes a parameter of ``module``."""
    storage = tensor.untyped_storage().data_ptr()
    return any(each.untyped_storage().data_ptr() == storage for each in module.parameters())


@contextlib.contextmanager
def buffers_kept(module: nn.Module) -> Iterator[None]:
    """Put every buffer back to what it held: running statistics, power iterations."""
    before = [(each, each.detach().clone()) for each in module.buffers()]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, value in before:
                if buffer.shape == value.shape:
                    buffer.copy_(value)
