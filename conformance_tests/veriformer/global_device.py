"""Whether a subject takes its device from the process and not from its inputs.

``torch.device("cuda" if torch.cuda.is_available() else "cpu")`` is common, and right on the machine it was written for. Where there is
no CUDA it says "cpu", which a simulated accelerator would hold against it.
"""

import contextlib
import dataclasses
import sys
from collections.abc import Iterator
from typing import Any

import torch

from veriformer.subjects import Instance


@dataclasses.dataclass
class Asked:
    """What the subject asked the process.

    Attributes:
        available: whether it asked if there is CUDA.
    """

    available: bool = False

    def taken_from_elsewhere(self, instance: Instance) -> str:
        """In words, how the subject chooses its device; empty where nothing shows that it does."""
        if self.available:
            return "it asks torch.cuda.is_available() for its device"
        makers: list[Any] = [instance.function, *(instance.module.modules() if instance.module is not None else ())]
        for maker in makers:
            module = sys.modules.get(getattr(maker, "__module__", None) or type(maker).__module__)
            if module is None or module.__name__.partition(".")[0] == "torch":
                continue
            for name, value in vars(module).items():
                named = isinstance(value, str) and value in ("cpu", "cuda", "cuda:0") and "device" in name.lower()
                if isinstance(value, torch.device) or named:
                    return f"it takes its device from the global {name}"
        return ""


@contextlib.contextmanager
def watched() -> Iterator[Asked]:
    """Notice when the subject asks whether there is CUDA; the answer stays what it is."""
    asked, before = Asked(), torch.cuda.is_available

    def is_available() -> bool:
        asked.available = True
        return before()

    torch.cuda.is_available = is_available
    try:
        yield asked
    finally:
        torch.cuda.is_available = before
