"""Steps: how a causal language model goes on from what it has already read."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Steps:
    """What an adapter declares beside the claim ``cache=True``; each function gets the built module first.

    A cache that is returned, one that is changed in place, buffers on the module, a dictionary, and the ids of the whole text
    all fit: ``state`` is whatever the adapter likes, and nobody else looks into it.

    Attributes:
        start: ``start(module, batch, longest)`` gives the state before anything is read, for up to ``longest`` tokens.
        step: ``step(module, ids, mask, state)`` gives the logits at the new ``ids``, ``batch time vocab``, and the state after
            them; ``mask`` is ``batch past+time``, True at real tokens, or None where all are real.
        reorder: ``reorder(module, state, rows)`` gives the state of the rows in ``rows``, in that order and as often as they
            stand there; None where the subject offers no such thing.
        copy: ``copy(module, state)`` gives a state that goes on by itself; None promises no copies.
    """

    start: Callable[[Any, int, int], Any]
    step: Callable[[Any, Tensor, Tensor | None, Any], tuple[Tensor, Any]]
    reorder: Callable[[Any, Any, Tensor], Any] | None = None
    copy: Callable[[Any, Any], Any] | None = None
