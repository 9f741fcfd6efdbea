"""First departure: after which named point of the computation a subject leaves the reference.

Every number that the subject makes on its way is watched, whatever its modules are called; a point of the reference is *shown* if
the same numbers stand in one of the subject's tensors, in any order of axes. A point that is not shown, while a later one is, was only
made otherwise (fused, or never at all); the departure lies behind the last one shown.
"""

import contextlib
import dataclasses
import functools
import importlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

import torch
from torch import Tensor, nn

from veriformer.dispatch import Watch
from veriformer.inputs import Inputs
from veriformer.subjects import Instance
from veriformer.variants import called
from veriformer.verdict import Departure
from veriformer_reference.checking import checked

POINTS: Final = {
    "embedding.embed": "the embedding",
    "embedding.enter": "the entrance",
    "position.add": "the sum with positions",
    "position.place": "the sum with positions",
    "normalization.layer_norm": "the norm",
    "normalization.rms_norm": "the norm",
    "heads.queries": "the queries",
    "heads.keys": "the keys",
    "heads.values": "the values",
    "attention.scores": "the scores",
    "attention.add_bias": "the scores with their bias",
    "attention.weights": "the attention weights",
    "attention.average": "the context of each head",
    "heads.merge": "the merged heads",
    "heads.project_back": "the output projection",
    "residual.add": "the sum with the skip",
    "residual.connect": "the sublayer with skip and norm",
    "feed_forward.expand": "the hidden features",
    "feed_forward.activate": "the activation",
    "feed_forward.contract": "the feed-forward output",
    "model.transform": "the head's transform",
    "model.project": "the logits",
}
"""Functions of the reference, and what the specification calls what they return."""

MOST_TENSORS: Final = 20_000
"""A subject that makes more on one tiny call is not watched further."""
SIDE: Final = 4
"""Rows and columns of the matrices that are shown."""


class Noting(Watch):
    """Hands on what each operation gives."""

    def __init__(self, note: Callable[[object], None]) -> None:
        super().__init__()
        self.note = note

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Iterable[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run ``func``, and hand on its result."""
        result = func(*args, **(kwargs or {}))
        self.note(result)
        return result


@dataclasses.dataclass(frozen=True)
class Point:
    """A named point of the reference's computation, and its numbers."""

    name: str
    values: Tensor


def departure(
    instance: Instance, probes: Sequence[Inputs], reference: nn.Module, *, tolerance: float = 1e-9
) -> Departure | None:
    """Where ``instance`` first departs from ``reference``, which holds the same weights; None where it does not.

    Args:
        probes: calls that are tried in turn; the first on which they depart is told.
        tolerance: the difference, as a share of the largest number of a point, below which two are the same.
    """
    found = (_departure(instance, inputs, reference, tolerance) for inputs in probes)
    return next((each for each in found if each is not None), None)


def _departure(instance: Instance, inputs: Inputs, reference: nn.Module, tolerance: float) -> Departure | None:
    points, seen = named_points(reference, inputs), _seen(instance, inputs)  # the last of both is what comes out
    shown = [_first_shown(point.values, seen, tolerance) for point in points]
    if shown[-1] is not None:
        return None
    for index, point in enumerate(points):
        if shown[index] is not None or _was_right(index, points, shown, reference, inputs):
            continue
        before = max((at for at in range(index) if shown[at] is not None), default=None)
        found = _nearest(point.values, seen if before is None else seen[(shown[before] or 0) + 1 :])
        if found is not None:
            return Departure(
                after="" if before is None else points[before].name,
                at=point.name,
                difference=_apart(found, point.values),
                expected=_corner(point.values),
                got=_corner(found),
            )
    return None


def _was_right(index: int, points: list[Point], shown: list[int | None], reference: nn.Module, inputs: Inputs) -> bool:
    """Whether a point that is not shown was only made otherwise: something that depends on it is shown."""
    others = named_points(reference, inputs, disturbed=index)
    return any(
        shown[later] is not None and not torch.equal(points[later].values, others[later].values)
        for later in range(index + 1, len(points))
    )


def named_points(reference: nn.Module, inputs: Inputs, *, disturbed: int | None = None) -> list[Point]:
    """The named points of one call of the reference, in the order in which they are reached.

    Args:
        disturbed: the index of a point whose numbers are changed on the way, to see what depends on it.
    """
    found: list[Point] = []
    where: list[str] = []

    def record(words: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def recorded(*arguments: Any, **options: Any) -> Any:
            result = function(*arguments, **options)
            if isinstance(result, Tensor) and result.is_floating_point() and _tells(result):
                name = f"{where[-1]}: {words}" if where and where[-1] else words
                again = sum(point.name.partition(" (")[0] == name for point in found)
                found.append(Point(f"{name} ({again + 1})" if again else name, result.detach().clone()))
                if disturbed == len(found) - 1:
                    return result * 1.5 + 0.1
            return result

        return recorded

    with contextlib.ExitStack() as undo, torch.no_grad(), checked(False):
        for target, words in POINTS.items():
            chapter, _, name = target.partition(".")
            module = importlib.import_module(f"veriformer_reference.{chapter}")
            original = getattr(module, name)
            undo.callback(setattr, module, name, original)
            setattr(module, name, record(words, original))
        for path, part in reference.named_modules():
            undo.callback(part.register_forward_pre_hook(functools.partial(_enter, where, path)).remove)
            undo.callback(part.register_forward_hook(functools.partial(_leave, where)).remove)
        output = called(reference, inputs)
    return [*found, Point("the output", output)]


def _enter(where: list[str], path: str, *_: object) -> None:
    where.append(path)


def _leave(where: list[str], *_: object) -> None:
    where.pop()


def _tells(values: Tensor) -> bool:
    """Whether the numbers are finite and not all one: anything may show a constant by chance."""
    return values.numel() > 1 and bool(values.isfinite().all()) and bool((values != values.flatten()[0]).any())


def _seen(instance: Instance, inputs: Inputs) -> list[Tensor]:
    """Every tensor of numbers that the subject makes on its way, in order; with gradients on, so that no kernel does it all."""
    seen: list[Tensor] = []

    def note(output: object) -> None:
        for each in output if isinstance(output, tuple | list) else (output,):
            if isinstance(each, Tensor) and each.is_floating_point() and each.numel() > 1 and len(seen) < MOST_TENSORS:
                seen.append(each.detach().to(device="cpu", dtype=torch.float64, copy=True))

    with torch.enable_grad(), Noting(note):
        output = instance.raw(*inputs.passed())
    note(output)
    if isinstance(output, Tensor):
        note(inputs.specified(output))
    return seen


def _first_shown(values: Tensor, seen: list[Tensor], tolerance: float) -> int | None:
    """The index of the first of ``seen`` that holds the same numbers, its axes in whatever order, or some of them joined."""
    bound = tolerance * float(values.abs().max())
    for index, each in enumerate(seen):
        if each.numel() == values.numel() and any(_apart(turned, values) <= bound for turned in _turned(each, values)):
            return index
    return None


def _nearest(values: Tensor, seen: list[Tensor]) -> Tensor | None:
    """Of the tensors that have the same sizes in some order, the nearest, with its axes in the point's order."""
    alike = (turned for each in seen if each.numel() == values.numel() for turned in _turned(each, values))
    finite = [turned for turned in alike if bool(turned.isfinite().all())]
    return min(finite, key=lambda turned: _apart(turned, values), default=None)


def _apart(one: Tensor, other: Tensor) -> float:
    difference = float((one - other).abs().max())
    return difference if difference == difference else float("inf")  # noqa: PLR0124  # NaN is apart from everything


def _turned(tensor: Tensor, like: Tensor) -> Iterator[Tensor]:
    """``tensor`` in the shape of ``like``: as it lies in memory, and with its axes in every order that has its sizes."""
    sizes = [size for size in like.shape if size > 1]
    squeezed = tensor.squeeze()
    if sorted(squeezed.shape) == sorted(sizes):
        for order in _orders(squeezed, sizes):
            yield squeezed.permute(order).reshape(like.shape)
    elif squeezed.dim() < len(sizes):  # an unpadded batch, or heads that lie in the batch
        yield tensor.reshape(like.shape)


def _orders(tensor: Tensor, sizes: list[int]) -> Iterator[tuple[int, ...]]:
    return (
        order
        for order in itertools.permutations(range(tensor.dim()))
        if [tensor.shape[axis] for axis in order] == sizes
    )


def _corner(values: Tensor) -> list[object]:
    """A small matrix of it: the first rows and columns of the first matrix."""
    while values.dim() > 2:
        values = values[0]
    corner = values[:SIDE, :SIDE] if values.dim() == 2 else values[:SIDE]
    listed: list[object] = corner.tolist()
    return listed
