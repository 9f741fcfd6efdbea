"""Heads, tested: split, attend in each head, merge, project back."""

import dataclasses

import torch
from hypothesis.strategies import SearchStrategy
from torch import Tensor

from veriformer import perturbation, tolerance
from veriformer.alternatives import factor, fitted_scale, legal_alternative, matches
from veriformer.case import Case
from veriformer.heads_by_hand import sum_over_heads
from veriformer.inputs import Inputs, generator
from veriformer.known_output import require_the_known_output
from veriformer.oracle import oracle
from veriformer.outcome import NotChecked, SubjectError, Vacuous, Violation
from veriformer.property import Cases, checks
from veriformer.strategies import cases
from veriformer.subjects import Instance, Subject
from veriformer.understanding import mapped_weights
from veriformer.weights import is_view_into
from veriformer_spec import heads
from veriformer_spec.role import LANGUAGE_MODELS, Role

PATHS = (False, True)
"""Gradients off and on: torch.nn runs other code without them."""
EVERY_MASK = ("none", "arbitrary", "padding", "causal")


def require_same(instance: Instance, inputs: Inputs, got: Tensor, expected: Tensor, message: str) -> None:
    """Fail where ``got`` and ``expected`` differ by more than rounding in ``inputs``' call explains."""
    tolerance.require_close(got, expected, message, dtype=instance.subject.rounds_to, again=lambda: instance(inputs))


def symmetric_cases() -> Cases:
    """Small cases without anything made by position; a head of one feature is enough where no norm follows."""

    def strategy(subject: Subject) -> SearchStrategy[Case]:
        smallest = 1 if subject.role is Role.MULTI_HEAD_ATTENTION else 2
        return cases(masks=("none", "padding"), d_head=(smallest, 4), d_ff=(1, 8))(subject)

    return strategy


def moved(count: int, seed: int) -> Tensor:
    """A permutation that is not the identity."""
    order = torch.randperm(count, generator=generator(seed))
    return order.roll(1) if torch.equal(order, torch.arange(count)) else order


@checks(heads.TIME_STAYS_TIME, sentence="6a56b85c", cases=symmetric_cases())
def test_time_stays_time(subject: Subject, case: Case) -> None:
    """Tokens in another order give the outputs in that order; equal tokens give equal outputs."""
    if case.q_len < 2:
        raise Vacuous("there is one token")
    instance, inputs = subject.instance(case), subject.inputs(case)
    before = instance(inputs)
    order = moved(case.q_len, case.seed)
    if inputs.self_attending:
        require_same(
            instance, inputs, instance(inputs.taking(order)), before[:, order.to(before.device)],
            f"tokens in the order {order.tolist()} do not give the outputs in that order",
        )  # fmt: skip
    else:
        everything = torch.arange(case.k_len)
        require_same(
            instance, inputs, instance(inputs.taking(everything, order)), before[:, order.to(before.device)],
            f"queries in the order {order.tolist()} do not give the outputs in that order",
        )  # fmt: skip
        if case.k_len > 1:
            keys = moved(case.k_len, case.seed + 1)
            require_same(
                instance, inputs, instance(inputs.taking(keys)), before,
                f"the output changes when the memory is put in the order {keys.tolist()}",
            )  # fmt: skip
    equal = inputs.with_queries(inputs.tensors[0][:, :1].expand_as(inputs.tensors[0]).contiguous())
    if case.role in LANGUAGE_MODELS:  # what is passed besides are segments: equal tokens are in one
        equal = dataclasses.replace(equal, context=tuple(each[:, :1].expand_as(each).clone() for each in equal.context))
    got = instance(equal)
    first = inputs.unspecified().int().argmin(-1)  # the first position at which something is promised
    one = equal.specified(got[torch.arange(case.batch), first.to(got.device)][:, None].expand_as(got))
    require_same(instance, equal, got, one, "equal tokens get different outputs")


@checks(heads.EVERY_LENGTH_IS_ONE_FUNCTION, sentence="808e56df", cases=symmetric_cases())
def test_every_length_is_one_function(subject: Subject, case: Case) -> None:
    """A sequence followed by itself gives its output followed by itself."""
    instance, inputs = subject.instance(case), subject.inputs(case)
    twice = torch.arange(case.q_len).repeat(2)
    once = instance(inputs)
    doubled = inputs.taking(torch.arange(case.k_len).repeat(2), twice)
    require_same(
        instance,
        doubled,
        instance(doubled),
        once.repeat(1, 2, 1),
        "a sequence followed by itself does not repeat the output",
    )


def reference_scale(instance: Instance, inputs: Inputs, got: Tensor) -> str | float:
    """The claimed scale; where it is left unspecified, the one that fits."""
    if instance.config.scale != "unspecified":
        return instance.config.scale
    return fitted_scale(instance, inputs, got) or "inverse-root"


@checks(heads.EQUALS_THE_REFERENCE, sentence="2c0d60a8", cases=cases(masks=EVERY_MASK), needs_weights=True)
def test_equals_the_reference(subject: Subject, case: Case) -> None:
    """With the subject's own weights the reference gives the same output; gradients on and off."""
    instance, inputs = subject.instance(case), subject.inputs(case)
    for grad in PATHS:
        got = instance(inputs, grad=grad)
        expected = oracle(instance, scale=reference_scale(instance, inputs, got))(inputs)
        if not matches(got, expected, instance, inputs):
            message = "the output is not Concat(head_1, ..., head_h) Wᴼ" + legal_alternative(instance, inputs, got)
            require_same(instance, inputs, got, expected, message)


def in_order(case: Case) -> dict[int, int]:
    """Query head i reads key/value head i // (heads / kv_heads)."""
    return {head: head // (case.heads // case.kv_heads) for head in range(case.heads)}


def scale_of(instance: Instance, inputs: Inputs, got: Tensor) -> float:
    """The factor on the scores, as a number."""
    fitted = fitted_scale(instance, inputs, got) if instance.config.scale == "unspecified" else None
    return fitted or factor(instance)


@checks(
    heads.EACH_HEAD_READS_ITS_OWN_SLICE,
    sentence="88f09200",
    cases=cases(batch=(1, 2), masks=EVERY_MASK),
    needs_weights=True,
)
def test_each_head_reads_its_own_slice(subject: Subject, case: Case) -> None:
    """A loop over heads, each with its own rows and columns of the subject's weights, adds up to the same output."""
    if case.heads < 2:
        raise Vacuous("there is one head")
    instance, inputs = subject.instance(case), subject.inputs(case)
    mapping, got = mapped_weights(instance), instance(inputs)
    expected = sum_over_heads(instance, inputs, mapping, in_order(case), scale_of(instance, inputs, got))
    require_same(
        instance, inputs, got, expected, "the output is not the sum over heads of attention on each head's own slice"
    )


@checks(
    heads.ONE_HEAD_IS_PLAIN_ATTENTION,
    sentence="e7917122",
    cases=cases(batch=(1, 2), heads=(1, 1), groups=(1, 1), d_head=(2, 6), masks=EVERY_MASK),
    needs_weights=True,
)
def test_one_head_is_plain_attention(subject: Subject, case: Case) -> None:
    """With one head: plain attention between the projections, and the output projection."""
    if case.heads != 1:
        raise NotChecked(f"the subject has {case.heads} heads and cannot be built with one")
    instance, inputs = subject.instance(case), subject.inputs(case)
    mapping, got = mapped_weights(instance), instance(inputs)
    expected = sum_over_heads(instance, inputs, mapping, {0: 0}, scale_of(instance, inputs, got))
    require_same(
        instance, inputs, got, expected, "with one head the output is not plain attention between the projections"
    )


@checks(
    heads.QUERIES_FROM_QUERIES_MEMORY_FROM_MEMORY,
    sentence="cb9eece8",
    cases=cases(masks=("none",), q_len=(2, 4), k_len=(2, 4)),
)
def test_queries_from_queries_memory_from_memory(subject: Subject, case: Case) -> None:
    """Change each query: its own output changes, and no other. Change each position of the memory: every output changes."""
    instance, inputs = subject.instance(case), subject.inputs(case)
    row, visible = perturbation.EVERY_ROW, inputs.visible()
    for grad in PATHS:
        perturbation.require_visible(
            instance, inputs, row, visible, "the memory is not seen", seed=case.seed, grad=grad
        )
        apart, base = perturbation.query_influence(instance, inputs, row, case.seed, grad=grad)
        own = torch.eye(case.q_len, dtype=torch.bool).expand(apart.shape)
        perturbation.refuse_leaks(
            instance, inputs, base, apart, ~own,
            who="keys or values come from the query input: the output at query", what="query", grad=grad,
        )  # fmt: skip
        asks = visible.sum(-1) > 1  # a query that sees one key returns its value, whatever it asks for
        deaf = asks & (apart.diagonal(dim1=-2, dim2=-1) == 0)
        if bool(deaf.any()):
            query = int(deaf.nonzero()[0, 1])
            raise Violation(
                f"the output at query {query} does not change with that query: queries come from elsewhere",
                index=(query,),
            )


@checks(
    heads.QUERY_AND_MEMORY_LENGTHS_MAY_DIFFER,
    sentence="0ce0f361",
    cases=cases(masks=("none", "arbitrary", "padding"), q_len=(1, 4), k_len=(1, 4)),
)
def test_query_and_memory_lengths_may_differ(subject: Subject, case: Case) -> None:
    """Fewer and more queries than memory: as many outputs as queries, each seeing the memory to its end."""
    if subject.aligned:
        raise NotChecked(
            "causal, or with positions: which query stands beside which key is not said where lengths differ"
        )
    if case.q_len == case.k_len:
        raise Vacuous("the lengths are equal")
    instance, inputs = subject.instance(case), subject.inputs(case)
    try:
        got = instance(inputs)
    except SubjectError as error:
        if error.origin != "call":
            raise
        raise Violation(f"{case.q_len} queries with a memory of {case.k_len} are refused: {error}") from error
    if tuple(got.shape) != tuple(inputs.tensors[0].shape):
        raise Violation(
            f"{case.q_len} queries with a memory of {case.k_len} give an output of shape {tuple(got.shape)}"
        )
    for grad in PATHS:
        perturbation.require_visible(
            instance, inputs, perturbation.EVERY_ROW, inputs.visible(), "with another length than the queries, memory is not seen",
            seed=case.seed, grad=grad,
        )  # fmt: skip


@checks(
    heads.GROUPED_QUERIES_SHARE_KEYS_IN_ORDER,
    sentence="8ba31304",
    cases=cases(heads=(4, 6), groups=(2, 3), q_len=(2, 3), k_len=(2, 3), masks=("none", "padding")),
)
def test_grouped_queries_share_keys_in_order(subject: Subject, case: Case) -> None:
    """Which query heads read a key/value head: neighbours, and not every second one."""
    if not 1 < case.kv_heads < case.heads:
        raise Vacuous("there is one key/value head, or as many as query heads")
    instance, inputs = subject.instance(case), subject.inputs(case)
    wanted = in_order(case)
    if subject.role is Role.ATTENTION:
        readers = readers_of(instance, inputs, case)
        expected = torch.tensor(
            [[wanted[head] == group for group in range(case.kv_heads)] for head in range(case.heads)]
        )
        if not torch.equal(readers, expected):
            head = int((readers != expected).any(-1).nonzero()[0])
            seen = readers[head].nonzero().flatten().tolist()
            raise Violation(
                f"query head {head} reads key/value heads {seen}, and should read {wanted[head]} of {case.kv_heads}",
                expected=expected.int(),
                got=readers.int(),
                index=(head,),
                axes=("query head", "key/value head"),
                shows="must depend",
                margin="one line for each query head, one column for each key/value head",
            )
        return
    mapping, got = mapped_weights(instance), instance(inputs)
    scale = scale_of(instance, inputs, got)
    expected = sum_over_heads(instance, inputs, mapping, wanted, scale)
    if matches(got, expected, instance, inputs):
        return
    tiled = {head: head % case.kv_heads for head in range(case.heads)}
    in_turns = matches(got, sum_over_heads(instance, inputs, mapping, tiled, scale), instance, inputs)
    shared = (
        f"query heads take key/value heads in turns, {list(tiled.values())}"
        if in_turns
        else "query heads share key/value heads otherwise"
    )
    require_same(instance, inputs, got, expected, f"{shared}, and not in order, {list(wanted.values())}")


def readers_of(instance: Instance, inputs: Inputs, case: Case) -> Tensor:
    """``heads kv_heads``: which query head changes with which key/value head."""
    query, key, value = inputs.tensors
    random = generator(case.seed)
    base = instance(inputs)
    columns = []
    for group in range(case.kv_heads):
        other_key, other_value = key.clone(), value.clone()
        other_key[:, group] = perturbation.fresh_like(key[:, group], random)
        other_value[:, group] = perturbation.fresh_like(value[:, group], random)
        after = instance(dataclasses.replace(inputs, tensors=(query, other_key, other_value)))
        columns.append(perturbation.difference(base.flatten(2), after.flatten(2)).amax(0))
    apart = torch.stack(columns, dim=-1)
    return apart > perturbation.explained(instance, inputs, base, 0.0, grad=False)


@checks(
    heads.THE_OUTPUT_PROJECTION_IS_APPLIED,
    sentence="8cff2f10",
    cases=cases(masks=("none", "padding")),
    needs_weights=True,
)
def test_the_output_projection_is_applied(subject: Subject, case: Case) -> None:
    """Set the output projection's weight to zero: the bias comes back, and nothing else."""
    instance, inputs = subject.instance(case), subject.inputs(case)
    mapping = mapped_weights(instance)
    if not is_view_into(mapping["output.weight"], instance.module_or_not_checked()):
        raise NotChecked("the mapping returns copies, so that the output projection cannot be set: return views")
    with torch.no_grad():
        mapping["output.weight"].zero_()
    bias = mapping.get("output.bias")
    for grad in PATHS:
        got = instance(inputs, grad=grad)
        expected = torch.zeros_like(got) if bias is None else bias.detach().expand_as(got)
        require_same(
            instance,
            inputs,
            got,
            inputs.specified(expected),
            "with the output projection's weight at zero the output is not its bias alone",
        )


@checks(
    heads.SYMMETRIC_WEIGHTS_GIVE_THE_KNOWN_OUTPUT,
    sentence="22ca4e03",
    cases=cases(masks=("none",)),
    needs_weights=True,
    most=4,
)
def test_symmetric_weights_give_the_known_output(subject: Subject, case: Case) -> None:
    """Fill all tensors of one shape alike; the output must be the reference's, and fresh weights must not say otherwise."""
    require_the_known_output(subject, case)
