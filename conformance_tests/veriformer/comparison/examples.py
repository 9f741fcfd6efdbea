"""Two things of no declared role, put to an example of what both take, and to random inputs of its shapes."""

import copy
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Final

import torch
from torch import Tensor, nn

from veriformer.comparison.made import COMPILED, Call, Made, Setting, leaves_of, tree_map
from veriformer.comparison.parting import Named
from veriformer.comparison.sharing import Sharing
from veriformer.comparison.states import differences
from veriformer.comparison.trial import Differs, Trial
from veriformer.inputs import generator
from veriformer.masks import causal_grid
from veriformer.weights import randomise

EXAMPLE: Final = "the example"
RANDOM: Final = "random inputs"
LARGE: Final = "inputs a thousand times as large"
FIRST: Final = "one token"
ROW: Final = "one row"
RANDOM_WEIGHTS: Final = "random weights"
GROWTH = 1e3


@dataclasses.dataclass(frozen=True)
class Example:
    """What both take.

    Attributes:
        masks: the name of an argument that is a mask, and the shape in which both take it; empty where there is none.
    """

    arguments: tuple[Any, ...]
    keywords: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    masks: tuple[str, tuple[int, ...]] | None = None


class Examples:
    """Two modules or functions, and an example."""

    role = ""

    def __init__(self, old: Made, new: Made, example: Example, sharing: Sharing, *, own: bool) -> None:
        self.old, self.new, self.example, self.sharing = old, new, example, sharing
        self.notes: list[str] = []
        whole = old.module is not None and new.module is not None
        self.state_differences: list[str] = []
        if whole and old.module is not None and new.module is not None:
            self.state_differences = differences(old.module, new.module, values="all" if own else "buffers")

    @property
    def state(self) -> str:
        """How NEW was given OLD's state."""
        return self.sharing.how

    def kinds(self) -> Sequence[str]:
        """The example, and what can be made of it."""
        kinds = [EXAMPLE, RANDOM]
        if self.example.masks is not None:
            kinds += [f"{each} mask{how}" for each in ("causal", "padding", "hiding") for how in ("", ", inverted")]
        kinds += [ROW, FIRST, LARGE]
        return [*kinds, RANDOM_WEIGHTS] if self.old.module is not None else kinds

    def trial(self, kind: str, dtype: torch.dtype) -> Trial | None:
        """Both, copied, with OLD's state, and one call."""
        call = self._call(kind, dtype)
        if call is None:
            return None
        old, new = (copied(each, dtype) for each in (self.old, self.new))
        if old.module is not None and kind == RANDOM_WEIGHTS:
            randomise(old.module, 1)
        self.sharing.plain(old, new, call)
        return Trial(old, new, call)

    def smallest(self, trial: Trial, kind: str, dtype: torch.dtype, differs: Differs) -> Trial:  # noqa: ARG002  # a world's
        """Fewer rows, and fewer tokens, as long as they differ."""
        for axis in (0, 1):
            for size in range(1, _size(trial.call, axis)):
                arguments, keywords = (
                    _shortened(each, axis, size) for each in (trial.call.arguments, trial.call.keywords)
                )
                smaller = dataclasses.replace(trial.call, arguments=arguments, keywords=keywords)
                tried = dataclasses.replace(trial, call=dataclasses.replace(smaller, case=_sizes(smaller)))
                if differs(tried):
                    trial = tried
                    break
        return trial

    def named(self, trial: Trial, setting: Setting) -> Named:  # noqa: ARG002  # no role, no names
        """Nothing is known."""
        return lambda _: ""

    def _call(self, kind: str, dtype: torch.dtype) -> Call | None:
        arguments, keywords = self.example.arguments, dict(self.example.keywords)
        random = generator(1)
        if kind not in (EXAMPLE, RANDOM_WEIGHTS):
            arguments, keywords = (tree_map(lambda each: _drawn(each, random), part) for part in (arguments, keywords))
        if kind == LARGE:
            arguments, keywords = (tree_map(_large, part) for part in (arguments, keywords))
        if kind in (ROW, FIRST):
            axis = 0 if kind == ROW else 1
            if _size(Call(kind, arguments, keywords), axis) < 2:
                return None
            arguments, keywords = (_shortened(part, axis, 1) for part in (arguments, keywords))
        if " mask" in kind and self.example.masks is not None:
            name, shape = self.example.masks
            keywords[name] = _mask(kind, shape)
        arguments, keywords = (tree_map(lambda each: _cast(each, dtype), part) for part in (arguments, keywords))
        call = Call(kind, arguments, keywords)
        return dataclasses.replace(call, case=_sizes(call))


def copied(made: Made, dtype: torch.dtype) -> Made:
    """A copy in ``dtype`` that shares nothing with the original; a compiled module is compiled anew."""
    if made.module is None:
        return made
    compiled, anew = getattr(made.module, COMPILED, None), getattr(made.module, "dynamo_ctx", None)
    if isinstance(compiled, nn.Module) and callable(anew):
        again = anew(copy.deepcopy(compiled).to(dtype))  # by the same backend
        return dataclasses.replace(made, module=again, function=again)
    module = copy.deepcopy(made.module).to(dtype)
    return dataclasses.replace(made, module=module, function=_on(made, module))


def _on(made: Made, module: nn.Module) -> Any:
    """The function, bound to another module where it is a translating one."""
    if made.function is made.module:
        return module
    function = getattr(made.function, "func", None)
    return (lambda *arguments, **keywords: function(module, *arguments, **keywords)) if function else made.function


def _cast(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return tensor.detach().to(dtype) if tensor.is_floating_point() else tensor


def _drawn(tensor: Tensor, random: torch.Generator) -> Tensor:
    """Other values of the same kind: numbers of the same spread, ids out of those that the example has, masks as they are."""
    if tensor.dtype is torch.bool or not tensor.numel():
        return tensor
    if tensor.is_floating_point():
        if not bool(tensor.isfinite().all()):
            return tensor  # a mask that is added
        spread = float(tensor.detach().std(correction=0)) or 1.0
        return (torch.randn(tensor.shape, generator=random, dtype=torch.float64) * spread).to(tensor)
    return tensor.flatten()[torch.randint(0, tensor.numel(), tensor.shape, generator=random)]


def _large(tensor: Tensor) -> Tensor:
    return tensor * GROWTH if tensor.is_floating_point() else tensor


def _size(call: Call, axis: int) -> int:
    """How long an axis is that every tensor has alike; 0 where they do not."""
    found = [each.shape[axis] if each.dim() > axis else 0 for each in _tensors(call)]
    return found[0] if found and len(set(found)) == 1 else 0


def _tensors(call: Call) -> list[Tensor]:
    return [each for _, each in leaves_of((call.arguments, dict(call.keywords))) if isinstance(each, Tensor)]


def _shortened(value: Any, axis: int, size: int) -> Any:
    return tree_map(lambda each: each.narrow(axis, 0, size), value if isinstance(value, tuple) else dict(value))


def _sizes(call: Call) -> str:
    shapes = ["×".join(map(str, each.shape)) for each in _tensors(call)]
    return f"inputs {', '.join(shapes)}"


def _mask(kind: str, shape: tuple[int, ...]) -> Tensor:
    """A boolean mask, and its inverse: both go both ways, so it need not be known which way it points."""
    mask = torch.ones(shape, dtype=torch.bool)
    if kind.startswith("causal") and len(shape) > 1:
        mask = mask & causal_grid(shape[-2], shape[-1])
    elif kind.startswith("padding"):
        mask[..., -1] = False
    else:
        mask[0] = False
    return ~mask if kind.endswith("inverted") else mask
