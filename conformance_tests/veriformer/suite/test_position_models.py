"""Position, tested where it is used: in multi-head attention, layers, stacks and models."""

import dataclasses
from collections.abc import Iterator

import torch
from torch import Tensor

from veriformer import perturbation, tolerance
from veriformer.case import Case
from veriformer.inputs import Inputs, generator
from veriformer.outcome import NotChecked, Vacuous, Violation
from veriformer.property import checks
from veriformer.strategies import cases
from veriformer.subjects import Instance, Subject
from veriformer_spec import position
from veriformer_spec.role import MODELS, Role

HEADS = cases(batch=(1, 2), q_len=(3, 6), k_len=(3, 6), heads=(1, 4), d_head=(2, 4))
TOKENS = cases(
    batch=(1, 2),
    q_len=(4, 6),
    k_len=(4, 6),
    heads=(2, 3),
    d_head=(3, 4),
    layers=(1, 2),
    context=(2, 3),
    sides=("self",),
)
ONE_LAYER = cases(
    batch=(2, 2),
    q_len=(3, 5),
    heads=(2, 3),
    d_head=(3, 4),
    layers=(1, 1),
    vocab=(7, 11),
    context=(3, 4),
    sides=("self",),
)
"""With a second layer, what a causal token has read of those before it tells their order, without any positions."""


@checks(position.ROTARY_LEAVES_VALUES_ALONE, sentence="4fb4e6e7", cases=HEADS)
def test_rotary_leaves_values_alone(subject: Subject, case: Case) -> None:
    """Keys and values are one token, repeated: whatever the weights, an average of equal values is that value."""
    case = dataclasses.replace(case, q_len=min(case.q_len, case.k_len), k_len=max(case.q_len, case.k_len))
    if subject.self_attending or subject.causal:
        case = dataclasses.replace(case, q_len=case.k_len)
    instance, inputs = subject.instance(case), subject.inputs(case)
    memory = inputs.key_side[0][:, :1]
    query = memory if inputs.self_attending else inputs.tensors[0]
    many = inputs.with_keys((memory.expand(-1, case.k_len, -1).contiguous(),))
    alone = dataclasses.replace(inputs, tensors=(query[:, :1].contiguous(), memory.contiguous()))
    expected = instance(alone)
    if not bool(expected.isfinite().all()) or not bool(expected.any()):
        raise Vacuous("one token alone returns nothing, or what is not finite")
    got = instance(many)
    tolerance.require_close(
        got,
        expected.expand_as(got),
        "where all keys are one token, a query does not return what that token alone returns: its value depends on its position",
        dtype=subject.rounds_to,
        again=lambda: instance(many),
    )


@checks(position.ONLY_THE_DIFFERENCE_COUNTS, sentence="75b20d1c", cases=TOKENS, most=15)
def test_only_the_difference_counts(subject: Subject, case: Case) -> None:
    """Hide the first tokens: the others come back as where they are not there at all."""
    if subject.role in MODELS and "left" not in subject.claims["padding_sides"]:
        raise NotChecked("padding at the start is not claimed to be accepted (padding_sides)")
    if "padding" not in subject.masks:
        raise NotChecked("the subject accepts no padding mask")
    case = dataclasses.replace(case, q_len=min(case.q_len, case.k_len), k_len=max(case.q_len, case.k_len))
    if subject.role is not Role.MULTI_HEAD_ATTENTION or subject.self_attending or subject.causal:
        case = dataclasses.replace(case, q_len=case.k_len)
    hidden = 1 + case.seed % 2
    if case.q_len + (0 if subject.self_attending else hidden) > case.k_len:
        case = dataclasses.replace(case, k_len=case.k_len + hidden) if not _together(subject) else case
    instance, inputs = subject.instance(case), subject.inputs(case)
    real = torch.arange(case.k_len) >= hidden
    mask = real.expand(case.batch, 1, case.q_len, -1).clone().to(subject.device)
    kept = torch.arange(hidden, case.k_len, device=subject.device)
    rest = inputs.taking(kept)
    whole = instance(inputs.with_mask(mask))
    whole = whole[:, hidden:] if inputs.self_attending else whole
    expected = instance(rest.with_mask(None))
    if not bool(expected.isfinite().all()):
        raise Vacuous("the output is not finite")
    tolerance.require_close(
        whole,
        expected,
        f"{hidden} hidden at the start shift what comes back for the others, as if positions were more than differences",
        dtype=subject.rounds_to,
        again=lambda: instance(rest.with_mask(None)),
    )


def _together(subject: Subject) -> bool:
    """Whether there are always as many keys as queries."""
    return subject.self_attending or subject.causal


def exchanged(tokens: Tensor, first: int) -> Tensor:
    """The same tokens with those at ``first`` and after it in each other's place."""
    order = list(range(tokens.shape[-2]))
    order[first], order[first + 1] = order[first + 1], order[first]
    return tokens[..., order, :].contiguous()


def _sides(subject: Subject, inputs: Inputs) -> Iterator[tuple[str, Tensor]]:
    """What is read with positions: the tokens, and of an encoder-decoder the source too."""
    yield "tokens", inputs.tensors[0]
    if subject.role is Role.ENCODER_DECODER:
        yield "source tokens", inputs.context[0]


def _with(inputs: Inputs, side: str, tokens: Tensor) -> Inputs:
    if side == "source tokens":
        return dataclasses.replace(inputs, context=(tokens,))
    return dataclasses.replace(inputs, tensors=(tokens,) * len(inputs.tensors))


def _apart(inputs: Inputs, tokens: Tensor, seed: int) -> Tensor:
    """The tokens, all different: ids are dealt without repeating one."""
    if tokens.is_floating_point():
        return tokens
    words = torch.randperm(inputs.vocab - 1, generator=generator(seed))[: tokens.shape[-2]] + 1
    if len(words) < tokens.shape[-2]:
        raise Vacuous("the vocabulary has fewer words than the sequence has places")
    return words[None, :, None].expand_as(tokens).clone().to(tokens)


@checks(position.POSITIONS_ENTER_FOR_EVERY_TOKEN, sentence="f32b7c5a", cases=ONE_LAYER, most=10)
def test_positions_enter_for_every_token(subject: Subject, case: Case) -> None:
    """Exchange each two neighbours: a token that sees both without being one of them comes back changed."""
    if "layers" in subject.declaration.sizes:
        case = dataclasses.replace(case, layers=subject.declaration.sizes["layers"])
    instance, inputs = subject.instance(case), subject.inputs(case)
    for side, tokens in list(_sides(subject, inputs)):
        inputs = _with(inputs, side, _apart(inputs, tokens, case.seed))
    _require_equal_rows(instance, inputs)
    base = instance(inputs)
    if not bool(base.isfinite().all()):
        raise Vacuous("the output is not finite")
    for side, tokens in _sides(subject, inputs):
        length = tokens.shape[-2]
        for first in range(length - 1):
            moved = instance(_with(inputs, side, exchanged(tokens, first)))
            seeing = [at for at in range(base.shape[1]) if side != "tokens" or at not in (first, first + 1)]
            if subject.causal and side == "tokens":
                seeing = [at for at in seeing if at > first + 1]
            if subject.windowed and side == "tokens":
                seeing = [at for at in seeing if at - first < case.window]
            apart = perturbation.difference(base, moved)[:, seeing]
            rounding = perturbation.explained(instance, inputs, base, 0.0, grad=False)
            if seeing and not bool((apart > rounding).any(0).all()):
                place = seeing[int((apart > rounding).any(0).int().argmin())]
                raise Violation(
                    f"{side} {first} and {first + 1} exchanged: what comes back at position {place} does not change, as if both stood "
                    "at one position",
                    expected=base[0, place],
                    got=moved[0, place],
                    index=(first, place),
                )


def _require_equal_rows(instance: Instance, inputs: Inputs) -> None:
    """Equal rows of the batch come back equal: a table added along the batch would tell them apart."""

    def first_row(tensor: Tensor) -> Tensor:
        return tensor[:1].expand_as(tensor).contiguous()

    alike = dataclasses.replace(
        inputs, tensors=tuple(map(first_row, inputs.tensors)), context=tuple(map(first_row, inputs.context))
    )
    output = instance(alike)
    message = "equal rows of a batch come back different: positions run along the batch"
    again = output[:1].expand_as(output)
    tolerance.require_close(output, again, message, dtype=instance.subject.rounds_to, again=lambda: instance(alike))
