"""Device, tested: everything that a module needs goes where the module goes."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator

import torch

from veriformer import calls, forked, global_device, simulated_device, tolerance
from veriformer.case import Case
from veriformer.inputs import Inputs
from veriformer.outcome import Inconclusive, NotChecked, SubjectError, Violation
from veriformer.property import checks
from veriformer.strategies import cases
from veriformer.subjects import Instance, Subject
from veriformer_spec import device
from veriformer_spec.config import MASK_KINDS

NO_CUDA = "no CUDA device"


@checks(device.EVERYTHING_FOLLOWS_THE_MODULE, sentence="cd20e6ee", cases=cases(masks=MASK_KINDS), most=1, floor=1)
def test_everything_follows_the_module(subject: Subject, case: Case) -> None:
    """Move module and inputs to a simulated device: no operation meets a tensor left on the CPU, in any mode, under any mask."""
    if subject.device.type != "cpu":
        raise NotChecked(f"the subject is judged on {subject.device}, where torch itself refuses mixed devices")
    forked.apart(lambda: _each_mask(subject, case, _require_all_there))


def _require_all_there(subject: Subject, case: Case) -> None:
    with global_device.watched() as asked:
        instance, inputs = subject.instance(case), subject.inputs(case)
        instance(inputs)
        with simulated_device.simulated() as simulation:
            moved = _moved(instance, inputs)
            words = ""
            try:
                for words, grad, mode in (calls.EVALUATION, *calls.modes(instance)):
                    with mode():
                        output = instance(moved, grad=grad)
                    if not isinstance(output, simulated_device.OnDevice):
                        raise Violation(f"{words}, the output is on the CPU though everything that went in is not")
            except SubjectError as error:
                if not simulation.left:
                    raise NotChecked(f"the simulated device cannot run it: {error}") from error
                if why := asked.taken_from_elsewhere(instance):
                    raise Inconclusive(f"{why}: take x.device, and it follows the module") from error
                raise Violation(
                    f"{words}, {simulation.left[-1]}: it was made without device=, or kept in a plain attribute"
                ) from error


@checks(
    device.CUDA_EQUALS_CPU_WITHIN_ROUNDING, sentence="438339bc", cases=cases(d_head=(2, 16), masks=MASK_KINDS), most=25
)
def test_cuda_equals_cpu_within_rounding(subject: Subject, case: Case) -> None:
    """The same numbers on CUDA and on the CPU, in both dtypes, with and without gradients."""
    if (
        not torch.cuda.device_count() or not torch.cuda.is_available()
    ):  # the count is safe before a fork, and asked first
        raise NotChecked(NO_CUDA)
    here = dataclasses.replace(subject, device=torch.device("cpu"))
    there = dataclasses.replace(subject, device=torch.device("cuda"))
    exact: Instance | None = None
    with _without_tf32():
        for dtype in (torch.float64, torch.float32):
            inputs = here.inputs(case, dtype=dtype)
            near = here.instance(case, dtype=dtype)
            far = calls.twin(near, there.instance(case, dtype=dtype))
            exact = exact or near  # the float64 run, in which noise is injected
            given, run = inputs.to(torch.float64), exact
            for grad in (False, True):
                tolerance.require_close(
                    inputs.specified(far(there.inputs(case, dtype=dtype), grad=grad)),
                    inputs.specified(near(inputs, grad=grad)),
                    f"in {str(dtype).removeprefix('torch.')} the output on CUDA is another than on the CPU",
                    dtype=torch.float32 if dtype is torch.float32 else subject.rounds_to,
                    again=lambda given=given, run=run: run(given, grad=True),  # type: ignore[misc]  # bound now, used at once
                )


@checks(device.CUDA_EQUALS_CPU_WITHIN_ROUNDING, sentence="438339bc", cases=cases(masks=MASK_KINDS), most=1, floor=1)
def test_cuda_equals_cpu_by_simulation(subject: Subject, case: Case) -> None:
    """A simulated accelerator takes the way that code keeps for CUDA; it can show a difference, and cannot rule one out."""
    if subject.device.type == "cpu":
        forked.apart(lambda: _each_mask(subject, case, _require_equal_there))
    if not torch.cuda.device_count():
        raise NotChecked(NO_CUDA)


def _require_equal_there(subject: Subject, case: Case) -> None:
    instance, here, inputs = subject.instance(case), subject.instance(case), subject.inputs(case)
    with simulated_device.simulated():
        moved = _moved(instance, inputs)
        try:
            outputs = [instance(moved, grad=grad) for grad in (False, True)]
        except SubjectError as error:
            raise NotChecked(f"{NO_CUDA}, and the simulated one cannot run it: {error}") from error
    for grad, got in enumerate(outputs):
        tolerance.require_close(
            inputs.specified(simulated_device.values(got)),
            inputs.specified(here(inputs, grad=bool(grad))),
            "on an accelerator, if only a simulated one, the output is another than on the CPU",
            dtype=subject.rounds_to,
            again=lambda: here(inputs, grad=True),
        )


def _each_mask(subject: Subject, case: Case, require: Callable[[Subject, Case], None]) -> None:
    """Look at the case once for each kind of mask: in one process for all, because a process costs more than a call.

    Raises:
        NotChecked: under one of them it cannot be simulated, and under no other something was wrong.
    """
    if reason := simulated_device.why_not():
        raise NotChecked(reason)
    unseen = []
    for kind in subject.masks:
        try:
            side = "self" if kind == "causal" else case.side
            k_len = case.q_len if kind == "causal" else case.k_len
            context = case.context or (case.k_len if side != case.side else 0)
            require(subject, dataclasses.replace(case, mask=kind, side=side, k_len=k_len, context=context))
        except NotChecked as why:
            unseen.append(f"mask={kind}: {why}")
    if unseen:
        raise NotChecked("; ".join(unseen[:1]))


def _moved(instance: Instance, inputs: Inputs) -> Inputs:
    """Module and inputs on the simulated device."""
    there = simulated_device.device()
    if instance.module is not None:
        instance.module.to(there)
    return calls.mapped(inputs, lambda each: each.to(there), masks=True)


@contextlib.contextmanager
def _without_tf32() -> Iterator[None]:
    """Float32 that is float32: TF32 keeps ten bits."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before
