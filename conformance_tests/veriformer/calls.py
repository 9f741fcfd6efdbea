"""Calls as a caller makes them: raw arguments, every mode, other calls before, other rows beside."""

import contextlib
import dataclasses
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from veriformer.case import Case
from veriformer.dropout import Expectation, in_training
from veriformer.inputs import Inputs, generator, normal
from veriformer.outcome import SubjectError, Violation
from veriformer.subjects import Instance, Subject
from veriformer_spec.role import CROSS_ATTENDING, MODELS, Role

Mode = tuple[str, bool, Callable[[], contextlib.AbstractContextManager[Expectation | None]]]
"""Words for a reader, whether gradients are recorded, and what to enter around the call."""
EVALUATION: Mode = ("in evaluation, without gradients", False, contextlib.nullcontext)


def modes(instance: Instance) -> Iterator[Mode]:
    """Every mode but evaluation without gradients; a bare function does not know training."""
    yield "in evaluation, with gradients", True, contextlib.nullcontext
    if instance.module is not None:
        yield "in training", True, lambda: in_training(instance)


def promised_shape(case: Case) -> tuple[int, ...]:
    """The shape of what comes back."""
    if case.role is Role.ATTENTION:
        return (case.batch, case.heads, case.q_len, case.d_value)
    if case.role is Role.ROTARY_ENCODING:
        return (case.batch, case.heads, case.q_len, case.d_head)
    return (case.batch, case.q_len, case.vocab if case.role in MODELS else case.d_model)


def names(inputs: Inputs) -> tuple[str, ...]:
    """What the caller would call each argument of the call, in its order."""
    return tuple(inputs.arguments())


def names_of_tensors(inputs: Inputs) -> tuple[str, ...]:
    """What the caller would call each of ``inputs.tensors``."""
    if inputs.role is Role.ENCODER_DECODER:
        return ("target", "source")
    return names(inputs)


def mapped(inputs: Inputs, change: Callable[[Tensor], Tensor], *, masks: bool = False) -> Inputs:
    """The same call with every number changed; tokens that attend to themselves stay one tensor.

    Args:
        masks: masks and ids are changed too, as by a move to a device; without it they stay as they are.
    """

    def changed(tensor: Tensor) -> Tensor:
        return change(tensor) if masks or tensor.is_floating_point() else tensor

    def of_mask(mask: Tensor | None) -> Tensor | None:
        return change(mask) if masks and mask is not None else mask

    one = inputs.self_attending
    tensors = tuple(changed(each) for each in inputs.tensors[: 1 if one else None])
    return dataclasses.replace(
        inputs,
        tensors=tensors * (len(inputs.tensors) if one else 1),
        mask=of_mask(inputs.mask),
        context=tuple(changed(each) for each in inputs.context),
        context_mask=of_mask(inputs.context_mask),
    )


def with_constant_tokens(inputs: Inputs, size: float) -> Inputs:
    """The same call with tokens whose features are all alike: the first of each token, times ``size``."""
    return mapped(inputs, lambda each: (each[..., :1] * size).expand_as(each).contiguous())


def arguments(
    inputs: Inputs, *, gradients: bool = False, layout: Callable[[Tensor], Tensor] = torch.clone
) -> tuple[Tensor | None, ...]:
    """What is passed: copies in their own memory, laid out as ``layout`` does it.

    Args:
        gradients: as in the middle of a network: the tensors require a gradient, and are no leaves.
    """

    def passed(tensor: Tensor) -> Tensor:
        if not gradients or not tensor.is_floating_point():
            return layout(tensor)
        with torch.enable_grad():
            return layout(tensor.detach().clone().requires_grad_().clone())

    return inputs.passed(passed)


def backward(output: Tensor, seed: int) -> None:
    """Send a random gradient back.

    Raises:
        SubjectError: the backward pass raised, as it does where something it needs was overwritten.
    """
    direction = normal(tuple(output.shape), generator(seed), output.dtype, output.device)
    try:
        with torch.enable_grad():  # given the direction itself, torch imports all of sympy to compare two shapes
            total = (output * direction).sum()
        torch.autograd.backward(total)
    except Exception as error:
        raise SubjectError(
            f"the backward pass raised {type(error).__name__}: {first_line(error)}", origin="call"
        ) from error


def first_line(error: Exception) -> str:
    """What an exception says, on one line."""
    lines = [line.strip() for line in str(error).strip().split("\n") if line.strip()]
    return " ".join(lines[:2])[:300]


def described(output: object) -> str:
    """What came back, where it is no tensor."""
    if isinstance(output, tuple | list):
        return f"a {type(output).__name__} of {len(output)} ({', '.join(type(each).__name__ for each in output)})"
    return f"a {type(output).__name__}"


def overwrite(output: Tensor) -> None:
    """Write another value into every element; in inference mode, where tensors of every kind may be written."""
    with torch.inference_mode():
        target = output.detach()
        try:
            target.fill_(7.0)
        except RuntimeError:  # elements share memory: one at a time
            for index in itertools.product(*map(range, target.shape)):
                target[index] = 7.0


def run(instance: Instance, inputs: Inputs) -> Tensor:
    """A call that worked on a fresh instance.

    Raises:
        Violation: here it raises.
    """
    try:
        return instance(inputs)
    except SubjectError as error:
        raise Violation(f"after other calls, a call raises that a fresh instance answers: {error}") from error


def twin(of: Instance, instance: Instance) -> Instance:
    """``instance`` with the weights of ``of``: an initialiser need not draw from torch's random numbers."""
    if of.module is not None and instance.module is not None:
        with contextlib.suppress(RuntimeError):  # the clause on the state_dict will say so
            instance.module.load_state_dict(of.module.state_dict(), strict=False)
    return instance


def other_calls(subject: Subject, case: Case) -> list[tuple[str, Callable[[Instance], None]]]:
    """Calls to be made before a call of ``case``, which must not show in it."""
    fixed = subject.declaration.sizes
    longest = subject.config(case).max_len
    crosses = case.role in CROSS_ATTENDING and case.side == "cross"
    kind = next((each for each in subject.masks if each != case.mask and not (crosses and each == "causal")), None)
    others: dict[str, Case] = {}
    if not {"q_len", "k_len"} & fixed.keys():
        longer = min(max(case.q_len, case.k_len) + 3, longest)
        others["on longer sequences"] = dataclasses.replace(case, q_len=longer, k_len=longer)
        others["on shorter sequences"] = dataclasses.replace(case, q_len=1, k_len=1, mask="none")
    if "batch" not in fixed:
        others["on a larger batch"] = dataclasses.replace(case, batch=case.batch + 1)
    if kind is not None:
        others[f"with mask={kind}"] = dataclasses.replace(
            case, mask=kind, k_len=case.q_len if kind == "causal" else case.k_len
        )
    others["with other inputs"] = dataclasses.replace(case, seed=case.seed + 7)

    def plain(other: Case) -> Callable[[Instance], None]:
        return lambda instance: _attempt(instance, subject.inputs(other), grad=False)

    found = [(words, plain(other)) for words, other in others.items()]
    found.append(
        (
            "in training",
            lambda instance: _train(instance, subject.inputs(dataclasses.replace(case, seed=case.seed + 8))),
        )
    )
    return found


def _attempt(instance: Instance, inputs: Inputs, *, grad: bool) -> None:
    with contextlib.suppress(SubjectError):  # other clauses will say so
        output = instance(inputs, grad=grad)
        if grad and output.requires_grad:
            backward(output, 1)


def _train(instance: Instance, inputs: Inputs) -> None:
    with in_training(instance):
        _attempt(instance, inputs, grad=True)


def in_another_dtype(instance: Instance, inputs: Inputs, dtype: torch.dtype) -> None:
    """Cast the module to ``dtype``, call it, cast it back, and restore every number in its parameters and buffers."""
    module = instance.module
    if module is not None:
        held = [(each, each.detach().clone()) for each in (*module.parameters(), *module.buffers())]
        own = inputs.tensors[0].dtype
        module.to(dtype)
        _attempt(instance, inputs.to(dtype), grad=False)
        module.to(own)
        with torch.no_grad():
            for tensor, before in held:
                tensor.copy_(before)
    else:
        _attempt(instance, inputs.to(dtype), grad=False)


def with_other_rows(subject: Subject, case: Case, inputs: Inputs, row: int) -> Inputs:
    """The same call with every row of the batch but ``row`` replaced: tokens three times as large, and another mask."""
    other = subject.inputs(dataclasses.replace(case, seed=case.seed + 9))
    kept = torch.zeros(case.batch, dtype=torch.bool, device=subject.device)
    kept[row] = True

    def mixed(own: Tensor, foreign: Tensor) -> Tensor:
        return torch.where(kept.view(-1, *[1] * (own.dim() - 1)), own, foreign)

    def mixed_masks(own: Tensor | None, foreign: Tensor | None) -> Tensor | None:
        return own if own is None or foreign is None else mixed(own, foreign)

    foreign = mapped(other, lambda each: 3 * each)
    tensors: tuple[Any, ...] = tuple(
        mixed(own, theirs) for own, theirs in zip(inputs.tensors, foreign.tensors, strict=True)
    )
    if inputs.self_attending:
        tensors = tensors[:1] * len(tensors)
    context = tuple(mixed(own, theirs) for own, theirs in zip(inputs.context, foreign.context, strict=True))
    return dataclasses.replace(
        inputs,
        tensors=tensors,
        mask=mixed_masks(inputs.mask, other.mask),
        context=context,
        context_mask=mixed_masks(inputs.context_mask, other.context_mask),
    )
