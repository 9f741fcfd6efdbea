"""Envelope: how far an answer may be off for no other reason than that somebody else's operations round elsewhere."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch

from veriformer import tolerance
from veriformer.diagnosis.answers import Answer


class OtherRounding(tolerance.Noise):
    """One rounding error after each operation; and after a softmax one as large as its scores make it.

    ``exp(scores - logsumexp(scores))`` is a softmax too: its shares are off by a rounding error of the scores, where
    ``torch.softmax``, which subtracts the largest score first, rounds differences that may be small.
    """

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Iterable[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run ``func`` with noise."""
        result = super().__torch_dispatch__(func, types, args, kwargs)
        if func is torch.ops.aten._softmax.default:  # noqa: SLF001  # what torch calls it
            scores, dim = list(args)[:2]
            largest = torch.where(scores.isfinite(), scores.abs(), 0.0).amax(dim, keepdim=True)
            factor = torch.rand(largest.shape, generator=self.random, dtype=torch.float64) * 2 - 1
            return result * (1 + self.eps * largest * factor.to(result))
        return result


def envelope(answered: Callable[[], Answer], dtype: torch.dtype) -> Mapping[str, float]:
    """How far each part of an answer moves when each operation behind it rounds to ``dtype``.

    Args:
        answered: gives the answer, computed anew.
    """
    return tolerance.envelopes(answered, tolerance.roundoff(dtype), noise=OtherRounding)
