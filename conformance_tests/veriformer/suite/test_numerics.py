"""Numerics, tested: dtypes, and how far rounding may go."""

import contextlib
import copy
import math

import torch
from torch import Tensor

from veriformer import calls, perturbation, precision, tolerance
from veriformer.case import Case
from veriformer.inputs import Inputs
from veriformer.oracle import oracle
from veriformer.outcome import NotChecked, SubjectError, Vacuous, Violation
from veriformer.property import checks
from veriformer.strategies import cases
from veriformer.subjects import Instance, Subject
from veriformer.visibility import may_see
from veriformer_spec import numerics
from veriformer_spec.config import MASK_KINDS
from veriformer_spec.role import Role

NO_KERNEL = "\" not implemented for '"
"""In what torch says of an operation that it has for other dtypes only."""
GATE = 0.05
"""Error of a score beyond which a softmax is an argmax that rounding decides (as in ``veriformer_spec.numerics``)."""


@checks(numerics.DTYPE_IN_IS_DTYPE_OUT, sentence="1aa0ebdb", cases=cases(masks=MASK_KINDS), most=15)
def test_dtype_in_is_dtype_out(subject: Subject, case: Case) -> None:
    """In float64, float32 and bfloat16, with and without gradients: what comes back is of the dtype that went in."""
    for dtype in dict.fromkeys((subject.dtype, torch.float64, torch.float32, torch.bfloat16)):
        try:
            instance, inputs = subject.instance(case, dtype=dtype), subject.inputs(case, dtype=dtype)
            outputs = [instance(inputs, grad=grad) for grad in (False, True)]
        except SubjectError as error:
            if dtype is subject.dtype:
                raise  # it fails in the dtype that every clause judges it in: no dtype is the reason
            if NO_KERNEL in str(error):
                continue  # torch lacks the operation in this dtype on this device, and no module can help that
            raise Violation(f"in {precision.word(dtype)} the {error}") from error
        for output in outputs:
            if output.dtype is not dtype:
                raise Violation(f"{precision.word(dtype)} goes in, and {precision.word(output.dtype)} comes out")


@checks(numerics.ERROR_IS_WITHIN_ROUNDING, sentence="0ca63b80", cases=cases(masks=MASK_KINDS), most=12)
def test_error_is_within_rounding(subject: Subject, case: Case) -> None:
    """The same numbers in float32 and in float64: they differ by no more than 16 units of rounding."""
    narrow, inputs = subject.instance(case, dtype=torch.float32), subject.inputs(case, dtype=torch.float32)
    wide = _widened(narrow, case)
    if case.role is Role.ATTENTION and _largest_score(inputs) * tolerance.roundoff(torch.float32) > GATE:
        raise Vacuous("scores so large that rounding decides which key wins")
    for grad in (False, True):
        tolerance.require_close(
            inputs.specified(narrow(inputs, grad=grad)),
            inputs.specified(_exact(wide, inputs, grad=grad)),
            "in float32 the output is further from its float64 result than rounding explains",
            dtype=torch.float32,
            again=lambda: inputs.specified(_exact(wide, inputs, grad=True)),
        )


def _exact(wide: Instance, inputs: Inputs, *, grad: bool) -> Tensor:
    """The float64 result, also where the subject rounds to a narrower dtype inside, if it can be kept from that.

    Raises:
        NotChecked: there is none.
    """
    exact = inputs.to(torch.float64)
    try:
        with precision.Widening():
            output = wide(exact, grad=grad)
        if output.dtype is torch.float64:
            return output
    except SubjectError:
        pass  # it insists on a dtype
    try:
        return wide(exact, grad=grad)
    except SubjectError as error:
        raise NotChecked(f"float64 is refused, so that there is nothing exact to compare with: {error}") from error


@checks(
    numerics.ERROR_IS_WITHIN_ROUNDING, sentence="0ca63b80", cases=cases(masks=MASK_KINDS), most=10, needs_weights=True
)
def test_error_is_within_rounding_by_reference(subject: Subject, case: Case) -> None:
    """The subject in float32, and the reference in float64 with the same float32 numbers."""
    narrow, inputs = subject.instance(case, dtype=torch.float32), subject.inputs(case, dtype=torch.float32)
    positions = subject.claims.get("positions")
    if subject.claims.get("encoding") == "sinusoidal" or positions in ("sinusoidal", "rotary") or subject.turns_pairs:
        raise NotChecked(
            "a table's angles are rounded before their sine is taken, which no envelope follows; see the position chapter"
        )
    compute = oracle(narrow)
    if case.role is Role.ATTENTION and _largest_score(inputs) * tolerance.roundoff(torch.float32) > GATE:
        raise Vacuous("scores so large that rounding decides which key wins")
    tolerance.require_close(
        inputs.specified(narrow(inputs)),
        inputs.specified(compute(inputs)),
        "in float32 the output is further from the reference's float64 result than rounding explains",
        dtype=torch.float32,
        again=lambda: inputs.specified(compute(inputs)),
    )


def _widened(narrow: Instance, case: Case) -> Instance:
    """The same numbers in float64: a copy that was cast, or, where that does not run, an instance built there."""
    if narrow.module is None:
        return narrow
    wide = narrow.subject.inputs(case, dtype=torch.float64)
    with contextlib.suppress(Exception):  # the clause on registered parameters will say so
        copied = narrow.on(copy.deepcopy(narrow.module).to(torch.float64))
        copied(wide)
        return copied
    built = calls.twin(narrow, narrow.subject.instance(case, dtype=torch.float64))
    copies = dict(built.module_or_not_checked().named_parameters())
    for name, each in narrow.module.named_parameters():
        if name not in copies or not torch.equal(copies[name].float(), each):
            raise NotChecked(
                f"the weights cannot be copied from one instance to another ({name}); see the state_dict's clause"
            )
    return built


def _largest_score(inputs: Inputs) -> float:
    query, key, _ = inputs.tensors
    return float(query.norm(dim=-1).max() * key.norm(dim=-1).max()) / math.sqrt(query.shape[-1])


@checks(numerics.NOTHING_IS_ROUNDED_ON_THE_WAY, sentence="63a5bff6", cases=cases(masks=MASK_KINDS), most=10)
def test_nothing_is_rounded_on_the_way(subject: Subject, case: Case) -> None:
    """Watch every operation of a float64 run, and look at every table."""
    instance, inputs = _watchable(subject, case)
    found = precision.found_inside(instance, inputs)
    if found:
        raise Violation(f"a float64 run loses digits on the way: {found}")


@checks(numerics.FLOAT32_INSIDE_IS_AS_CLAIMED, sentence="4d0fedc1", cases=cases(masks=MASK_KINDS), most=5)
def test_float32_inside_is_as_claimed(subject: Subject, case: Case) -> None:
    """Where computing in float32 is claimed, the watch finds it."""
    instance, inputs = _watchable(subject, case)
    if not precision.found_inside(instance, inputs):
        raise Violation("computes_in='float32' is claimed, and a float64 run rounds nothing: leave the claim out")


def _watchable(subject: Subject, case: Case) -> tuple[Instance, Inputs]:
    if subject.dtype is not torch.float64:
        raise NotChecked("float64 is refused, so that nothing can be watched; see numerics.dtype-in-is-dtype-out")
    return subject.instance(case), subject.inputs(case)


@checks(
    numerics.HALF_PRECISION_MASKS_STAY_FINITE,
    sentence="e463b4b2",
    cases=cases(masks=("causal", "padding", "arbitrary")),
    most=6,
)
def test_half_precision_masks_stay_finite(subject: Subject, case: Case) -> None:
    """In both halves a masked call gives finite numbers, and a hidden key stays hidden."""
    ran = [dtype for dtype in (torch.float16, torch.bfloat16) if _masks_hold(subject, case, dtype)]
    if not ran:
        raise NotChecked("neither float16 nor bfloat16 runs, or both overflow without a mask")


def _masks_hold(subject: Subject, case: Case, dtype: torch.dtype) -> bool:
    """Whether ``dtype`` could be judged.

    Raises:
        Violation: the mask does not hold in it.
    """
    inputs = subject.inputs(case, dtype=dtype)
    try:
        instance = subject.instance(case, dtype=dtype)
        if not bool(instance(inputs.with_mask(None)).isfinite().all()):
            return False  # it overflows without a mask as well
    except SubjectError:
        return False  # not offered on this device
    hidden = ~may_see(case, inputs)
    for grad in (False, True):
        words = f"in {precision.word(dtype)}, {'with' if grad else 'without'} gradients,"
        try:
            base = inputs.specified(instance(inputs, grad=grad))
        except SubjectError as error:
            raise Violation(f"{words} a mask raises: {error}") from error
        if not bool(base.isfinite().all()):
            raise Violation(f"{words} a mask gives {base[~base.isfinite()][0].item()}", got=base)
        row = case.seed % case.batch
        apart, _ = perturbation.key_influence(instance, inputs, row, case.seed, grad=grad)
        leak = float((apart * hidden[row]).max())
        if leak > tolerance.units(dtype) * tolerance.floor(base, dtype):
            raise Violation(f"{words} a masked key is visible in row {row}: an output changes by {leak:.3g}")
    return True
