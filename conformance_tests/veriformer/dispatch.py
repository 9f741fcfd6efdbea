"""The dispatch mode that everything here watches operations with, and what goes into an operation and comes out."""

from collections.abc import Callable, Iterator
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


class Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch leaves this class without types
    """A ``TorchDispatchMode`` whose first use does not import ``torch._dynamo``.

    torch wraps every mode's handler so that compiled code steps around it, and the wrapper imports the compiler, which takes
    over a second. Nothing is compiled while a mode of ours is active, so the wrapper is declined where torch lets it be.
    """

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()  # type: ignore[no-untyped-call]  # as above

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # as above

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Asked by torch (2.7 and later) when a subclass is made."""
        return False


def tensors_in(*values: Any) -> Iterator[Tensor]:
    """Every tensor among an operation's arguments or results, which are tensors, numbers, and lists and tuples of them."""
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from tensors_in(*value)
        elif isinstance(value, dict):
            yield from tensors_in(*value.values())


def mapped(change: Callable[[Any], Any], value: Any) -> Any:
    """Arguments or results with everything in them changed; torch's own function for any tree takes most of a simulated call."""
    if isinstance(value, list | tuple):
        return type(value)([mapped(change, each) for each in value])
    if isinstance(value, dict):
        return {name: mapped(change, each) for name, each in value.items()}
    return change(value)
