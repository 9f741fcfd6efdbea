"""The learning rate, tested: its equation, step by step."""

import math

import torch

from veriformer import tolerance
from veriformer.case import Case
from veriformer.outcome import Violation
from veriformer.property import checks
from veriformer.strategies import cases
from veriformer.subjects import Instance, Subject
from veriformer.toy_language import dice
from veriformer_spec import training

MOST = 200
"""The longest warm-up that is drawn: one step is then still a thousand times more than rounding."""


def rate_at(instance: Instance, step: int) -> float:
    """The learning rate that the subject gives."""
    answer = instance.raw(step)
    try:
        rate: float = float(answer)
    except (TypeError, ValueError):
        raise Violation(f"step {step} gives {type(answer).__name__}, where a number is promised") from None
    return rate


def equation_3(step: int, d_model: int, warmup: int) -> float:
    """The rising line below the warm-up, the falling root beyond; at the warm-up itself both are the same."""
    falling = 1 / math.sqrt(d_model * step)
    rising = step / (math.sqrt(d_model * warmup) * warmup)
    return falling if step >= warmup else rising


@checks(
    training.LEARNING_RATE_EQUALS_EQUATION_3,
    sentence="4e5226ec",
    cases=cases(d_model=(8, 64)),
)
def test_learning_rate_equals_equation_3(subject: Subject, case: Case) -> None:
    """At the first steps, around the peak and far beyond it, in order and then once more from the beginning.

    Rounding in float32 is allowed for: optimisers take any number, and one step more or less is far beyond it.
    """
    rolls = dice(case.seed)
    warmup = rolls.randint(5, MOST)
    instance = subject.instance(case, changes={"warmup": warmup})
    steps = sorted({1, 2, 3, rolls.randint(3, warmup), warmup - 1, warmup, warmup + 1, 4 * warmup, 10 * warmup})
    for step in (*steps, 1):
        tolerance.require_close(
            torch.tensor([rate_at(instance, step)], dtype=torch.float64),
            torch.tensor([equation_3(step, case.d_model, warmup)], dtype=torch.float64),
            f"the learning rate at step {step}, with d_model {case.d_model} and {warmup} steps of warm-up",
            dtype=torch.float32,
        )
