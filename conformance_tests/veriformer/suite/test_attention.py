"""Attention, tested: softmax(Q Kᵀ · scale) V, one sentence at a time."""

import dataclasses
import math

import torch
from torch import Tensor

from veriformer import perturbation, tolerance
from veriformer.alternatives import factor, fitted_scale, legal_alternative, matches
from veriformer.case import Case
from veriformer.inputs import Inputs, generator, normal
from veriformer.large_scores import largest_score, with_large_scores
from veriformer.oracle import oracle
from veriformer.outcome import NotChecked, SubjectError, Vacuous, Violation
from veriformer.property import checks
from veriformer.strategies import cases
from veriformer.subjects import Instance, Subject
from veriformer.suite.test_attention_scale import weights_of
from veriformer_spec import attention

PATHS = (False, True)
"""Gradients off and on: libraries run other code without them."""
EVERY_MASK = ("none", "arbitrary", "padding", "causal")
SYMMETRIC_MASKS = ("none", "arbitrary", "padding")
"""Kinds of mask that say nothing about positions."""


SCORE_SIZES = (1.0, 4.0, 16.0, 0.25)
"""What queries and keys are multiplied by: the softmax is nearly flat, ordinary, sharp, or all but an argmax."""


def expected_of(instance: Instance, inputs: Inputs, got: Tensor) -> Tensor:
    """Equation 1; where the scale is left unspecified, with the scale that fits best."""
    if instance.config.scale == "unspecified":
        return oracle(instance, scale=fitted_scale(instance, inputs, got) or "inverse-root")(inputs)
    return oracle(instance)(inputs)


@checks(attention.EQUALS_EQUATION_1, sentence="46e5ef93", cases=cases(masks=EVERY_MASK))
def test_equals_equation_1(subject: Subject, case: Case) -> None:
    """The reference, in float64, gives the same output; gradients on and off, for scores of every size."""
    instance, inputs = subject.instance(case), subject.inputs(case)
    fitted = subject.claims["scale"] == "unspecified"  # sharp scores would ask more digits of the fit than it has
    size = 1.0 if fitted else SCORE_SIZES[case.seed % len(SCORE_SIZES)]
    inputs = dataclasses.replace(inputs, tensors=(*(size * each for each in inputs.tensors[:2]), inputs.tensors[2]))
    for grad in PATHS:
        got = instance(inputs, grad=grad)
        expected = expected_of(instance, inputs, got)
        if not matches(got, expected, instance, inputs):
            message = "the output is not softmax(Q Kᵀ · scale) V" + legal_alternative(instance, inputs, got)
            tolerance.require_close(got, expected, message, dtype=subject.rounds_to, again=lambda: instance(inputs))


@checks(attention.EQUALS_EQUATION_1, sentence="46e5ef93", cases=cases(masks=EVERY_MASK))
def test_equals_equation_1_by_counting(subject: Subject, case: Case) -> None:
    """A key whose score is ln n weighs as much as n keys whose score is 0: the output is a mean that can be counted.

    Each query points along one direction, once or twice as far, so that its keys' scores are ln n or 2 ln n: they weigh n or n².
    """
    if subject.claims["scale"] == "unspecified":
        raise NotChecked("no scale is claimed, so no score can be set")
    if subject.claims["soft_cap"] is not None:
        raise NotChecked("scores are capped, so that ln n is bent; see heads.scores-are-capped-as-claimed")
    instance, inputs = subject.instance(case), subject.inputs(case)
    random = generator(case.seed)
    query, _, value = inputs.tensors
    counts = torch.stack([torch.randperm(case.k_len, generator=random) + 1 for _ in range(case.batch * case.kv_heads)])
    counts = counts.view(case.batch, case.kv_heads, case.k_len).to(query)
    length = (torch.arange(case.q_len) % 2 + 1).to(query)
    direction = torch.nn.functional.one_hot(torch.tensor(case.seed % case.d_head), case.d_head).to(query)
    queries = (length[:, None] * direction / factor(instance)).expand_as(query).contiguous()
    inputs = dataclasses.replace(inputs, tensors=(queries, counts.log()[..., None] * direction, value))
    group = case.heads // case.kv_heads
    shares = counts[:, :, None, :] ** length[:, None] * inputs.visible()[:, None].to(query)
    shares = (shares / shares.sum(-1, keepdim=True)).repeat_interleave(group, 1)
    expected = torch.einsum("bhqk,bhkv->bhqv", shares.double(), value.double().repeat_interleave(group, 1))
    tolerance.require_close(
        instance(inputs), expected, "keys with scores ln 1, ln 2, ln 3, ... do not weigh 1, 2, 3, ...",
        dtype=subject.rounds_to, again=lambda: instance(inputs),
    )  # fmt: skip


def equal_values(inputs: Inputs, random: torch.Generator) -> tuple[Inputs, Tensor]:
    """The same call with one value for all keys of a key head; and that value, ``batch kv_heads 1 d_value``."""
    value = inputs.tensors[2]
    one = normal((*value.shape[:2], 1, value.shape[3]), random, value.dtype, value.device)
    return dataclasses.replace(inputs, tensors=(*inputs.tensors[:2], one.expand_as(value).contiguous())), one


@checks(attention.SOFTMAX_RUNS_OVER_KEYS, sentence="cff671eb", cases=cases(batch=(2, 3)))
def test_softmax_runs_over_keys(subject: Subject, case: Case) -> None:
    """With values of one throughout, every output is one."""
    instance, inputs = subject.instance(case), subject.inputs(case)
    ones = torch.ones_like(inputs.tensors[2])
    inputs = dataclasses.replace(inputs, tensors=(*inputs.tensors[:2], ones))
    for grad in PATHS:
        got = instance(inputs, grad=grad)
        tolerance.require_close(
            got, torch.ones_like(got), "the weights over the keys do not sum to one",
            dtype=subject.rounds_to, again=lambda: instance(inputs),
        )  # fmt: skip


@checks(attention.WEIGHTS_ARE_A_DISTRIBUTION, sentence="32330746", cases=cases(d_value=(5, 7), masks=EVERY_MASK))
def test_weights_are_a_distribution(subject: Subject, case: Case) -> None:
    """No weight is negative; where all visible values are equal, that value comes out, whatever the hidden ones are."""
    instance, inputs = subject.instance(case), subject.inputs(case)
    random = generator(case.seed + 1)
    same, one = equal_values(inputs, random)
    hidden_everywhere = ~inputs.visible().any(1)[:, None, :, None].to(one.device)
    other = perturbation.fresh_like(inputs.tensors[2], random)
    same = dataclasses.replace(
        same, tensors=(*same.tensors[:2], torch.where(hidden_everywhere, other, same.tensors[2]))
    )
    got = instance(same)
    expected = one.repeat_interleave(case.heads // case.kv_heads, 1).expand_as(got)
    tolerance.require_close(
        got, expected, "all visible values are equal, and the output is another value",
        dtype=subject.rounds_to, again=lambda: instance(same),
    )  # fmt: skip
    if inputs.tensors[2].shape[-1] < inputs.k_len:
        return
    weights = weights_of(instance, inputs)
    lowest = float(weights.min())
    if not lowest >= -tolerance.units(subject.rounds_to) * tolerance.roundoff(subject.rounds_to):
        raise Violation(f"a weight is {lowest:.3g}, below zero", got=weights.flatten(0, 2))


def require_hull(instance: Instance, inputs: Inputs, got: Tensor, message: str) -> None:
    """Fail where an output feature lies outside the visible values of that feature.

    Raises:
        Violation: by more than rounding explains, or it is no number.
    """
    value = inputs.tensors[2].double().cpu().repeat_interleave(instance.config.heads // instance.config.kv_heads, 1)
    hidden = ~inputs.visible()[:, None, :, :, None]
    high = value[:, :, None].masked_fill(hidden, -math.inf).amax(3)
    low = value[:, :, None].masked_fill(hidden, math.inf).amin(3)
    dtype = instance.subject.rounds_to
    slack = tolerance.units(dtype) * tolerance.floor(value, dtype)
    seen = got.detach().double().cpu()
    if seen.shape != high.shape:
        raise Violation(f"{message}: shape {tuple(seen.shape)}, expected {tuple(high.shape)}")
    outside = ~((seen <= high + slack) & (seen >= low - slack))
    if not bool(outside.any()):
        return
    index = tuple(int(each) for each in outside.nonzero()[0])
    raise Violation(
        message,
        expected=torch.stack([low[index], high[index]]),
        got=seen[index],
        index=index,
        margin="expected: smallest and largest visible value; index: batch, head, query, feature",
    )


@checks(attention.OUTPUT_LIES_IN_THE_HULL_OF_THE_VALUES, sentence="50d2540e", cases=cases(masks=EVERY_MASK))
def test_output_lies_in_the_hull_of_the_values(subject: Subject, case: Case) -> None:
    """No output feature is smaller than the smallest, or larger than the largest, visible value."""
    instance, inputs = subject.instance(case), subject.inputs(case)
    for grad in PATHS:
        got = instance(inputs, grad=grad)
        require_hull(instance, inputs, got, "an output lies outside the visible values")


@checks(attention.KEYS_AND_VALUES_PERMUTE_TOGETHER, sentence="87d00795", cases=cases(masks=SYMMETRIC_MASKS))
def test_keys_and_values_permute_together(subject: Subject, case: Case) -> None:
    """One permutation of keys, values and the mask's key axis: the same output."""
    instance, inputs = subject.instance(case), subject.inputs(case)
    order = torch.randperm(case.k_len, generator=generator(case.seed))
    if torch.equal(order, torch.arange(case.k_len)):
        order = order.roll(1)
    got, expected = instance(inputs.taking(order)), instance(inputs)
    tolerance.require_close(
        got, expected, f"the output changes when keys and values are put in the order {order.tolist()}",
        dtype=subject.rounds_to, again=lambda: instance(inputs),
    )  # fmt: skip


@checks(attention.QUERIES_ARE_INDEPENDENT, sentence="f1459f43", cases=cases(masks=EVERY_MASK))
def test_queries_are_independent(subject: Subject, case: Case) -> None:
    """Change each query in turn: no other query's output changes."""
    instance, inputs = subject.instance(case), subject.inputs(case)
    for grad in PATHS:
        perturbation.require_queries_apart(
            instance, inputs, perturbation.EVERY_ROW, "queries depend on each other", seed=case.seed, grad=grad
        )


@checks(attention.HEADS_ARE_INDEPENDENT, sentence="cd100c4b", cases=cases(masks=EVERY_MASK, heads=(2, 6)))
def test_heads_are_independent(subject: Subject, case: Case) -> None:
    """Change one head's queries, then one group's keys and values: no other head's output changes."""
    if case.heads < 2:
        raise Vacuous("there is one head")
    instance, inputs = subject.instance(case), subject.inputs(case)
    owner = torch.arange(case.heads) // (case.heads // case.kv_heads)
    apart, base = head_influence(instance, inputs, tensors=(0,), seed=case.seed)
    perturbation.refuse_leaks(
        instance, inputs, base, apart, ~torch.eye(case.heads, dtype=torch.bool),
        who="heads depend on each other: head", what="the queries of head", grad=False,
    )  # fmt: skip
    if case.kv_heads < 2:
        return
    apart, base = head_influence(instance, inputs, tensors=(1, 2), seed=case.seed)
    perturbation.refuse_leaks(
        instance, inputs, base, apart, owner[:, None] != torch.arange(case.kv_heads),
        who="heads depend on each other: head", what="the keys and values of key head", grad=False,
    )  # fmt: skip


def head_influence(instance: Instance, inputs: Inputs, *, tensors: tuple[int, ...], seed: int) -> tuple[Tensor, Tensor]:
    """Change each head of ``tensors`` in turn: ``heads changed``, by how much each head's output changed; and the unchanged output."""
    random = generator(seed)
    base = instance(inputs)
    columns = []
    for head in range(inputs.tensors[tensors[0]].shape[1]):
        changed = list(inputs.tensors)
        for each in tensors:
            changed[each] = changed[each].clone()
            changed[each][:, head] = perturbation.fresh_like(changed[each][:, head], random)
        after = instance(dataclasses.replace(inputs, tensors=tuple(changed)))
        columns.append(perturbation.difference(base.flatten(2), after.flatten(2)).amax(0))
    return torch.stack(columns, dim=-1), base


@checks(attention.ADDING_A_CONSTANT_CHANGES_NOTHING, sentence="1dfbe106", cases=cases(masks=EVERY_MASK))
def test_adding_a_constant_changes_nothing(subject: Subject, case: Case) -> None:
    """One vector added to every key adds one number to each query's scores: the same output."""
    instance, inputs = subject.instance(case), subject.inputs(case)
    query, key, value = inputs.tensors
    shift = perturbation.fresh_like(key[..., :1, :], generator(case.seed + 1))
    shifted = dataclasses.replace(inputs, tensors=(query, key + shift, value))
    tolerance.require_close(
        instance(shifted), instance(inputs), "the output changes when one vector is added to every key",
        dtype=subject.rounds_to, again=lambda: instance(shifted),
    )  # fmt: skip


@checks(attention.DOUBLING_THE_KEYS_CHANGES_NOTHING, sentence="faec994d", cases=cases(masks=SYMMETRIC_MASKS))
def test_doubling_the_keys_changes_nothing(subject: Subject, case: Case) -> None:
    """Every key and value twice: the same output."""
    instance, inputs = subject.instance(case), subject.inputs(case)
    doubled = inputs.taking(torch.arange(case.k_len).repeat(2))
    tolerance.require_close(
        instance(doubled), instance(inputs), "the output changes when every key and value comes twice",
        dtype=subject.rounds_to, again=lambda: instance(inputs),
    )  # fmt: skip


@checks(attention.ONE_KEY_RETURNS_ITS_VALUE, sentence="212a553e", cases=cases(masks=SYMMETRIC_MASKS))
def test_one_key_returns_its_value(subject: Subject, case: Case) -> None:
    """Only one key passed, and only one key visible to each query: its value comes back."""
    instance, inputs = subject.instance(case), subject.inputs(case)
    group = case.heads // case.kv_heads
    value = inputs.tensors[2].repeat_interleave(group, 1)
    first = torch.zeros(1, dtype=torch.long)
    alone = inputs.with_mask(None).taking(first, first if subject.causal else None)
    require_value(instance, alone, value[..., :1, :].expand(-1, -1, alone.q_len, -1), "with one key")
    if case.mask == "none" or (subject.windowed and case.mask == "padding"):
        return  # one key for all lies behind the windows of the last
    random = generator(case.seed)
    if case.mask == "padding":
        shown = torch.randint(0, 1 if subject.causal else case.k_len, (case.batch, 1), generator=random)
        shown = shown.expand(-1, case.q_len)
    else:
        shown = torch.randint(0, case.k_len, (case.batch, case.q_len), generator=random)
        own = torch.arange(case.q_len)
        shown = shown.minimum(own) if subject.causal else shown
        shown = shown.maximum(own - case.window + 1) if subject.windowed else shown
    mask = torch.nn.functional.one_hot(shown, case.k_len).bool()[:, None].to(value.device)
    index = shown[:, None, :, None].expand(-1, case.heads, -1, value.shape[-1]).to(value.device)
    require_value(instance, inputs.with_mask(mask), value.gather(2, index), "with one visible key for each query")


def require_value(instance: Instance, inputs: Inputs, value: Tensor, where: str) -> None:
    """Fail unless each query returns ``value``."""
    tolerance.require_close(
        instance(inputs), value, f"{where}, the output is not that key's value",
        dtype=instance.subject.rounds_to, again=lambda: instance(inputs),
    )  # fmt: skip


@checks(
    attention.VALUE_SIZE_MAY_DIFFER_FROM_KEY_SIZE,
    sentence="c536e535",
    cases=cases(d_value=(1, 7), masks=SYMMETRIC_MASKS),
)
def test_value_size_may_differ_from_key_size(subject: Subject, case: Case) -> None:
    """Longer and shorter values than keys: the output has the values' size, and is equation 1."""
    if case.d_value == case.d_head:
        raise Vacuous("values are as long as keys")
    instance, inputs = subject.instance(case), subject.inputs(case)
    try:
        got = instance(inputs)
    except SubjectError as error:
        if error.origin != "call":
            raise
        raise Violation(
            f"values of size {case.d_value} with keys of size {case.d_head} are refused: {error}"
        ) from error
    require_hull(instance, inputs, got, "the output is not made of the values")
    tolerance.require_close(
        got, expected_of(instance, inputs, got), "with values of another size than keys, the output is not equation 1",
        dtype=subject.rounds_to, again=lambda: instance(inputs),
    )  # fmt: skip


@checks(attention.LARGE_SCORES_STAY_FINITE, sentence="4f371b7c", cases=cases(masks=EVERY_MASK))
def test_large_scores_stay_finite(subject: Subject, case: Case) -> None:
    """Scores of a thousand, and of a million: finite outputs, within the visible values."""
    instance, inputs = subject.instance(case), subject.inputs(case)
    for largest in (min(1e3, largest_score(subject)), largest_score(subject)):
        large = with_large_scores(instance, inputs, largest)
        for grad in PATHS:
            got = instance(large, grad=grad)
            if not bool(got.isfinite().all()):
                raise Violation(
                    f"with scores as large as {largest:.0e}, the output is not finite", got=got.flatten(0, 2)
                )
            require_hull(
                instance,
                large,
                got,
                f"with scores as large as {largest:.0e}, an output lies outside the visible values",
            )
