"""Recurrence, tested: additive attention, and the encoder-decoder of gated recurrent units that it was made for."""

import dataclasses
import functools
import warnings

import torch
from hypothesis.strategies import SearchStrategy
from torch import Tensor

from veriformer import oracle, tolerance
from veriformer.case import Case
from veriformer.inputs import PAD_ID, Inputs, generator
from veriformer.known_output import require_the_known_output
from veriformer.outcome import NotChecked, Vacuous, Violation
from veriformer.perturbation import RESTARTS, difference
from veriformer.property import checks
from veriformer.strategies import cases
from veriformer.subjects import Instance, Subject
from veriformer.weights import scale_matrices, trainable
from veriformer_spec import recurrence

KINDS = ("none", "padding", "arbitrary")
SATURATED = 1e9
"""A query so long that every tanh is 1 or -1, whatever the memory."""
LARGE = 30.0
"""What weights are multiplied by, so that scores are far apart."""


def require_same(instance: Instance, inputs: Inputs, got: Tensor, expected: Tensor, message: str) -> None:
    """Fail where ``got`` and ``expected`` differ by more than rounding in ``inputs``' call explains."""
    tolerance.require_close(got, expected, message, dtype=instance.subject.rounds_to, again=lambda: instance(inputs))


@checks(
    recurrence.ADDITIVE_ATTENTION_EQUALS_ITS_EQUATION,
    sentence="8531c546",
    cases=cases(masks=KINDS),
    needs_weights=True,
)
def test_additive_attention_equals_its_equation(subject: Subject, case: Case) -> None:
    """With the subject's weights, the reference gives the same contexts."""
    instance, inputs = subject.instance(case), subject.inputs(case)
    for grad in (False, True):
        oracle.require_equals_the_reference(
            instance, inputs, "the context is not the sum of the memory weighted as equations 5 and 6 say", grad=grad
        )


@checks(recurrence.ADDITIVE_ATTENTION_EQUALS_ITS_EQUATION, sentence="8531c546", cases=cases(masks=KINDS))
def test_additive_attention_equals_its_equation_without_weights(subject: Subject, case: Case) -> None:
    """What needs no weights: a long query saturates every tanh, so that all keys weigh the same; keys twice weigh as once."""
    instance, inputs = subject.instance(case), subject.inputs(case)
    long = inputs.with_queries(inputs.tensors[0] * SATURATED)
    seen = long.visible().double()
    if not bool((seen.sum(-1) > 0).all()):
        raise Vacuous("a query sees nothing")
    mean = (seen / seen.sum(-1, keepdim=True)) @ long.tensors[1].double().cpu()
    require_same(
        instance, long, instance(long), mean,
        "with a query so long that tanh is 1 or -1 throughout, the context is not the mean of the visible memory",
    )  # fmt: skip
    twice = torch.arange(case.k_len).repeat(2)
    require_same(
        instance,
        inputs,
        instance(inputs.taking(twice)),
        instance(inputs),
        "with the memory standing twice, the context changes",
    )


@checks(recurrence.WEIGHTS_ARE_EXACTLY_A_DISTRIBUTION, sentence="a208662c", cases=cases(masks=KINDS, k_len=(2, 6)))
def test_weights_are_exactly_a_distribution(subject: Subject, case: Case) -> None:
    """Half of the features are the same in all visible memory, and others in what is hidden: contexts have them as they are.

    No other feature leaves the range of what is visible. Once with weights that put the scores far apart.
    """
    for factor in (1.0, LARGE):
        instance, inputs = subject.instance(case), subject.inputs(case)
        if instance.module is not None:
            scale_matrices(instance.module, factor)
        query, memory = inputs.tensors
        seen = inputs.visible()
        kept = seen[:, :1].expand_as(seen)  # one set of keys for all queries: features agree for all at once
        inputs = inputs.with_mask(None if bool(kept.all()) else kept[:, None].clone().to(query.device))
        half = max(1, memory.shape[-1] // 2)
        constant = memory.clone()
        visible, agreed = kept[:, 0].to(memory.device), memory[:, :1, :half]
        constant[..., :half] = torch.where(visible[..., None], agreed, constant[..., :half] + 5)
        inputs = inputs.with_keys((constant,))
        got = instance(inputs)
        wanted = agreed.expand_as(got[..., :half])
        require_same(
            instance, inputs, got[..., :half], wanted,
            "all visible memory agrees in these features, and the context has other values: the weights do not sum to 1",
        )  # fmt: skip
        _require_within(instance, got, constant, visible)


def _require_within(instance: Instance, got: Tensor, memory: Tensor, visible: Tensor) -> None:
    low = memory.masked_fill(~visible[..., None], torch.inf).amin(1, keepdim=True)
    high = memory.masked_fill(~visible[..., None], -torch.inf).amax(1, keepdim=True)
    slack = tolerance.units(instance.subject.rounds_to) * tolerance.floor(memory, instance.subject.rounds_to)
    outside = torch.maximum(low - got, got - high)
    if float(outside.max()) > slack:
        raise Violation(
            "a context lies outside the range of the visible memory: a weight is negative, or they sum to more than 1",
            margin=f"by {float(outside.max()):.3g}",
        )


def _words(subject: Subject, case: Case, length: int, seed: int) -> Tensor:
    ids = torch.randint(PAD_ID + 1, case.vocab, (case.batch, length), generator=generator(seed))
    return ids.to(subject.device)


def _called(instance: Instance, source: Tensor, target: Tensor, source_mask: Tensor | None = None) -> Tensor:
    with torch.no_grad():
        logits: Tensor = instance.raw(
            source.clone(), target.clone(), None if source_mask is None else source_mask.clone()
        )
    return logits


def _with_another(ids: Tensor, position: int, vocab: int, seed: int) -> Tensor:
    """``ids`` with another word at one position of every row."""
    changed = ids.clone()
    shift = 1 + seed % (vocab - 2)
    changed[:, position] = (ids[:, position] - 1 + shift) % (vocab - 1) + 1
    return changed


@checks(
    recurrence.TEACHER_FORCING_EQUALS_STEP_BY_STEP,
    sentence="73ff4c57",
    cases=cases(q_len=(2, 5), vocab=(5, 11), sides=("self",)),
    most=12,
)
def test_teacher_forced_equals_step_by_step(subject: Subject, case: Case) -> None:
    """The target cut behind each of its tokens: what was said before the cut is said again."""
    instance = subject.instance(case)
    source, target = (_words(subject, case, length, case.seed + length) for length in (case.context, case.q_len))
    whole = _called(instance, source, target)
    for length in range(1, case.q_len):
        cut = target[:, :length]
        tolerance.require_close(
            whole[:, :length], _called(instance, source, cut),
            f"with {case.q_len - length} later target tokens the logits are not those of the target cut behind token {length - 1}",
            dtype=subject.rounds_to, again=functools.partial(_called, instance, source, cut),
        )  # fmt: skip


@checks(
    recurrence.THE_CONTEXT_FEEDS_THE_DECODER,
    sentence="b0f9f266",
    cases=cases(q_len=(2, 4), context=(3, 5), vocab=(5, 11), sides=("self",)),
    most=12,
)
def test_the_context_feeds_the_decoder(subject: Subject, case: Case) -> None:
    """Each source word changes every step; each target word changes its step and those after; padding changes nothing."""
    if case.vocab < 3:
        raise Vacuous("there is no other word")
    instance = subject.instance(case)
    source, target = (_words(subject, case, length, case.seed + length) for length in (case.context, case.q_len))
    base = _called(instance, source, target)
    for position in range(case.context):
        apart = torch.zeros(case.batch, case.q_len)
        for seed in range(RESTARTS):
            changed = _with_another(source, position, case.vocab, case.seed + seed)
            apart = torch.maximum(apart, difference(base, _called(instance, changed, target)))
        if not bool((apart > 0).all()):
            step = int((apart == 0).any(0).int().argmax())
            raise Violation(
                f"the logits of step {step} do not depend on source token {position}", index=(step, position)
            )
    for position in range(case.q_len):
        apart = torch.zeros(case.batch, case.q_len)
        for seed in range(RESTARTS):
            changed = _with_another(target, position, case.vocab, case.seed + seed)
            apart = torch.maximum(apart, difference(base, _called(instance, source, changed)))
        if not bool((apart[:, position:] > 0).all()):
            step = position + int((apart[:, position:] == 0).any(0).int().argmax())
            raise Violation(
                f"the logits of step {step} do not depend on target token {position}", index=(step, position)
            )
    if "padding" in subject.masks and "right" in subject.claims["padding_sides"]:
        _require_padding_hidden(instance, case, source, target)


def _require_padding_hidden(instance: Instance, case: Case, source: Tensor, target: Tensor) -> None:
    """The source's last token is padding in some rows: other words there, or none, change nothing."""
    mask = torch.ones_like(source, dtype=torch.bool)
    mask[:: 2 if case.batch > 1 else 1, -1] = False
    base = _called(instance, source.masked_fill(~mask, PAD_ID), target, mask)
    other = torch.where(mask, source, _with_another(source, case.context - 1, case.vocab, case.seed))
    rounds, again = instance.subject.rounds_to, functools.partial(_called, instance, source, target, mask)
    tolerance.require_close(
        _called(instance, other, target, mask),
        base,
        "what stands in the source's padding changes the logits",
        dtype=rounds,
        again=again,
    )
    short = _called(instance, source[:1, :-1], target[:1])
    tolerance.require_close(
        base[:1],
        short,
        "with padding behind the source the logits are not those of the source without it",
        dtype=rounds,
        again=again,
    )


DIRECTIONS = 2
"""Ways to vary that are looked for in each step. A layer norm behind a rectifier may leave a step one, and now and then none."""
WIDTH = 4
STATE_ALONE = 2
"""A first state of the decoder is as wide as d_model, or twice as wide where two directions stand side by side."""
STATE_AND_CONTEXT = 5
"""With one context for all steps, of twice d_model, or of as much again as the state."""
MOST_STEPS = 80


def ways_to_vary(subject: Subject, case: Case, *, carried: int) -> tuple[int, int, int]:
    """In how many ways all logits together vary with what the source's words stand for, the steps looked at, and d_model.

    However many the steps, a wrong decoder has no more ways than what it carries has features, and a right one has more with each. So
    there are twice as many steps as the wrong one has ways: narrow layers on the way out cannot hide what is right.

    Source and target use different words. Of every tensor with a slice for each word, the source's slices are moved, and only
    logits of the target's words are looked at, so that a tied output layer does not enter.

    Args:
        carried: features for each of d_model that a wrong decoder may have of the source.

    Raises:
        NotChecked: no weight has a slice for each word; or the sizes are fixed so that there are too few steps.
    """
    steps = 2 * carried * case.d_model
    if {"vocab", "max_len", "q_len", "k_len"} & subject.declaration.sizes.keys() or steps > MOST_STEPS:
        raise NotChecked(f"the subject's sizes are fixed: a source and a target of {steps} words each are too much")
    probe = dataclasses.replace(case, batch=1, q_len=steps, k_len=steps, context=steps, vocab=3 * steps)
    instance = subject.instance(probe)
    words = torch.arange(1, probe.vocab, device=subject.device)
    source, target = words[None, :steps], words[None, steps : 2 * steps]
    tables = [
        (each, axis)
        for _, each in trainable(instance.module_or_not_checked())
        for axis, size in enumerate(each.shape)
        if size == probe.vocab and each.dim() > 1
    ]
    if not tables:
        raise NotChecked("no weight has one slice for each word of the vocabulary")
    with torch.enable_grad():
        logits = instance.raw(source.clone(), target.clone())[0, :, target[0]]
    random = generator(case.seed)
    directions = torch.zeros(DIRECTIONS * steps, *logits.shape, dtype=logits.dtype, device=logits.device)
    for row in range(len(directions)):
        directions[row, row % steps] = torch.randn(logits.shape[1], generator=random, dtype=torch.float64).to(logits)
    gradients = _gradients(logits, [each for each, _ in tables], directions)
    rows = torch.cat(
        [each.index_select(axis + 1, source[0]).flatten(1) for each, (_, axis) in zip(gradients, tables, strict=True)],
        dim=1,
    )
    sizes = torch.linalg.svdvals(rows.double())
    noise = len(rows) * steps * tolerance.units(subject.rounds_to) * tolerance.roundoff(subject.rounds_to)
    ways = int((sizes > noise * float(sizes[0])).sum())
    if ways <= carried * case.d_model and subject.rounds_to is not torch.float64:
        raise NotChecked("the subject computes in float32, whose rounding hides in how many ways the logits vary")
    return ways, steps, case.d_model


def _gradients(logits: Tensor, tensors: list[Tensor], directions: Tensor) -> list[Tensor]:
    """The gradient of the logits along each direction, as one batch for each tensor: at once where the subject's code allows it."""
    how = {"retain_graph": True, "allow_unused": True}
    with warnings.catch_warnings(action="ignore"):  # an operation that is not batched is slow, and right
        try:
            found = torch.autograd.grad(logits, tensors, directions, is_grads_batched=True, **how)
        except RuntimeError:
            one_by_one = [
                torch.autograd.grad(logits, tensors, each, materialize_grads=True, **how) for each in directions
            ]
            return [torch.stack(each) for each in zip(*one_by_one, strict=True)]
    given: tuple[Tensor | None, ...] = tuple(found)  # unused ones are None, whatever torch's annotations say
    return [
        each.new_zeros(len(directions), *each.shape) if got is None else got
        for got, each in zip(given, tensors, strict=True)
    ]


def narrow_cases(subject: Subject) -> SearchStrategy[Case]:
    """Small models: what is counted is compared with their width."""
    return cases(
        batch=(1, 1), q_len=(3, 3), context=(3, 3), heads=(1, 1), d_head=(WIDTH, WIDTH), vocab=(11, 11), sides=("self",)
    )(subject)


@checks(recurrence.THE_CONTEXT_FEEDS_THE_DECODER, sentence="b0f9f266", cases=narrow_cases, most=3, floor=1)
def test_more_than_a_first_state_feeds_the_decoder(subject: Subject, case: Case) -> None:
    """Many steps' logits vary with as many source words in more ways than one state has features."""
    ways, steps, d_model = ways_to_vary(subject, case, carried=STATE_ALONE)
    if ways <= STATE_ALONE * d_model:
        raise Violation(
            f"with d_model={d_model} the logits of {steps} steps vary with the source in {ways} ways: no more than a first state can carry, "
            "so that no context enters"
        )


@checks(recurrence.THE_CONTEXT_IS_OF_THE_STEP, sentence="b50e29ee", cases=narrow_cases, most=3, floor=1)
def test_every_step_has_its_own_context(subject: Subject, case: Case) -> None:
    """Many steps' logits vary with as many source words in more ways than one state and one context have features."""
    ways, steps, d_model = ways_to_vary(subject, case, carried=STATE_AND_CONTEXT)
    if ways <= STATE_AND_CONTEXT * d_model:
        raise Violation(
            f"with d_model={d_model} the logits of {steps} steps vary with the source in {ways} ways: no more than a state and one context "
            "for all steps can carry"
        )


@checks(
    recurrence.SYMMETRIC_WEIGHTS_GIVE_THE_KNOWN_OUTPUT,
    sentence="1974df2f",
    cases=cases(masks=("none",)),
    needs_weights=True,
    most=4,
)
def test_symmetric_weights_give_the_known_output(subject: Subject, case: Case) -> None:
    """Fill all tensors of one shape alike; the context must be the reference's, and fresh weights must not say otherwise."""
    require_the_known_output(subject, case)
