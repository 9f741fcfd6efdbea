"""The reference as an oracle: with the subject's weights, in float64, under the subject's claims."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

import veriformer_reference
from veriformer import tolerance
from veriformer.declaration import UsageError
from veriformer.inputs import Inputs
from veriformer.other_claims import other_claims
from veriformer.outcome import NotChecked, Violation
from veriformer.subjects import Instance
from veriformer.understanding import copied, mapped_weights
from veriformer_reference.build import build


def oracle(instance: Instance, **changes: Any) -> Callable[[Inputs], Tensor]:
    """A function of a call's inputs that computes what the specification says comes out, in float64 on the CPU.

    Args:
        changes: other values of the configuration, to ask what another claim would give.

    Raises:
        NotChecked: the role has weights, and the adapter gives no mapping; or the scale is left unspecified.
    """
    if instance.config.scale == "unspecified" and "scale" not in changes:
        raise NotChecked("the scale is left unspecified, so the reference cannot say what comes out")
    function = _reference(instance, **changes)
    if isinstance(function, nn.Module) and any(True for _ in function.parameters()):
        function.eval()
        mapping = mapped_weights(instance)
        absent = sorted({name for name, _ in function.named_parameters()} - mapping.keys())
        if absent:
            raise NotChecked(f"the mapping for the claims made has no {', '.join(absent)}")
        copied(mapping, function)

    def compute(inputs: Inputs) -> Tensor:
        arguments = inputs.to(torch.float64).passed(Tensor.cpu)
        while arguments[-1] is None:
            arguments = arguments[:-1]
        with unchecked(), torch.no_grad():
            result: Tensor = function(*arguments)
        return inputs.specified(result)

    return compute


def require_equals_the_reference(instance: Instance, inputs: Inputs, message: str, *, grad: bool = False) -> None:
    """Fail if the subject's output is not the reference's, and say which other legal claim it would fit.

    Raises:
        NotChecked: the role has weights, and the adapter gives no mapping.
        Violation: they differ by more than rounding explains.
    """
    compute = oracle(instance)
    got, expected = instance(inputs, grad=grad), compute(inputs)
    try:
        close(instance, got, expected, message, lambda: compute(inputs))
    except Violation as seen:
        fitting = other_claims_that_fit(instance, inputs, got)
        if fitting:
            seen.behaves_as(fitting)
        raise


def close(instance: Instance, got: Tensor, expected: Tensor, message: str, again: Callable[[], Tensor]) -> None:
    """``tolerance.require_close`` at the precision that the subject computes in."""
    tolerance.require_close(got, expected, message, dtype=instance.subject.rounds_to, again=again)


def other_claims_that_fit(instance: Instance, inputs: Inputs, got: Tensor, *, only: str = "") -> list[str]:
    """Which other legal claims would make the reference give ``got``: a legal alternative is told from a bug by them.

    One claim is changed at a time. Claims under which the reference needs weights that the mapping lacks are left out.

    Args:
        only: the one claim to change; every claim in turn where it is empty.

    Returns:
        such as ``["norm=pre"]``; empty where nothing fits, or where there is no mapping.
    """
    fitting = []
    for name, value in _other_claims(instance):
        if only and name != only:
            continue
        try:
            compute = oracle(instance, **{name: value})
            expected = compute(inputs)
            close(instance, got, expected, "", lambda compute=compute: compute(inputs))  # type: ignore[misc]  # bound now
        except (Violation, NotChecked, UsageError, ValueError, RuntimeError):
            continue
        fitting.append(f"{name}={value:.3g}" if isinstance(value, float) else f"{name}={value}")
    return fitting


def _other_claims(instance: Instance) -> Iterator[tuple[str, object]]:
    config = instance.config
    yield from other_claims(instance.subject.role, instance.subject.claims, config)
    if "scale" in instance.subject.claims:
        yield from (("scale", number) for number in (config.d_model**-0.5, 1 / config.d_head))


def _reference(instance: Instance, **changes: Any) -> Callable[..., Tensor]:
    """The reference for the subject's role, a module wherever it has weights."""
    config = dataclasses.replace(instance.config, **{"dropout": 0.0, "computes_in": "input", **changes})
    with unchecked():
        built = build(instance.subject.role, config)
    return built.double() if isinstance(built, nn.Module) else built


@contextlib.contextmanager
def unchecked() -> Iterator[None]:
    """Run the reference without its shape checks, which take longer than its arithmetic at these sizes."""
    with veriformer_reference.checked(False):
        yield


def gradients(instance: Instance, inputs: Inputs, direction: Tensor) -> dict[str, Tensor]:
    """The gradient of ``direction · output`` for each of the reference's parameters, with the subject's weights.

    Raises:
        NotChecked: the adapter gives no mapping, or leaves the scale unspecified.
    """
    if instance.config.scale == "unspecified":
        raise NotChecked("the scale is left unspecified, so the reference cannot say what comes out")
    function, mapping = _reference(instance), mapped_weights(instance)
    assert isinstance(function, nn.Module)
    function.eval()
    copied(mapping, function)
    arguments = inputs.to(torch.float64).passed(Tensor.cpu)
    while arguments[-1] is None:
        arguments = arguments[:-1]
    names, parameters = zip(*function.named_parameters(), strict=True)
    with unchecked(), torch.enable_grad():
        output = inputs.specified(function(*arguments))
        found = torch.autograd.grad((output * direction).sum(), parameters, allow_unused=True, materialize_grads=True)
    return dict(zip(names, found, strict=True))
