"""The tensors of a case: what goes into one call."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from veriformer.case import Case
from veriformer.masks import Mask, causal_grid, drawn_mask, real_keys
from veriformer.outcome import NotChecked
from veriformer_spec.config import PADDING_SIDES
from veriformer_spec.role import CROSS_ATTENDING, DECODERS, FUNCTIONS, LANGUAGE_MODELS, MODELS, Role

PAD_ID = 0
"""The id of padding, as ``Config.pad_id`` has it; ids that are drawn are other ones."""


@dataclass(frozen=True)
class Inputs:
    """The arguments of one call, in one form for every role; ``arguments`` puts them in the role's own.

    Ids stand in tensors of whole numbers with one feature, ``batch time 1``, so that a position of any tensor is
    ``tensor[..., position, :]``.

    Attributes:
        tensors: query, key, value for attention; query, memory where they are two; x for everything else. Of a role with two key
            sides: x where its own tokens are looked at, x and memory where the memory is.
        mask: boolean, True means may attend, ``batch 1 q_len k_len``; None where none is passed.
        causal: whether the subject hides the future by itself, on the side that is looked at.
        self_attending: whether queries and keys are the same tokens, so that changing a key changes a query too.
        unpadded: whether the subject leaves open what comes back at positions that are hidden from every query.
        context: what is passed besides and is not looked at: the memory, or the segments of the tokens.
        context_mask: the mask of the side that is not looked at, of full size: of the memory, or of the tokens themselves.
        context_causal: whether the subject hides the future by itself there.
        vocab: words of the vocabulary, where tensors hold ids.
        window: positions that a causal query sees, its own among them; None where all before are seen.
        alignment: which key the first query of a causal subject sees last, where there are fewer queries than keys.
        aligned: whether query i stands beside key i, by causality or by positions, so that both go together.
    """

    role: Role
    tensors: tuple[Tensor, ...]
    mask: Mask | None
    causal: bool
    self_attending: bool
    unpadded: bool = False
    context: tuple[Tensor, ...] = ()
    context_mask: Mask | None = None
    context_causal: bool = False
    vocab: int = 0
    window: int | None = None
    alignment: str = "end"
    aligned: bool = False

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

    @property
    def crosses(self) -> bool:
        """Whether the role has two key sides, and the memory is the one that is looked at."""
        return self.role in CROSS_ATTENDING and len(self.tensors) == 2

    def visible(self) -> Mask:
        """What each query may see, mask, causality and window together: ``batch q_len k_len``."""
        grid = torch.ones(self.batch, self.q_len, self.k_len, dtype=torch.bool)
        if self.mask is not None:
            grid = grid & self.mask.cpu().amax(1)
        if self.causal and self.window and self.vocab and self.mask is not None:
            # a model that takes padding between its words counts words, so that its windows hold as many as without
            place = self.mask.cpu().amax((1, 2)).long().cumsum(-1)
            near = place[:, :, None] - place[:, None, :] < self.window
            return grid & causal_grid(self.q_len, self.k_len) & near
        if self.causal:
            grid = grid & causal_grid(self.q_len, self.k_len, alignment=self.alignment, window=self.window)
        return grid

    def among_queries(self) -> Mask:
        """What the tokens of a role with two key sides may see of each other: ``batch q_len q_len``."""
        if not self.crosses:
            return self.visible()
        grid = torch.ones(self.batch, self.q_len, self.q_len, dtype=torch.bool)
        if self.context_mask is not None:
            grid = grid & self.context_mask.cpu().amax(1)
        if self.context_causal:
            grid = grid & causal_grid(self.q_len, self.q_len, window=self.window)
        return grid

    def unspecified(self) -> Tensor:
        """``batch q_len``: positions at which the subject may return anything: padding, where it claims so."""
        mask = self.context_mask if self.crosses else self.mask
        if not self.unpadded or mask is None or not (self.self_attending or self.crosses):
            return torch.zeros(self.batch, self.q_len, dtype=torch.bool)
        grid = mask.cpu().expand(self.batch, -1, self.q_len, self.q_len)
        return ~grid.amax((1, 2))

    def specified(self, output: Tensor) -> Tensor:
        """``output`` with zeros where the subject may return anything, so that two outputs can be compared."""
        rows = self.unspecified() if self.unpadded else None  # asked first, because this runs after every call
        if rows is None or not bool(rows.any()) or output.shape[: rows.dim()] != rows.shape:
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
        """The same call under another mask; ids that are padding no longer become a word."""
        changed = dataclasses.replace(self, mask=mask)
        if not self.vocab:
            return changed
        hidden = torch.zeros(1, 1, dtype=torch.bool) if mask is None else ~mask.amax((1, 2))
        return changed.with_keys(tuple(_with_words(each, hidden.to(each.device), self.vocab) for each in self.key_side))

    def only_row(self, row: int) -> "Inputs":
        """The same call for one sequence of the batch alone."""

        def of_mask(mask: Mask | None) -> Mask | None:
            return mask if mask is None or mask.shape[0] == 1 else mask[row : row + 1]

        tensors = tuple(each[row : row + 1] for each in self.tensors)
        if self.self_attending:
            tensors = tensors[:1] * len(self.tensors)
        return dataclasses.replace(
            self,
            tensors=tensors,
            mask=of_mask(self.mask),
            context=tuple(each[row : row + 1] for each in self.context),
            context_mask=of_mask(self.context_mask),
        )

    def taking(self, keys: Tensor, queries: Tensor | None = None) -> "Inputs":
        """The same call with the positions in ``keys`` on the key side, in that order and as often as they stand there.

        Removing, permuting and repeating are all this. Queries stay as they are where ``queries`` is None, except where
        they are the same tokens as the keys.
        """
        queries = keys if self.self_attending else queries
        mask = None if self.mask is None else taken(self.mask, queries, keys)
        around = self
        if queries is not None and (self.context or self.context_mask is not None):
            segments = self.role not in CROSS_ATTENDING
            context = tuple(_at(each, queries) if segments else each for each in self.context)
            seen = self.context_mask
            seen = None if seen is None else taken(seen, queries, queries if self.crosses else None)
            around = dataclasses.replace(self, context=context, context_mask=seen)
        if self.self_attending:
            tokens = _at(self.tensors[0], keys)
            return dataclasses.replace(around, tensors=(tokens,) * len(self.tensors), mask=mask)
        query = self.tensors[0] if queries is None else _at(self.tensors[0], queries)
        key_side = tuple(_at(each, keys) for each in self.key_side)
        return dataclasses.replace(around, tensors=(query, *key_side), mask=mask)

    def to(self, dtype: torch.dtype) -> "Inputs":
        """The same numbers, rounded to ``dtype``; ids stay ids."""

        def cast(tensor: Tensor) -> Tensor:
            return tensor.to(dtype) if tensor.is_floating_point() else tensor

        return dataclasses.replace(self, tensors=tuple(map(cast, self.tensors)), context=tuple(map(cast, self.context)))

    def requiring_gradients(self) -> "Inputs":
        """The same numbers as leaves of a new graph; tokens that attend to themselves stay one leaf, and ids are no leaves."""

        def leaf(tensor: Tensor) -> Tensor:
            copy = tensor.detach().clone()
            return copy.requires_grad_() if copy.is_floating_point() else copy

        leaves = [leaf(each) for each in self.tensors[: 1 if self.self_attending else None]]
        return dataclasses.replace(self, tensors=tuple(leaves) * (len(self.tensors) if self.self_attending else 1))

    def arguments(self) -> dict[str, Tensor | None]:
        """What the role's call takes, by name and in its order; the names are the caller's words."""
        first = self.tensors[0]
        if self.role is Role.ATTENTION:
            return dict(zip(("query", "key", "value"), self.tensors, strict=True)) | {"mask": self.mask}
        if self.role in (Role.MULTI_HEAD_ATTENTION, Role.ADDITIVE_ATTENTION):
            return {"query": first, "memory": self.tensors[1], "mask": self.mask}
        if self.role in CROSS_ATTENDING:
            memory = self.tensors[1] if self.crosses else self.context[0]
            own, other = (self.context_mask, self.mask) if self.crosses else (self.mask, self.context_mask)
            if self.role in DECODERS:
                return {"x": first, "memory": memory, "mask": own, "memory_mask": other}
            return {
                "source": memory[..., 0],
                "target": first[..., 0],
                "source_mask": real_tokens(other),
                "target_mask": real_tokens(own),
            }
        segments = {"segments": self.context[0][..., 0]} if self.context else {}
        if self.role in LANGUAGE_MODELS:
            return {"ids": first[..., 0], "mask": real_tokens(self.mask), **segments}
        if self.role is Role.TOKEN_EMBEDDING:
            return {"ids": first[..., 0], **segments}
        return {"x": first, "mask": self.mask}

    def passed(self, change: Callable[[Tensor], Tensor] = torch.clone) -> tuple[Tensor | None, ...]:
        """The arguments of the call in order, each changed (or copied) once, however often it stands there."""
        changed: dict[int, Tensor] = {}
        passed: list[Tensor | None] = []
        for each in self.arguments().values():
            if each is not None and id(each) not in changed:
                changed[id(each)] = change(each)
            passed.append(None if each is None else changed[id(each)])
        return tuple(passed)


def real_tokens(mask: Mask | None) -> Mask | None:
    """``batch time``: which tokens some query may see, as models over ids take their mask."""
    return None if mask is None else mask.amax((1, 2))


def taken(mask: Mask, queries: Tensor | None, keys: Tensor | None) -> Mask:
    """A mask's rows at ``queries`` and columns at ``keys``; None keeps all, and an axis of size one is kept."""
    if keys is not None:
        mask = mask[..., keys.to(mask.device)]
    if queries is not None and mask.shape[-2] > 1:
        mask = mask[..., queries.to(mask.device), :]
    return mask


def _at(tensor: Tensor, positions: Tensor) -> Tensor:
    return tensor[..., positions.to(tensor.device), :]


def _with_words(ids: Tensor, hidden: Tensor, vocab: int) -> Tensor:
    """``ids`` with a word in place of padding wherever ``hidden`` (``batch time``) does not say that it is hidden."""
    visible_padding = (ids == PAD_ID) & ~hidden[..., None]
    return torch.where(visible_padding, min(PAD_ID + 1, vocab - 1), ids) if bool(visible_padding.any()) else ids


def generator(seed: int) -> torch.Generator:
    """A source of random numbers of one's own: drawing a case never touches the global one."""
    return torch.Generator().manual_seed(seed)


def normal(shape: tuple[int, ...], random: torch.Generator, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Standard normal numbers, drawn in float64 on the CPU so that every dtype and device gets the same ones."""
    return torch.randn(shape, generator=random, dtype=torch.float64).to(device=device, dtype=dtype)


def words(shape: tuple[int, ...], random: torch.Generator, vocab: int, device: torch.device) -> Tensor:
    """Ids of words, never of padding, unless there is no other."""
    return torch.randint(min(PAD_ID + 1, vocab - 1), vocab, shape, generator=random).to(device)


def inputs_of(
    case: Case,
    *,
    causal: bool,
    self_attending: bool,
    unpadded: bool,
    dtype: torch.dtype,
    device: torch.device,
    claims: Mapping[str, Any] = MappingProxyType({}),
    aligned: bool = False,
) -> Inputs:
    """The arguments that ``case`` stands for.

    Args:
        causal: whether the subject hides the future by itself.
        self_attending: whether keys and values come from the same tokens as queries.
        unpadded: whether the subject leaves open what comes back at padding.
        claims: what else decides what may be passed: kinds of mask, sides of padding, segments, windows.
        aligned: whether query i stands beside key i.

    Raises:
        NotChecked: the role's call is of its own kind.
    """
    if case.role in FUNCTIONS:
        raise NotChecked(f"a {case.role} is called in a way of its own")
    random = generator(case.seed)

    def draw(*shape: int) -> Tensor:
        return normal(shape, random, dtype, device)

    def draw_tokens(length: int) -> Tensor:
        if case.role in MODELS or case.role is Role.TOKEN_EMBEDDING:
            return words((case.batch, length, 1), random, case.vocab, device)
        return draw(case.batch, length, case.d_input or case.d_model)

    crosses = case.role in CROSS_ATTENDING and case.side == "cross"
    tensors: tuple[Tensor, ...]
    if case.role is Role.ATTENTION:
        query = draw(case.batch, case.heads, case.q_len, case.d_head)
        key = draw(case.batch, case.kv_heads, case.k_len, case.d_head)
        tensors = (query, key, draw(case.batch, case.kv_heads, case.k_len, case.d_value))
    elif case.role is Role.ROTARY_ENCODING:
        tensors = (draw(case.batch, case.heads, case.q_len, case.d_head),)
    else:
        x = draw_tokens(case.q_len)
        if not crosses and case.role not in (Role.MULTI_HEAD_ATTENTION, Role.ADDITIVE_ATTENTION):
            tensors = (x,)
        elif self_attending and not crosses:
            tensors = (x, x)
        else:
            tensors = (x, draw_tokens(case.k_len))
    sides = tuple(claims.get("padding_sides", PADDING_SIDES))
    mask = drawn_mask(
        case,
        random,
        device,
        causal=causal and not crosses,
        self_attending=self_attending and not crosses,
        sides=sides,
    )
    inputs = Inputs(
        case.role,
        tensors,
        mask,
        causal and not crosses,
        self_attending and not crosses,
        unpadded,
        vocab=case.vocab,
        window=case.window or None,
        alignment=str(claims.get("alignment", "end")),
        aligned=(causal or aligned) and not crosses,
    )
    if case.role in CROSS_ATTENDING:
        inputs = _with_context(inputs, case, random, draw_tokens, claims, causal=causal)
    elif claims.get("segments"):
        segments = torch.randint(0, SEGMENTS, (case.batch, case.q_len, 1), generator=random).to(device)
        inputs = dataclasses.replace(inputs, context=(segments,))
    return _padded(inputs)


SEGMENTS = 2
"""Segments that tokens are drawn to belong to, as ``Config.segment_count`` has it."""


def _with_context(
    inputs: Inputs,
    case: Case,
    random: torch.Generator,
    draw_tokens: Callable[[int], Tensor],
    claims: Mapping[str, Any],
    *,
    causal: bool,
) -> Inputs:
    """With what stands on the side that is not looked at, and half the time a mask there where one is passed on the other."""
    kinds = tuple(claims.get("masks", ("none",)))
    masked = case.mask != "none" and bool(torch.randint(0, 2, (1,), generator=random))
    if case.side == "cross":
        grid = None
        if masked and case.mask == "arbitrary" and "causal" in kinds and not causal:
            grid = causal_grid(case.q_len, case.q_len).expand(case.batch, 1, -1, -1).clone()
            grid = grid.to(inputs.tensors[0].device)
        return dataclasses.replace(inputs, context_mask=grid, context_causal=causal)
    memory = draw_tokens(case.context)
    grid = None
    if masked and "padding" in kinds:
        other = dataclasses.replace(case, k_len=case.context)
        grid = real_keys(other, random, sides=tuple(claims.get("padding_sides", PADDING_SIDES)))
        grid = grid[:, None, None, :].expand(-1, 1, case.q_len, -1).clone().to(memory.device)
    return dataclasses.replace(inputs, context=(memory,), context_mask=grid)


def _padded(inputs: Inputs) -> Inputs:
    """With the id of padding where ids are hidden from every query, as users pass it."""
    if not inputs.vocab:
        return inputs

    def padded(ids: Tensor, mask: Mask | None) -> Tensor:
        return ids if mask is None else ids.masked_fill(~mask.amax((1, 2))[..., None], PAD_ID)

    inputs = inputs.with_keys(tuple(padded(each, inputs.mask) for each in inputs.key_side))
    if inputs.role is Role.ENCODER_DECODER and inputs.context:
        return dataclasses.replace(inputs, context=tuple(padded(each, inputs.context_mask) for each in inputs.context))
    return inputs
