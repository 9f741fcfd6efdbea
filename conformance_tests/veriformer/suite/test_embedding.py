"""Embedding, tested: each id has a row of its own, and what happens to the row on its way."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from veriformer import oracle, tolerance
from veriformer.case import Case
from veriformer.inputs import generator
from veriformer.known_output import require_the_known_output
from veriformer.outcome import NotChecked, SubjectError, Vacuous, Violation
from veriformer.property import checks
from veriformer.strategies import cases
from veriformer.subjects import Instance, Subject
from veriformer.weights import trainable
from veriformer_spec import embedding

TOKENS = cases(batch=(1, 2), q_len=(2, 5), d_model=(2, 9), vocab=(3, 11))
TOKENS_AND_MODELS = cases(batch=(1, 2), q_len=(2, 4), layers=(1, 2), vocab=(3, 11), sides=("self",))
LONGEST = 64
"""Ids that are looked at in a large vocabulary; the first, the last and padding are among them."""
LONGEST_TABLE = 200_000
"""Rows beyond which a table is not overrun to see what happens."""


def some_ids(instance: Instance) -> list[int]:
    """Every id of a small vocabulary, or some of a large one; padding first and the last id next."""
    vocab, pad = instance.config.vocab, instance.config.pad_id
    first = list(dict.fromkeys((pad, vocab - 1)))
    return first + [each for each in range(vocab) if each not in first][: LONGEST - len(first)]


def embedded(instance: Instance, ids: Tensor, segments: Tensor | None = None, *, grad: bool = False) -> Tensor:
    """What the subject returns for these ids: ``batch time d_model``."""
    with torch.enable_grad() if grad else torch.no_grad():
        output = instance.raw(ids.clone(), None if segments is None else segments.clone())
    if not isinstance(output, Tensor):
        raise SubjectError(f"call returned a {type(output).__name__} where a tensor is promised", origin="call")
    expected = (*ids.shape, instance.config.d_model)
    if tuple(output.shape) != expected:
        raise Violation(f"shape {tuple(output.shape)} came back for ids of {tuple(ids.shape)}, expected {expected}")
    return output.clone()


def in_rows(case: Case, ids: list[int], device: torch.device) -> list[Tensor]:
    """The ids as calls of the case's own size, the last one filled up from the front."""
    each = case.batch * case.q_len
    filled = torch.tensor(ids + ids * each, device=device)[: -(-len(ids) // each) * each]
    return list(filled.view(-1, case.batch, case.q_len))


def vectors(instance: Instance, case: Case, ids: list[int]) -> Tensor:
    """One vector for each id: ``id d_model``."""
    calls = in_rows(case, ids, instance.subject.device)
    return torch.cat([embedded(instance, each).flatten(0, 1) for each in calls])[: len(ids)]


@checks(embedding.EVERY_ID_HAS_ITS_ROW, sentence="29ea52f3", cases=TOKENS)
def test_every_id_has_its_own_row(subject: Subject, case: Case) -> None:
    """Each id at two places: the same vector; any two ids: two vectors. The last id of the vocabulary is one of them."""
    instance = subject.instance(case)
    ids = some_ids(instance)
    order = torch.randperm(len(ids), generator=generator(case.seed)).tolist()
    here, there = vectors(instance, case, ids), vectors(instance, case, [ids[each] for each in order])
    if not bool(here.isfinite().all()):
        raise Vacuous("the output is not finite")
    message = "an id has another vector where it stands elsewhere"
    tolerance.require_close(there, here[order], message, dtype=subject.rounds_to)
    same = (here[:, None] == here[None]).all(-1) & ~torch.eye(len(ids), dtype=torch.bool, device=here.device)
    if bool(same.any()):
        one, other = (ids[int(each)] for each in same.nonzero()[0])
        raise Violation(
            f"ids {one} and {other} of a vocabulary of {instance.config.vocab} have the same vector",
            got=here[ids.index(one)],
            index=(one, other),
        )


def towards_weights(
    instance: Instance, case: Case, word: int, beside: int, *, segment: int = 0
) -> tuple[Tensor, Tensor]:
    """The first token's vector for the id ``word``, and each feature's gradient towards every weight: ``d_model weight``.

    The other places hold the id ``beside``, so that what the first place alone reads shows by comparison.
    """
    parameters = [each for _, each in trainable(instance.module_or_not_checked())]
    if not parameters:
        raise Violation("the subject has no trainable parameter")
    ids = torch.full((case.batch, case.q_len), beside, device=instance.subject.device)
    ids[0, 0] = word
    segments = torch.zeros_like(ids) if instance.config.segments else None
    if segments is not None:
        segments[0, 0] = segment
    output = embedded(instance, ids, segments, grad=True)[0, 0]
    if not output.requires_grad:
        return output.detach(), torch.zeros(len(output), sum(each.numel() for each in parameters), dtype=output.dtype)
    rows = []
    for feature in output:
        found = torch.autograd.grad(feature, parameters, allow_unused=True, retain_graph=True, materialize_grads=True)
        rows.append(torch.cat([each.flatten() for each in found]))
    return output.detach(), torch.stack(rows)


def flat(instance: Instance) -> Tensor:
    """Every weight, in the order of ``towards_weights``."""
    return torch.cat([each.detach().flatten() for _, each in trainable(instance.module_or_not_checked())])


@checks(embedding.SCALE_IS_AS_CLAIMED, sentence="bfbd255f", cases=TOKENS, most=10)
def test_scale_is_as_claimed(subject: Subject, case: Case) -> None:
    """Each feature of a token has one weight of its own, whose gradient is the factor; the feature is that weight times it."""
    instance = subject.instance(case)
    word, other = _two_words(instance)
    output, gradients = towards_weights(instance, case, word, other)
    reads = (gradients != 0) & (towards_weights(instance, case, other, word)[1] == 0)
    if not bool((reads.sum(-1) == 1).all()):
        raise NotChecked("a feature is not one weight of a table, so that no gradient tells its factor")
    factors = gradients[reads]
    d_model, claimed = case.d_model, instance.config.embedding_scale
    right = math.sqrt(d_model) if claimed == "root-d_model" else 1.0
    try:
        tolerance.require_close(
            factors, torch.full_like(factors, right), "the factor of a token's row is another", dtype=torch.float32
        )
    except Violation as seen:
        tempting = {
            "embedding_scale=root-d_model": math.sqrt(d_model),
            "embedding_scale=none": 1.0,
            "a factor of d_model": float(d_model),
            "a factor of 1/sqrt(d_model)": d_model**-0.5,
            "a factor of 1/d_model": 1 / d_model,
        }
        fitting = [words for words, each in tempting.items() if bool((factors - each).abs().max() < 1e-6 * each)]
        if fitting:
            seen.behaves_as(fitting[:1])
        raise
    if instance.config.segments:
        return
    weights = flat(instance).expand(len(reads), -1)[reads]
    message = "a token's vector is not its row times the factor: something is added"
    tolerance.require_close(output, weights * right, message, dtype=subject.rounds_to)


@checks(embedding.SCALE_IS_AS_CLAIMED, sentence="bfbd255f", cases=TOKENS, needs_weights=True)
def test_scale_is_as_claimed_by_the_reference(subject: Subject, case: Case) -> None:
    """With the subject's table, the reference gives the same vectors."""
    message = "the output is not the subject's own rows, scaled as claimed"
    oracle.require_equals_the_reference(subject.instance(case), subject.inputs(case), message)


def _two_words(instance: Instance) -> tuple[int, int]:
    """Two ids that are no padding."""
    words = [each for each in some_ids(instance) if each != instance.config.pad_id]
    if len(words) < 2:
        raise Vacuous("the vocabulary has no two words besides padding")
    return words[0], words[1]


@checks(embedding.PADDING_ROW_IS_AS_CLAIMED, sentence="5cfd7c32", cases=TOKENS, most=10)
def test_the_padding_row_is_as_claimed(subject: Subject, case: Case) -> None:
    """What an id alone reads has a gradient, unless it is padding that is claimed to be frozen."""
    instance = subject.instance(case)
    pad, frozen = instance.config.pad_id, subject.claims["padding_row"] == "frozen"
    word, other = _two_words(instance)
    beside = towards_weights(instance, case, word, other)[1]
    beside_other = towards_weights(instance, case, other, word)[1]
    for each in some_ids(instance)[: 8 if instance.config.vocab > LONGEST else None]:
        by_others = beside_other if each == word else beside
        own = towards_weights(instance, case, each, other if each == word else word)[1]
        trained = bool(((own != 0) & (by_others == 0)).any())
        if trained == (each == pad and frozen):
            who = f"the id of padding, {pad}," if each == pad else f"id {each}, which is no padding,"
            claimed = f", and padding_row={subject.claims['padding_row']} is claimed" if each == pad else ""
            raise Violation(f"{who} gets {'a' if trained else 'no'} gradient of its own{claimed}", index=(each,))


@checks(embedding.SEGMENTS_ARE_ADDED, sentence="61776058", cases=TOKENS)
def test_segments_are_added(subject: Subject, case: Case) -> None:
    """Whatever the id and the place, another segment adds the same vector; without segments it is segment 0."""
    instance = subject.instance(case)
    random, count = generator(case.seed), instance.config.segment_count
    shape = (case.batch, case.q_len)
    ids = torch.randint(0, instance.config.vocab, shape, generator=random).to(subject.device)
    base = embedded(instance, ids, torch.zeros_like(ids))
    message = "without segments, tokens are not in segment 0"
    tolerance.require_close(embedded(instance, ids), base, message, dtype=subject.rounds_to)
    segments = (torch.arange(case.batch * case.q_len).view(shape) + case.seed).to(subject.device) % count
    added = embedded(instance, ids, segments) - base
    for segment in range(count):
        alone = embedded(instance, torch.zeros_like(ids), torch.full_like(ids, segment))
        of_segment = (alone - embedded(instance, torch.zeros_like(ids), torch.zeros_like(ids)))[0, 0]
        if segment and not bool(of_segment.any()):
            raise Violation(f"segment {segment} adds nothing", got=of_segment)
        here = added[segments == segment]
        message = f"segment {segment} does not add one vector of its own, whatever the id and the place"
        floor = float(base.abs().max())
        _require_within(subject, here, of_segment.expand_as(here), message, floor)


def _require_within(subject: Subject, got: Tensor, expected: Tensor, message: str, size: float) -> None:
    """``require_close`` for differences of numbers as large as ``size``: what was subtracted rounded, too."""
    rounding = tolerance.units(subject.rounds_to) * 4 * tolerance.roundoff(subject.rounds_to) * max(size, 1e-300)
    if got.numel() and not bool((got - expected).abs().max() <= rounding):
        worst = int((got - expected).abs().amax(-1).argmax())
        raise Violation(message, expected=expected[worst], got=got[worst], index=(worst,))


@checks(embedding.SEGMENTS_ARE_ADDED, sentence="61776058", cases=TOKENS, most=10)
def test_a_segment_row_has_no_factor(subject: Subject, case: Case) -> None:
    """The gradient of a token's feature towards its segment's weight is one, whatever multiplies the token's own."""
    instance = subject.instance(case)
    word, other = _two_words(instance)
    _, first = towards_weights(instance, case, word, other, segment=0)
    _, second = towards_weights(instance, case, word, other, segment=1)
    reads = (second != 0) & (first == 0)
    if not bool((reads.sum(-1) == 1).all()):
        raise NotChecked("a feature of a segment is not one weight of a table, so that no gradient tells its factor")
    message = "a segment's row is multiplied on its way"
    tolerance.require_close(second[reads], torch.ones_like(second[reads]), message, dtype=torch.float32)


@checks(embedding.AN_ID_OUT_OF_RANGE_RAISES, sentence="22e723dd", cases=TOKENS_AND_MODELS, most=5)
def test_an_id_out_of_range_raises(subject: Subject, case: Case) -> None:
    """One id below zero, or larger than any table is long, on any side that takes ids."""
    if subject.device.type != "cpu":
        raise NotChecked("an index beyond a table ends the process on this device; checked on the CPU")
    instance = subject.instance(case)
    sizes = [axis for _, each in instance.module_or_not_checked().named_parameters() for axis in each.shape]
    beyond = max(*sizes, instance.config.vocab, instance.config.max_len) + 1 if sizes else LONGEST_TABLE + 1
    if beyond > LONGEST_TABLE:
        raise NotChecked("the table is too long to be overrun")
    for words, arguments in _with_one_id(subject, case, (-1, beyond)):
        with torch.no_grad():
            try:
                instance.raw(*arguments)
            except SubjectError:
                continue
        raise Violation(f"{words} passes, of a vocabulary of {instance.config.vocab}, and nobody is told")


def _with_one_id(
    subject: Subject, case: Case, strange: tuple[int, ...]
) -> Iterator[tuple[str, tuple[Tensor | None, ...]]]:
    """The call's arguments with one id replaced: every strange one in every argument that holds ids, segments aside."""
    names = list(subject.inputs(case).arguments())
    for place, name in enumerate(names):
        if name not in ("ids", "source", "target"):
            continue
        for each in strange:
            arguments = subject.inputs(case).passed()
            ids = arguments[place]
            assert ids is not None
            ids[-1, -1] = each
            yield f"id {each} in {name}", arguments


@checks(
    embedding.SYMMETRIC_WEIGHTS_GIVE_THE_KNOWN_OUTPUT,
    sentence="a66c71c9",
    cases=cases(batch=(1, 2), q_len=(2, 5)),
    needs_weights=True,
    most=4,
)
def test_symmetric_weights_give_the_known_output(subject: Subject, case: Case) -> None:
    """Fill all rows alike; the output must be the reference's, and fresh rows must not say otherwise."""
    require_the_known_output(subject, case)
