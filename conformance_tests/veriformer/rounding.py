"""What rounding a call of one's own kind is allowed: float32's, where something inside is computed in it."""

from collections.abc import Callable

import torch

from veriformer.precision import LeakWatch
from veriformer.subjects import Subject


def of_call(subject: Subject, run: Callable[[], object]) -> torch.dtype:
    """The dtype whose rounding ``run`` is allowed; ``preflight`` finds it out for roles that turn tokens into tokens."""
    if subject.dtype is not torch.float64:
        return subject.rounds_to
    with LeakWatch() as watch:
        run()
    return torch.float32 if watch.leaks else subject.rounds_to
