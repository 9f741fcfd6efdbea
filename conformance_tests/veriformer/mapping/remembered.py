"""Remembered outputs: what a subject says under each hypothesis is computed once, for all variants that it is compared with."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from veriformer.mapping.symmetric import Hypothesis


class Remembered:
    """Outputs under one hypothesis after another: each computed when it is asked for the first time, and then kept."""

    def __init__(self, source: Iterator[tuple[Hypothesis, Tensor]]) -> None:
        self.source = source
        self.seen: list[tuple[Hypothesis, Tensor]] = []
        self.stacked: Tensor | None = None

    def __iter__(self) -> Iterator[tuple[Hypothesis, Tensor]]:
        index = 0
        while True:
            if index == len(self.seen):
                following = next(self.source, None)
                if following is None:
                    return
                self.seen.append(following)
            yield self.seen[index]
            index += 1

    def distances(self, expected: Tensor) -> Iterator[tuple[Hypothesis, float]]:
        """How far each output is from ``expected``; all at once where all are known."""
        if self.stacked is None and all(output.shape == expected.shape for _, output in self.seen):
            for hypothesis, output in self:
                yield hypothesis, _apart(output, expected)
            if self.seen and len({output.shape for _, output in self.seen}) == 1:
                self.stacked = torch.stack([output for _, output in self.seen])
            return
        if self.stacked is None or self.stacked.shape[1:] != expected.shape:
            yield from ((hypothesis, math.inf) for hypothesis, _ in self.seen)
            return
        largest = max(float(expected.abs().max()), 1e-300)
        apart = (self.stacked - expected).flatten(1).abs().amax(1).nan_to_num(nan=math.inf) / largest
        yield from ((hypothesis, each) for (hypothesis, _), each in zip(self.seen, apart.tolist(), strict=True))


def _apart(output: Tensor, expected: Tensor) -> float:
    if output.shape != expected.shape:
        return math.inf
    largest = float(expected.detach().abs().max())
    apart = float((output - expected).detach().abs().max())
    return math.inf if math.isnan(apart) else apart / max(largest, 1e-300)
