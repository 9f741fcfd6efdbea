"""Weighing: the three ways of bringing a subject and the reference onto the same weights.

Known weights: the adapter's mapping, or one that was found. Where it gives views of the subject's own parameters, fixed numbers are
written through it, so that the reference's answers, once computed, serve for every subject of the same role and claims. Symmetric
weights: nobody needs to know which parameter is which. And no weights at all.
"""

import functools
import hashlib
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from veriformer.case import Case
from veriformer.diagnosis.grounds import CannotCompare, Ground, Grounds, Setting, built, fresh, possible_case
from veriformer.errors import Unsupported
from veriformer.mapping import NotUnderstood, automatic, symmetric
from veriformer.mapping.hypotheses import hypotheses as possible
from veriformer.mapping.hypotheses import idle, measured_readings
from veriformer.mapping.symmetric import Hypothesis
from veriformer.subjects import Instance, Subject
from veriformer.weights import is_view_into, randomise, scale_matrices, trainable
from veriformer_spec.config import Config
from veriformer_spec.role import Role

Weights = Callable[[nn.Module, Config], Mapping[str, Tensor]]
"""The subject's tensors under the reference's parameter names."""
Named = Mapping[str, Tensor]


def on_outputs(subject: Subject) -> Grounds:
    """Compared as they are: the reference has no weights in this role."""

    def make(setting: Setting, case: Case) -> Ground:
        instance = built(subject, setting, case)
        return Ground(subject, instance, _nothing, _no_gradients, _no_gradients_either, ("outputs", instance.config))

    return Grounds(subject, "outputs", make, possible_case(subject))


def _nothing(_module: nn.Module, _config: Config) -> None:
    pass


def _no_gradients(_loss: Tensor) -> Named:
    return {}


def _no_gradients_either(_module: nn.Module | None, _loss: Tensor) -> Named:
    return {}


def on_weights(subject: Subject, weights: Weights) -> Grounds:
    """Compared with the subject's weights in the reference's places."""

    def make(setting: Setting, case: Case) -> Ground:
        instance = built(subject, setting, case)
        module = instance.module_or_not_checked()
        if setting.factor != 1:
            scale_matrices(module, setting.factor)
        with torch.enable_grad():
            mapping = dict(weights(module, instance.config))
        views = all(is_view_into(each, module) for each in mapping.values())
        if views:
            _write(mapping, standard(subject.role, instance.config, setting.factor))
        held = {name: each.detach().double().cpu().clone() for name, each in mapping.items()}
        fill = functools.partial(_copied, held)
        if views:
            key = ("weights", instance.config, setting, _digest(held))
            ours = functools.partial(_by_name, held)
            return Ground(subject, instance, fill, _of_views(instance, weights), ours, key)
        return Ground(
            subject, instance, fill, _of_copies(instance, mapping), functools.partial(_sent_back, instance, mapping)
        )

    return Grounds(subject, "weights", make, possible_case(subject))


@functools.lru_cache(maxsize=64)
def standard(role: Role, config: Config, factor: float) -> Named:
    """The numbers that every subject of a role gets, where they can be written."""
    module = fresh(role, config)
    if not isinstance(module, nn.Module):
        return {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        for each in module.parameters():
            if each.dim() >= 2:
                nn.init.xavier_uniform_(each.data)
    randomise(module, 5)
    if factor != 1:
        scale_matrices(module, factor)
    return {name: each.detach() for name, each in module.named_parameters(remove_duplicate=False)}


def the_only_table() -> list[Weights]:
    """A bias has one table, which stands one way round or the other."""

    def as_it_stands(module: nn.Module, _: Config) -> Named:
        return {"table": _only(module)}

    def turned(module: nn.Module, _: Config) -> Named:
        return {"table": _only(module).mT}

    return [as_it_stands, turned]


def _only(module: nn.Module) -> Tensor:
    (single,) = [each for _, each in trainable(module) if each.dim() == 2]  # a matrix
    return single


@torch.no_grad()
def _write(mapping: Named, numbers: Named) -> None:
    for name, tensor in mapping.items():
        if name in numbers and numbers[name].shape == tensor.shape:
            tensor.copy_(numbers[name])


def _copied(held: Named, module: nn.Module, _: Config) -> None:
    for name, parameter in module.named_parameters():
        given = held.get(name)
        if given is None or given.shape != parameter.shape:
            raise CannotCompare(name)
        parameter.copy_(given)


def _digest(held: Named) -> str:
    found = hashlib.sha256()
    for name in sorted(held):
        found.update(name.encode())
        found.update(held[name].contiguous().numpy().tobytes())
    return found.hexdigest()


def _of_views(instance: Instance, weights: Weights) -> Callable[[Tensor], Named]:
    """The subject's gradients, read through the mapping as its parameters are: it only cuts and turns them."""

    def gradients(loss: Tensor) -> Named:
        module = instance.module_or_not_checked()
        parameters = [each for _, each in trainable(module)]
        found = torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)
        before = [each.data for each in parameters]
        try:
            for each, gradient in zip(parameters, found, strict=True):
                each.data = gradient.detach().clone()
            mapping = weights(module, instance.config)
            return {f"towards {name}": each.detach().clone() for name, each in sorted(mapping.items())}
        finally:
            for each, value in zip(parameters, before, strict=True):
                each.data = value

    return gradients


def _by_name(held: Named, module: nn.Module | None, loss: Tensor) -> Named:
    """The reference's gradients, for every name that the subject has; zeros where the reference has none."""
    named = {} if module is None else dict(module.named_parameters(remove_duplicate=False))
    used = {name: each for name, each in named.items() if each.requires_grad}
    found = torch.autograd.grad(loss, list(used.values()), allow_unused=True, materialize_grads=True) if used else ()
    known = dict(zip(used, found, strict=True))
    return {f"towards {name}": known.get(name, torch.zeros_like(value)) for name, value in sorted(held.items())}


def _of_copies(instance: Instance, mapping: Named) -> Callable[[Tensor], Named]:
    """The gradients of those of the subject's parameters that some mapped tensor comes from."""

    def gradients(loss: Tensor) -> Named:
        parameters = [each for _, each in trainable(instance.module_or_not_checked())]
        reached = _reached(mapping, parameters)
        if not reached:
            return {}
        found = torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)
        return {f"towards parameter {index}": found[index] for index in reached}

    return gradients


def _sent_back(instance: Instance, mapping: Named, module: nn.Module | None, loss: Tensor) -> Named:
    """The reference's gradients, sent back through the mapping to the subject's own parameters."""
    own = [each for _, each in trainable(instance.module_or_not_checked())]
    reached = _reached(mapping, own)
    if module is None or not reached:
        return {}
    named = trainable(module)
    found = torch.autograd.grad(loss, [each for _, each in named], allow_unused=True, materialize_grads=True)
    parts = [
        (mapping[name] * gradient.to(mapping[name])).sum()
        for (name, _), gradient in zip(named, found, strict=True)
        if mapping[name].requires_grad
    ]
    back = torch.autograd.grad(
        torch.stack(parts).sum(), own, allow_unused=True, materialize_grads=True, retain_graph=True
    )
    return {f"towards parameter {index}": back[index] for index in reached}


def _reached(mapping: Named, parameters: list[nn.Parameter]) -> list[int]:
    parts = [each.sum() for each in mapping.values() if each.requires_grad]
    if not parts:
        return []
    found: Sequence[Tensor | None] = torch.autograd.grad(
        torch.stack(parts).sum(), parameters, allow_unused=True, retain_graph=True
    )
    return [index for index, each in enumerate(found) if each is not None]


def on_symmetric_weights(subject: Subject, hypothesis: Hypothesis, case: Case) -> Grounds:
    """Compared with one value wherever shapes are one, as ``hypothesis`` puts it into the subject."""

    def make(setting: Setting, case: Case) -> Ground:
        if setting.sizes:
            raise Unsupported("a way to read parameters holds at the sizes at which it was found")
        instance = built(subject, setting, case)
        module = instance.module_or_not_checked()
        symmetric.fill_subject(module, hypothesis)
        if setting.factor != 1:
            scale_matrices(module, setting.factor)

        def fill(reference: nn.Module, config: Config) -> None:
            symmetric.fill_reference(reference, config)
            if setting.factor != 1:
                scale_matrices(reference, setting.factor)

        key = ("symmetric weights", instance.config, setting)
        return Ground(subject, instance, fill, lambda loss: _in_any_layout(module, loss), _in_any_layout, key)

    return Grounds(subject, "symmetric weights", make, case)


def _in_any_layout(module: nn.Module | None, loss: Tensor) -> Named:
    """What fusing, cutting and transposing parameters leaves as it is: the sum of all gradients' squares."""
    parameters = [] if module is None else [each for _, each in trainable(module)]
    if not parameters:
        return {}
    found = torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)
    return {"all gradients' squares": torch.stack([each.double().square().sum() for each in found]).sum()}


def hypotheses(subject: Subject, case: Case, most: int) -> list[Hypothesis]:
    """The likeliest ways in which the subject's parameters fill the reference's places; none where some has no place."""
    seen = automatic(subject)
    if isinstance(seen, NotUnderstood) and seen.likely:
        return list(seen.likely)
    instance = built(subject, Setting(), case)
    reference = fresh(subject.role, instance.config)
    if instance.module is None or not isinstance(reference, nn.Module):
        return []
    inputs = subject.inputs(case)
    randomise(instance.module, 7)
    call = functools.partial(instance, inputs, grad=True)
    readings, places = measured_readings(instance.module, call), symmetric.places(reference, instance.config)
    found = possible(instance.module, places, readings, without=idle(instance.module, places, call))
    if isinstance(found, str):
        return []
    return [each for each, _ in zip(found, range(most), strict=False)]
