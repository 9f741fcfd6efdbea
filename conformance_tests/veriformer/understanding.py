"""Understanding: the weights of a subject under the reference's names, given by its adapter or found without one."""

import dataclasses
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from veriformer.declaration import UsageError
from veriformer.faults.fault import patched
from veriformer.mapping import LayoutError, NotUnderstood, Understood, automatic
from veriformer.outcome import NotChecked
from veriformer.subjects import Instance, Subject
from veriformer.variants import Variant
from veriformer_reference.build import build

NO_MAPPING = "no weights mapping"
"""How a verdict begins that could not compare."""
GIVE_A_MAPPING = "give a mapping: weights=, a function from the module to its tensors by the reference's names"


def understood(subject: Subject) -> Understood | NotUnderstood:
    """What the subject computes, and where its weights are: as claimed, under other legal claims, or with a catalogued fault.

    A fault that is the right function with its weights stored otherwise (a square matrix transposed) is no fault in a subject that
    nobody told the names of its weights of, and is not called one.
    """
    found = automatic(subject)
    if isinstance(found, Understood) and found.variant.faults and _is_a_relabelling(found.variant, subject):
        return NotUnderstood(
            f"it computes what {found.variant.name} would, which is also what a right one does that stores its weights otherwise"
        )
    return found


_RELABELLINGS: dict[tuple[object, ...], bool] = {}


def _is_a_relabelling(variant: Variant, subject: Subject) -> bool:
    """Whether the catalogue says so, or the faulty reference, its weights' names unknown, is found to be the right one."""
    if any(fault.relabels for fault in variant.faults):
        return True
    key = (variant.role, variant.name, str(subject.claims))
    if key not in _RELABELLINGS:
        patches = tuple(patch for fault in variant.faults for patch in fault.patches)
        unnamed = dataclasses.replace(
            subject.declaration,
            name=f"reference with {variant.name}",
            build=lambda config: _every_part_of_its_own_kind(build(variant.role, config)),
            weights=None,
            during=lambda: patched(patches),
        )
        right = dataclasses.replace(variant, faults=())
        found = automatic(Subject(unnamed), candidates=[right])
        _RELABELLINGS[key] = isinstance(found, Understood) and not found.variant.faults
    return _RELABELLINGS[key]


def _every_part_of_its_own_kind(module: object) -> object:
    """The same module, whose parts share no class: so that no two of its weights are taken to be stored alike."""
    if isinstance(module, nn.Module):
        for count, part in enumerate(module.modules()):
            part.__class__ = type(f"{type(part).__name__}{count}", (type(part),), {})
    return module


def weights_if_known(instance: Instance, *, faulty: bool = False) -> Mapping[str, Tensor] | None:
    """The instance's tensors under the reference's names, as views where possible; None where nobody knows them."""
    try:
        return mapped_weights(instance, faulty=faulty)
    except NotChecked:
        return None


def mapped_weights(instance: Instance, *, faulty: bool = False) -> Mapping[str, Tensor]:
    """The instance's tensors under the reference's names: as its adapter maps them, or where it does not, as they were found.

    Args:
        faulty: also where they were found with a catalogued fault only: a parameter that the fault leaves out is zero then.

    Raises:
        NotChecked: the adapter gives no mapping, and none was found.
        UsageError: a name that the reference lacks, or lacks a name of the reference, or has another shape.
    """
    declared = instance.subject.declaration.weights
    module = instance.module_or_not_checked()
    if declared is not None:
        mapping: Mapping[str, Tensor] = dict(declared(module))
        _require_the_references(mapping, instance)
        return mapping
    found = understood(instance.subject)
    if isinstance(found, NotUnderstood):
        raise NotChecked(f"{NO_MAPPING}: {found.reason}; {GIVE_A_MAPPING}")
    if found.variant.faults and not faulty:
        raise NotChecked(
            f"{NO_MAPPING} for the right function: the subject equals the reference with {found.variant.name} in it"
        )
    try:
        mapping = found.layout.weights(module, instance.config)
        _require_the_references(mapping, instance)
    except (LayoutError, UsageError) as problem:
        raise NotChecked(f"{NO_MAPPING} at these sizes: {problem}; {GIVE_A_MAPPING}") from problem
    return mapping


def _require_the_references(mapping: Mapping[str, Tensor], instance: Instance) -> None:
    reference = build(instance.subject.role, instance.config)
    if not isinstance(reference, nn.Module):
        raise NotChecked("the reference has no weights in this role")
    # a tied tensor has several names, of which one is needed and none is wrong
    wanted = {name: tuple(each.shape) for name, each in reference.named_parameters(remove_duplicate=False)}
    needed = {name for name, _ in reference.named_parameters()}
    missing, unknown = sorted(needed - mapping.keys()), sorted(mapping.keys() - wanted.keys())
    if missing or unknown:
        raise UsageError(
            f"weights: the mapping lacks {', '.join(missing) or 'nothing'} and has {', '.join(unknown) or 'nothing'} too many, for the "
            "claims made (a bias or a shift that the subject lacks is a claim: bias=False, norm_bias=False)"
        )
    for name, tensor in mapping.items():
        if tuple(tensor.shape) != wanted[name]:
            raise UsageError(
                f"weights: {name} has shape {tuple(tensor.shape)}, but must have {wanted[name]}, [out, in]"
            )


@torch.no_grad()
def copied(mapping: Mapping[str, Tensor], reference: nn.Module) -> None:
    """Give the reference the subject's numbers, in float64."""
    for name, parameter in reference.named_parameters():
        parameter.copy_(mapping[name].detach().double().cpu())


_FIRST_PLACE = 1009
"""Places are counted from here: no mapping computes this number, as it may zeros and ones."""


@torch.no_grad()
def write(instance: Instance, values: Mapping[str, Tensor], *, faulty: bool = False) -> None:
    """Put ``values``, by the reference's names, where the instance keeps them; what the mapping does not reach stays as it is.

    The module is filled with the numbers of its own places, and the mapping read: so it is known where each number of the
    reference lies, however fused or interleaved, without anybody having to say how to write.

    Args:
        faulty: also where its weights were found with a catalogued fault only.

    Raises:
        NotChecked: there is no mapping, or it computes its tensors instead of finding them.
    """
    parameters = list(instance.module_or_not_checked().parameters())
    before = [each.detach().clone() for each in parameters]
    count = sum(each.numel() for each in parameters)
    start = _FIRST_PLACE
    for each in parameters:
        each.copy_(torch.arange(start, start + each.numel(), dtype=torch.float64).reshape(each.shape))
        start += each.numel()
    try:
        places = {
            name: each.detach().double().cpu().clone() for name, each in mapped_weights(instance, faulty=faulty).items()
        }
    finally:
        for each, value in zip(parameters, before, strict=True):
            each.copy_(value)
    flat = torch.cat([each.double().cpu().flatten() for each in before])
    for name, place in places.items():
        at = place.round() - _FIRST_PLACE
        if not bool(place.any()):
            continue  # a parameter that changes nothing, and that the subject does not have
        if not torch.equal(at + _FIRST_PLACE, place) or bool((at < 0).any()) or bool((at >= count).any()):
            raise NotChecked("the weights that the mapping gives are computed: nothing can be written into them")
        flat[at.long().flatten()] = values[name].detach().double().cpu().flatten()
    parts = flat.split([each.numel() for each in parameters])  # type: ignore[no-untyped-call]  # torch leaves it without types
    for each, value in zip(parameters, parts, strict=True):
        each.copy_(value.reshape(each.shape))
