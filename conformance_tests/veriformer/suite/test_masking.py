"""Masking, tested: who can see whom."""

import torch
from hypothesis.strategies import SearchStrategy
from torch import Tensor

from veriformer import masks as drawn
from veriformer import perturbation, tolerance
from veriformer.case import Case
from veriformer.inputs import Inputs, generator, normal
from veriformer.large_scores import enlarged
from veriformer.masks import Mask
from veriformer.outcome import NotChecked, SubjectError, Vacuous, Violation
from veriformer.property import Cases, checks
from veriformer.strategies import cases
from veriformer.subjects import Instance, Subject
from veriformer.visibility import may_see, must_see, with_an_empty_row, without
from veriformer_spec import masking
from veriformer_spec.role import ATTENDING, STACKS, Role

PATHS = (False, True)
"""Gradients off and on: torch.nn runs other code without them."""
SHORT = (2, 4)
"""Lengths where each example costs as many calls as there are keys."""


def require_nothing_leaks(instance: Instance, inputs: Inputs, case: Case, message: str) -> None:
    """Fail if a query changes with a key that it may not see, on any code path."""
    hidden = ~may_see(case, inputs)
    if not bool(hidden.any()):
        raise Vacuous("nothing is hidden")
    perturbation.on_every_path(
        instance,
        lambda grad: perturbation.require_invisible(
            instance, inputs, perturbation.EVERY_ROW, hidden, message, seed=case.seed, grad=grad
        ),
    )


def require_nothing_is_missing(instance: Instance, inputs: Inputs, case: Case, message: str) -> None:
    """Fail if a query does not change with a key that it may see."""
    visible = must_see(case, inputs)
    for grad in PATHS:
        perturbation.require_visible(
            instance, inputs, perturbation.EVERY_ROW, visible, message, seed=case.seed, grad=grad
        )


def require_same(instance: Instance, inputs: Inputs, got: Tensor, expected: Tensor, message: str) -> None:
    """Fail where ``got`` and ``expected`` differ by more than rounding in ``inputs``' call explains."""
    tolerance.require_close(got, expected, message, dtype=instance.subject.rounds_to, again=lambda: instance(inputs))


@checks(
    masking.MASKED_KEYS_ARE_INVISIBLE,
    sentence="5e97b5a5",
    cases=cases(batch=(2, 3), layers=(1, 2), masks=("arbitrary", "padding", "causal"), q_len=SHORT),
    most=12,
)
def test_masked_keys_are_invisible(subject: Subject, case: Case) -> None:
    """Change each key in turn: a query from which it is hidden does not change by a bit."""
    require_nothing_leaks(subject.instance(case), subject.inputs(case), case, "a masked key is visible")


@checks(
    masking.OUTPUTS_DEPEND_ON_EVERY_VISIBLE_KEY,
    sentence="db0f16e8",
    cases=cases(masks=("none", "arbitrary", "padding", "causal")),
    most=12,
)
def test_outputs_depend_on_every_visible_key(subject: Subject, case: Case) -> None:
    """Change each key in turn: every query that may see it changes."""
    require_nothing_is_missing(subject.instance(case), subject.inputs(case), case, "a visible key is not seen")


def causal_cases(*, layers: tuple[int, int] = (1, 3)) -> Cases:
    """Cases in which attention is causal: by the subject's own doing, or else by the mask passed."""

    def strategy(subject: Subject) -> SearchStrategy[Case]:
        kinds = ("none", "causal") if subject.causal else ("causal",)
        return cases(masks=kinds, layers=layers, q_len=SHORT, same_length=True)(subject)

    return strategy


@checks(masking.CAUSAL_OUTPUTS_IGNORE_THE_FUTURE, sentence="66bf20f0", cases=causal_cases(), most=12)
def test_causal_outputs_ignore_the_future(subject: Subject, case: Case) -> None:
    """Change each position in turn: no earlier position's output changes by a bit."""
    require_nothing_leaks(subject.instance(case), subject.inputs(case), case, "the future is visible")


@checks(
    masking.CAUSAL_POSITIONS_SEE_THEMSELVES_AND_ALL_BEFORE,
    sentence="64664e32",
    cases=causal_cases(layers=(1, 1)),
    most=12,
)
def test_causal_positions_see_themselves_and_all_before(subject: Subject, case: Case) -> None:
    """Each position's output is the last of the sequence that ends there, with nothing masked.

    A subject that is causal by itself cannot be asked to mask nothing; there, each token standing twice must not change the last
    output (its weights halve and its keys come twice), which hiding the diagonal or the beginning would.
    """
    instance, inputs = subject.instance(case), subject.inputs(case)
    for length in range(1, case.q_len + 1):
        until = torch.arange(length)
        prefix = inputs.with_mask(None if subject.causal or case.layers == 1 else inputs.mask).taking(until, until)
        require_same(
            instance, inputs, instance(inputs)[..., length - 1, :], instance(prefix)[..., -1, :],
            f"position {length - 1} of {case.q_len} is not the last of the sequence that ends there",
        )  # fmt: skip
    require_nothing_is_missing(instance, inputs, case, "an earlier position is not seen")
    if not subject.causal or case.layers > 1 or subject.claims.get("positions", "none") != "none":
        return
    twice = torch.arange(case.q_len).repeat_interleave(2)
    bare = inputs.with_mask(None)
    require_same(
        instance, bare, instance(bare.taking(twice, twice))[..., -1, :], instance(bare)[..., -1, :],
        "with every position standing twice the last output changes, so it does not see itself and all before",
    )  # fmt: skip


def positions_follow_the_index(subject: Subject) -> bool:
    """Whether removing a token moves the ones behind it: then only the end may be removed."""
    return bool(subject.claims.get("positions", "none") != "none")


@checks(
    masking.PADDING_DOES_NOT_CHANGE_REAL_POSITIONS,
    sentence="ac4e0f95",
    cases=cases(masks=("padding",), k_len=(2, 5)),
    most=12,
)
def test_padding_does_not_change_real_positions(subject: Subject, case: Case) -> None:
    """Padding replaced by other padding, and then left out: real positions stay as they are."""
    instance, inputs = subject.instance(case), subject.inputs(case)
    assert inputs.mask is not None
    real = inputs.mask[:, 0, -1].cpu() if not inputs.causal else inputs.mask[:, 0].any(1).cpu()
    random = generator(case.seed + 1)
    replaced = inputs.with_keys(
        tuple(torch.where(_like(real, each), each, perturbation.fresh_like(each, random)) for each in inputs.key_side)
    )
    own = real if inputs.self_attending else torch.ones(case.batch, case.q_len, dtype=torch.bool)

    def unchanged(grad: bool) -> None:  # noqa: FBT001  # the path is all there is to say
        apart, base = (instance(each, grad=grad) for each in (replaced, inputs))
        change = torch.where(own, perturbation.difference(base, apart), 0.0)
        worst = float(change.max())
        if worst > 0 and worst > perturbation.explained(instance, inputs, base, worst, grad=grad):
            row, query = divmod(int(change.flatten().argmax()), case.q_len)
            raise Violation(
                f"what stands in the padding changes a real position: row {row}, position {query}",
                expected=perturbation.per_query(base)[row, query],
                got=perturbation.per_query(apart)[row, query],
                index=(row, query),
                margin=f"changes by {worst:.3g}; real: {real[row].int().tolist()}",
            )

    perturbation.on_every_path(instance, unchanged)
    compared = 0
    for row in range(case.batch):
        kept = real[row].nonzero().flatten()
        if len(kept) == case.k_len or (positions_follow_the_index(subject) and int(kept[-1]) != len(kept) - 1):
            continue
        short, queries = without(inputs.with_mask(None).only_row(row), kept)
        compared += 1
        for grad in PATHS:
            require_same(
                instance, inputs, instance(inputs, grad=grad)[row][..., queries, :], instance(short, grad=grad)[0],
                f"row {row}: with padding (real: {real[row].int().tolist()}) real positions differ from the row without it",
            )  # fmt: skip
    if not compared and bool(real.all()):
        raise Vacuous("there is no padding")


def _like(real: Mask, tensor: Tensor) -> Mask:
    """``batch k_len`` as a condition on tensors of the key side."""
    return (real[:, :, None] if tensor.dim() == 3 else real[:, None, :, None]).to(tensor.device)


@checks(
    masking.MASKS_COMBINE_BY_CONJUNCTION,
    sentence="dbe4aa25",
    cases=cases(masks=("padding", "arbitrary"), q_len=SHORT),
    most=12,
)
def test_masks_combine_by_conjunction(subject: Subject, case: Case) -> None:
    """A causal subject with a mask on top: keys are seen where both allow it, and only there."""
    instance, inputs = subject.instance(case), subject.inputs(case)
    if inputs.mask is not None and bool(inputs.mask.all()):
        raise Vacuous("the mask hides nothing")
    require_nothing_leaks(instance, inputs, case, "a key that one of two masks hides is visible")
    require_nothing_is_missing(instance, inputs, case, "a key that both masks show is not seen")


@checks(
    masking.MASKS_APPLY_BEFORE_THE_SOFTMAX, sentence="ede6b167", cases=cases(masks=("padding",), k_len=(2, 5)), most=15
)
def test_masks_apply_before_the_softmax(subject: Subject, case: Case) -> None:
    """One key hidden from everyone: as if it were not there."""
    instance, inputs = subject.instance(case), subject.inputs(case)
    last = positions_follow_the_index(subject)
    hidden = case.k_len - 1 if last else (1 + case.seed % (case.k_len - 1) if case.k_len > 1 else 0)
    if case.k_len < 2:
        raise Vacuous("there is one key")
    shown = torch.arange(case.k_len) != hidden
    mask = shown.expand(case.batch, 1, case.q_len, case.k_len).clone().to(inputs.tensors[0].device)
    masked = inputs.with_mask(mask)
    removed, queries = without(inputs.with_mask(None), shown.nonzero().flatten())
    for grad in PATHS:
        require_same(
            instance, masked, instance(masked, grad=grad)[..., queries, :], instance(removed, grad=grad),
            f"with key {hidden} masked the output is not what it is without key {hidden}",
        )  # fmt: skip


@checks(
    masking.MASKS_BROADCAST,
    sentence="e26e18e6",
    cases=cases(batch=(2, 2), heads=(2, 2), masks=("arbitrary",), q_len=SHORT, k_len=SHORT),
    most=15,
)
def test_masks_broadcast(subject: Subject, case: Case) -> None:
    """A mask with axes of size one acts as its copy of full size; heads equal the batch, on purpose."""
    instance, inputs = subject.instance(case), subject.inputs(case)
    small = inputs.with_mask(drawn.with_axes_of_one(case, subject.causal or subject.self_attending).to(subject.device))
    assert small.mask is not None
    full = small.with_mask(small.mask.expand(case.batch, case.heads, case.q_len, case.k_len).clone())
    shape, whole = ("x".join(map(str, each.mask.shape)) for each in (small, full) if each.mask is not None)
    for grad in PATHS:
        expected = instance(full, grad=grad)
        try:
            got = instance(small, grad=grad)
        except SubjectError as error:
            raise Violation(
                f"a mask of {shape} is refused, where the same mask repeated to {whole} is not: does the adapter expand it? ({error})"
            ) from error
        message = f"a mask of {shape} acts otherwise than the same mask repeated to {whole}"
        require_same(instance, small, got, expected, message)
    if case.role is not Role.ATTENTION:
        return
    own = drawn.for_each_head(case, subject.causal).to(subject.device)
    together = instance(inputs.with_mask(own))
    for head in range(case.heads):
        alone = inputs.with_mask(own[:, head : head + 1].clone())
        require_same(
            instance, alone, together[:, head], instance(alone)[:, head],
            f"with a mask for each head, head {head} is not what it is under its own mask alone",
        )  # fmt: skip


@checks(
    masking.NO_SCORE_IS_TOO_LARGE_TO_MASK,
    sentence="2ac1f21c",
    cases=cases(masks=("arbitrary", "padding", "causal"), q_len=(3, 4), k_len=(3, 4)),
    most=12,
)
def test_no_score_is_too_large_to_mask(subject: Subject, case: Case) -> None:
    """With scores near 1e6: hidden keys stay hidden, and visible ones weigh what they weigh when the hidden are not there."""
    instance = subject.instance(case)
    inputs = enlarged(instance, subject.inputs(case))
    seen = may_see(case, inputs)
    for grad in PATHS:
        if not bool(instance(inputs, grad=grad).isfinite().all()):
            raise Violation("with scores near 1e6 the output is not finite")
    if case.mask == "padding" and not positions_follow_the_index(subject):
        row = case.seed % case.batch
        kept = (
            seen[row, -1].nonzero().flatten()
            if not inputs.self_attending
            else inputs.visible()[row, -1].nonzero().flatten()
        )
        short, queries = without(inputs.with_mask(None).only_row(row), kept)
        require_same(
            instance, inputs, instance(inputs)[row][..., queries, :], instance(short)[0],
            "with scores near 1e6, masking keys is not what removing them is",
        )  # fmt: skip
    if bool(seen.all()):
        raise Vacuous("nothing is hidden")
    for grad in PATHS:
        perturbation.require_invisible(
            instance,
            inputs,
            perturbation.EVERY_ROW,
            ~seen,
            "with scores near 1e6 a masked key is visible",
            seed=case.seed,
            grad=grad,
        )


@checks(masking.A_ROW_WITH_NOTHING_VISIBLE, sentence="57ab3b02", cases=cases(masks=("arbitrary",)), floor=1)
def test_a_row_with_nothing_visible(subject: Subject, case: Case) -> None:
    """Hide everything from one query: it returns what is claimed, on each code path."""
    claimed = subject.claims["nothing_visible"]
    if set(claimed.values()) == {"unspecified"}:
        raise NotChecked("nothing_visible is unspecified: the subject claims nothing about a row with nothing visible")
    instance, inputs = subject.instance(case), subject.inputs(case)
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
    if instance.subject.role is Role.ATTENTION:
        if bool((output != 0).any()):
            raise Violation(f"{said}, and gives something else", got=output, index=(row, query))
        return
    # after projections, skips and norms, zeros show as this: nothing but the token itself, if that, reaches the row
    apart, base = perturbation.key_influence(instance, inputs, row, seed, grad=grad)
    reaching = apart[query].clone()
    if instance.subject.role in STACKS:
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
    require_finite_gradients(instance, empty, others)


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
    if honest and inputs.self_attending:
        return
    direction = normal(tuple(output.shape), generator(0), output.dtype, output.device)
    wanted = leaves.tensors[: 1 if leaves.self_attending else None]
    gradients = torch.autograd.grad((output * direction)[rows].sum(), wanted, materialize_grads=True)
    for name, gradient in zip(_NAMES[inputs.role], gradients, strict=False):
        if honest and name != "queries":
            continue
        seen = perturbation.per_query(gradient)[rows] if honest else gradient
        if not bool(seen.isfinite().all()):
            raise Violation(
                f"a query sees nothing, and the gradient of the other rows towards the {name} is not finite",
                got=gradient.flatten(0, -2),
            )


_NAMES = dict.fromkeys(ATTENDING, ("input",)) | {
    Role.ATTENTION: ("queries", "keys", "values"),
    Role.MULTI_HEAD_ATTENTION: ("queries", "memory"),
}


@checks(masking.NO_MASK_IS_AN_ALL_TRUE_MASK, sentence="826719a9", cases=cases(), most=15)
def test_no_mask_is_an_all_true_mask(subject: Subject, case: Case) -> None:
    """A mask that hides nothing changes nothing, on each code path."""
    instance, inputs = subject.instance(case), subject.inputs(case)
    true = torch.ones(case.batch, 1, case.q_len, case.k_len, dtype=torch.bool, device=subject.device)
    perturbation.on_every_path(
        instance,
        lambda grad: require_same(
            instance, inputs, instance(inputs.with_mask(true), grad=grad), instance(inputs, grad=grad),
            "a mask that is True throughout gives another output than no mask",
        ),
    )  # fmt: skip
