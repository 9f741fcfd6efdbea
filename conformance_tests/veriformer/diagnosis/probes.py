"""Probes: what a subject and the reference in its place are both asked, so that faults are told apart.

One probe alone would take many faults for each other, or for none: a wrong mask shows under a mask only, a wrong epsilon where
tokens are constant, a forgotten stabilisation where scores are large.
"""

import dataclasses
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from veriformer import process_state
from veriformer.calls import mapped, with_constant_tokens
from veriformer.case import Case
from veriformer.diagnosis.answers import RAISED, Answer, numbers
from veriformer.diagnosis.grounds import MAX_LEN, ORDINARY, Setting, Side, base_case, quietly
from veriformer.errors import UsageError
from veriformer.inputs import Inputs, generator
from veriformer.masks import Mask, causal_grid
from veriformer.subjects import Subject
from veriformer_spec.role import ATTENDING, CROSS_ATTENDING, FUNCTIONS, MODELS, PROJECTED, Role

Ask = Callable[[Side], dict[str, Tensor]]


@dataclasses.dataclass(frozen=True)
class Probe:
    """One question.

    Attributes:
        ask: puts it to one side.
        setting: how that side is built.
        steps: calls of the subject that it takes; those that take many are asked last.
        open_rows: whether some rows may hold anything: where NaN came out of them into the others, nothing can be told; asked
            only where nothing else tells.
        free: whether correct subjects may answer differently, so that it is asked only where nothing else tells.
    """

    name: str
    ask: Ask
    setting: Setting = ORDINARY
    free: bool = False
    steps: int = 1
    open_rows: bool = False


LAYERED_STACKS = (Role.ENCODER, Role.DECODER, *MODELS)
"""Roles of which one layer reads what another wrote."""
SEED = 11
"""Both sides draw the same numbers, where they draw any."""


def answered(probe: Probe, side: Side) -> Answer:
    """What ``side`` says; that it raises is an answer too.

    Raises:
        UsageError: the adapter is wrong.
    """
    with quietly(), process_state.restored():
        process_state.seed(SEED)
        try:
            return numbers(probe.ask(side))
        except (KeyboardInterrupt, UsageError):
            raise
        except Exception as error:  # noqa: BLE001  # whatever it raises, it raises
            return {RAISED: torch.tensor([float(zlib.crc32(type(error).__name__.encode()))], dtype=torch.float64)}


def probes_of(subject: Subject) -> list[Probe]:
    """Every probe that the subject's claims let it be asked, those that tell most first."""
    from veriformer.diagnosis import conduct, own_calls

    if subject.role in FUNCTIONS:
        return own_calls.probes_of(subject)
    calls = list(_calls(subject))
    found = [_forward(name, inputs, keep) for name, inputs, keep in calls]
    if subject.role in (*MODELS, *PROJECTED):  # behind a norm large inputs make no large scores, and large weights do
        loud = [call for call in calls if call[0] in ("plain", "mask padding")]
        found += [
            _forward(f"{name}, weights times {factor:g}", inputs, keep, Setting(factor=factor))
            for name, inputs, keep in loud
            for factor in (6.0, 200.0)
        ]
    other = _other_sizes(subject)
    if other:
        sizes: dict[str, Any] = dict(other)
        case = dataclasses.replace(base_case(subject), **sizes, seed=SEED)
        found.append(_forward("other sizes", subject.inputs(case), None, Setting(sizes=other)))
    found += own_calls.more_of(subject)
    plain, hidden = calls[0][1], next((each for _, each, _ in calls if each.mask is not None), None)
    empty = next(((each, keep) for name, each, keep in calls if name == "a row of padding"), None)
    return [*found, *conduct.probes_of(subject, plain, hidden, empty)]


def _other_sizes(subject: Subject) -> tuple[tuple[str, int], ...]:
    """Other sizes, for what is written in the code as a number; none where the subject has its own."""
    if subject.declaration.sizes or base_case(subject).heads == 1:
        return ()
    grouped = subject.claims.get("kv_heads") == "grouped"
    return (("heads", 2), ("kv_heads", 1 if grouped else 2), ("d_model", 20), ("d_value", 10), ("d_ff", 36))


Kept = Tensor | None
"""``batch q_len``: the rows whose outputs are compared; None for all."""


def _forward(name: str, inputs: Inputs, keep: Kept, setting: Setting = ORDINARY) -> Probe:
    def ask(side: Side) -> dict[str, Tensor]:
        return {"output": kept(side.instance(side.given(inputs)), keep)}

    return Probe(name, ask, setting, open_rows=keep is not None)


def kept(output: Tensor, keep: Kept) -> Tensor:
    """``output`` with zeros in the rows that are not compared."""
    if keep is None:
        return output
    axes = (slice(None), *[None] * (output.dim() - 3), slice(None), None)
    return torch.where(keep.to(output.device)[axes], output, torch.zeros_like(output))


def _calls(subject: Subject) -> Iterator[tuple[str, Inputs, Kept]]:
    """Ordinary calls: a name, what is passed, and which rows of the output are compared."""
    base = base_case(subject)
    fixed = subject.declaration.sizes

    def of(**changes: object) -> Inputs:
        return subject.inputs(dataclasses.replace(base, **{"mask": "none", "seed": SEED, **changes}))  # type: ignore[arg-type]  # its fields

    plain = of()
    yield "plain", plain, None
    if subject.role in ATTENDING:
        yield from _masked(subject, base, plain)
    if subject.role in CROSS_ATTENDING:
        yield from _crossing(subject, base)
    if subject.role is Role.ATTENTION and subject.claims.get("value_size") == "any":
        yield "wider values", of(d_value=base.d_value + 3), None
    longest = fixed.get("max_len", MAX_LEN)
    if not {"q_len", "k_len"} & fixed.keys():
        together = subject.self_attending or subject.aligned
        yield "one token", of(q_len=1, k_len=1), None
        yield "the longest sequence", of(q_len=longest, k_len=longest), None
        if "learned" in (subject.claims.get("positions"), subject.claims.get("encoding")) and longest == MAX_LEN:
            yield "longer than the longest sequence", of(q_len=longest + 1, k_len=longest + 1), None
        if subject.role in (Role.ATTENTION, Role.MULTI_HEAD_ATTENTION) and (
            not together or subject.role is Role.ATTENTION
        ):
            if not subject.causal or subject.claims.get("alignment", "end") != "equal-lengths":
                yield "more keys than queries", of(q_len=3, k_len=8), None
            if not subject.causal:
                yield "more queries than keys", of(q_len=8, k_len=3), None
    if plain.tensors[0].is_floating_point():
        for factor in (40.0, 1e-3, 3000.0):
            yield f"times {factor:g}", mapped(plain, lambda each, factor=factor: each * factor), None  # type: ignore[misc]  # bound now
        yield "constant tokens", with_constant_tokens(plain, 1.0), None
        yield "small constant tokens", with_constant_tokens(plain, 1e-3), None
        yield "zeros", mapped(plain, torch.zeros_like), None
    else:
        yield from _ids(base, plain)


def _masked(subject: Subject, base: Case, plain: Inputs) -> Iterator[tuple[str, Inputs, Kept]]:
    """Under each kind of mask that is accepted; then causal and padding at once, and rows of nothing but padding."""

    def of(mask: str, seed: int = SEED) -> Inputs:
        return subject.inputs(dataclasses.replace(base, mask=mask, seed=seed))

    for kind in subject.masks:
        if kind != "none":
            yield f"mask {kind}", of(kind), None
    if "padding" in subject.masks:
        for seed in (SEED + 1, SEED + 2):
            yield f"mask padding, {seed}", of("padding", seed), None
        if not {"batch", "heads"} & subject.declaration.sizes.keys():
            equal = dataclasses.replace(base, batch=base.heads, mask="padding", seed=SEED)
            yield "as many rows as heads", subject.inputs(equal), None
    if subject.role in MODELS and "right" not in subject.claims["padding_sides"]:
        return
    square = plain.q_len == plain.k_len
    real = torch.ones(plain.batch, plain.k_len, dtype=torch.bool)
    real[0, -1] = False
    if plain.batch > 1:
        real[1, -2:] = False
    padding = real[:, None, None, :].expand(-1, 1, plain.q_len, -1)
    if "arbitrary" in subject.masks and square:
        both = padding & causal_grid(plain.q_len, plain.k_len)
        yield "causal and padding", _under(plain, both, subject), None
    if "padding" in subject.masks and plain.tensors[0].is_floating_point():
        alone = torch.zeros_like(padding)
        alone[..., 0] = True
        for factor in (60.0, 600.0):  # scores of up to a million: beyond, a legal mask of minus a billion leaks
            large = mapped(plain, lambda each, factor=factor: each * factor)  # type: ignore[misc]  # bound now
            yield f"padding, times {factor:g}", _under(large, padding, subject), None
            if not subject.windowed:
                yield f"one key, times {factor:g}", _under(large, alone, subject), None
    if "padding" in subject.masks and plain.batch > 1:
        empty = padding.clone()
        empty[-1] = False
        inputs = _under(plain, empty, subject)
        yield "a row of padding", inputs, _seen(subject, empty)
    if "arbitrary" in subject.masks:
        yield from _of_any_pattern(subject, base, plain)


def _of_any_pattern(subject: Subject, base: Case, plain: Inputs) -> Iterator[tuple[str, Inputs, Kept]]:
    """Under masks that are neither causal nor padding."""
    lengths = {} if {"q_len", "k_len"} & subject.declaration.sizes.keys() else {"q_len": 6, "k_len": 6}
    square = subject.inputs(dataclasses.replace(base, **{"mask": "none", "seed": SEED, **lengths}))  # type: ignore[arg-type]  # its fields
    if square.q_len == square.k_len:
        prefix = causal_grid(square.q_len, square.k_len)
        prefix[:, :2] = True
        yield "a prefix that all see", _under(square, prefix.expand(square.batch, 1, -1, -1), subject), None
    if _rows_stay_apart(subject):
        grid = torch.ones(plain.batch, 1, plain.q_len, plain.k_len, dtype=torch.bool)
        grid[0, :, plain.q_len // 2] = False
        grid[0, :, 0, -1] = False
        yield "a query that sees nothing", _under(plain, grid, subject), _seen(subject, grid)
    if subject.role is not Role.ADDITIVE_ATTENTION and base.heads > 1:
        for_heads = torch.rand(plain.batch, base.heads, plain.q_len, plain.k_len, generator=generator(SEED)) < 0.6
        for_heads[..., 0] = True
        yield "a mask for each head", dataclasses.replace(plain, mask=for_heads.to(plain.tensors[0].device)), None


def _rows_stay_apart(subject: Subject) -> bool:
    """Whether what a query gets that sees nothing reaches no other one: where it may be anything, the next layer would read it."""
    claimed = subject.claims.get("nothing_visible", {}).get("no-grad")
    return claimed == "zeros" or subject.role not in LAYERED_STACKS


def _under(inputs: Inputs, mask: Mask, subject: Subject) -> Inputs:
    masked = inputs.with_mask(mask.clone().to(subject.device))
    if not masked.vocab:
        return masked
    hidden = ~mask.amax((1, 2))[..., None].to(subject.device)
    return masked.with_keys(tuple(each.masked_fill(hidden, 0) for each in masked.key_side))


def _seen(subject: Subject, mask: Mask) -> Kept:
    """Rows that see something; all of them where it is claimed what the others get."""
    claimed = subject.claims.get("nothing_visible", {}).get("no-grad")
    if claimed == "zeros" and subject.role not in MODELS:
        return None
    return mask.amax(1).any(-1)


def _crossing(subject: Subject, base: Case) -> Iterator[tuple[str, Inputs, Kept]]:
    """With the memory looked at: longer and shorter than what reads it, and padded."""
    fixed = subject.declaration.sizes
    lengths = {} if {"q_len", "k_len"} & fixed.keys() else {"a longer memory": 8, "a shorter memory": 3}
    for name, length in (lengths or {"the memory": base.context}).items():
        case = dataclasses.replace(base, side="cross", k_len=length, seed=SEED)
        yield name, subject.inputs(case), None
        for kind in subject.masks:
            if kind in ("padding", "arbitrary"):
                yield f"{name}, mask {kind}", subject.inputs(dataclasses.replace(case, mask=kind)), None


def _ids(base: Case, plain: Inputs) -> Iterator[tuple[str, Inputs, Kept]]:
    """Ids: all alike, the last ones of the vocabulary, and one that is none of it."""

    def with_ids(change: Callable[[Tensor], Tensor]) -> Inputs:
        return dataclasses.replace(plain, tensors=tuple(change(each) for each in plain.tensors))

    yield "equal tokens", with_ids(lambda each: torch.full_like(each, 5)), None
    yield "the last ids", with_ids(lambda each: base.vocab - 1 - each % 3), None
    yield "an id beyond the vocabulary", with_ids(lambda each: each + base.vocab), None
    yield "a negative id", with_ids(lambda each: -1 - each), None
