"""Position, tested: what is added to the scores for the distance, against slopes and buckets known by hand.

Softmax ignores a number that is the same for all keys of a query: ``slope * key position`` is as good as ``-slope * distance``. So
every value is taken relative to what its query gives its own position. Of the future a causal bias may say anything, minus infinity
too: the mask hides it.
"""

import dataclasses
import math
from collections.abc import Callable

import torch
from hypothesis.strategies import SearchStrategy
from torch import Tensor

from veriformer import tolerance
from veriformer.case import Case
from veriformer.outcome import NotChecked, SubjectError, Vacuous, Violation
from veriformer.property import Cases, checks
from veriformer.strategies import cases
from veriformer.subjects import Instance, Subject
from veriformer.understanding import mapped_weights
from veriformer_spec import position
from veriformer_spec.config import Config


def no_query_without_a_key(drawn: Cases) -> Cases:
    """The same cases with at least as many keys as queries, which stand at the end of them."""

    def strategy(subject: Subject) -> SearchStrategy[Case]:
        return drawn(subject).map(
            lambda case: dataclasses.replace(case, q_len=min(case.q_len, case.k_len), k_len=max(case.q_len, case.k_len))
        )

    return strategy


LENGTHS = no_query_without_a_key(cases(q_len=(1, 6), k_len=(4, 12), heads=(1, 12), d_head=(2, 2)))
"""Every number of heads up to twelve: for eight of them the slopes are not one geometric series."""

EXPONENTS: dict[int, tuple[float, ...]] = {
    1: (8,),
    2: (4, 8),
    3: (4, 8, 2),
    4: (2, 4, 6, 8),
    5: (2, 4, 6, 8, 1),
    6: (2, 4, 6, 8, 1, 3),
    7: (2, 4, 6, 8, 1, 3, 5),
    8: (1, 2, 3, 4, 5, 6, 7, 8),
    9: (1, 2, 3, 4, 5, 6, 7, 8, 0.5),
    10: (1, 2, 3, 4, 5, 6, 7, 8, 0.5, 1.5),
    11: (1, 2, 3, 4, 5, 6, 7, 8, 0.5, 1.5, 2.5),
    12: (1, 2, 3, 4, 5, 6, 7, 8, 0.5, 1.5, 2.5, 3.5),
}
"""The slope of a head is 2 to the power of minus this, by number of heads; written out from Press et al.'s sentence."""


def exponents(heads: int) -> tuple[float, ...]:
    """By hand up to twelve heads; beyond, in the steps of 8/n that the hand followed."""
    if heads in EXPONENTS:
        return EXPONENTS[heads]
    below = 1 << (heads.bit_length() - 1)
    first = tuple(8 / below * step for step in range(1, below + 1))
    between = tuple(4 / below * step for step in range(1, 2 * below, 2))
    return first + between[: heads - below]


def bias(instance: Instance, q_len: int, k_len: int) -> Tensor:
    """What the subject returns, in float64 on the CPU: ``heads q_len k_len``."""
    with torch.no_grad():
        output = instance.raw(q_len, k_len)
    if not isinstance(output, Tensor):
        raise SubjectError(f"call returned a {type(output).__name__} where a tensor is promised", origin="call")
    expected = (instance.config.heads, q_len, k_len)
    if tuple(output.shape) != expected:
        raise Violation(
            f"shape {tuple(output.shape)} came back for {q_len} queries and {k_len} keys, expected {expected}"
        )
    return output.detach().clone().double().cpu()


def distances(q_len: int, k_len: int) -> Tensor:
    """Query position minus key position, queries at the end of the keys: ``q_len k_len``."""
    queries = torch.arange(k_len - q_len, k_len)
    return queries[:, None] - torch.arange(k_len)


def visible(config: Config, apart: Tensor) -> Tensor:
    """Which keys the bias must be right about: the past where the direction is causal, and all of them elsewhere."""
    return apart >= 0 if config.direction == "causal" else torch.ones_like(apart, dtype=torch.bool)


def beside_own_position(values: Tensor) -> Tensor:
    """The bias less what each query gives its own position, which softmax cannot tell from the bias itself."""
    _, q_len, k_len = values.shape
    own = values[:, torch.arange(q_len), torch.arange(k_len - q_len, k_len)]
    return values - own[..., None]


def rounding(instance: Instance, values: Tensor) -> torch.dtype:
    """Float32 where every number fits into it: biases are small tables, and usually made in float32."""
    return torch.float32 if torch.equal(values.float().double(), values) else instance.subject.rounds_to


def falls(of: tuple[float, ...], apart: Tensor) -> Tensor:
    """Minus slope times distance, either way."""
    return torch.tensor([-(2.0**-each) for each in of], dtype=torch.float64)[:, None, None] * apart.abs()


@checks(position.ALIBI_SLOPES, sentence="ee2d0f0d", cases=LENGTHS)
def test_alibi_slopes(subject: Subject, case: Case) -> None:
    """Every head's bias falls along the keys as the table above says."""
    instance = subject.instance(case)
    values = bias(instance, case.q_len, case.k_len)
    apart = distances(case.q_len, case.k_len)
    seen = visible(instance.config, apart)
    right = exponents(case.heads)

    def at(expected: Tensor) -> Tensor:
        return torch.where(seen, expected, 0)

    got = at(beside_own_position(values))
    try:
        tolerance.require_close(
            got, at(falls(right, apart)), "the bias is not minus slope times distance", dtype=rounding(instance, values)
        )
    except Violation as failure:
        fitting = [words for words, each in _tempting(right, apart) if bool((at(each) - got).abs().max() < 1e-5)]
        if fitting:
            failure.behaves_as(fitting[:2])
        raise


def _tempting(right: tuple[float, ...], apart: Tensor) -> list[tuple[str, Tensor]]:
    """Biases that are written by mistake; those as good as the right one are left out."""
    heads = len(right)
    series = tuple(8 * (head + 1) / heads for head in range(heads))
    above = 1 << (heads - 1).bit_length()
    steps = tuple(8 * (head + 1) / above for head in range(heads))
    found = [
        ("slopes in reverse", falls(right[::-1], apart)),
        ("a bias that grows with the distance", -falls(right, apart)),
        ("one series 2^(-8/n) where the number of heads is no power of two", falls(series, apart)),
        ("the first slopes of the power of two above", falls(steps, apart)),
        ("exponents that count from zero", falls(tuple(8 * head / heads for head in range(heads)), apart)),
        ("nothing added", torch.zeros(heads, *apart.shape, dtype=torch.float64)),
        ("every head with the first slope", falls((right[0],) * heads, apart)),
        ("a distance that is squared", falls(right, apart.square())),
        ("the distance's logarithm", falls(right, (apart.abs() + 1).double().log())),
    ]
    return [(words, each) for words, each in found if not torch.equal(each, falls(right, apart))]


@checks(position.BIAS_FOLLOWS_THE_DIFFERENCE, sentence="983c9301", cases=LENGTHS)
def test_a_bias_follows_the_difference_alone(subject: Subject, case: Case) -> None:
    """The bias of the whole square is one number for each head and difference; every other call repeats those numbers."""
    instance, length = subject.instance(case), case.k_len
    square = bias(instance, length, length)
    dtype = rounding(instance, square)
    by_difference = _by_difference(instance, square)
    if case.heads > 1 and bool((by_difference == by_difference[:1]).all()):
        raise Violation("every head gets the same bias", got=by_difference[:, :3])
    for q_len, k_len in dict.fromkeys(
        ((length, length), (case.q_len, length), (1, length), (min(case.q_len, length - 1), length - 1), (1, 1))
    ):
        values = bias(instance, q_len, k_len)
        apart = distances(q_len, k_len)
        seen = visible(instance.config, apart)
        tolerance.require_close(
            torch.where(seen, beside_own_position(values), 0),
            torch.where(seen, by_difference[:, apart + length - 1], 0),
            f"for {q_len} queries and {k_len} keys, the bias does not follow the difference of positions as for {length} of both",
            dtype=dtype,
        )


def _by_difference(instance: Instance, square: Tensor) -> Tensor:
    """The bias at each difference from ``1 - length`` to ``length - 1``, each read where it first stands: ``heads difference``."""
    length = square.shape[-1]
    own = beside_own_position(square)
    causal = instance.config.direction == "causal"
    future = torch.zeros(len(square), length - 1, dtype=square.dtype) if causal else own[:, 0, 1:].flip(-1)
    return torch.cat((future, own[:, -1].flip(-1)), dim=-1)


SIDES_OF_BUCKETS = ((8, 16), (12, 20), (16, 32), (8, 20))
"""Buckets of one side and the distance from which on all share the last."""


def with_buckets(subject: Subject, case: Case) -> Instance:
    """The subject built for other numbers of buckets than the usual ones, unless its own are fixed."""
    fixed = subject.declaration.sizes
    buckets, reach = SIDES_OF_BUCKETS[case.seed % len(SIDES_OF_BUCKETS)]
    if subject.claims["direction"] == "bidirectional":
        buckets *= 2
    changes = {"buckets": fixed.get("buckets", buckets), "max_distance": fixed.get("max_distance", reach)}
    return subject.instance(case, changes=changes)


def bucket(distance: int, side: int, reach: int) -> int:
    """The bucket of a distance of 0 or more, out of ``side`` on its side, in whole numbers.

    Beyond half of them, bucket half + j begins where distance/half is (reach/half)^(j/half): both raised to the same power.
    """
    half = side // 2
    if distance < half:
        return distance
    rest = side - half
    begun = [step for step in range(rest) if distance**rest * half**step >= reach**step * half**rest]
    return half + begun[-1]


def on_a_border(distance: int, side: int, reach: int) -> bool:
    """Whether a logarithm in float32 may put the distance into either of two buckets: its step is a whole number but for rounding."""
    half = side // 2
    if distance <= half or distance >= reach:
        return False
    step = math.log(distance / half) / math.log(reach / half) * (side - half)
    return abs(step - round(step)) < 1e-4


def expected_row(config: Config, distance: int) -> int:
    """The row of the table that a distance reads: the past in the first half, the future in the second where it has one."""
    if config.direction == "causal":
        return bucket(max(distance, 0), config.buckets, config.max_distance)
    side = config.buckets // 2
    return bucket(abs(distance), side, config.max_distance) + (side if distance < 0 else 0)


LONG = cases(q_len=(1, 2), k_len=(20, 24), heads=(1, 5), d_head=(2, 2))


def _observed(instance: Instance) -> tuple[list[int], Tensor]:
    """The distances that a bias must be right about, and its values there: ``heads difference``."""
    config = instance.config
    length = min(config.max_distance + 3, config.max_len)
    square = bias(instance, length, length)
    if not bool(square.tril().isfinite().all()):
        raise Vacuous("the bias is not finite")
    side = config.buckets if config.direction == "causal" else config.buckets // 2
    first = 0 if config.direction == "causal" else 1 - length
    differences = [each for each in range(first, length) if not on_a_border(abs(each), side, config.max_distance)]
    own = beside_own_position(square)
    values = [own[:, max(each, 0), max(-each, 0)] for each in differences]
    return differences, torch.stack(values, dim=-1)


@checks(position.RELATIVE_BUCKETS, sentence="fbd9adb8", cases=LONG)
def test_relative_buckets_share_as_they_must(subject: Subject, case: Case) -> None:
    """Without knowing the table: two distances have the same bias exactly where they share a bucket."""
    instance = with_buckets(subject, case)
    differences, values = _observed(instance)
    rounded = tolerance.units(torch.float32) * tolerance.floor(values, torch.float32)
    together = (values[:, :, None] - values[:, None, :]).abs().amax(0) <= rounded
    wanted = _together(differences, lambda each: expected_row(instance.config, each))
    wrong = together != wanted
    if not bool(wrong.any()):
        return
    one, other = (int(each) for each in wrong.nonzero()[0])
    seen = Violation(
        f"distances {differences[one]} and {differences[other]} {'share' if together[one, other] else 'do not share'} a bias, with "
        f"{instance.config.buckets} buckets up to distance {instance.config.max_distance} ({instance.config.direction})",
        expected=wanted[one].int(),
        got=together[one].int(),
        index=(one, other),
        margin="1 = the same bias",
    )
    fitting = [
        words for words, row in _tempting_buckets(instance.config) if torch.equal(together, _together(differences, row))
    ]
    if fitting:
        seen.behaves_as(fitting[:2])
    raise seen


def _together(differences: list[int], row: Callable[[int], int]) -> Tensor:
    rows = torch.tensor([row(each) for each in differences])
    return rows[:, None] == rows


def _tempting_buckets(config: Config) -> list[tuple[str, Callable[[int], int]]]:
    """Buckets that are written by mistake, or under another claim."""
    other = "bidirectional" if config.direction == "causal" else "causal"

    def changed(**changes: int | str) -> Callable[[int], int]:
        different = dataclasses.replace(config, **changes)  # type: ignore[arg-type]  # each name has a value of its type
        return lambda distance: expected_row(different, distance)

    def rounded_up(distance: int) -> int:
        side = config.buckets if config.direction == "causal" else config.buckets // 2
        near = abs(distance) if other == "causal" else max(distance, 0)
        half = side // 2
        row = near
        if near >= half:
            steps = math.log(near / half) / math.log(config.max_distance / half) * (side - half)
            row = min(half + math.ceil(steps - 1e-9), side - 1)
        return row + (side if other == "causal" and distance < 0 else 0)

    return [
        (f"direction={other}", changed(direction=other)),
        ("the sign of the distance lost", lambda distance: expected_row(config, abs(distance))),
        ("the sign of the distance turned round", lambda distance: expected_row(config, -distance)),
        ("the logarithm rounded up", rounded_up),
        ("a max_distance one smaller", changed(max_distance=config.max_distance - 1)),
        ("a max_distance one larger", changed(max_distance=config.max_distance + 1)),
        ("a max_distance of 128", changed(max_distance=128)),
        ("half the buckets", changed(buckets=config.buckets // 2)),
        ("a bucket for each distance, up to the last", lambda distance: min(abs(distance), config.buckets - 1)),
    ]


@checks(position.RELATIVE_BUCKETS, sentence="fbd9adb8", cases=LONG, needs_weights=True)
def test_relative_buckets_read_the_right_rows(subject: Subject, case: Case) -> None:
    """With the subject's table: every distance has the bias of its own bucket's row."""
    instance = with_buckets(subject, case)
    mapping = mapped_weights(instance)
    table = next(iter(mapping.values())).detach().double().cpu()
    if table.shape != (instance.config.buckets, case.heads):
        raise NotChecked("the mapping holds no table of buckets and heads")
    differences, values = _observed(instance)
    rows = torch.tensor([expected_row(instance.config, each) for each in differences])
    expected = table[rows].T - table[expected_row(instance.config, 0)][:, None]
    message = "a distance does not have the bias of its bucket's row"
    tolerance.require_close(values, expected, message, dtype=torch.float32)
