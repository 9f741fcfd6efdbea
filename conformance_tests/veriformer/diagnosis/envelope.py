"""Envelope: how far an answer may be off for no other reason than that somebody else's operations round elsewhere."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from veriformer import tolerance
from veriformer.diagnosis.answers import Answer

DRAWS = 4
"""Noisy runs behind one envelope."""


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
    eps = tolerance.roundoff(dtype)
    used = max(eps, 2.0**-46)  # smaller noise would itself be rounded in float64
    calm = answered()
    largest = dict.fromkeys(calm, 0.0)
    for draw in range(DRAWS):
        with OtherRounding(used, draw):
            shaken = answered()
        for name, each in shaken.items():
            if name in calm and each.shape == calm[name].shape:
                largest[name] = max(largest.get(name, 0.0), _largest(each - calm[name]))
    return {name: each * eps / used for name, each in largest.items()}


def _largest(difference: Tensor) -> float:
    finite = difference[difference.isfinite()]
    return float(finite.abs().max()) if finite.numel() else 0.0
