"""Stack, tested: sublayers make a layer, layers make an encoder."""

import dataclasses
import math
import re

import torch
from torch import Tensor

from veriformer import calls, oracle, perturbation
from veriformer.case import Case
from veriformer.inputs import Inputs, generator
from veriformer.known_output import require_the_known_output
from veriformer.masks import reachable
from veriformer.outcome import NotChecked, SubjectError, Vacuous, Violation
from veriformer.property import checks
from veriformer.strategies import cases
from veriformer.subjects import Instance, Subject
from veriformer.understanding import mapped_weights
from veriformer.visibility import may_see
from veriformer.weights import is_vector, trainable
from veriformer_spec import stack
from veriformer_spec.role import MODELS

SIZES = (1.0, 1.0, 1.0, 1e-2, 30.0)
"""Sizes of the tokens: ordinary ones, ones as small as eps, and large ones."""
MANY = 32
"""Sequences that a matrix's effect is looked for in before it is called dead: a mixture of experts uses some rarely."""
REDRAWS = 3
"""Fresh weights with which it is looked for: all ReLUs of a small layer may be off for every token, once."""


@checks(
    stack.EQUALS_THE_REFERENCE,
    sentence="357b0b38",
    cases=cases(masks=("none", "padding", "causal", "arbitrary"), q_len=(1, 5)),
    needs_weights=True,
    most=15,
)
def test_equals_the_reference(subject: Subject, case: Case) -> None:
    """With the subject's weights the reference gives the same, with and without gradients, for tokens of every size."""
    instance, inputs = subject.instance(case), subject.inputs(case)
    size = SIZES[case.seed % len(SIZES)]
    inputs = calls.mapped(inputs, lambda each: size * each)
    oracle.require_equals_the_reference(
        instance, inputs, "with the subject's weights the reference gives something else", grad=bool(case.seed // 8 % 2)
    )


def _parameters(subject: Subject, case: Case, layers: int) -> list[Tensor]:
    instance = subject.instance(dataclasses.replace(case, layers=layers), random_weights=False)
    return [each for _, each in trainable(instance.module_or_not_checked())]


def _count(parameters: list[Tensor], *, inside: int = 0) -> int:
    """Numbers in all parameters; with ``inside``, in those matrices that have an axis of that size."""
    return sum(
        each.numel()
        for each in parameters
        if not inside or (not is_vector(each) and any(axis % inside == 0 for axis in each.shape))
    )


@checks(stack.LAYERS_OWN_THEIR_PARAMETERS, sentence="b407cccd", cases=cases(sides=("self",)), most=3)
def test_layers_own_their_parameters(subject: Subject, case: Case) -> None:
    """Build one, two and three layers, and count."""
    if "layers" in subject.declaration.sizes:
        raise NotChecked(f"the subject has {case.layers} layers and cannot be built with another number")
    case = dataclasses.replace(case, d_ff=subject.declaration.d_ff(case.d_model, 4 * case.d_model + 1))
    one, two, three = (_parameters(subject, case, layers) for layers in (1, 2, 3))
    if not one:
        raise NotChecked("the subject has no trainable parameters")
    counts = [_count(each) for each in (one, two, three)]
    listed = f"1, 2 and 3 layers have {counts[0]}, {counts[1]} and {counts[2]} parameters"
    if subject.claims["layer_parameters"] == "shared":
        if len(set(counts)) > 1:
            raise Violation(f"shared parameters are claimed, but {listed}")
        return
    if counts[0] == counts[1] == counts[2]:
        raise Violation(f"{listed}: one layer is used again and again, or layers are not registered")
    if counts[2] - counts[1] != counts[1] - counts[0]:
        raise Violation(f"{listed}: the third adds other than the second")
    if case.d_ff % case.d_model == 0 or case.d_model % case.d_ff == 0:
        return
    inside = [_count(each, inside=case.d_ff) for each in (one, two, three)]
    outside = [
        sum(each.numel() for each in group if not is_vector(each)) - within
        for group, within in zip((one, two, three), inside, strict=True)
    ]
    for what, found in (("feed-forward network", inside), ("attention", outside)):
        if found[0] and found[0] == found[1] == found[2]:
            raise Violation(f"{listed}: every layer uses the same {what}")


@checks(
    stack.LAYERS_OWN_THEIR_PARAMETERS,
    sentence="b407cccd",
    cases=cases(layers=(2, 3), sides=("self",)),
    needs_weights=True,
    most=3,
)
def test_layers_own_their_parameters_by_mapping(subject: Subject, case: Case) -> None:
    """Where the adapter says which tensor is which: no two layers of a stack are given the same one."""
    mapping = mapped_weights(subject.instance(case))
    if subject.claims["layer_parameters"] == "shared":
        raise NotChecked("one set of parameters is claimed for all layers, and has one name")
    held: dict[tuple[int, int, tuple[int, ...]], str] = {}
    for name, tensor in mapping.items():
        if "layers." not in name:
            continue
        place = (tensor.untyped_storage().data_ptr(), int(tensor.storage_offset()), tuple(tensor.shape))
        first = held.setdefault(place, name)
        if first != name and _without_numbers(first) == _without_numbers(name):
            raise Violation(f"{name} is the same tensor as {first}: layers share it")


@checks(stack.EVERY_LAYER_RUNS, sentence="eeddec58", cases=cases(layers=(2, 3), q_len=(3, 5), d_head=(3, 4)), most=12)
def test_every_layer_runs(subject: Subject, case: Case) -> None:
    """Every matrix has a part in the output; with shared parameters, every further layer changes it."""
    instance, inputs = subject.instance(case), subject.inputs(case)
    matrices = [(name, each) for name, each in trainable(instance.module_or_not_checked()) if not is_vector(each)]
    if not matrices:
        raise NotChecked("the subject has no trainable matrices")
    if subject.role in MODELS:
        matrices = _of_layers(subject, case, matrices)
    if subject.claims["layer_parameters"] == "shared":
        _require_another_layer_to_matter(subject, case, instance, inputs)
    dead = _without_effect(instance, inputs, matrices)
    for seed in range(1, REDRAWS + 1):
        if not dead:
            return
        again = dataclasses.replace(case, batch=subject.declaration.sizes.get("batch", MANY), seed=case.seed + seed)
        instance, names = subject.instance(again), {name for name, _ in dead}
        suspected = [named for named in trainable(instance.module_or_not_checked()) if named[0] in names]
        dead = _without_effect(instance, subject.inputs(again), suspected)
    if dead:
        listed = ", ".join(name for name, _ in dead[:6])
        raise Violation(
            f"the output does not depend on {len(dead)} of {len(matrices)} matrices: {listed}: a layer does not run, or its output is lost"
        )


def _without_numbers(name: str) -> str:
    return re.sub(r"\d+", "#", name)


def _of_layers(
    subject: Subject, case: Case, matrices: list[tuple[str, torch.nn.Parameter]]
) -> list[tuple[str, torch.nn.Parameter]]:
    """Those that come once with every layer, or grow with their number: a pooler that nobody calls is no layer.

    Raises:
        NotChecked: none do, as where all layers share one set.
    """
    if "layers" in subject.declaration.sizes:
        shapes = {name: tuple(each.shape) for name, each in matrices}
        patterns = [_without_numbers(name) for name in shapes]
        found = [named for named in matrices if patterns.count(_without_numbers(named[0])) > 1]
    else:
        other = subject.instance(dataclasses.replace(case, layers=case.layers + 1), random_weights=False)
        more = {name: tuple(each.shape) for name, each in trainable(other.module_or_not_checked())}
        new = {_without_numbers(name) for name in more.keys() - dict(matrices).keys()}
        found = [
            (name, each)
            for name, each in matrices
            if _without_numbers(name) in new or more.get(name, each.shape) != tuple(each.shape)
        ]
    if not found and subject.claims["layer_parameters"] == "own":
        raise NotChecked("no parameter comes once with every layer; see stack.layers-own-their-parameters")
    return found


def _require_another_layer_to_matter(subject: Subject, case: Case, instance: Instance, inputs: Inputs) -> None:
    if "layers" in subject.declaration.sizes:
        return
    fewer = subject.instance(dataclasses.replace(case, layers=case.layers - 1))
    if torch.equal(fewer(inputs), instance(inputs)):
        raise Violation(
            f"{case.layers} layers give what {case.layers - 1} give: a layer does not run, or its output is lost"
        )


def _without_effect(
    instance: Instance, inputs: Inputs, matrices: list[tuple[str, torch.nn.Parameter]]
) -> list[tuple[str, torch.nn.Parameter]]:
    """Those in which neither a gradient nor a change of value shows."""
    if not matrices:
        return []
    output = instance(inputs, grad=True)
    dead = matrices
    if output.requires_grad:
        direction = torch.randn(output.shape, generator=generator(1), dtype=torch.float64).to(output)
        gradients = torch.autograd.grad((output * direction).sum(), [each for _, each in matrices], allow_unused=True)
        dead = [named for named, gradient in zip(matrices, gradients, strict=True) if not _is_nonzero(gradient)]
    base = instance(inputs) if dead else output
    return [named for named in dead if not _changing_it_shows(instance, inputs, named[1], base)]


def _is_nonzero(gradient: Tensor | None) -> bool:
    return gradient is not None and bool((gradient != 0).any())


@torch.no_grad()
def _changing_it_shows(instance: Instance, inputs: Inputs, parameter: torch.nn.Parameter, base: Tensor) -> bool:
    kept = parameter.clone()
    noise = torch.randn(kept.shape, generator=generator(2), dtype=torch.float64) / math.sqrt(max(kept.shape))
    parameter.add_(noise.to(kept))
    changed = instance(inputs)
    parameter.copy_(kept)
    return not torch.equal(changed, base)


@checks(
    stack.EVERY_LAYER_RUNS,
    sentence="eeddec58",
    cases=cases(layers=(2, 3), q_len=(4, 5), d_head=(3, 4), masks=("arbitrary",), sides=("self",)),
    most=8,
)
def test_every_layer_runs_by_reach(subject: Subject, case: Case) -> None:
    """Each layer lets a token look one step back: what two layers reach is two steps away only if they are chained."""
    inputs, instance = subject.inputs(case), subject.instance(case)
    index = torch.arange(case.q_len)
    band = (index[:, None] - index[None, :] >= 0) & (index[:, None] - index[None, :] <= 1)
    shape = (case.batch, 1, case.q_len, case.q_len)
    inputs = inputs.with_mask(band.expand(shape).clone().to(subject.device))
    reach = reachable(band[None], case.layers)[0] & ~reachable(band[None], case.layers - 1)[0]
    perturbation.require_visible(
        instance, inputs, 0, reach, f"with {case.layers} layers that each look one token back, {case.layers} tokens back is out of reach",
        seed=case.seed, grad=False,
    )  # fmt: skip


@checks(
    stack.MASK_REACHES_EVERY_LAYER,
    sentence="c0a52d83",
    cases=cases(layers=(2, 4), q_len=(3, 5), masks=("padding",)),
    most=12,
)
def test_the_mask_reaches_every_layer(subject: Subject, case: Case) -> None:
    """With two layers and more, a padded token is invisible to every other; where it is seen, say whether one layer hides it."""
    instance, inputs = subject.instance(case), subject.inputs(case)
    row = case.seed % case.batch
    hidden = ~may_see(case, inputs)[row]
    if not bool(hidden.any()):
        raise Vacuous("nothing is hidden")
    apart, _ = perturbation.key_influence(instance, inputs, row, case.seed, grad=False)
    others = ~hidden if inputs.crosses else ~hidden & ~torch.eye(case.q_len, dtype=torch.bool)
    if not bool((apart[others] > 0).any()):
        raise Vacuous("no token depends on any other")
    for grad in (False, True):
        try:
            perturbation.require_invisible(
                instance,
                inputs,
                row,
                hidden,
                f"with {case.layers} layers a masked key is visible",
                seed=case.seed,
                grad=grad,
            )
        except Violation as seen:
            if _one_layer_hides(subject, case, inputs, row):
                seen.behaves_as(["a stack whose first layer has the mask and whose later layers have not"])
            raise


def _one_layer_hides(subject: Subject, case: Case, inputs: Inputs, row: int) -> bool:
    if "layers" in subject.declaration.sizes:
        return False
    one = dataclasses.replace(case, layers=1)
    hidden = ~may_see(one, inputs)[row]
    try:
        instance = subject.instance(one)
        perturbation.require_invisible(instance, inputs, row, hidden, "", seed=case.seed, grad=False)
    except (Violation, SubjectError):
        return False
    return True


@checks(
    stack.SYMMETRIC_WEIGHTS_GIVE_THE_KNOWN_OUTPUT,
    sentence="165f9e53",
    cases=cases(masks=("none",)),
    needs_weights=True,
    most=4,
)
def test_symmetric_weights_give_the_known_output(subject: Subject, case: Case) -> None:
    """Fill all tensors of one shape alike; the output must be the reference's, and fresh weights must not say otherwise."""
    require_the_known_output(subject, case)
