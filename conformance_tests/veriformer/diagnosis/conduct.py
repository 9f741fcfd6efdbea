"""Conduct: what a single output does not show: gradients, other modes, what is left behind, and training."""

import contextlib
import dataclasses
from typing import Any

import torch
from torch import Tensor

from veriformer import process_state
from veriformer.calls import mapped
from veriformer.diagnosis.grounds import Setting, Side, quietly
from veriformer.diagnosis.probes import SEED, Probe, kept
from veriformer.dropout import in_training
from veriformer.inputs import Inputs, generator, normal
from veriformer.outcome import SubjectError
from veriformer.subjects import Subject
from veriformer_spec.role import MODELS, Role


def probes_of(
    subject: Subject, plain: Inputs, hidden: Inputs | None, empty: tuple[Inputs, Tensor | None] | None
) -> list[Probe]:
    """Of a subject that turns tokens into tokens.

    Args:
        plain: a call without a mask.
        hidden: one with a mask, where any is accepted.
        empty: one with a row of nothing but padding, and the rows that see something.
    """
    found = [Probe("gradients", lambda side: _gradients(side, plain))]
    if hidden is not None:
        found.append(Probe("gradients under a mask", lambda side: _gradients(side, hidden)))
        found.append(Probe("repeated calls under a mask", lambda side: _repeated(side, hidden)))
    if empty is not None:
        # with open rows whatever was claimed of them: how a fault treats them is seldom what it is about
        beside = Probe("gradients beside a row of padding", lambda side: _beside(side, *empty), open_rows=True)
        found.append(beside)
    found.append(Probe("repeated calls", lambda side: _repeated(side, plain)))
    if subject.role in MODELS:
        found.append(Probe("no tokens", lambda side: _of_nothing(side, plain)))
    if subject.role is Role.TOKEN_EMBEDDING:
        found.append(Probe("gradients of every word", lambda side: _gradients(side, _every_word(plain))))
    if subject.claims.get("dropout") is not None and subject.declaration.has_module:
        found += [
            Probe(
                f"training at a rate of {rate:g}",
                lambda side: _in_training(side, plain),
                Setting(dropout=rate),
                free=True,
            )
            for rate in (0.4, 1.0)
        ]
        found.append(Probe("evaluation at a rate of 0.4", lambda side: _output(side, plain), Setting(dropout=0.4)))
    return found


def _output(side: Side, inputs: Inputs) -> dict[str, Tensor]:
    return {"output": side.instance(side.given(inputs))}


def _gradients(side: Side, inputs: Inputs, keep: Tensor | None = None) -> dict[str, Tensor]:
    """Of one random sum of the output: towards what was passed, and towards the parameters.

    Args:
        keep: ``batch q_len``: the rows of which it is the sum; None for all.
    """
    given = side.given(inputs).requiring_gradients()
    output = side.instance(given, grad=True)
    if not output.requires_grad:
        return {"no gradient": torch.zeros(1)}
    direction = normal(tuple(output.shape), generator(SEED), torch.float64, torch.device("cpu"))
    loss = (kept(output, keep) * direction.to(output)).sum()
    leaves = list(dict.fromkeys(each for each in given.tensors if each.requires_grad))
    found: dict[str, Tensor] = {}
    if leaves:
        towards = torch.autograd.grad(loss, leaves, allow_unused=True, materialize_grads=True, retain_graph=True)
        found |= {f"towards {index}": each for index, each in enumerate(towards)}
    return found | dict(side.gradients(loss))


def _every_word(inputs: Inputs) -> Inputs:
    """A call with the first ids there are, that of padding too, where no mask says that it is none."""
    (ids,) = inputs.tensors
    first = torch.arange(ids.numel(), device=ids.device).reshape(ids.shape) % inputs.vocab
    return dataclasses.replace(inputs, tensors=(first,))


def _of_nothing(side: Side, inputs: Inputs) -> dict[str, Tensor]:
    """Of a sequence without tokens: an exception and an empty answer are both as promised."""
    try:
        output = side.instance(side.given(inputs).taking(torch.arange(0)))
    except SubjectError:
        return {"answers": torch.zeros(1)}
    return {"output": output} if output.numel() else {"answers": torch.zeros(1)}


def _beside(side: Side, inputs: Inputs, keep: Tensor | None) -> dict[str, Tensor]:
    """Gradients of the rows that see something. Where the others are NaN, as they may be, nothing is promised of gradients."""
    output = side.instance(side.given(inputs))
    if bool(output.isnan().any()):
        return {"output": output}
    return {name: each.nan_to_num(nan=torch.inf) for name, each in _gradients(side, inputs, keep).items()}


def _repeated(side: Side, inputs: Inputs) -> dict[str, Tensor]:
    """What a second call gives, what it does to the first one's result, to what was passed, and to the process."""
    instance, inputs = side.instance, side.given(inputs)
    other = mapped(inputs, lambda each: each * 0.5)
    if inputs.vocab and instance.subject.role in MODELS:
        other = dataclasses.replace(inputs, tensors=tuple(each.roll(1, -2) for each in inputs.tensors))
    found: dict[str, Tensor] = {}
    passed = inputs.passed()
    with quietly() as said, torch.no_grad():
        first = instance.raw(*passed)
        found["words printed"] = torch.tensor([float(bool(said.getvalue()))])
    if not isinstance(first, Tensor):
        raise SubjectError("no tensor came back", origin="call")
    found["first"] = inputs.specified(first.clone())
    for index, (each, before) in enumerate(zip(passed, inputs.passed(), strict=True)):
        if each is not None and before is not None and each.shape == before.shape:
            found[f"passed {index}"] = each.double() - before.double()
    with torch.no_grad(), quietly():
        found["another"] = inputs.specified(instance.raw(*other.passed()))
        found["first, later"] = inputs.specified(first.clone())
        found["again"] = inputs.specified(instance.raw(*inputs.passed()))
        found["with another layout"] = inputs.specified(instance.raw(*inputs.passed(_outer_axes_swapped)))
        found["random numbers after it"] = torch.tensor([float(_reseeds(instance, inputs))])
    found["with gradients"] = instance(inputs, grad=True)
    with in_training(instance), quietly():
        found["in training"] = instance(inputs, grad=True)
    return found


def _outer_axes_swapped(tensor: Tensor) -> Tensor:
    if tensor.dim() < 3 or not tensor.is_floating_point():
        return tensor.clone()
    return tensor.transpose(-3, -2).contiguous().transpose(-3, -2)


def _reseeds(instance: Any, inputs: Inputs) -> bool:
    """Whether random numbers after a call are the same, whatever the seed before it was."""
    drawn = []
    for seed in (3, 4):
        process_state.seed(seed)
        instance.raw(*inputs.passed())
        drawn.append(torch.rand(1))
    return torch.equal(*drawn)


def _in_training(side: Side, inputs: Inputs) -> dict[str, Tensor]:
    """With dropout on, twice, and a row of the batch against the next where both hold the same tokens."""
    instance, inputs = side.instance, side.given(inputs)
    assert instance.module is not None
    instance.module.train()
    try:
        with contextlib.ExitStack():
            return {"first": instance(inputs), "second": instance(inputs)}
    finally:
        instance.module.eval()
