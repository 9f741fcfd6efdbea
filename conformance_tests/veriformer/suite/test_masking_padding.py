"""Masking, tested: padding, wherever it stands."""

import dataclasses

import torch
from torch import Tensor

from veriformer import perturbation
from veriformer.case import Case
from veriformer.inputs import PAD_ID, Inputs, generator
from veriformer.masking_checks import (
    PATHS,
    may_be_left_out,
    require_nothing_is_missing,
    require_nothing_leaks,
    require_same,
)
from veriformer.masks import Mask
from veriformer.outcome import Vacuous, Violation
from veriformer.property import checks
from veriformer.strategies import cases
from veriformer.subjects import Instance, Subject
from veriformer.visibility import without
from veriformer_spec import masking


@checks(
    masking.PADDING_DOES_NOT_CHANGE_REAL_POSITIONS,
    sentence="ac4e0f95",
    cases=cases(masks=("padding",), k_len=(2, 5)),
    most=12,
)
def test_padding_does_not_change_real_positions(subject: Subject, case: Case) -> None:
    """Padding replaced by other padding, and then left out: real positions stay as they are."""
    instance, inputs = subject.instance(case), subject.inputs(case)
    assert inputs.mask is not None
    real = inputs.mask[:, 0, -1].cpu() if not inputs.causal else inputs.mask[:, 0].any(1).cpu()
    random = generator(case.seed + 1)
    replaced = inputs.with_keys(
        tuple(
            torch.where(_like(real, each), each, perturbation.fresh_like(each, random, vocab=inputs.vocab))
            for each in inputs.key_side
        )
    )
    own = real if inputs.self_attending else torch.ones(case.batch, case.q_len, dtype=torch.bool)

    def unchanged(grad: bool) -> None:  # noqa: FBT001  # the path is all there is to say
        apart, base = (instance(each, grad=grad) for each in (replaced, inputs))
        difference = perturbation.difference(base, apart)
        if difference.shape != own.shape:
            raise Violation(f"{case.q_len} positions go in, padding among them, and {difference.shape[-1]} come out")
        change = torch.where(own, difference, 0.0)
        worst = float(change.max())
        if worst > 0 and worst > perturbation.explained(instance, inputs, base, worst, grad=grad):
            row, query = divmod(int(change.flatten().argmax()), case.q_len)
            raise Violation(
                f"what stands in the padding changes a real position: row {row}, position {query}",
                expected=perturbation.per_query(base)[row, query],
                got=perturbation.per_query(apart)[row, query],
                index=(row, query),
                margin=f"changes by {worst:.3g}; real: {real[row].int().tolist()}",
            )

    perturbation.on_every_path(instance, unchanged)
    if not _without_padding(subject, instance, inputs, real) and bool(real.all()):
        raise Vacuous("there is no padding")


def _without_padding(subject: Subject, instance: Instance, inputs: Inputs, real: Mask) -> bool:
    """Fail where a row's real positions differ from that row without its padding; whether any row could be compared."""
    compared = False
    for row in range(inputs.batch):
        kept = real[row].nonzero().flatten()
        if len(kept) == inputs.k_len or not may_be_left_out(subject, inputs, kept):
            continue
        short, queries = without(inputs.with_mask(None).only_row(row), kept)
        compared = True
        for grad in PATHS:
            require_same(
                instance, inputs, instance(inputs, grad=grad)[row][..., queries, :], instance(short, grad=grad)[0],
                f"row {row}: with padding (real: {real[row].int().tolist()}) real positions differ from the row without it",
            )  # fmt: skip
    return compared


def _like(real: Mask, tensor: Tensor) -> Mask:
    """``batch k_len`` as a condition on tensors of the key side."""
    return (real[:, :, None] if tensor.dim() == 3 else real[:, None, :, None]).to(tensor.device)


@checks(
    masking.SOURCE_PADDING_IS_INVISIBLE,
    sentence="62be98a8",
    cases=cases(batch=(2, 3), layers=(1, 2), masks=("padding",), sides=("cross",), q_len=(2, 3), k_len=(2, 4)),
    most=12,
)
def test_source_padding_is_invisible(subject: Subject, case: Case) -> None:
    """Change each hidden position of the memory in turn, then leave all of them out; with the target padded too."""
    instance, inputs = subject.instance(case), subject.inputs(case)
    assert inputs.mask is not None
    _without_padding(subject, instance, inputs, inputs.mask[:, 0, -1].cpu())
    message = "padding of the memory reaches the target"
    require_nothing_leaks(instance, inputs, case, message)
    if case.q_len > 1:
        both = with_padded_target(inputs, case.q_len - 1)
        require_nothing_leaks(instance, both, case, f"with padding in the target, {message}")
        require_nothing_is_missing(instance, both, case, "with padding in the target, the memory is not seen")


def with_padded_target(inputs: Inputs, real: int) -> Inputs:
    """The same call on the memory's side, with the first ``real`` target tokens shown, and padding behind them."""
    shown = (torch.arange(inputs.q_len) < real).to(inputs.tensors[0].device)
    target = inputs.tensors[0]
    if inputs.vocab:
        target = torch.where(shown[:, None], target, PAD_ID)
    mask = shown.expand(inputs.batch, 1, inputs.q_len, -1).clone()
    return dataclasses.replace(inputs, tensors=(target, *inputs.tensors[1:]), context_mask=mask)


@checks(
    masking.PADDING_MAY_STAND_WHERE_CLAIMED,
    sentence="f6526f63",
    cases=cases(batch=(2, 3), layers=(1, 2), masks=("padding",), q_len=(3, 5), k_len=(3, 5)),
    most=12,
)
def test_padding_may_stand_where_claimed(subject: Subject, case: Case) -> None:
    """On each claimed side: rows of several lengths, padded to one, come back as each does alone."""
    instance = subject.instance(case)
    bare = subject.inputs(dataclasses.replace(case, mask="none"))
    random = generator(case.seed + 1)
    for side in subject.claims["padding_sides"]:
        keys = stands(side, bare.batch, bare.k_len, random)
        queries = keys if bare.self_attending else stands(side, bare.batch, bare.q_len, random)
        padded = with_padding(bare, keys, queries)
        for row in range(bare.batch):
            own, other = (each[row].nonzero().flatten() for each in (queries, keys))
            alone = bare.only_row(row).taking(other, own)
            for grad in PATHS:
                require_same(
                    instance, padded, instance(padded, grad=grad)[row][own.to(subject.device)], instance(alone, grad=grad)[0],
                    f"padding on the {side} side: row {row} (real: {keys[row].int().tolist()}) is not what it is without padding",
                )  # fmt: skip


def stands(side: str, batch: int, length: int, random: torch.Generator) -> Mask:
    """``batch length``: which positions are real where padding stands on one side; each row has another number, the first has padding."""
    real = torch.ones(batch, length, dtype=torch.bool)
    for row in range(batch):
        count = int(torch.randint(int(row == 0), length, (1,), generator=random))
        if side == "right":
            real[row, length - count :] = False
        elif side == "left":
            real[row, :count] = False
        else:
            real[row, 1 + torch.randperm(length - 1, generator=random)[: min(count, length - 2)]] = False
    return real


def with_padding(inputs: Inputs, keys: Mask, queries: Mask) -> Inputs:
    """The same ids, with padding where ``keys`` (and on the other side ``queries``) are not real, and masks that say so."""

    def ids(each: Tensor, real: Mask) -> Tensor:
        return torch.where(real[..., None].to(each.device), each, PAD_ID)

    def grid(real: Mask) -> Mask:
        return real[:, None, None].expand(-1, 1, inputs.q_len, -1).clone().to(inputs.tensors[0].device)

    if inputs.self_attending:
        return dataclasses.replace(inputs, tensors=(ids(inputs.tensors[0], keys),), mask=grid(keys))
    tensors = (ids(inputs.tensors[0], queries), ids(inputs.tensors[1], keys))
    return dataclasses.replace(inputs, tensors=tensors, mask=grid(keys), context_mask=grid(queries))
