"""The tensors of a case: what goes into one call."""

import dataclasses
from dataclasses import dataclass

import torch
from torch import Tensor

from veriformer.case import Case
from veriformer.masks import Mask, causal_grid, drawn_mask
from veriformer_spec.role import Role


@dataclass(frozen=True)
class Inputs:
    """The arguments of one call.

    Attributes:
        tensors: query, key, value for attention; query, memory for multi-head attention; x for everything else.
        mask: boolean, True means may attend, ``batch 1 q_len k_len``; None where none is passed.
        causal: whether the subject hides the future by itself.
        self_attending: whether queries and keys are the same tokens, so that changing a key changes a query too.
        unpadded: whether the subject leaves open what comes back at positions that are hidden from every query.
    """

    role: Role
    tensors: tuple[Tensor, ...]
    mask: Mask | None
    causal: bool
    self_attending: bool
    unpadded: bool = False

    @property
    def batch(self) -> int:
        """Sequences in the call."""
        return self.tensors[0].shape[0]

    @property
    def q_len(self) -> int:
        """Queries, in positions."""
        return self.tensors[0].shape[-2]

    @property
    def k_len(self) -> int:
        """Keys, in positions."""
        return self.key_side[0].shape[-2]

    @property
    def key_side(self) -> tuple[Tensor, ...]:
        """The tensors that keys and values come from."""
        if self.role is Role.ATTENTION:
            return self.tensors[1:]
        return self.tensors[-1:]

    def visible(self) -> Mask:
        """What each query may see, mask and causality together: ``batch q_len k_len``."""
        grid = torch.ones(self.batch, self.q_len, self.k_len, dtype=torch.bool)
        if self.mask is not None:
            grid = grid & self.mask.cpu().amax(1)
        if self.causal:
            grid = grid & causal_grid(self.q_len, self.k_len)
        return grid

    def unspecified(self) -> Tensor:
        """``batch q_len``: positions at which the subject may return anything: padding, where it claims so."""
        if not self.unpadded or not self.self_attending or self.mask is None:
            return torch.zeros(self.batch, self.q_len, dtype=torch.bool)
        grid = self.mask.cpu().expand(self.batch, -1, self.q_len, self.k_len)
        return ~grid.amax((1, 2))

    def specified(self, output: Tensor) -> Tensor:
        """``output`` with zeros where the subject may return anything, so that two outputs can be compared."""
        rows = self.unspecified()
        if not bool(rows.any()) or output.shape[: rows.dim()] != rows.shape:
            return output
        return output.masked_fill(rows[..., None].to(output.device), 0)

    def with_keys(self, tensors: tuple[Tensor, ...]) -> "Inputs":
        """The same call with other keys and values; where tokens attend to themselves, with other tokens."""
        if self.self_attending:
            return dataclasses.replace(self, tensors=tensors * len(self.tensors))
        return dataclasses.replace(self, tensors=(self.tensors[0], *tensors))

    def with_queries(self, query: Tensor) -> "Inputs":
        """The same call with other queries; where tokens attend to themselves, with other tokens."""
        if self.self_attending:
            return dataclasses.replace(self, tensors=(query,) * len(self.tensors))
        return dataclasses.replace(self, tensors=(query, *self.tensors[1:]))

    def with_mask(self, mask: Mask | None) -> "Inputs":
        """The same call under another mask."""
        return dataclasses.replace(self, mask=mask)

    def only_row(self, row: int) -> "Inputs":
        """The same call for one sequence of the batch alone."""
        mask = self.mask if self.mask is None or self.mask.shape[0] == 1 else self.mask[row : row + 1]
        tensors = tuple(each[row : row + 1] for each in self.tensors)
        if self.self_attending:
            tensors = tensors[:1] * len(self.tensors)
        return dataclasses.replace(self, tensors=tensors, mask=mask)

    def taking(self, keys: Tensor, queries: Tensor | None = None) -> "Inputs":
        """The same call with the positions in ``keys`` on the key side, in that order and as often as they stand there.

        Removing, permuting and repeating are all this. Queries stay as they are where ``queries`` is None, except where
        they are the same tokens as the keys.
        """
        queries = keys if self.self_attending else queries
        mask = self.mask
        if mask is not None:
            mask = mask[..., keys.to(mask.device)]
            if queries is not None and mask.shape[-2] > 1:
                mask = mask[..., queries.to(mask.device), :]
        if self.self_attending:
            tokens = self.tensors[0][..., keys.to(self.tensors[0].device), :]
            return dataclasses.replace(self, tensors=(tokens,) * len(self.tensors), mask=mask)
        query = self.tensors[0] if queries is None else self.tensors[0][..., queries.to(self.tensors[0].device), :]
        key_side = tuple(each[..., keys.to(each.device), :] for each in self.key_side)
        return dataclasses.replace(self, tensors=(query, *key_side), mask=mask)

    def to(self, dtype: torch.dtype) -> "Inputs":
        """The same numbers, rounded to ``dtype``."""
        return dataclasses.replace(self, tensors=tuple(each.to(dtype) for each in self.tensors))

    def requiring_gradients(self) -> "Inputs":
        """The same numbers as leaves of a new graph; tokens that attend to themselves stay one leaf."""
        leaves = [each.detach().clone().requires_grad_() for each in self.tensors[: 1 if self.self_attending else None]]
        return dataclasses.replace(self, tensors=tuple(leaves) * (len(self.tensors) if self.self_attending else 1))


def generator(seed: int) -> torch.Generator:
    """A source of random numbers of one's own: drawing a case never touches the global one."""
    return torch.Generator().manual_seed(seed)


def normal(shape: tuple[int, ...], random: torch.Generator, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Standard normal numbers, drawn in float64 on the CPU so that every dtype and device gets the same ones."""
    return torch.randn(shape, generator=random, dtype=torch.float64).to(device=device, dtype=dtype)


def inputs_of(
    case: Case, *, causal: bool, self_attending: bool, unpadded: bool, dtype: torch.dtype, device: torch.device
) -> Inputs:
    """The arguments that ``case`` stands for.

    Args:
        causal: whether the subject hides the future by itself.
        self_attending: whether keys and values come from the same tokens as queries.
        unpadded: whether the subject leaves open what comes back at padding.
    """
    random = generator(case.seed)

    def draw(*shape: int) -> Tensor:
        return normal(shape, random, dtype, device)

    tensors: tuple[Tensor, ...]
    if case.role is Role.ATTENTION:
        query = draw(case.batch, case.heads, case.q_len, case.d_head)
        key = draw(case.batch, case.kv_heads, case.k_len, case.d_head)
        tensors = (query, key, draw(case.batch, case.kv_heads, case.k_len, case.d_value))
    else:
        x = draw(case.batch, case.q_len, case.d_model)
        if case.role is not Role.MULTI_HEAD_ATTENTION:
            tensors = (x,)
        elif self_attending:
            tensors = (x, x)
        else:
            tensors = (x, draw(case.batch, case.k_len, case.d_model))
    mask = drawn_mask(case, random, device, causal=causal, self_attending=self_attending)
    return Inputs(case.role, tensors, mask, causal, self_attending, unpadded)
