"""Paired perturbation: who can see whom, without a single weight's name.

Base and perturbed run are two calls of identical shape, strides and alignment (``Instance`` clones what it is given), and the same
row of both is compared: correct code then agrees bit for bit, so the tolerance is zero and the weakest leak counts. A difference
below the rounding unit is not held against the subject (a correct mixture of experts differs by 4e-16); it is simply no evidence.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from veriformer import process_state, tolerance, weights
from veriformer.dropout import in_training
from veriformer.inputs import PAD_ID, Inputs, generator, normal
from veriformer.outcome import SubjectError, Vacuous, Violation
from veriformer.subjects import Instance

SIZE = 3.0
"""Standard deviation of what is put in a token's place: three times the tokens', so that a small weight still shows."""

RESTARTS = 3
"""Perturbations after which a missing dependency is believed; measured: none missed by three in float64."""


Rows = int | slice
"""One row of the batch; or ``EVERY_ROW``, which costs no more calls, because rows do not see each other."""

EVERY_ROW = slice(None)

Change = Callable[[Inputs, Rows, int, torch.Generator], Inputs]
"""Replaces what stands at one position of a batch row: ``with_key_changed`` or ``with_query_changed``."""


def on_every_path(instance: Instance, check: Callable[[bool], None]) -> None:
    """Run ``check(grad)`` on each code path: evaluation without and with a graph, and training where there is a mode.

    torch.nn runs other code without gradients, and a mask may be applied in training only, or in evaluation only.
    """
    check(False)
    check(True)
    if instance.module is not None:
        with in_training(instance):
            check(True)


def fresh_like(tensor: Tensor, random: torch.Generator, *, vocab: int = 0) -> Tensor:
    """Other values of the same shape: numbers ``SIZE`` times as large, or other words out of ``vocab`` (pass ``inputs.vocab``).

    Raises:
        Vacuous: there is no other word.
    """
    if tensor.is_floating_point():
        return SIZE * normal(tuple(tensor.shape), random, tensor.dtype, tensor.device)
    if vocab < 3:
        raise Vacuous(f"a vocabulary of {vocab} words has none to put in another's place")
    # 1 to vocab - 1 are words; the present one is skipped by adding up to vocab - 2 and going round
    further = torch.randint(1, vocab - 1, tuple(tensor.shape), generator=random).to(tensor)
    other = (tensor - 1 + further) % (vocab - 1) + 1
    return torch.where(tensor == PAD_ID, further, other)


def with_key_changed(inputs: Inputs, row: Rows, key: int, random: torch.Generator) -> Inputs:
    """The same call with what stands at position ``key`` of batch row ``row`` replaced on the key side."""
    changed = []
    for tensor in inputs.key_side:
        copy = tensor.clone()
        copy[row, ..., key, :] = fresh_like(copy[row, ..., key, :], random, vocab=inputs.vocab)
        changed.append(copy)
    return inputs.with_keys(tuple(changed))


def with_query_changed(inputs: Inputs, row: Rows, position: int, random: torch.Generator) -> Inputs:
    """The same call with the query at ``position`` of batch row ``row`` replaced."""
    copy = inputs.tensors[0].clone()
    copy[row, ..., position, :] = fresh_like(copy[row, ..., position, :], random, vocab=inputs.vocab)
    return inputs.with_queries(copy)


def per_query(output: Tensor) -> Tensor:
    """``batch q_len anything``: one line for each query, its heads side by side."""
    return output if output.dim() == 3 else output.transpose(1, 2).flatten(2)


def difference(before: Tensor, after: Tensor) -> Tensor:
    """``batch q_len``: the largest difference in each query's output; NaN in one and not in the other is infinite.

    Raises:
        Violation: they have not even one shape.
    """
    if before.shape != after.shape:
        raise Violation(f"of two calls of one shape one returns {tuple(before.shape)}, the other {tuple(after.shape)}")
    one, other = per_query(before).detach().double(), per_query(after).detach().double()
    apart = torch.where(one == other, torch.zeros_like(one), (one - other).abs())
    apart = torch.where(one.isnan() & other.isnan(), torch.zeros_like(one), apart)
    return torch.nan_to_num(apart, nan=torch.inf).amax(-1).cpu()


def explained(instance: Instance, inputs: Inputs, output: Tensor, worst: float, *, grad: bool) -> float:
    """How large a difference rounding explains; noise is injected only where ``worst`` is above the cheap floor."""
    dtype = instance.subject.rounds_to
    unit = tolerance.floor(output, dtype)
    if tolerance.units(dtype) * unit < worst < tolerance.HOPELESS * unit:
        unit += tolerance.envelope(lambda: instance(inputs, grad=grad), tolerance.roundoff(dtype))
    return tolerance.units(dtype) * unit


def _called(instance: Instance, inputs: Inputs, seed: int, *, grad: bool) -> Tensor:
    """One call; in training every call draws the same dropout, so that a pair of calls differs by its inputs alone."""
    if instance.module is None or not instance.module.training:
        return instance(inputs, grad=grad)
    process_state.seed(seed)
    with weights.buffers_kept(instance.module):  # what training remembers is another clause's matter
        return instance(inputs, grad=grad)


def key_influence(instance: Instance, inputs: Inputs, row: Rows, seed: int, *, grad: bool) -> tuple[Tensor, Tensor]:
    """Change each key of one batch row, or of every row, in turn.

    Returns:
        ``q_len k_len``, of every row ``batch q_len k_len``: by how much each query's output in that row changed; and the unchanged output.
    """
    return _influence(with_key_changed, inputs.k_len, instance, inputs, row, seed=seed, grad=grad)


def query_influence(instance: Instance, inputs: Inputs, row: Rows, seed: int, *, grad: bool) -> tuple[Tensor, Tensor]:
    """Change each query of one batch row in turn: ``q_len q_len``, the changed one last; and the unchanged output."""
    return _influence(with_query_changed, inputs.q_len, instance, inputs, row, seed=seed, grad=grad)


def _influence(
    change: Change, positions: int, instance: Instance, inputs: Inputs, row: Rows, *, seed: int, grad: bool
) -> tuple[Tensor, Tensor]:
    random = generator(seed)
    base = _called(instance, inputs, seed, grad=grad)
    columns = []
    for position in range(positions):
        changed = _called(instance, change(inputs, row, position, random), seed, grad=grad)
        columns.append(difference(base, changed)[row])
    return torch.stack(columns, dim=-1), base


def require_invisible(
    instance: Instance, inputs: Inputs, row: Rows, hidden: Tensor, message: str, *, seed: int, grad: bool
) -> None:
    """Fail if a query of ``row`` changes with a key that is ``hidden`` from it.

    Args:
        hidden: ``q_len k_len``, or ``batch q_len k_len`` for every row; True means hidden.

    Raises:
        Violation: it does, by more than rounding explains.
        Vacuous: the output changes with nothing at all, or holds no numbers, so that no leak could have been seen.
    """
    apart, base = key_influence(instance, inputs, row, seed, grad=grad)
    refuse_leaks(instance, inputs, base, apart, hidden, who=f"{message}: {_in(row)}query", what="key", grad=grad)


def require_queries_apart(
    instance: Instance, inputs: Inputs, row: Rows, message: str, *, seed: int, grad: bool
) -> None:
    """Fail if the output at one query of ``row`` changes with another query.

    Raises:
        Violation: it does, by more than rounding explains.
        Vacuous: not even the query's own output changes with it.
    """
    apart, base = query_influence(instance, inputs, row, seed, grad=grad)
    others = (~torch.eye(inputs.q_len, dtype=torch.bool)).expand(apart.shape)
    who = f"{message}: {_in(row)}the output at query"
    refuse_leaks(instance, inputs, base, apart, others, who=who, what="query", grad=grad)


def _in(row: Rows) -> str:
    return f"in row {row}, " if isinstance(row, int) else ""


def refuse_leaks(
    instance: Instance, inputs: Inputs, base: Tensor, apart: Tensor, hidden: Tensor, *, who: str, what: str, grad: bool
) -> None:
    """Fail where ``apart`` shows a change in a place that is ``hidden``: both have one line for each output.

    Raises:
        Violation: a change is larger than rounding explains.
        Vacuous: nothing changed anywhere, so that no leak could have been seen.
    """
    leaking = torch.where(hidden, apart, torch.zeros_like(apart))
    worst = float(leaking.max())
    if worst > 0 and worst > (rounding := explained(instance, inputs, base, worst, grad=grad)):
        *row, output, changed = _index(leaking)
        place = tuple(row)
        raise Violation(
            f"{who} {output}{_of(row)} changes with {what} {changed} ({_path(instance, grad)})",
            expected=(~hidden).int()[place],
            got=(apart > rounding).int()[place],
            index=(*row, output, changed),
            axes=("query", what),
            shows="may depend",
            margin=f"changes by {worst:.3g}, where rounding explains {rounding:.3g}; 1 = may depend (expected), depends (got)",
        )
    if not bool(apart.any()) and not bool(hidden.all()):
        raise Vacuous("the output changes with nothing, so that no leak could be seen")


def _of(row: list[int]) -> str:
    return f" of row {row[0]}" if row else ""


def _index(values: Tensor) -> list[int]:
    """Where the largest value stands."""
    return [int(each) for each in torch.unravel_index(values.flatten().argmax(), values.shape)]


def require_visible(
    instance: Instance, inputs: Inputs, row: Rows, visible: Tensor, message: str, *, seed: int, grad: bool
) -> None:
    """Fail if a query of ``row`` does not depend on a key that is ``visible`` to it.

    Args:
        visible: ``q_len k_len``, or ``batch q_len k_len`` for every row.

    Raises:
        Violation: neither bits nor gradients show a dependency.
    """
    missing = missing_influence(instance, inputs, row, visible, seed, grad=grad)
    if not bool(missing.any()):
        return
    *inner, query, key = _index(missing.int())
    place = tuple(inner)
    raise Violation(
        f"{message}: {_in(row)}query {query}{_of(inner)} does not depend on key {key} ({_path(instance, grad)})",
        expected=visible.int()[place],
        got=(visible & ~missing).int()[place],
        index=(*inner, query, key),
        axes=("query", "key"),
        shows="must depend",
        margin=f"not one bit changed in {RESTARTS} perturbations; 1 = depends",
    )


def _path(instance: Instance, grad: bool) -> str:  # noqa: FBT001  # a word for it is what comes out
    if instance.module is not None and instance.module.training:
        return "in training"
    return "in evaluation, with gradients" if grad else "in evaluation, without gradients"


def sees_by_gradient(instance: Instance, inputs: Inputs, row: int, query: int, key: int) -> bool:
    """Whether the output at ``query`` has a gradient towards ``key``: the sensitive witness where bits did not move."""
    leaves = inputs.requiring_gradients()
    if not all(each.requires_grad for each in leaves.key_side):
        return False  # ids have no gradient
    try:
        output = per_query(instance(leaves, grad=True))[row, query]
    except SubjectError:
        return False
    if not output.requires_grad:
        return False
    direction = normal(tuple(output.shape), generator(query), output.dtype, output.device)
    gradients = torch.autograd.grad((output * direction).sum(), leaves.key_side, materialize_grads=True)
    parts = [each[row, ..., key, :] for each in gradients]
    return any(bool(((part != 0) & part.isfinite()).any()) for part in parts)  # NaN is no sign of having looked


def missing_influence(
    instance: Instance, inputs: Inputs, row: Rows, expected: Tensor, seed: int, *, grad: bool
) -> Tensor:
    """Where ``expected`` says that a query sees a key, and neither bits nor gradients show it; shaped as ``expected``."""
    seen = torch.zeros_like(expected)
    for restart in range(RESTARTS):
        seen |= key_influence(instance, inputs, row, seed + restart, grad=grad)[0] > 0
        if bool((seen | ~expected).all()):
            return expected & ~seen
    missing = expected & ~seen
    for *inner, query, key in missing.nonzero().tolist():
        if sees_by_gradient(instance, inputs, row if isinstance(row, int) else inner[0], query, key):
            missing[(*inner, query, key)] = False
    return missing
