"""Learning-rate schedules: faults planted and foreign, and near-misses."""

# mypy: ignore-errors
# Other people's code, written the way they write it: without types.

import dataclasses

import numpy as np
import torch

import veriformer
from veriformer.faults.fault import Fault, NearMiss, Planted
from veriformer_spec import training
from veriformer_spec.role import Role

_SCHEDULE = (Planted(role=Role.LEARNING_RATE_SCHEDULE),)


def _planted(name, sentence, written, formula):
    return Fault(
        id=name,
        sentence=sentence,
        clauses=(training.LEARNING_RATE_EQUALS_EQUATION_3,),
        source="experience",
        written=written,
        mend="d_model ** -0.5 * min(step ** -0.5, step * warmup ** -1.5)",
        patches=(("training.learning_rate", formula),),
        planted=_SCHEDULE,
    )


LARGER_OF_THE_TWO = _planted(
    "schedule-takes-the-larger", "the larger of the two parts is taken: the rate falls first, and rises for ever",
    "max(step ** -0.5, step * warmup ** -1.5)",
    lambda step, d_model, warmup: d_model**-0.5 * max(step**-0.5, step * warmup**-1.5),
)  # fmt: skip
ROOT_OF_THE_WARMUP = _planted(
    "schedule-with-the-root-of-the-warmup", "the line rises with warmup^(-1/2), and never meets the root below",
    "step * warmup ** -0.5",
    lambda step, d_model, warmup: d_model**-0.5 * min(step**-0.5, step * warmup**-0.5),
)  # fmt: skip
STEPS_FROM_ZERO = _planted(
    "schedule-counts-from-zero", "the first step is taken for step 0",
    "step = self._step  # incremented afterwards",
    lambda step, d_model, warmup: d_model**-0.5 * min(max(step - 1, 1e-9) ** -0.5, (step - 1) * warmup**-1.5),
)  # fmt: skip


def scheduled(formula, name):
    """A build function for a schedule of this formula."""

    @veriformer.subject("learning-rate-schedule", module=None)
    def build(config):
        return lambda step: formula(step, config.d_model, config.warmup)

    build.__veriformer__ = dataclasses.replace(build.__veriformer__, name=name)
    return build


@veriformer.subject("learning-rate-schedule", module=None)
def one_step_late(config):
    """A scheduler that is stepped before the optimiser: every rate is the next one's."""
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    scheduler = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: config.d_model**-0.5 * min((step + 1) ** -0.5, (step + 1) * config.warmup**-1.5)
    )
    rates = []

    def rate(step):
        while len(rates) < step:
            optimizer.step()
            scheduler.step()
            rates.append(scheduler.get_last_lr()[0])
        return rates[step - 1]

    return rate


SCHEDULE_OF_ANOTHER_SHAPE = Fault(
    id="schedule-of-another-shape",
    sentence="the size has the other exponent or none, or the fall is a line, or the warm-up a number in the code, or all is a step late",
    clauses=(training.LEARNING_RATE_EQUALS_EQUATION_3,),
    source="experience",
    written="scheduler.step(); optimizer.step()",
    mend="optimizer.step(); scheduler.step(), with step + 1 in the lambda",
    builds=(
        scheduled(lambda step, d, w: d**0.5 * min(step**-0.5, step * w**-1.5), "other_exponent"),
        scheduled(lambda step, d, w: min(step**-0.5, step * w**-1.5), "without_the_size"),
        scheduled(lambda step, d, w: (d * w) ** -0.5 * min(step / w, max(0.0, 2 - step / w)), "falls_in_a_line"),
        scheduled(lambda step, d, w: d**-0.5 * min(step**-0.5, step * 4000**-1.5), "warmup_in_the_code"),
        scheduled(lambda step, d, w: d**-0.5 * step * w**-1.5 if step < w else (d * w) ** -0.5, "never_falls"),
        one_step_late,
    ),
)


@veriformer.subject("learning-rate-schedule", module=None)
def scheduler_of_the_library(config):
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    scheduler = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: config.d_model**-0.5 * min((step + 1) ** -0.5, (step + 1) * config.warmup**-1.5)
    )
    rates = [scheduler.get_last_lr()[0]]

    def rate(step):
        while len(rates) < step:
            optimizer.step()
            scheduler.step()
            rates.append(scheduler.get_last_lr()[0])
        return rates[step - 1]

    return rate


LIBRARY_SCHEDULER = NearMiss(
    id="schedule-of-a-library",
    sentence="torch's LambdaLR, stepped up to the step that is asked for, which it counts from zero",
    clauses=(training.LEARNING_RATE_EQUALS_EQUATION_3,),
    build=scheduler_of_the_library,
)
SCHEDULE_IN_FLOAT32 = NearMiss(
    id="schedule-in-float32",
    sentence="the rate comes as a number of numpy's, computed in float32 from logarithms",
    clauses=(training.LEARNING_RATE_EQUALS_EQUATION_3,),
    build=scheduled(
        lambda step, d, w: (
            np.float32(d) ** np.float32(-0.5)
            * np.minimum(np.float32(step) ** np.float32(-0.5), np.float32(step) * np.float32(w) ** np.float32(-1.5))
        ),
        "in_float32",
    ),
)
