"""State, tested: what a call owes its caller, whatever it computes."""

import contextlib
import copy
import dataclasses
from collections.abc import Callable

import torch
from torch import Tensor

from veriformer import calls, moving, process_state, tolerance
from veriformer.capture import captured
from veriformer.case import Case
from veriformer.dropout import in_training
from veriformer.inputs import Inputs, generator, normal
from veriformer.layouts import LAYOUTS, expanded
from veriformer.outcome import Inconclusive, NotChecked, SubjectError, Violation
from veriformer.property import checks
from veriformer.strategies import cases
from veriformer.subjects import Instance, Subject
from veriformer.weights import buffers_kept, randomise
from veriformer_spec import state
from veriformer_spec.config import MASK_KINDS

ANY = cases(masks=MASK_KINDS)
"""Cases of every kind of mask."""


def require_same(
    instance: Instance, inputs: Inputs, got: Tensor, expected: Tensor, message: str, *, dtype: torch.dtype | None = None
) -> None:
    """Fail if two results of equal calls differ by more than rounding, outside padding."""
    tolerance.require_close(
        inputs.specified(got),
        inputs.specified(expected),
        message,
        dtype=dtype or instance.subject.rounds_to,
        again=lambda: inputs.specified(instance(inputs, grad=True)),
    )


@checks(
    state.OUTPUT_HAS_THE_PROMISED_SHAPE,
    sentence="40ca5c9b",
    cases=cases(batch=(1, 4), q_len=(1, 5), masks=MASK_KINDS),
    most=15,
)
def test_output_has_the_promised_shape(subject: Subject, case: Case) -> None:
    """Call it, and look at what comes back."""
    instance, inputs = subject.instance(case), subject.inputs(case)
    expected = calls.promised_shape(case)
    for grad in (False, True):
        with torch.set_grad_enabled(grad):
            output = instance.raw(*calls.arguments(inputs))
        if not isinstance(output, Tensor):
            raise Violation(f"the call returns {calls.described(output)}, where one tensor is promised")
        if tuple(output.shape) != expected:
            raise Violation(f"the output has shape {tuple(output.shape)}, where {expected} is promised")


@checks(state.FINITE_INPUTS_GIVE_FINITE_OUTPUTS, sentence="45051cb0", cases=ANY, most=15)
def test_finite_inputs_give_finite_outputs(subject: Subject, case: Case) -> None:
    """Small inputs, large ones, and tokens whose features are all alike: nothing overflows, no variance turns negative."""
    instance, inputs = subject.instance(case), subject.inputs(case)
    variants = {
        "of size 1": inputs,
        "of size 1000": calls.mapped(inputs, lambda each: 1e3 * each),
        "of size 0.001": calls.mapped(inputs, lambda each: 1e-3 * each),
    }
    if subject.claims.get("eps") != 0:
        variants["whose features are all alike, near 1e6"] = calls.with_constant_tokens(inputs, 1e6)
    for words, each in variants.items():
        for grad in (False, True):
            output = each.specified(instance(each, grad=grad))
            if not bool(output.isfinite().all()):
                index = tuple(int(axis) for axis in (~output.isfinite()).nonzero()[0])
                raise Violation(f"inputs {words} give {output[index].item()}", got=output[index[:-1]], index=index)


@checks(state.INPUTS_ARE_NOT_MODIFIED, sentence="b75e5beb", cases=ANY, most=10)
def test_inputs_are_not_modified(subject: Subject, case: Case) -> None:
    """Keep the originals; after forward, and after backward, what was passed still holds their bits."""
    instance, inputs = subject.instance(case), subject.inputs(case)
    for words, grad, mode in (calls.EVALUATION, *calls.modes(instance)):
        with mode():
            passed = calls.arguments(inputs, gradients=grad)
            with torch.set_grad_enabled(grad):
                output = instance.raw(*passed)
            _require_unchanged(inputs, passed, f"the call {words}")
            if grad and isinstance(output, Tensor) and output.requires_grad:
                calls.backward(output, case.seed)
                _require_unchanged(inputs, passed, f"the backward pass {words}")


def _require_unchanged(inputs: Inputs, passed: tuple[Tensor | None, ...], who: str) -> None:
    for (name, before), after in zip(inputs.arguments().items(), passed, strict=True):
        if before is None or after is None:
            continue
        if before.shape != after.shape or before.dtype is not after.dtype or not torch.equal(before, after.detach()):
            raise Violation(f"{who} changes the caller's {name}", expected=before, got=after)


@checks(state.OUTPUT_IS_A_NEW_TENSOR, sentence="5d2a2280", cases=ANY, most=10)
def test_output_is_a_new_tensor(subject: Subject, case: Case) -> None:
    """Write into the output, and look at everything else: inputs, parameters, the result of another call."""
    instance, inputs = subject.instance(case), subject.inputs(case)
    with torch.no_grad():
        passed = calls.arguments(inputs)
        earlier, output = instance.raw(*calls.arguments(inputs)), instance.raw(*passed)
        if not isinstance(earlier, Tensor) or not isinstance(output, Tensor):
            raise NotChecked("the call returns no tensor; see state.output-has-the-promised-shape")
    kept = earlier.clone()
    held = (
        {} if instance.module is None else {name: each.clone() for name, each in instance.module.state_dict().items()}
    )
    calls.overwrite(output)
    _require_unchanged(inputs, passed, "writing into the output")
    if not torch.equal(kept.nan_to_num(), earlier.nan_to_num()):
        raise Violation("writing into the output changes the result of an earlier call", expected=kept, got=earlier)
    for name, before in held.items():
        after = instance.module_or_not_checked().state_dict()[name]
        if not torch.equal(before.nan_to_num(), after.nan_to_num()):
            raise Violation(f"writing into the output changes the module's {name}", expected=before, got=after)


@checks(state.EVALUATION_IS_DETERMINISTIC, sentence="1cd1b563", cases=ANY, most=15)
def test_evaluation_is_deterministic(subject: Subject, case: Case) -> None:
    """Build it with dropout at one half, and call it twice in evaluation mode."""
    instance, inputs = subject.instance(case, dropout=0.5), subject.inputs(case)
    for grad in (False, True):
        first, second = instance(inputs, grad=grad), instance(inputs, grad=grad)
        require_same(instance, inputs, second, first, "two equal calls in evaluation mode differ")


@checks(state.ONE_FUNCTION_IN_EVERY_MODE, sentence="a1cf967e", cases=ANY, most=20)
def test_one_function_in_every_mode(subject: Subject, case: Case) -> None:
    """Evaluation without gradients is the base; with gradients, in training, and in inference mode nothing differs."""
    size = 30.0 if case.seed % 2 else 1.0  # another path may cut off what is large
    instance, inputs = subject.instance(case), calls.mapped(subject.inputs(case), lambda each: size * each)
    base = instance(inputs)
    for words, grad, mode in (*calls.modes(instance), ("in inference mode", False, torch.inference_mode)):
        with mode() as neutral:
            got = instance(inputs, grad=grad)
            again = instance(inputs, grad=grad) if neutral is not None else got
        try:
            require_same(
                instance, inputs, got, base, f"{words}, the output is another than in evaluation without gradients"
            )
        except Violation:
            if neutral is not None and not (neutral.exact and torch.equal(got, again)):
                raise Inconclusive(
                    "dropout stays on in training although config.dropout is 0: pass config.dropout on"
                ) from None
            raise


@checks(state.CALLS_ARE_INDEPENDENT, sentence="079d7991", cases=ANY, most=12)
def test_calls_are_independent(subject: Subject, case: Case) -> None:
    """Other calls first, of other lengths, masks and modes: then the call returns what a fresh instance's first call does."""
    fresh, inputs = subject.instance(case), subject.inputs(case)
    expected = fresh(inputs)
    require_same(fresh, inputs, fresh(inputs), expected, "a second equal call returns something else")
    used = calls.twin(fresh, subject.instance(case))
    earlier = calls.other_calls(subject, case)
    for _, run in earlier:
        run(used)
    message = "after other calls the output is another"
    try:
        require_same(fresh, inputs, calls.run(used, inputs), expected, message)
        require_same(fresh, inputs, calls.run(used, inputs), expected, message)
    except Violation:
        if not torch.equal(calls.twin(fresh, subject.instance(case))(inputs), expected):
            raise NotChecked(
                "two fresh instances with equal weights differ already; see the state_dict's clause"
            ) from None
        for words, run in earlier:  # which one was it?
            alone = calls.twin(fresh, subject.instance(case))
            run(alone)
            require_same(
                fresh, inputs, calls.run(alone, inputs), expected, f"after a call {words}, the output is another"
            )
        raise


@checks(state.BATCH_ROWS_ARE_INDEPENDENT, sentence="c5ad8f05", cases=cases(batch=(2, 3), masks=MASK_KINDS), most=20)
def test_batch_rows_are_independent(subject: Subject, case: Case) -> None:
    """Replace every row but one, tokens and mask: that one does not change."""
    if case.batch < 2:
        raise NotChecked("the subject takes one row at a time")
    instance, inputs = subject.instance(case), subject.inputs(case)
    replaced = {row: calls.with_other_rows(subject, case, inputs, row) for row in {0, case.batch - 1}}
    for words, grad, mode in (calls.EVALUATION, *calls.modes(instance)):
        with mode():
            base = _seeded(instance, inputs, case, grad=grad)
            for row, others in replaced.items():
                changed = _seeded(instance, others, case, grad=grad)
                if not torch.equal(changed[row], base[row]):
                    message = f"row {row} changes with the other rows of the batch ({words})"
                    require_same(instance, inputs.only_row(row), changed[row : row + 1], base[row : row + 1], message)


def _seeded(instance: Instance, inputs: Inputs, case: Case, *, grad: bool) -> Tensor:
    """One call that draws what its pair draws, and leaves no buffer behind for it."""
    process_state.seed(case.seed)
    with contextlib.nullcontext() if instance.module is None else buffers_kept(instance.module):
        return instance(inputs, grad=grad)


@checks(state.STATE_DICT_HOLDS_THE_WHOLE_FUNCTION, sentence="098e8c79", cases=ANY, most=12)
def test_state_dict_holds_the_whole_function(subject: Subject, case: Case) -> None:
    """Load one instance's state_dict into another, which started from other weights: they compute the same."""
    first = subject.instance(case)
    module, inputs = first.module_or_not_checked(), subject.inputs(case)
    first(inputs)
    expected = first(inputs)
    second = subject.instance(dataclasses.replace(case, seed=case.seed + 1))
    try:
        second.module_or_not_checked().load_state_dict(
            {name: each.clone() for name, each in module.state_dict().items()}
        )
    except (RuntimeError, KeyError) as error:
        raise Violation(f"a second instance does not load the state_dict: {calls.first_line(error)}") from error
    message = "a second instance with the same state_dict computes something else"
    require_same(first, inputs, second(inputs), expected, message)
    require_same(first, inputs, second(inputs, grad=True), expected, message)


@checks(state.EVERY_PARAMETER_IS_REGISTERED, sentence="69efa9ab", cases=ANY, most=8)
def test_every_parameter_is_registered(subject: Subject, case: Case) -> None:
    """Built in one dtype and moved to the other, it runs in that one and computes the same, up and down."""
    for before, after in ((torch.float32, torch.float64), (torch.float64, torch.float32)):
        moving.require_follows(subject, case, before, after)


@checks(state.EVERY_PARAMETER_IS_REGISTERED, sentence="69efa9ab", cases=ANY, most=8)
def test_every_parameter_is_registered_by_deepcopy(subject: Subject, case: Case) -> None:
    """A deep copy computes the same, follows its own parameters, and leaves the original alone."""
    original, inputs = subject.instance(case), subject.inputs(case)
    module = original.module_or_not_checked()
    expected = original(inputs)
    try:
        copied = original.on(copy.deepcopy(module))
    except Exception as error:
        raise Violation(f"copy.deepcopy raises {type(error).__name__}: {calls.first_line(error)}") from error
    require_same(original, inputs, copied(inputs), expected, "a deep copy computes something else")
    with in_training(copied):  # as an optimiser does: what is kept for inference may be kept until then
        randomise(copied.module_or_not_checked(), case.seed + 2)
    require_same(original, inputs, original(inputs), expected, "changing a deep copy's parameters changes the original")
    got = copied(inputs)
    module.load_state_dict(copied.module_or_not_checked().state_dict(), strict=False)
    message = "a deep copy does not follow its own parameters: something in it still points to the original's"
    require_same(original, inputs, got, original(inputs), message)


@checks(state.LAYOUT_DOES_NOT_MATTER, sentence="e3611f02", cases=ANY, most=10)
def test_layout_does_not_matter(subject: Subject, case: Case) -> None:
    """Equal values in other strides: equal outputs."""
    instance, inputs = subject.instance(case), subject.inputs(case)
    same_rows = calls.mapped(inputs, lambda each: expanded(each).contiguous(), masks=True)
    for grad in (False, True):
        _require_layouts_agree(instance, inputs, LAYOUTS, grad=grad)
        _require_layouts_agree(instance, same_rows, {"expanded": expanded}, grad=grad)


def _require_layouts_agree(
    instance: Instance, inputs: Inputs, layouts: dict[str, Callable[[Tensor], Tensor]], *, grad: bool
) -> None:
    expected = instance(inputs, grad=grad)
    for words, layout in layouts.items():
        with torch.set_grad_enabled(grad):
            try:
                got = instance.raw(*calls.arguments(inputs, layout=layout))
            except SubjectError as error:
                raise Violation(f"inputs that are {words} raise where contiguous ones do not: {error}") from error
        if not isinstance(got, Tensor):
            raise NotChecked("the call returns no tensor; see state.output-has-the-promised-shape")
        require_same(
            instance,
            inputs,
            inputs.specified(got),
            expected,
            f"inputs that are {words} give another output than contiguous ones",
        )


@checks(
    state.ONE_TOKEN_AND_ONE_ROW_WORK,
    sentence="4d6b2d1f",
    cases=cases(batch=(2, 3), q_len=(2, 3), k_len=(2, 3), masks=MASK_KINDS),
    most=10,
)
def test_one_token_and_one_row_work(subject: Subject, case: Case) -> None:
    """Each row alone equals itself within the batch, for whole sequences and for sequences of one token."""
    fixed = subject.declaration.sizes
    short = dataclasses.replace(case, q_len=1, k_len=1)
    if "batch" in fixed:
        raise NotChecked(f"the subject takes batches of {fixed['batch']} only")
    for each in (case,) if "q_len" in fixed or "k_len" in fixed else (case, short):
        instance, inputs = subject.instance(each), subject.inputs(each)
        for grad in (False, True):
            together = _promised(instance, inputs, each, grad=grad)
            for row in range(each.batch):
                alone = inputs.only_row(row)
                got = _promised(instance, alone, dataclasses.replace(each, batch=1), grad=grad)
                words = f"a batch of one row with {each.q_len} token{'s' if each.q_len > 1 else ''}"
                require_same(
                    instance, alone, got, together[row : row + 1], f"{words} gives another output than within a batch"
                )


def _promised(instance: Instance, inputs: Inputs, case: Case, *, grad: bool) -> Tensor:
    words = f"a call with batch={case.batch} q_len={case.q_len}"
    try:
        output = instance(inputs, grad=grad)
    except SubjectError as error:
        raise Violation(f"{words} raises: {error}") from error
    if tuple(output.shape) != calls.promised_shape(case):
        raise Violation(f"{words} returns shape {tuple(output.shape)}, where {calls.promised_shape(case)} is promised")
    return output


@checks(state.A_BAD_SHAPE_RAISES, sentence="f72fcfd0", cases=cases(), most=6)
def test_a_bad_shape_raises(subject: Subject, case: Case) -> None:
    """One feature more, one less, one alone, and twice as many: each raises."""
    instance, good = subject.instance(case), subject.inputs(case)
    size = good.tensors[0].shape[-1]
    for features in sorted({size - 1, size + 1, 2 * size} - {0, 1}):
        for place in range(1 if good.self_attending else len(good.tensors)):
            tensors = list(good.tensors)
            wrong = normal((*tensors[place].shape[:-1], features), generator(case.seed), subject.dtype, subject.device)
            tensors[place] = wrong
            if good.self_attending:
                tensors = [wrong] * len(tensors)
            try:
                output = instance(dataclasses.replace(good, tensors=tuple(tensors)))
            except SubjectError:
                continue
            raise Violation(
                f"{calls.names_of_tensors(good)[place]} of {features} features, where {size} are configured, does not raise: it "
                f"gives shape {tuple(output.shape)}"
            )


@checks(state.CALLER_STATE_IS_RESTORED, sentence="6718e019", cases=ANY, most=12)
def test_caller_state_is_restored(subject: Subject, case: Case) -> None:
    """Look at the process's settings before and after; in evaluation at every source of random numbers too."""
    instance, inputs = subject.instance(case, dropout=0.5), subject.inputs(case)
    for words, grad, mode in (calls.EVALUATION, *calls.modes(instance)):
        random = process_state.random_states()
        with torch.set_grad_enabled(grad), mode():
            before = process_state.settings() | _switches(instance)
            instance.raw(*calls.arguments(inputs))
            after = process_state.settings() | _switches(instance)
        for name, value in before.items():
            if after.get(name, value) != value:
                raise Violation(f"a call {words} changes {name} from {value} to {after[name]}")
        if "training" in words:
            continue
        for name, value in random.items():
            if not process_state.same(value, process_state.random_states()[name]):
                raise Violation(f"a call {words} changes the state of {name}'s global random numbers")


def _switches(instance: Instance) -> dict[str, object]:
    """What the caller has set on the module: which parts train, and which parameters are frozen."""
    if instance.module is None:
        return {}
    trained = {f"training of {name or 'the module'}": each.training for name, each in instance.module.named_modules()}
    frozen = {f"requires_grad of {name}": each.requires_grad for name, each in instance.module.named_parameters()}
    return {**trained, **frozen}


@checks(state.CALLS_ARE_SILENT, sentence="2da98cb0", cases=ANY, most=6)
def test_calls_are_silent(subject: Subject, case: Case) -> None:
    """Catch what is written while it is called, in every mode, by Python and below it."""
    instance, inputs = subject.instance(case), subject.inputs(case)
    for words, grad, mode in (calls.EVALUATION, *calls.modes(instance)):
        with captured() as written, mode():
            instance(inputs, grad=grad)
        if written.text:
            raise Violation(f"a call {words} prints {written.text.strip()[:60]!r}")
