"""One side of a comparison, built: what is called, and in which setting."""

import contextlib
import dataclasses
import traceback
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from veriformer import process_state
from veriformer.dropout import Expectation
from veriformer.outcome import SubjectError
from veriformer.precision import Widening, word

COMPILED = "_orig_mod"
"""Where ``torch.compile`` keeps the module that it compiles."""


@dataclasses.dataclass(frozen=True)
class Setting:
    """In which dtype and mode a call is made.

    Attributes:
        widened: what is computed in a narrower dtype inside is computed in float64 too.
    """

    dtype: torch.dtype
    training: bool = False
    grad: bool = False
    widened: bool = False

    def __str__(self) -> str:
        wide = ", float32 inside made float64" if self.widened else ""
        mode = "training without dropout" if self.training else "evaluation"
        return f"{word(self.dtype)}{wide}, {mode}, with{'' if self.grad else 'out'} gradients"


SETTINGS = tuple(
    Setting(dtype, training, grad)
    for dtype in (torch.float64, torch.float32)
    for training in (False, True)
    for grad in (False, True)
)
"""Every setting, the most exact first."""
SETTINGS_COMPILED = (Setting(torch.float64), Setting(torch.float32), Setting(torch.float32, training=True, grad=True))
"""Fewer where each is compiled anew."""


@dataclasses.dataclass(frozen=True)
class Call:
    """What is passed to both.

    Attributes:
        words: how the call is told, such as ``plain``.
        case: its sizes and seed, where a role was declared.
        specified: takes out of an output what the role leaves open.
    """

    words: str
    arguments: tuple[Any, ...]
    keywords: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    case: str = ""
    specified: Callable[[Tensor], Tensor] = lambda output: output  # a default, not a name


@dataclasses.dataclass(frozen=True)
class Made:
    """One side: a module or a function, and how it is called."""

    name: str
    function: Callable[..., Any]
    module: nn.Module | None

    @property
    def compiled(self) -> bool:
        """Whether its inside cannot be watched."""
        return self.module is not None and any(hasattr(each, COMPILED) for each in self.module.modules())

    def __call__(self, call: Call, setting: Setting, *, leaves: bool = False) -> Any:
        """What comes back, dropout replaced by its expectation where it trains; the arguments are copied first.

        Args:
            leaves: the arguments themselves are passed, so that gradients reach them.

        Raises:
            SubjectError: the call raised.
        """
        copied = (lambda value: value) if leaves else torch.clone
        arguments = tree_map(copied, call.arguments)
        keywords = tree_map(copied, dict(call.keywords))
        if self.module is not None:
            self.module.train(setting.training)
        process_state.seed(0)
        with contextlib.ExitStack() as modes:
            modes.enter_context(torch.enable_grad() if setting.grad else torch.no_grad())
            if setting.training and not self.compiled:
                modes.enter_context(Expectation())
            if setting.widened:
                modes.enter_context(Widening())
            modes.enter_context(guarded(self.name))
            return self.function(*arguments, **keywords)


@contextlib.contextmanager
def guarded(name: str) -> Iterator[None]:
    """Whatever the subject's own code raises is told as the subject's."""
    try:
        yield
    except (SubjectError, KeyboardInterrupt):
        raise
    except BaseException as error:
        line = traceback.extract_tb(error.__traceback__)[-1]
        said = str(error).strip().split("\n")[0][:300]
        where = f"{line.filename.rpartition('/')[2]}:{line.lineno}"
        raise SubjectError(f"{name} raised {type(error).__name__} at {where}: {said}", origin="call") from error


def tree_map(change: Callable[[Tensor], Tensor], value: Any) -> Any:
    """``value`` with every tensor in it changed, each once however often it stands there."""
    changed: dict[int, Tensor] = {}

    def walk(each: Any) -> Any:
        if isinstance(each, Tensor):
            return changed.setdefault(id(each), change(each))
        if isinstance(each, tuple) and hasattr(each, "_fields"):
            return type(each)(*map(walk, each))
        if isinstance(each, list | tuple):
            return type(each)(map(walk, each))
        if isinstance(each, dict):
            return {name: walk(inside) for name, inside in each.items()}
        return each

    return walk(value)


def leaves_of(value: Any, path: str = "output") -> Iterator[tuple[str, Any]]:
    """Every tensor, number and None in an output, with its place in it."""
    if isinstance(value, Mapping):
        for name, each in value.items():
            yield from leaves_of(each, f"{path}[{name!r}]")
    elif isinstance(value, list | tuple):
        for index, each in enumerate(value):
            yield from leaves_of(each, f"{path}[{index}]")
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield from leaves_of(getattr(value, field.name), f"{path}.{field.name}")
    else:
        yield path, value
