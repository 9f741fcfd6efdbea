"""A subject's own tensors: which of them holds the numbers of a named point, and what they are where no point is known."""

from collections.abc import Sequence

import torch
from torch import Tensor

from veriformer.comparison.made import Call, Made, Setting
from veriformer.comparison.watching import Step as Seen
from veriformer.comparison.watching import trail
from veriformer.inputs import Inputs
from veriformer.subjects import Instance
from veriformer.tracing.points import Point
from veriformer.tracing.trace import Step

SAME = {torch.float64: 1e-9, torch.float32: 1e-4}
SOFTMAX = ("softmax", "_softmax", "safe_softmax", "_safe_softmax")


def found_in(
    instance: Instance, inputs: Inputs, points: Sequence[Point], output: Tensor
) -> tuple[list[str], str, Tensor]:
    """Where the subject makes the numbers of each point, a sentence on how many it makes, and what comes out of it."""
    made = Made("the subject", instance.raw, instance.module)
    seen = trail(made, Call("the sentence", inputs.passed()), Setting(instance.subject.dtype)).steps
    own = [_place(point.values, seen) for point in points]
    got = instance(inputs).double()
    shown = sum(bool(each) for each in own)
    same = got.shape == output.shape and bool(_near(got, output))
    end = (
        "what comes out is the reference's"
        if same
        else "what comes out is NOT the reference's: veriformer check says why"
    )
    said = f"Its weights are understood: {shown} of {len(points)} steps are made with these very numbers, and {end}."
    return own, said, got


def _place(values: Tensor, seen: Sequence[Seen]) -> str:
    flat = values.flatten().nan_to_num(nan=torch.inf, posinf=torch.inf, neginf=-torch.inf).sort().values
    for each in seen:
        if each.values.numel() == values.numel() and _near(each.sorted, flat):
            return str(each)
    return ""


def _near(one: Tensor, other: Tensor) -> bool:
    finite = other[other.isfinite()]
    scale = float(finite.abs().max()) if finite.numel() else 1.0
    difference = torch.where(one == other, torch.zeros_like(other), (one - other).abs())
    return bool(float(difference.nan_to_num(nan=torch.inf).max()) <= SAME[torch.float64] * max(scale, 1e-300))


def own_steps(instance: Instance, inputs: Inputs, rows: tuple[str, ...]) -> tuple[list[Step], Tensor]:
    """What the modules of the subject make, in order: the last tensor of each call, and every softmax over keys."""
    made = Made("the subject", instance.raw, instance.module)
    seen = [
        each
        for each in trail(made, Call("the sentence", inputs.passed()), Setting(instance.subject.dtype)).steps
        if each.fresh
    ]
    kept = [
        each
        for index, each in enumerate(seen)
        if _is_softmax(each) or index + 1 == len(seen) or seen[index + 1].path != each.path
    ]
    found = []
    for each in kept:
        name = "the attention weights" if _is_softmax(each) else each.operation.replace("_", " ")
        axes = tuple(
            (_axis(index, each.values.dim(), softmax=_is_softmax(each)), size)
            for index, size in enumerate(each.values.shape)
        )
        point = Point(each.operation, name, each.path, "", "", axes, each.values, 0)
        heading = each.path.partition(".")[0] or "The subject itself"
        parts = each.path.split(".")
        digits = next((index for index, word in enumerate(parts) if word.isdecimal()), None)
        heading = ".".join(parts[: digits + 1]) if digits is not None else heading
        found.append(Step(point, heading, each.path, rows, str(each)))
    return found, instance(inputs).double()


def _is_softmax(seen: Seen) -> bool:
    return seen.operation in SOFTMAX and seen.values.dim() in (3, 4)


def _axis(index: int, count: int, *, softmax: bool) -> str:
    if softmax:
        return ("batch", "heads", "q_len", "k_len")[index if count == 4 else index + 1]
    return {0: "batch", count - 1: "features"}.get(index, "time" if index == count - 2 else "heads")
