"""One tensor in several layouts: equal values, other strides."""

from collections.abc import Callable

import torch
from torch import Tensor

Layout = Callable[[Tensor], Tensor]


def transposed(tensor: Tensor) -> Tensor:
    """As a transpose leaves it: two inner axes change places in memory."""
    if tensor.dim() < 2:
        return tensor
    return tensor.mT.contiguous().mT


def outer_axes_swapped(tensor: Tensor) -> Tensor:
    """As sequence-first code leaves it: the two axes before the last change places in memory."""
    if tensor.dim() < 3:
        return tensor
    return tensor.transpose(-3, -2).contiguous().transpose(-3, -2)


def sliced(tensor: Tensor) -> Tensor:
    """Every second column of a wider tensor, beginning with its second."""
    wide = torch.zeros(*tensor.shape[:-1], 2 * tensor.shape[-1] + 1, dtype=tensor.dtype, device=tensor.device)
    wide[..., 1::2] = tensor
    return wide[..., 1::2]


def one_of_three(tensor: Tensor) -> Tensor:
    """One third of a fused projection: rows stand further apart than their length."""
    return torch.cat((tensor, torch.zeros_like(tensor), tensor), -1)[..., : tensor.shape[-1]]


def expanded(tensor: Tensor) -> Tensor:
    """The first row for every row, without a copy: the batch axis has stride 0."""
    return tensor[:1].expand_as(tensor)


LAYOUTS: dict[str, Layout] = {
    "transposed": transposed,
    "with its outer axes swapped": outer_axes_swapped,
    "sliced": sliced,
    "a third of a wider tensor": one_of_three,
}
"""Layouts that hold the same values as their argument."""
