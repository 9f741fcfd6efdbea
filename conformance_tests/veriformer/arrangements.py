"""Skips and norms around silent sublayers, computed by hand: as claimed, and under every other arrangement that is tempting."""

import dataclasses
from collections.abc import Iterator

import torch
from torch import Tensor

from veriformer.other_claims import OTHER_EPS
from veriformer_spec.config import Config

HELD = {
    "sum": "the sum: the tensor it holds was added to in place",
    "normed": "the normalised input",
    "relu": "its input after a ReLU in place",
}
"""What a skip may hold in its input's place."""

COMMON_EPS = (1e-5, 1e-6, 1e-12, 0.0)
"""Those that are tried together with another arrangement."""


ORDINALS = ("first", "second", "third")


@dataclasses.dataclass(frozen=True)
class Norm:
    """How a norm computes.

    Attributes:
        gain: what the normalised value is multiplied by when the stack is stripped: ``1``, ``2``, ``b`` or ``1 + b``.
        outside: eps is added to the root and not to the variance.
    """

    kind: str
    eps: float
    gain: str
    shift: bool
    outside: bool = False
    unbiased: bool = False

    def normalised(self, x: Tensor) -> Tensor:
        """Before gain and shift."""
        centred = x - x.mean(-1, keepdim=True) if self.kind == "layer" else x
        divisor = x.shape[-1] - 1 if self.unbiased else x.shape[-1]
        square = centred.square().sum(-1, keepdim=True) / divisor
        return centred / (square.sqrt() + self.eps if self.outside else (square + self.eps).sqrt())

    def __call__(self, x: Tensor, b: Tensor) -> Tensor:
        """With the gain and the shift that ``bare_stack`` leaves."""
        scaled = (
            self.normalised(x)
            * {"1": torch.ones_like(b), "2": 2 * torch.ones_like(b), "b": b, "1 + b": 1 + b}[self.gain]
        )
        return scaled + b if self.shift else scaled


@dataclasses.dataclass(frozen=True)
class Arrangement:
    """Where skips and norms stand; the defaults are right, every other value is a mistake or another claim.

    Attributes:
        sublayers: of one layer: two, or three where there is cross-attention.
        factors: what each skip that differs multiplies its input by.
        of: what each skip that differs holds: the input ``normed``, or the ``sum`` with the sublayer's output (an alias of a
            tensor that was added to in place), or the input cut by a ``relu`` in place.
        earlier: which skips hold the input of an earlier sublayer, and which one's.
        lost: how many layers leave no trace.
        absent: which norms are missing.
    """

    placement: str
    final_norm: bool
    sublayers: int = 2
    factors: tuple[tuple[int, float], ...] = ()
    of: tuple[tuple[int, str], ...] = ()
    earlier: tuple[tuple[int, int], ...] = ()
    lost: int = 0
    absent: tuple[int, ...] = ()
    bias: bool = True

    @property
    def holds(self) -> set[str]:
        """What skips hold in their inputs' place."""
        return {held for _, held in self.of}

    def run(self, x: Tensor, b: Tensor, norm: Norm, layers: int) -> Tensor:
        """What comes out."""
        for _ in range(layers - self.lost):
            entered: list[Tensor] = []
            for which in range(self.sublayers):
                entered.append(x)
                x = self._connect(x, entered[dict(self.earlier).get(which, which)], b, norm, which)
        return norm(x, b) if self.final_norm else x

    def _connect(self, x: Tensor, source: Tensor, b: Tensor, norm: Norm, which: int) -> Tensor:
        constant = b if self.bias else torch.zeros_like(b)
        held, kind = source, dict(self.of).get(which, "input")
        if kind == "normed":
            held = norm(source, b)
        elif kind == "sum":
            held = 2 * x + constant  # what x + constant is, once more
        elif kind == "relu":
            held = source.clamp(min=0)
        held = dict(self.factors).get(which, 1.0) * held
        if self.placement == "branch":
            return held + norm(constant.expand_as(x), b)
        total = held + constant
        return norm(total, b) if self.placement == "post" and which not in self.absent else total


@dataclasses.dataclass(frozen=True)
class Departure:
    """How a stack that is not as claimed behaves: what differs, in words, and whether the arrangement or the norm does."""

    words: str
    arrangement: Arrangement
    norm: Norm


def departures(config: Config, arrangement: Arrangement, norm: Norm, *, stack: bool, both: bool) -> Iterator[Departure]:
    """Everything tempting, the simplest first: another norm, another arrangement, then (``both``) one of each.

    Args:
        stack: whether there are layers and a norm at the end, and not one layer alone.
    """
    norms, arrangements = list(_norms(norm)), list(others(config, arrangement, stack=stack))
    for words, other in norms:
        yield Departure(words, arrangement, other)
    for words, changed in arrangements:
        yield Departure(words, changed, norm)
    for norm_words, other in norms if both else ():
        if other.eps not in COMMON_EPS:
            continue
        for words, changed in arrangements:
            yield Departure(f"{words}, and {norm_words}", changed, other)


def _norms(norm: Norm) -> Iterator[tuple[str, Norm]]:
    for eps in OTHER_EPS:
        if eps != norm.eps:
            yield f"eps is {eps:g}", dataclasses.replace(norm, eps=eps)
    for unbiased in (False, True):
        for eps in dict.fromkeys((norm.eps, 1e-5, 1e-6, 1e-12, 1e-8)):
            words = f"eps={eps:g} is added outside the root"
            yield words, dataclasses.replace(norm, outside=True, unbiased=unbiased, eps=eps)
    yield "the variance is unbiased", dataclasses.replace(norm, unbiased=True)
    other = "rms" if norm.kind == "layer" else "layer"
    for shift in (False, True):
        yield f"normalization={other}", dataclasses.replace(norm, kind=other, shift=shift)
    yield "the shift is as not claimed", dataclasses.replace(norm, shift=not norm.shift)
    yield "the gain is as not claimed", dataclasses.replace(norm, gain={"1": "2", "1 + b": "b"}[norm.gain])


def others(config: Config, arrangement: Arrangement, *, stack: bool) -> Iterator[tuple[str, Arrangement]]:
    """Every other arrangement that is tempting, in words; legal ones first."""
    change = dataclasses.replace
    other = "pre" if arrangement.placement == "post" else "post"
    final_words = "ends in a norm" if not arrangement.final_norm else "does not end in a norm"
    yield f"norm={other}", change(arrangement, placement=other)
    if stack:
        yield f"it {final_words}", change(arrangement, final_norm=not arrangement.final_norm)
        yield (
            f"norm={other}, and it {final_words}",
            change(arrangement, placement=other, final_norm=not arrangement.final_norm),
        )
        for lost in range(1, config.layers):
            yield f"{lost} of {config.layers} layers leave no trace", change(arrangement, lost=lost)
    yield "the norm stands on the sublayer's output, before the addition", change(arrangement, placement="branch")
    if arrangement.placement == "post":
        for which in range(arrangement.sublayers):
            yield f"the {ORDINALS[which]} norm is missing", change(arrangement, absent=(which,))
    yield from _other_skips(config, arrangement)
    yield "bias is as not claimed", change(arrangement, bias=not arrangement.bias)


def _other_skips(config: Config, arrangement: Arrangement) -> Iterator[tuple[str, Arrangement]]:
    change, every = dataclasses.replace, range(arrangement.sublayers)
    for which in every[1:]:
        for held in range(which):
            words = f"the {ORDINALS[which]} skip adds the {ORDINALS[held]} skip's input"
            yield words, change(arrangement, earlier=((which, held),))
    if arrangement.sublayers > 2:
        yield (
            "every skip adds the first one's input",
            change(arrangement, earlier=tuple((each, 0) for each in every[1:])),
        )
    places = [("each skip", tuple(every)), *((f"the {ORDINALS[which]} skip", (which,)) for which in every)]
    for where, which_ones in places:
        for held_word, words in HELD.items():
            yield f"{where} holds {words}", change(arrangement, of=tuple((each, held_word) for each in which_ones))
    roots = [root for size in (config.d_head, config.d_model) for root in (size**-0.5, size**0.5)]
    for factor in dict.fromkeys((0.0, 2.0, 0.5, 0.5**0.5, 2**0.5, 3.0, 0.1, 0.25, *roots)):
        if factor == 1.0:
            continue
        for where, which_ones in places:
            words = f"{where} missing" if factor == 0 else f"{where} multiplied by {factor:.3g}"
            yield words, change(arrangement, factors=tuple((each, factor) for each in which_ones))
