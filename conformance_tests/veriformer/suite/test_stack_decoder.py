"""Stack, tested on decoders: the memory enters at every layer, and sublayers stand in order."""

import dataclasses

import torch
from torch import Tensor

from veriformer import perturbation
from veriformer.case import Case
from veriformer.inputs import Inputs, generator
from veriformer.outcome import NotChecked, Vacuous, Violation
from veriformer.property import checks
from veriformer.strategies import cases
from veriformer.subjects import Instance, Subject
from veriformer.weights import is_vector, trainable
from veriformer_spec import stack

ENLARGED = 8.0
"""How much larger the memory is made, to see whether anyone notices."""
NOTICED = 1e-3
"""Share of what another memory changes, below which nobody noticed: a norm's eps changes less."""
FAINT = 1e-2
"""Size of a memory that changes next to nothing but the gradients of what reads it; and what is nothing beside those."""
CROSS = cases(q_len=(2, 4), k_len=(3, 5), d_head=(3, 4), sides=("cross",))


@checks(
    stack.MEMORY_REACHES_EVERY_LAYER,
    sentence="25c6a825",
    cases=cases(layers=(1, 1), q_len=(2, 4), k_len=(3, 5), d_head=(3, 4), sides=("cross",)),
    most=6,
)
def test_the_memory_reaches_every_decoder_layer(subject: Subject, case: Case) -> None:
    """A weight that reads the memory gets less gradient the fainter the memory is: count them for one, two and three layers."""
    if "layers" in subject.declaration.sizes:
        raise NotChecked("the subject cannot be built with another number of layers")
    if subject.claims["layer_parameters"] == "shared":
        raise NotChecked("one set of parameters is claimed for all layers: its weights read the memory once or often")
    counts = [_readers(subject, dataclasses.replace(case, layers=layers)) for layers in (1, 2, 3)]
    if not counts[0]:
        raise NotChecked(
            "no weight is idle where the memory is zero: something is added to the memory before it is read"
        )
    if all(2 * count >= (2 * layers - 1) * counts[0] for layers, count in enumerate(counts, 1)):
        return
    listed = f"{counts[0]}, {counts[1]} and {counts[2]} numbers in weights read the memory of 1, 2 and 3 layers"
    raise Violation(f"{listed}: the memory does not enter at every layer")


def _readers(subject: Subject, case: Case) -> int:
    """Numbers in matrices whose gradient is there with a faint memory, and not with one of zeros.

    Faint, so that the units of a network which are idle with the one are idle with the other: they do not read the memory.
    What is left at zero may be rounding, not zero: a query's weights get the difference of values that are all alike.
    """
    instance, inputs = subject.instance(case), subject.inputs(case)
    x, memory = inputs.tensors
    faint, empty = (
        _gradients(instance, dataclasses.replace(inputs, tensors=(x, size * memory))) for size in (FAINT, 0.0)
    )
    return sum(
        int(((one != 0) & (other.abs() <= FAINT * one.abs())).sum()) for one, other in zip(faint, empty, strict=True)
    )


def _gradients(instance: Instance, inputs: Inputs) -> list[Tensor]:
    matrices = [each for _, each in trainable(instance.module_or_not_checked()) if not is_vector(each)]
    output = instance(inputs, grad=True)
    if not matrices or not output.requires_grad:
        raise NotChecked("the subject has no trainable matrices")
    direction = torch.randn(output.shape, generator=generator(1), dtype=torch.float64).to(output)
    return list(torch.autograd.grad((output * direction).sum(), matrices, allow_unused=True, materialize_grads=True))


@checks(stack.DECODER_SUBLAYERS_STAND_IN_ORDER, sentence="8ee764e3", cases=CROSS, most=8)
def test_decoder_sublayers_stand_in_order(subject: Subject, case: Case) -> None:
    """A memory that is larger shows: no norm of the layer makes it small again."""
    instance, inputs = subject.instance(case), subject.inputs(case)
    x, memory = inputs.tensors
    base = instance(inputs)
    moved = float((instance(dataclasses.replace(inputs, tensors=(x, memory.flip(-1)))) - base).abs().max())
    larger = float((instance(dataclasses.replace(inputs, tensors=(x, ENLARGED * memory))) - base).abs().max())
    if not moved:
        raise Vacuous("the output does not change with the memory")
    if larger < NOTICED * moved:
        raise Violation(
            f"a memory {ENLARGED:g} times as large changes the output by {larger:.2g}, and another memory by {moved:.2g}: the layer normalises "
            "the memory"
        )


@checks(
    stack.DECODER_SUBLAYERS_STAND_IN_ORDER,
    sentence="8ee764e3",
    cases=cases(q_len=(2, 4), k_len=(3, 5), d_head=(3, 4), masks=("arbitrary",), sides=("cross",)),
    most=8,
)
def test_decoder_sublayers_stand_in_order_by_reach(subject: Subject, case: Case) -> None:
    """Show one token a position of the memory: the others, which looked at it before, do not learn of it."""
    instance, inputs = subject.instance(case), subject.inputs(case)
    who, what = case.seed % case.q_len, case.seed // 7 % case.k_len
    grid = torch.ones(case.batch, 1, case.q_len, case.k_len, dtype=torch.bool)
    grid[..., what] = False
    grid[..., who, what] = True
    hidden = ~grid[0, 0]
    for grad in (False, True):
        perturbation.require_invisible(
            instance, inputs.with_mask(grid.to(subject.device)), 0, hidden,
            "what one token sees of the memory reaches another token: self-attention stands after cross-attention",
            seed=case.seed, grad=grad,
        )  # fmt: skip
