"""Heads, tested: scores that are bounded, by a norm of queries and keys or by a cap."""

import math

import torch
from torch import Tensor

from veriformer import perturbation, tolerance
from veriformer.alternatives import factor
from veriformer.case import Case
from veriformer.inputs import Inputs, generator, normal
from veriformer.masking_checks import require_same
from veriformer.outcome import NotChecked, Vacuous, Violation
from veriformer.property import checks
from veriformer.strategies import cases
from veriformer.subjects import Instance, Subject
from veriformer.understanding import weights_if_known
from veriformer.weights import is_view_into
from veriformer_spec import heads
from veriformer_spec.role import Role

HUGE = 1e17
"""What queries or keys are multiplied by: biases and eps vanish beside it, and its square still fits in float32."""
NUDGE = {torch.float64: 1e-9, torch.float32: 1e-3}
"""By what part a key is changed, so that it shows in the output if it has any weight, and no other key becomes the largest."""
ROOM = 4
"""Keys beyond one for each head; with fewer, a cap might leave as few with a positive score as there are heads."""
MANY = cases(batch=(3, 4), heads=(1, 2), q_len=(9, 10), k_len=(9, 10), groups=(1, 2))


def require_room(subject: Subject, case: Case) -> None:
    """Refuse cases in which too few keys would be seen.

    Raises:
        NotChecked: the dtype has no room for large numbers, or a window hides most keys.
        Vacuous: there are few keys or few queries.
    """
    if torch.finfo(subject.dtype).max < HUGE**2:
        raise NotChecked(f"{subject.dtype} cannot hold scores that are large enough")
    if subject.windowed:
        raise NotChecked("a sliding window shows too few keys")
    if case.k_len < case.heads + ROOM or case.batch < 3:
        raise Vacuous("there are few keys, or few queries")


def multiplied(inputs: Inputs, times: float, *, keys: bool) -> Inputs:
    """The same call with the queries, or what keys and values come from, ``times`` as large; both where they are one."""
    if inputs.self_attending or not keys:
        return inputs.with_queries(inputs.tensors[0] * times)
    return inputs.with_keys(tuple(each * times for each in inputs.key_side))


def keys_that_count(instance: Instance, inputs: Inputs, seed: int) -> Tensor:
    """``batch queries``: how many keys each output changes with when they are changed a little; of a causal subject, the last query's."""
    random = generator(seed)
    base = instance(inputs)
    count = torch.zeros(inputs.batch, inputs.q_len, dtype=torch.long)
    for key in range(inputs.k_len):
        tokens = inputs.key_side[-1].clone()
        noise = normal(tuple(tokens[:, key].shape), random, tokens.dtype, tokens.device)
        tokens[:, key] *= 1 + NUDGE[instance.subject.rounds_to] * noise
        apart = perturbation.difference(base, instance(inputs.with_keys((tokens,))))
        seen = apart > tolerance.units(instance.subject.rounds_to) * tolerance.floor(base, instance.subject.rounds_to)
        if inputs.self_attending:
            seen[:, key] = False  # its own query changes as well
        count += seen
    return count[:, -1:] if inputs.causal else count


@checks(heads.QUERY_AND_KEY_NORM_IS_AS_CLAIMED, sentence="0525955c", cases=MANY, most=8)
def test_query_and_key_norm_is_as_claimed(subject: Subject, case: Case) -> None:
    """Multiply queries, and then keys, by 1e17: where they are normalised nothing else happens, where not each head sees one key."""
    require_room(subject, case)
    claimed = subject.claims["query_key_norm"]
    if claimed == "none" and subject.claims["soft_cap"] is not None:
        raise NotChecked(
            "the scores are capped, so that large ones cannot show whether queries and keys are normalised"
        )
    instance, inputs = subject.instance(case), subject.inputs(case)
    for keys in (False, True):
        large = multiplied(inputs, HUGE, keys=keys)
        count = keys_that_count(instance, large, case.seed)
        few = (count <= case.heads).double().mean()
        what = "queries and keys" if inputs.self_attending else "keys" if keys else "queries"
        if claimed == "none" and few < 0.5:
            raise Violation(
                f"the claim query_key_norm=none does not hold: with {what} {HUGE:.0e} times as large a query still sees several keys",
                got=count.flatten(),
                margin="got: keys that each query's output changes with; one for each head is what large scores leave",
            )
        if claimed == "none":
            continue
        if few == 1:
            raise Violation(
                f"the claim query_key_norm={claimed} does not hold: with {what} {HUGE:.0e} times as large each head sees one key",
                got=count.flatten(),
            )
        divisor = 3.0 if keys or inputs.self_attending else 1.0  # values are as much larger as what they come from
        larger = multiplied(inputs, 3 * HUGE, keys=keys)
        require_same(
            instance, large, instance(larger) / divisor, instance(large),
            f"{what} are normalised as query_key_norm={claimed}, so making them three times as large should change nothing"
            + (" but the size of the values" if divisor != 1 else ""),
        )  # fmt: skip
    if claimed != "none":
        require_heads_normalised_apart(instance, inputs, case)


def require_heads_normalised_apart(instance: Instance, inputs: Inputs, case: Case) -> None:
    """Fail if one head's queries, or keys, three times as large change the output; where the weights can be written."""
    mapping = weights_if_known(instance)
    if mapping is None:
        return
    for name, many in (("query", case.heads), ("key", case.kv_heads)):
        parts = [mapping[each] for each in (f"{name}.weight", f"{name}.bias") if each in mapping]
        if many < 2 or not all(is_view_into(each, instance.module_or_not_checked()) for each in parts):
            continue
        with torch.no_grad():
            for each in parts:
                each.mul_(HUGE)
            before = instance(inputs)
            for each in parts:
                each[: case.d_head].mul_(3)
        require_same(
            instance, inputs, instance(inputs), before,
            f"the first head's {name} projection three times as large changes the output: heads are normalised together",
        )  # fmt: skip
        with torch.no_grad():
            for each in parts:
                each[: case.d_head].div_(3)
                each.div_(HUGE)


SIZES = (1.0, 8.0, 1e3)
"""What queries are multiplied by: scores below the cap, near it, and far beyond it."""


@checks(
    heads.SCORES_ARE_CAPPED_AS_CLAIMED,
    sentence="75508bc7",
    cases=cases(
        batch=(3, 4), heads=(1, 2), q_len=(9, 10), k_len=(9, 10), groups=(1, 2), masks=("none", "padding", "arbitrary")
    ),
    most=10,
)
def test_scores_are_capped_as_claimed(subject: Subject, case: Case) -> None:
    """Queries of every size: each score is bent as claimed, and hidden keys stay hidden; large scores choose a key or do not."""
    instance, inputs = subject.instance(case), subject.inputs(case)
    if subject.role is Role.ATTENTION:
        require_capped_scores(instance, inputs)
        return
    require_room(subject, case)
    if subject.claims["query_key_norm"] != "none":
        raise NotChecked("queries and keys are normalised, so that no score is large")
    cap = subject.claims["soft_cap"]
    count = keys_that_count(instance, multiplied(inputs.with_mask(None), HUGE, keys=False), case.seed)
    few = (count <= case.heads).double().mean()
    if cap is None and few < 0.5:
        raise Violation(
            f"the claim soft_cap=None does not hold: with queries {HUGE:.0e} times as large a query still sees several keys",
            got=count.flatten(),
            margin="got: keys that each query's output changes with; one for each head is what large scores leave",
        )
    if cap is not None and few == 1:
        raise Violation(
            f"the claim soft_cap={cap:g} does not hold: with queries {HUGE:.0e} times as large each head sees one key",
            got=count.flatten(),
        )


def require_capped_scores(instance: Instance, inputs: Inputs) -> None:
    """Fail where plain attention is not softmax(c tanh(score / c)) V, by own arithmetic, for scores of several sizes.

    Raises:
        NotChecked: no scale is claimed, so no score is known.
    """
    if instance.config.scale == "unspecified":
        raise NotChecked("no scale is claimed, so no score can be set")
    cap = instance.config.soft_cap
    for size in SIZES:
        sized = inputs.with_queries(inputs.tensors[0] * size)
        query, key, value = (each.double().cpu() for each in sized.tensors)
        group = query.shape[1] // key.shape[1]
        key, value = key.repeat_interleave(group, 1), value.repeat_interleave(group, 1)
        scores = torch.einsum("bhqd,bhkd->bhqk", query, key) * factor(instance)
        bent = scores if cap is None else cap * torch.tanh(scores / cap)
        shares = bent.masked_fill(~sized.visible()[:, None], -math.inf).softmax(-1)
        claimed = "uncapped" if cap is None else f"capped at {cap:g}"
        require_same(
            instance, sized, instance(sized), torch.einsum("bhqk,bhkv->bhqv", shares, value),
            f"with scores up to {float(scores.abs().max()):.3g} the output is not that of scores {claimed}",
        )  # fmt: skip
