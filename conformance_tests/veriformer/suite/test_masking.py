"""Masking, tested: who can see whom."""

import dataclasses

import torch
from hypothesis.strategies import SearchStrategy

from veriformer import masks as drawn
from veriformer import perturbation
from veriformer.case import Case
from veriformer.errors import Unsupported
from veriformer.inputs import Inputs
from veriformer.large_scores import enlarged
from veriformer.masking_checks import (
    PATHS,
    SHORT,
    may_be_left_out,
    positions_follow_the_index,
    require_nothing_is_missing,
    require_nothing_leaks,
    require_same,
    shape_of,
)
from veriformer.outcome import NotChecked, SubjectError, Vacuous, Violation
from veriformer.property import Cases, checks
from veriformer.strategies import cases
from veriformer.subjects import Instance, Subject
from veriformer.visibility import may_see, without
from veriformer_spec import masking
from veriformer_spec.role import MODELS, PROJECTED


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
        return cases(masks=kinds, layers=layers, q_len=SHORT, same_length=True, sides=("self",))(subject)

    return strategy


@checks(masking.CAUSAL_OUTPUTS_IGNORE_THE_FUTURE, sentence="66bf20f0", cases=causal_cases(), most=12)
def test_causal_outputs_ignore_the_future(subject: Subject, case: Case) -> None:
    """Change each position in turn: no earlier position's output changes by a bit."""
    _require_no_future(subject, case)


def _require_no_future(subject: Subject, case: Case) -> None:
    """Nothing leaks; where something does and would not with one head, what is done head by head is named."""
    try:
        require_nothing_leaks(subject.instance(case), subject.inputs(case), case, "the future is visible")
    except Violation as seen:
        if case.heads > 1 and subject.role in PROJECTED and _hidden_with_one_head(subject, case):
            seen.behaves_as(["right code with one head: look where heads are split, merged and masked"])
        raise


def _hidden_with_one_head(subject: Subject, case: Case) -> bool:
    """Whether the same case with one head leaks nothing; False where the subject has no such size."""
    if {"heads", "kv_heads"} & set(subject.declaration.sizes):
        return False
    alone = dataclasses.replace(case, heads=1, kv_heads=1)
    try:
        require_nothing_leaks(subject.instance(alone), subject.inputs(alone), alone, "the future is visible")
    except (Violation, Vacuous, NotChecked, SubjectError, Unsupported):
        return False
    return True


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
    recurrent = subject.claims.get("cell") == "gru"
    if not subject.causal or case.layers > 1 or recurrent or positions_follow_the_index(subject, inputs):
        return
    twice = torch.arange(case.q_len).repeat_interleave(2)
    bare = inputs.with_mask(None)
    require_same(
        instance, bare, instance(bare.taking(twice, twice))[..., -1, :], instance(bare)[..., -1, :],
        "with every position standing twice the last output changes, so it does not see itself and all before",
    )  # fmt: skip


@checks(
    masking.MASKS_COMBINE_BY_CONJUNCTION,
    sentence="dbe4aa25",
    cases=cases(masks=("padding", "arbitrary"), q_len=SHORT, sides=("self",)),
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
    hidden = a_key_that_may_go(subject, inputs, case.seed)
    shown = torch.arange(case.k_len) != hidden
    mask = shown.expand(case.batch, 1, case.q_len, case.k_len).clone().to(inputs.tensors[0].device)
    masked = inputs.with_mask(mask)
    removed, queries = without(inputs.with_mask(None), shown.nonzero().flatten())
    for grad in PATHS:
        require_same(
            instance, masked, instance(masked, grad=grad)[..., queries, :], instance(removed, grad=grad),
            f"with key {hidden} masked the output is not what it is without key {hidden}",
        )  # fmt: skip


def a_key_that_may_go(subject: Subject, inputs: Inputs, seed: int) -> int:
    """A key that may be removed as well as hidden; never the first where only the subject's own positions say what comes before.

    Raises:
        Vacuous: there is none.
    """
    everything = torch.arange(inputs.k_len)
    first = 0 if subject.role in MODELS else 1
    fitting = [
        key for key in range(first, inputs.k_len) if may_be_left_out(subject, inputs, everything[everything != key])
    ]
    if inputs.k_len < 2 or not fitting:
        raise Vacuous("there is one key, or none that may be removed")
    return fitting[seed % len(fitting)]


@checks(
    masking.MASKS_BROADCAST,
    sentence="e26e18e6",
    cases=cases(batch=(2, 2), heads=(2, 2), masks=("arbitrary",), q_len=SHORT, k_len=SHORT),
    most=15,
)
def test_masks_broadcast(subject: Subject, case: Case) -> None:
    """A mask with axes of size one acts as its copy of full size; heads equal the batch, on purpose."""
    instance, inputs = subject.instance(case), subject.inputs(case)
    sees_itself = inputs.causal or inputs.self_attending
    small = inputs.with_mask(drawn.with_axes_of_one(case, sees_itself).to(subject.device))
    assert small.mask is not None
    full = repeated(instance, small, case)
    shape, whole = (shape_of(each.mask) for each in (small, full) if each.mask is not None)
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


def repeated(instance: Instance, inputs: Inputs, case: Case) -> Inputs:
    """The same call with the mask repeated to full size; for one head alone where a mask for each head is refused."""
    assert inputs.mask is not None
    for heads in (case.heads, 1):
        full = inputs.with_mask(inputs.mask.expand(case.batch, heads, case.q_len, case.k_len).clone())
        try:
            instance(full)
        except (SubjectError, Unsupported):
            continue
        return full
    return full


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
    if case.mask == "padding" and inputs.mask is not None:
        require_removed_as_hidden(subject, instance, inputs, case.seed % case.batch)
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


def require_removed_as_hidden(subject: Subject, instance: Instance, inputs: Inputs, row: int) -> None:
    """Fail if masking a row's padding is not removing it, where it may be removed."""
    assert inputs.mask is not None
    kept = inputs.mask[row, 0].any(0).nonzero().flatten().cpu()
    if not may_be_left_out(subject, inputs, kept):
        return
    short, queries = without(inputs.with_mask(None).only_row(row), kept)
    require_same(
        instance, inputs, instance(inputs)[row][..., queries, :], instance(short)[0],
        "with scores near 1e6, masking keys is not what removing them is",
    )  # fmt: skip


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
