"""Masking, tested: masks of a pattern that an implementation may take for another."""

import torch
from torch import Tensor

from veriformer import masks as drawn
from veriformer import perturbation
from veriformer.case import Case
from veriformer.errors import Unsupported
from veriformer.inputs import Inputs, generator
from veriformer.masking_checks import (
    PATHS,
    require_nothing_is_missing,
    require_nothing_leaks,
    require_same,
    shape_of,
)
from veriformer.outcome import NotChecked, SubjectError, Vacuous, Violation
from veriformer.property import checks
from veriformer.strategies import cases
from veriformer.subjects import Instance, Subject
from veriformer_spec import masking
from veriformer_spec.role import Role


def prefix_grid(length: int, prefix: int) -> Tensor:
    """``length length``: every query sees the first ``prefix`` positions, and its past."""
    position = torch.arange(length)
    return (position[None] < prefix) | (position[None] <= position[:, None])


@checks(
    masking.PREFIX_IS_BIDIRECTIONAL,
    sentence="c301a362",
    cases=cases(layers=(1, 2), masks=("arbitrary",), q_len=(3, 5), sides=("self",), same_length=True),
    most=12,
)
def test_prefix_is_bidirectional(subject: Subject, case: Case) -> None:
    """Inside the prefix everyone sees everyone, behind it the past alone is seen; and the prefix is what it is by itself."""
    if case.q_len < 3:
        raise Vacuous("there is no room for a prefix of two and a position behind it")
    instance, inputs = subject.instance(case), subject.inputs(case)
    prefix = 2 + case.seed % (case.q_len - 2)
    grid = prefix_grid(case.q_len, prefix).expand(case.batch, 1, -1, -1).clone()
    inputs = inputs.with_mask(grid.to(subject.device))
    words = f"under a mask with a prefix of {prefix} out of {case.q_len}"
    require_nothing_leaks(instance, inputs, case, f"{words} what is hidden is visible")
    require_nothing_is_missing(instance, inputs, case, f"{words} what is visible is not seen")
    first = torch.arange(prefix)
    alone = inputs.with_mask(None).taking(first, first)
    for grad in PATHS:
        require_same(
            instance, inputs, instance(inputs, grad=grad)[..., :prefix, :], instance(alone, grad=grad),
            f"{words} the prefix is not what it is by itself with nothing masked",
        )  # fmt: skip


def packs(length: int, random: torch.Generator) -> Tensor:
    """``length``: the number of the packed sequence that each position belongs to: 0 0 0 1 1, two sequences or more."""
    starts = torch.zeros(length, dtype=torch.long)
    starts[1:] = torch.rand(length - 1, generator=random) < 0.4
    if not bool(starts.any()):
        starts[1 + int(torch.randint(0, length - 1, (1,), generator=random))] = 1
    return starts.cumsum(0)


@checks(
    masking.PACKED_SEQUENCES_DO_NOT_MIX,
    sentence="423eda7f",
    cases=cases(batch=(2, 3), layers=(1, 2), masks=("arbitrary",), q_len=(3, 6), sides=("self",), same_length=True),
    most=12,
)
def test_packed_sequences_do_not_mix(subject: Subject, case: Case) -> None:
    """Several sequences in each row, another packing in each: every one comes back as it does alone."""
    if case.q_len < 2:
        raise Vacuous("there is one position")
    instance, inputs = subject.instance(case), subject.inputs(case)
    random = generator(case.seed + 1)
    rows = torch.stack([packs(case.q_len, random) for _ in range(case.batch)])
    grid = (rows[:, None, :, None] == rows[:, None, None, :]).to(subject.device)
    packed = inputs.with_mask(grid)
    for grad in PATHS:
        together = instance(packed, grad=grad)
        for row in range(case.batch):
            for number in range(int(rows[row, -1]) + 1):
                own = (rows[row] == number).nonzero().flatten()
                alone = inputs.with_mask(None).only_row(row).taking(own, own)
                require_same(
                    instance, packed, together[row][..., own.to(together.device), :], instance(alone, grad=grad)[0],
                    f"row {row}, packed as {rows[row].tolist()}: sequence {number} is not what it is alone",
                )  # fmt: skip


@checks(
    masking.EACH_HEAD_OBEYS_ITS_OWN_MASK,
    sentence="eb3a8a1c",
    cases=cases(batch=(1, 2), heads=(2, 3), layers=(1, 1), masks=("arbitrary",), q_len=(2, 4), k_len=(2, 4)),
    most=12,
)
def test_each_head_obeys_its_own_mask(subject: Subject, case: Case) -> None:
    """Hide one key from one query in one head, while the others see it, and while they do not: that query changes, and no other."""
    if case.heads < 2 or case.k_len < 2 or (subject.windowed and case.window < 2):
        raise Vacuous("there is one head, or one key that a query may see")
    instance, inputs = subject.instance(case), subject.inputs(case)
    if case.role is Role.ATTENTION:
        require_heads_apart(instance, inputs, case)
    row, query = case.seed % case.batch, case.q_len - 1
    key = case.k_len - 2 if subject.windowed else (case.seed // 7) % (case.k_len - 1)  # never the last query's own
    for others_see in (True, False):
        grid = torch.ones(case.batch, case.heads, case.q_len, case.k_len, dtype=torch.bool, device=subject.device)
        grid[row, :, query, key] = others_see
        for head in range(case.heads):
            both = [inputs.with_mask(grid.clone()) for _ in range(2)]
            for shown, each in zip((True, False), both, strict=True):
                assert each.mask is not None
                each.mask[row, head, query, key] = shown
            beside = f"{'and seen' if others_see else 'and hidden'} in the other heads"
            words = f"key {key} is hidden from query {query} of row {row} in head {head}, {beside}"
            require_one_query_changes(instance, both[0], both[1], row, query, words)


def require_one_query_changes(
    instance: Instance, shown: Inputs, hidden: Inputs, row: int, query: int, words: str
) -> None:
    """Fail unless hiding one key from one query in one head changes what that query returns; and in one layer, nothing else.

    Raises:
        NotChecked: the subject refuses a mask for each head; to ignore one is another thing.
    """
    assert shown.mask is not None
    for grad in PATHS:
        try:
            before, after = (instance(each, grad=grad) for each in (shown, hidden))
        except (SubjectError, Unsupported) as error:
            if isinstance(error, SubjectError) and error.origin != "call":
                raise
            raise NotChecked(f"a mask for each head ({shape_of(shown.mask)}) is refused: {error}") from error
        apart = perturbation.difference(before, after)
        rounding = perturbation.explained(instance, shown, before, float(apart.max()), grad=grad)
        if float(apart[row, query]) == 0:
            raise Violation(f"{words}, and its output is the same as where it is shown", index=(row, query))
        apart[row, query] = 0
        if instance.config.layers == 1 and float(apart.max()) > rounding:
            other = divmod(int(apart.flatten().argmax()), apart.shape[1])
            raise Violation(
                f"{words}, and query {other[1]} of row {other[0]} changes with that",
                index=other,
                margin=f"changes by {float(apart.max()):.3g}, where rounding explains {rounding:.3g}",
            )


def require_heads_apart(instance: Instance, inputs: Inputs, case: Case) -> None:
    """Fail unless each head of plain attention gives what it gives where its own mask is everyone's."""
    own = drawn.for_each_head(case, instance.subject.causal).to(inputs.tensors[0].device)
    together = instance(inputs.with_mask(own))
    for head in range(case.heads):
        alone = inputs.with_mask(own[:, head : head + 1].clone())
        require_same(
            instance, alone, together[:, head], instance(alone)[:, head],
            f"with a mask for each head, head {head} is not what it is under its own mask alone",
        )  # fmt: skip
