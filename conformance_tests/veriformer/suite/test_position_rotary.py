"""Position, tested: rotary encoding, against complex numbers and against what turning must leave alone.

The suite's own formula multiplies the pair (a, b), read as a + bi, by the unit number of its angle. It shares no line with the
reference, which writes sines and cosines out.
"""

import cmath
import dataclasses
import math

import torch
from torch import Tensor

from veriformer import tolerance
from veriformer.case import Case
from veriformer.inputs import generator, normal
from veriformer.outcome import SubjectError, Vacuous, Violation
from veriformer.property import checks
from veriformer.strategies import cases
from veriformer.subjects import Instance, Subject
from veriformer_spec import position

SEQUENCES = cases(batch=(1, 2), q_len=(3, 7), heads=(1, 3), d_head=(2, 8))
"""Two features too, which are one pair; of four on, halves and neighbours are different pairs."""
PAIRED = cases(batch=(1, 2), q_len=(3, 6), heads=(1, 3), d_head=(4, 8))


@dataclasses.dataclass(frozen=True)
class Turning:
    """How positions turn pairs; the defaults are the paper's, and ``claimed`` are the subject's.

    Attributes:
        sign: 1 counterclockwise, -1 clockwise.
        exponent: what 2i/d_head is multiplied by in the exponent of the base.
        first: the number of the first position.
    """

    base: float = 10000.0
    scaling: float = 1.0
    pairing: str = "halves"
    sign: int = 1
    exponent: float = 1.0
    first: int = 0

    def angle(self, place: int, pair: int, d_head: int) -> float:
        """By how much one pair turns at one position, in radians."""
        frequency: float = self.base ** (-2 * pair * self.exponent / d_head)
        return self.sign * (place + self.first) / self.scaling * frequency

    def partners(self, d_head: int) -> list[tuple[int, int]]:
        """The features of each pair."""
        if self.pairing == "adjacent":
            return [(2 * pair, 2 * pair + 1) for pair in range(d_head // 2)]
        return [(pair, pair + d_head // 2) for pair in range(d_head // 2)]

    def __call__(self, x: Tensor, start: int = 0) -> Tensor:
        """``x`` (``batch heads time d_head``) turned, with Python's own complex exponential."""
        result, numbers = x.clone(), x.double()
        for place in range(x.shape[-2]):
            for pair, (one, other) in enumerate(self.partners(x.shape[-1])):
                unit = cmath.exp(1j * self.angle(start + place, pair, x.shape[-1]))
                turned = torch.complex(numbers[:, :, place, one], numbers[:, :, place, other]) * unit
                result[:, :, place, one], result[:, :, place, other] = turned.real, turned.imag
        return result

    def rounded(self, x: Tensor, start: int = 0) -> Tensor:
        """The same in real tensor arithmetic, of which noise measures how far rounding goes."""
        d_head = x.shape[-1]
        places = torch.arange(start, start + x.shape[-2], dtype=torch.float64) + self.first
        powers = torch.arange(0, d_head, 2, dtype=torch.float64) * (-self.exponent * math.log(self.base) / d_head)
        angles = self.sign * (places / self.scaling)[:, None] * powers.exp()
        one, other = (list(each) for each in zip(*self.partners(d_head), strict=True))
        first, second = x.double()[..., one], x.double()[..., other]
        turned = torch.cat(
            (first * angles.cos() - second * angles.sin(), first * angles.sin() + second * angles.cos()), -1
        )
        return turned[..., torch.tensor([*one, *other]).argsort()]


def claimed(instance: Instance) -> Turning:
    """The turning that the subject claims."""
    config = instance.config
    return Turning(base=config.rotary_base, scaling=config.rotary_scaling, pairing=config.rotary_pairing)


def tempting(right: Turning) -> list[tuple[str, Turning]]:
    """Turnings that are written by mistake, or under another claim; those as good as the right one are left out."""
    other = "adjacent" if right.pairing == "halves" else "halves"
    found = {
        f"rotary_pairing={other}": dataclasses.replace(right, pairing=other),
        "turned the other way": dataclasses.replace(right, sign=-1),
        f"turned the other way, in pairs of {other}": dataclasses.replace(right, sign=-1, pairing=other),
        "positions that count from one": dataclasses.replace(right, first=1),
        "an exponent of i/d_head": dataclasses.replace(right, exponent=0.5),
        "an exponent of 4i/d_head": dataclasses.replace(right, exponent=2.0),
        "a frequency multiplied where it divides": dataclasses.replace(right, exponent=-1.0),
        "positions multiplied by the scaling": dataclasses.replace(right, scaling=1 / right.scaling),
        "positions that are not scaled": dataclasses.replace(right, scaling=1.0),
    }
    for base in (10000.0, 500000.0, 1000000.0, 100000.0, 1000.0, 100.0):
        found[f"rotary_base={base:g}"] = dataclasses.replace(right, base=base)
    return [(words, each) for words, each in found.items() if each != right]


def turned(instance: Instance, x: Tensor, start: int = 0) -> Tensor:
    """What the subject returns for ``x`` as at positions ``start``, ``start + 1``, ...; ``start`` is passed where it is not 0."""
    with torch.no_grad():
        output = instance.raw(x.clone(), start) if start else instance.raw(x.clone())
    if not isinstance(output, Tensor):
        raise SubjectError(f"call returned a {type(output).__name__} where a tensor is promised", origin="call")
    if output.shape != x.shape:
        raise Violation(f"shape {tuple(output.shape)} came back for {tuple(x.shape)}")
    return output.clone()


def tokens(subject: Subject, case: Case) -> Tensor:
    """Queries or keys: ``batch heads time d_head``."""
    shape = (case.batch, case.heads, case.q_len, case.d_head)
    return normal(shape, generator(case.seed), subject.dtype, subject.device)


def a_start(instance: Instance, case: Case, *, length: int) -> int:
    """Some position from which ``length`` tokens still end within ``max_len``."""
    room = instance.config.max_len - length
    if room < 1:
        raise Vacuous(f"{length} tokens fill the longest sequence, so that they can start at 0 only")
    return 1 + case.seed % room


def require_turned(instance: Instance, x: Tensor, got: Tensor, message: str, *, start: int = 0) -> None:
    """Fail if ``got`` is not ``x`` turned as claimed, and say what it is instead."""
    right = claimed(instance)
    wide, dtype = x.double().cpu(), instance.subject.rounds_to
    try:
        tolerance.require_close(got, right(wide, start), message, dtype=dtype, again=lambda: right.rounded(wide, start))
    except Violation as seen:
        size = float(wide.abs().max())
        apart = [
            words
            for words, each in tempting(right)
            if bool((each(wide, start) - got.double().cpu()).abs().max() < 1e-4 * size)
        ]
        if apart:
            seen.behaves_as(apart[:2])
        raise


@checks(position.ROTARY_EQUALS_ITS_EQUATION, sentence="06bbd1f3", cases=SEQUENCES)
def test_rotary_equals_its_equation(subject: Subject, case: Case) -> None:
    """Every pair is multiplied by the unit complex number of its angle."""
    instance, x = subject.instance(case), tokens(subject, case)
    require_turned(instance, x, turned(instance, x), "the output is not the input, turned by position over frequency")


@checks(position.ROTARY_DEPENDS_ONLY_ON_THE_DIFFERENCE, sentence="d8751d84", cases=SEQUENCES)
def test_rotary_depends_only_on_the_difference(subject: Subject, case: Case) -> None:
    """One query and one key stand at every position: their products are the same along every diagonal, and from another start."""
    instance, each = subject.instance(case), tokens(subject, case)
    query, key = (each[:, :, at : at + 1].expand_as(each).contiguous() for at in (0, 1))
    right = claimed(instance)

    def products(start: int) -> Tensor:
        return turned(instance, query, start) @ turned(instance, key, start).mT

    def again() -> Tensor:
        one, other = (right.rounded(side.double().cpu(), start) for side in (query, key))
        return (one @ other.mT)[:, :, 1:, 1:]

    here = products(0)
    if not bool(here.isfinite().all()):
        raise Vacuous("the output is not finite")
    message = "the product of a turned query and a turned key changes where both move on by one"
    dtype = subject.rounds_to
    tolerance.require_close(here[:, :, 1:, 1:], here[:, :, :-1, :-1], message, dtype=dtype, again=again)
    start = a_start(instance, case, length=case.q_len)
    there = products(start)
    message = f"the product of a turned query and a turned key changes where both start at position {start}"
    tolerance.require_close(there[:, :, 1:, 1:], here[:, :, 1:, 1:], message, dtype=dtype, again=again)


@checks(position.ROTARY_KEEPS_NORMS, sentence="ed673be4", cases=SEQUENCES)
def test_rotary_keeps_norms(subject: Subject, case: Case) -> None:
    """Each pair is as long as before, at every position; the first position comes back as it went in."""
    instance, x = subject.instance(case), tokens(subject, case)
    got = turned(instance, x)
    one, other = (list(each) for each in zip(*claimed(instance).partners(case.d_head), strict=True))

    def lengths(features: Tensor) -> Tensor:
        return (features[..., one].square() + features[..., other].square()).sqrt()

    right, wide = claimed(instance), x.double().cpu()
    tolerance.require_close(
        lengths(got.double().cpu()),
        lengths(wide),
        "turning changes the length of a pair of features",
        dtype=subject.rounds_to,
        again=lambda: lengths(right.rounded(wide)),
    )
    tolerance.require_close(got[:, :, 0], x[:, :, 0], "position 0 turns something", dtype=subject.rounds_to)


@checks(position.ROTARY_PAIRS_AS_CLAIMED, sentence="e310c043", cases=PAIRED)
def test_rotary_pairs_as_claimed(subject: Subject, case: Case) -> None:
    """One feature alone is not zero: at the last position it and its partner are not, and every other feature is."""
    instance, right = subject.instance(case), claimed(subject.instance(case))
    partner = {one: other for pair in right.partners(case.d_head) for one, other in (pair, pair[::-1])}
    alone = torch.eye(case.d_head, dtype=subject.dtype, device=subject.device)
    meets: dict[int, list[int]] = {}
    for feature in range(case.d_head):
        x = alone[feature].expand(case.batch, case.heads, case.q_len, -1).contiguous()
        reached = turned(instance, x)[:, :, -1].abs().amax((0, 1)).double().cpu()
        if not bool(reached.isfinite().all()):
            raise Vacuous("the output is not finite")
        rounding = tolerance.units(subject.rounds_to) * tolerance.floor(reached, subject.rounds_to)
        meets[feature] = [each for each in range(case.d_head) if each != feature and float(reached[each]) > rounding]
        if float(reached[partner[feature]]) == 0 and not meets[feature]:
            meets[feature] = [feature]
    wrong = [each for each, others in meets.items() if others not in ([], [partner[each]])]
    if wrong:
        first = wrong[0]
        seen = Violation(
            f"feature {first} turns together with {_listed(first, meets[first])}, and should with feature {partner[first]} "
            f"({right.pairing})",
            expected=torch.tensor([partner[each] for each in meets]),
            got=torch.tensor([others[0] if others else -1 for others in meets.values()]),
            index=(first,),
        )
        other = dataclasses.replace(right, pairing="adjacent" if right.pairing == "halves" else "halves")
        pairs = {one: two for pair in other.partners(case.d_head) for one, two in (pair, pair[::-1])}
        if all(others in ([], [pairs[each]]) for each, others in meets.items()):
            seen.behaves_as([f"rotary_pairing={other.pairing}"])
        raise seen


def _listed(feature: int, others: list[int]) -> str:
    """The features that one turns with, in words."""
    if others == [feature]:
        return "no other"
    return f"feature {others[0]}" if len(others) == 1 else f"features {', '.join(map(str, others))}"


@checks(position.ROTARY_STARTS_WHERE_TOLD, sentence="a5b80a3c", cases=SEQUENCES)
def test_rotary_starts_where_told(subject: Subject, case: Case) -> None:
    """The rest of a sequence, told where it starts, comes out as in the whole; so does a chunk far from the beginning."""
    instance, x = subject.instance(case), tokens(subject, case)
    right, wide = claimed(instance), x.double().cpu()
    whole = turned(instance, x)
    if not bool((whole[:, :, 1:] != x[:, :, 1:]).any()) or not bool(whole.isfinite().all()):
        raise Vacuous("nothing turns, or the output is not finite")
    cut = 1 + case.seed % (case.q_len - 1)
    tolerance.require_close(
        turned(instance, x[:, :, cut:].contiguous(), cut),
        whole[:, :, cut:],
        f"tokens that start at position {cut} are not turned as they are within the whole sequence",
        dtype=subject.rounds_to,
        again=lambda: right.rounded(wide)[:, :, cut:],
    )
    start = a_start(instance, case, length=case.q_len)
    message = f"tokens that start at position {start} are not turned as their positions say"
    require_turned(instance, x, turned(instance, x, start), message, start=start)
