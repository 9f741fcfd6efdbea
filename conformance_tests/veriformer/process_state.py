"""The process's own settings: looked at, and put back after the subject ran."""

import contextlib
import random
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch


@contextlib.contextmanager
def restored() -> Iterator[None]:
    """Put back what a subject may have changed: defaults, gradient mode, threads, random state, determinism.

    A subject's warnings are dropped: where the caller makes warnings errors, a subject that warns would be one that raises.
    """
    before, random_state = settings(), torch.get_rng_state()  # Hypothesis restores the generators of Python and numpy
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        now = settings()
        for name, (_, write) in _SETTINGS.items():
            if now[name] != before[name]:
                write(before[name])
        torch.set_rng_state(random_state)


def settings() -> dict[str, Any]:
    """What a call may not change, by the name that a reader knows."""
    return {name: read() for name, (read, _) in _SETTINGS.items()}


def random_states() -> dict[str, Any]:
    """The states of the three global sources of random numbers, comparable with ``same``."""
    return {"torch": torch.get_rng_state(), "random": random.getstate(), "numpy": np.random.get_state()}  # noqa: NPY002


def seed(number: int) -> None:
    """Seed torch's global generators; ``torch.manual_seed`` formats three stack traces where CUDA was never used."""
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]  # torch leaves it without types
        torch.manual_seed(number)
    else:
        torch.default_generator.manual_seed(number)


def same(before: Any, after: Any) -> bool:
    """Whether two random states are equal, whatever they are made of."""
    if isinstance(before, torch.Tensor):
        return torch.equal(before, after)
    if isinstance(before, np.ndarray):
        return bool((before == after).all())
    if isinstance(before, tuple):
        return len(before) == len(after) and all(map(same, before, after))
    return bool(before == after)


_Setting = tuple[Callable[[], Any], Callable[[Any], Any]]

_SETTINGS: dict[str, _Setting] = {
    "the default dtype": (torch.get_default_dtype, torch.set_default_dtype),
    "the default device": (torch.get_default_device, lambda device: torch.set_default_device(_or_none(device))),
    "the gradient mode": (torch.is_grad_enabled, torch.set_grad_enabled),
    "the number of threads": (torch.get_num_threads, torch.set_num_threads),
    "the precision of matrix products": (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
    "deterministic algorithms": (torch.are_deterministic_algorithms_enabled, torch.use_deterministic_algorithms),
}


def _or_none(device: torch.device) -> torch.device | None:
    """None for the CPU: a default device that is set, even to the CPU, costs every call a function mode."""
    return None if device.type == "cpu" else device
