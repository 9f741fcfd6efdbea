"""Dropout by itself, tested: how often, each on its own, and what is done to the rest.

Every count is compared with its probability by ``chances.require_likely``, which bounds what a whole run may call wrong by accident
at 1e-9. Rates are never one half, at which dropping and keeping look alike.
"""

import math

import torch
from torch import Tensor

from veriformer import chances, process_state, rounding, tolerance
from veriformer.case import Case
from veriformer.inputs import generator
from veriformer.outcome import Violation
from veriformer.property import checks
from veriformer.strategies import cases
from veriformer.subjects import Instance, Subject
from veriformer_spec import training

RATES = (0.1, 0.25, 0.35, 0.7, 0.8)
ENOUGH = 4096
"""Features to look at: a rate of 0.1 in place of 0.15 is 45 nats beyond an accident."""
AXES = ("calls", "rows of the batch", "tokens", "features")


def rate_of(case: Case) -> float:
    """The rate that a case stands for."""
    return RATES[case.seed % len(RATES)]


def features(case: Case, instance: Instance) -> Tensor:
    """Numbers between 0.5 and 1.5, half of them negative: none is zero before anything is dropped."""
    random = generator(case.seed)
    shape = (case.batch, case.q_len, case.d_model)
    sign = torch.randint(0, 2, shape, generator=random) * 2 - 1
    size = torch.rand(shape, generator=random, dtype=torch.float64) + 0.5
    return (sign * size).to(dtype=instance.subject.dtype, device=instance.subject.device)


def called(instance: Instance, x: Tensor) -> Tensor:
    """What comes back for a copy of ``x``, in shape."""
    with torch.no_grad():
        output = instance.raw(x.clone())
    if not isinstance(output, Tensor) or output.shape != x.shape:
        said = f"shape {tuple(output.shape)}" if isinstance(output, Tensor) else type(output).__name__
        raise Violation(f"dropout returned {said} for an input of shape {tuple(x.shape)}")
    return output.clone()


@checks(
    training.DROPOUT_KEEPS_AT_THE_CLAIMED_RATE,
    sentence="a49451bd",
    cases=cases(batch=(2, 3), q_len=(2, 5), d_model=(8, 16)),
)
def test_dropout_drops_at_the_claimed_rate(subject: Subject, case: Case) -> None:
    """Zeros are counted; then pairs of neighbours along each axis, and pairs from its two halves, which agree only by chance; then what each token loses."""
    rate = rate_of(case)
    instance = subject.instance(case, dropout=rate, training=True)
    process_state.seed(case.seed)
    x = features(case, instance)
    calls = 2 * -(-ENOUGH // (2 * x.numel()))
    dropped = torch.stack([called(instance, x) == 0 for _ in range(calls)]).cpu()
    count = int(dropped.sum())
    chances.require_likely(count, dropped.numel(), rate, f"at rate {rate} features are set to zero")
    alike = rate**2 + (1 - rate) ** 2
    for axis, name in enumerate(AXES):
        length = dropped.shape[axis] // 2 * 2
        if length < 2:
            continue
        places = torch.arange(length)
        neighbours, halves = (places[::2], places[1::2]), places.chunk(2)
        for one, other in ((dropped.index_select(axis, each) for each in two) for two in (neighbours, halves)):
            agreeing = int((one == other).sum())
            message = f"at rate {rate} {name} do not drop on their own: pairs that are dropped or kept together"
            chances.require_likely(agreeing, one.numel(), alike, message)
    require_binomial(dropped, rate)


def require_binomial(dropped: Tensor, rate: float) -> None:
    """Fail unless tokens lose as many features as independent draws take: always the same number is no chance."""
    features_each = dropped.shape[-1]
    lost = dropped.sum(-1).flatten()
    for number in range(features_each + 1):
        probability = math.comb(features_each, number) * rate**number * (1 - rate) ** (features_each - number)
        message = f"at rate {rate} features do not drop on their own: tokens that lose {number} of {features_each}"
        chances.require_likely(int((lost == number).sum()), len(lost), probability, message)


@checks(
    training.DROPOUT_IS_UNBIASED,
    sentence="5478cd08",
    cases=cases(batch=(2, 3), q_len=(2, 5), d_model=(8, 16)),
)
def test_dropout_is_unbiased(subject: Subject, case: Case) -> None:
    """Whatever is not zero is the input divided by 1 - p; at rate 0 everything is the input."""
    for rate in (rate_of(case), 0.0):
        instance = subject.instance(case, dropout=rate, training=True)
        process_state.seed(case.seed)
        x = features(case, instance)
        got = called(instance, x)
        expected = torch.where(got == 0, 0.0, x / (1 - rate)) if rate else x
        message = f"at rate {rate} what is kept is not the input divided by {1 - rate:g}"
        rounds_to = rounding.of_call(subject, lambda: called(instance, x))  # noqa: B023  # called at once
        tolerance.require_close(got, expected, message, dtype=rounds_to)


@checks(
    training.DROPOUT_IS_UNBIASED,
    sentence="5478cd08",
    cases=cases(batch=(1, 2), q_len=(2, 5), d_model=(8, 16)),
)
def test_dropout_rests_in_evaluation(subject: Subject, case: Case) -> None:
    """In evaluation mode, reached from training mode, the input comes back."""
    rate = rate_of(case)
    instance = subject.instance(case, dropout=rate, training=True)
    module = instance.module_or_not_checked()
    x = features(case, instance)
    called(instance, x)
    module.eval()
    message = f"in evaluation, at rate {rate}, not the input"
    rounds_to = rounding.of_call(subject, lambda: called(instance, x))
    tolerance.require_close(called(instance, x), x, message, dtype=rounds_to)
