"""Training mode with dropout at 0; replaced by its expectation where a subject ignores ``config.dropout``.

A short adapter often does not pass ``config.dropout`` on, and the module's default stays. Training clauses would then see noise and
not the function. Every dropout that draws from ``bernoulli`` becomes the identity when each draw is replaced by its expectation.
"""

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor

from veriformer.dispatch import Watch
from veriformer.subjects import Instance

_aten = torch.ops.aten


class Expectation(Watch):
    """While active, a Bernoulli draw returns its probability, and fused dropout returns its input.

    Attributes:
        exact: False once a draw was met that cannot hold its expectation: a boolean mask is True or False.
    """

    def __init__(self) -> None:
        super().__init__()
        self.exact = True

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None) -> Any:
        """Answer draws; run everything else."""
        arguments: Iterable[Any] = args
        if func is _aten.bernoulli_.float:
            target: Tensor = args[0]
            self.exact &= target.is_floating_point()
            return target.fill_(args[1] if len(args) > 1 else 0.5)
        if func is _aten.bernoulli.p:
            self.exact &= args[0].is_floating_point()
            return torch.full_like(args[0], args[1])
        if func is _aten.bernoulli.default:
            return args[0].clone()
        if func is _aten.native_dropout.default:
            return args[0].clone(), torch.ones_like(args[0], dtype=torch.bool)
        return func(*arguments, **(kwargs or {}))


@contextlib.contextmanager
def in_training(instance: Instance) -> Iterator[Expectation | None]:
    """In training mode with dropout at 0, and back in evaluation mode; a bare function has one mode only.

    Yields what replaces dropout, where the subject ignores ``config.dropout``.
    """
    neutral = Expectation() if instance.subject.neutralise_dropout else None
    if instance.module is not None:
        instance.module.train()
    try:
        with neutral or contextlib.nullcontext():
            yield neutral
    finally:
        if instance.module is not None:
            instance.module.eval()
