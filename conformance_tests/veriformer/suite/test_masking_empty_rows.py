"""Masking, tested: a query with nothing visible."""

from functools import partial

import torch

from veriformer import overflow, perturbation
from veriformer.case import Case
from veriformer.inputs import Inputs, generator, normal
from veriformer.masking_checks import require_same
from veriformer.masks import Mask
from veriformer.outcome import NotChecked, SubjectError, Vacuous, Violation
from veriformer.property import checks
from veriformer.strategies import cases
from veriformer.subjects import Instance, Subject
from veriformer.visibility import with_an_empty_row
from veriformer_spec import masking
from veriformer_spec.role import Role


@checks(
    masking.A_ROW_WITH_NOTHING_VISIBLE, sentence="57ab3b02", cases=cases(masks=("arbitrary",), layers=(1, 2)), floor=1
)
def test_a_row_with_nothing_visible(subject: Subject, case: Case) -> None:
    """Hide everything from one query: it returns what is claimed, on each code path."""
    claimed = subject.claims["nothing_visible"]
    if set(claimed.values()) == {"unspecified"}:
        raise NotChecked("nothing_visible is unspecified: the subject claims nothing about a row with nothing visible")
    instance, inputs = subject.instance(case), subject.inputs(case)
    if inputs.crosses and case.layers > 1:
        raise Vacuous("in the second layer the memory comes through other positions")
    row, query = case.seed % case.batch, case.seed % case.q_len
    empty = with_an_empty_row(inputs, row, query)
    for path, wanted in claimed.items():
        require_empty_row(instance, empty, row, query, wanted, path=path, seed=case.seed)


def require_empty_row(
    instance: Instance, inputs: Inputs, row: int, query: int, wanted: str, *, path: str, seed: int
) -> None:
    """Fail unless the query with nothing visible returns ``wanted`` on ``path``."""
    grad = path == "grad"
    said = f"a query with nothing visible should give {wanted} ({path})"
    if wanted == "unspecified":
        return
    if wanted == "error":
        try:
            instance(inputs, grad=grad)
        except SubjectError:
            return
        raise Violation(f"{said}, and no error is raised", index=(row, query))
    output = perturbation.per_query(instance(inputs, grad=grad))[row, query]
    if wanted == "nan":
        if not bool(output.isnan().all()):
            raise Violation(f"{said}, and gives numbers", got=output, index=(row, query))
        return
    if not bool(output.isfinite().all()):
        raise Violation(f"{said}, and gives NaN or infinity", got=output, index=(row, query))
    if instance.subject.role in _HEADS_ALONE:
        if bool((output != 0).any()):
            raise Violation(f"{said}, and gives something else", got=output, index=(row, query))
        return
    # after projections, skips and norms, zeros show as this: nothing but the token itself, if that, reaches the row
    apart, base = perturbation.key_influence(instance, inputs, row, seed, grad=grad)
    reaching = apart[query].clone()
    if inputs.self_attending and instance.subject.role is not Role.MULTI_HEAD_ATTENTION:
        reaching[query] = 0
    worst = float(reaching.max())
    if worst > 0 and worst > perturbation.explained(instance, inputs, base, worst, grad=grad):
        raise Violation(f"{said}, and changes with key {int(reaching.argmax())}", got=output, index=(row, query))


@checks(
    masking.A_ROW_WITH_NOTHING_VISIBLE_TOUCHES_NO_OTHER, sentence="7f958972", cases=cases(masks=("arbitrary",)), most=15
)
def test_a_row_with_nothing_visible_touches_no_other(subject: Subject, case: Case) -> None:
    """Hide everything from one query: the other rows stay as they were, and their gradients are finite."""
    instance, inputs = subject.instance(case), subject.inputs(case)
    row, query = case.seed % case.batch, case.seed % case.q_len
    empty = with_an_empty_row(inputs, row, query)
    others = torch.ones(case.batch, case.q_len, dtype=torch.bool)
    others[row, query] = False
    for path, grad in (("no-grad", False), ("grad", True)):
        try:
            after = perturbation.per_query(instance(empty, grad=grad))
        except SubjectError as error:
            if subject.claims["nothing_visible"][path] in ("error", "unspecified"):
                raise NotChecked(f"the subject raises where a row sees nothing: {error}") from error
            raise
        before = perturbation.per_query(instance(inputs, grad=grad))
        require_same(
            instance, inputs, after.cpu()[others], before.cpu()[others],
            f"query {query} of row {row} sees nothing, and other rows change with that ({path})",
        )  # fmt: skip
    try:
        require_finite_gradients(instance, empty, others)
    except Violation:
        overflow.require_float32_to_agree(
            subject, case, partial(_is_finite, empty, others), "a query sees nothing, other rows'"
        )
        raise


def _is_finite(empty: Inputs, others: Mask, narrow: Instance) -> bool:
    try:
        require_finite_gradients(narrow, empty.to(torch.float32), others)
    except Violation:
        return False
    return True


def require_finite_gradients(instance: Instance, inputs: Inputs, others: Mask) -> None:
    """Fail if the gradient of the rows in ``others`` (``batch q_len``) is not finite, though the other row's output is.

    Where that output is NaN, and may be, the average over the values is NaN on the way back too: then only the gradients
    towards the queries of other rows are asked for.
    """
    leaves = inputs.requiring_gradients()
    output = perturbation.per_query(instance(leaves, grad=True))
    if not output.requires_grad:
        raise NotChecked("the output has no gradient")
    rows = others.to(output.device)
    honest = not bool(output[~rows].isfinite().all())
    if honest and (inputs.self_attending or inputs.crosses):
        return  # other rows' queries look at that row, or are made of tokens that do
    direction = normal(tuple(output.shape), generator(0), output.dtype, output.device)
    wanted = leaves.tensors[: 1 if leaves.self_attending else None]
    gradients = torch.autograd.grad((output * direction)[rows].sum(), wanted, materialize_grads=True)
    for name, gradient in zip(_NAMES[len(wanted)], gradients, strict=True):
        if honest and name != "queries":
            continue
        seen = perturbation.per_query(gradient)[rows] if honest else gradient
        if not bool(seen.isfinite().all()):
            raise Violation(
                f"a query sees nothing, and the gradient of the other rows towards the {name} is not finite",
                got=gradient.flatten(0, -2),
            )


_NAMES = {1: ("input",), 2: ("queries", "memory"), 3: ("queries", "keys", "values")}
"""What the caller would call the tensors, by their number."""
_HEADS_ALONE = (Role.ATTENTION, Role.SELF_ATTENTION, Role.ADDITIVE_ATTENTION)
"""Roles that return what the heads return, with nothing behind."""
