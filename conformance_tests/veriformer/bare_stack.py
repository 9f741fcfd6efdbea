"""A stack stripped to its skips and norms: sublayers that return a constant, so that what comes out is known by hand.

Every matrix is zero, every gain is one, and every other vector as long as a token holds the same numbers ``b``. Then
each sublayer returns its output bias ``b`` whatever its input, whichever vector is which, and skips and norms are all
that is left. They are computed here by hand, without the reference, and under every other arrangement that is tempting.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from veriformer import tolerance
from veriformer.case import Case
from veriformer.inputs import Inputs, generator
from veriformer.outcome import NotChecked, Violation
from veriformer.subjects import Instance, Subject
from veriformer.weights import can_be_cleared, is_untouched_gain, is_vector, is_view_into, trainable
from veriformer_spec.role import Role

ROUGHLY = 1e-3
"""Share of the output below which a difference is the norm's doing (its eps), and not the arrangement's."""

HELD = {
    "sum": "the sum: the tensor it holds was added to in place",
    "normed": "the normalised input",
    "relu": "its input after a ReLU in place",
}
"""What a skip may hold in its input's place."""

HOPELESS = 2.0**14
"""Units beyond which no rounding explains a difference: norms are well conditioned, their inputs being far from constant."""

COMMON_EPS = (1e-5, 1e-6, 1e-12, 0.0)
"""Those that are tried together with another arrangement."""

OTHER_EPS = (1e-5, 1e-6, 1e-12, 1e-8, 1e-7, 1e-4, 1e-3, 0.0, 1e-9, 1e-10, 1e-2, 0.1, 1.0)


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
        """With the gain and the shift that ``bare`` leaves."""
        scaled = (
            self.normalised(x)
            * {"1": torch.ones_like(b), "2": 2 * torch.ones_like(b), "b": b, "1 + b": 1 + b}[self.gain]
        )
        return scaled + b if self.shift else scaled


@dataclasses.dataclass(frozen=True)
class Arrangement:
    """Where skips and norms stand; the defaults are right, every other value is a mistake or another claim.

    Attributes:
        first, second: what the first and the second skip multiply their input by.
        of: what the first and the second skip hold: their ``input``, or the input ``normed``, or the ``sum`` with the
            sublayer's output (an alias of a tensor that was added to in place), or the input cut by a ``relu`` in place.
        from_first: the second skip adds the first one's input.
        lost: how many layers leave no trace.
        absent: whether the first and the second norm are missing.
    """

    placement: str
    final_norm: bool
    first: float = 1.0
    second: float = 1.0
    of: tuple[str, str] = ("input", "input")
    from_first: bool = False
    lost: int = 0
    absent: tuple[bool, bool] = (False, False)
    bias: bool = True

    def run(self, x: Tensor, b: Tensor, norm: Norm, layers: int) -> Tensor:
        """What comes out."""
        for _ in range(layers - self.lost):
            entered = x
            x = self._connect(x, x, b, norm, 0)
            x = self._connect(x, entered if self.from_first else x, b, norm, 1)
        return norm(x, b) if self.final_norm else x

    def _connect(self, x: Tensor, source: Tensor, b: Tensor, norm: Norm, which: int) -> Tensor:
        constant = b if self.bias else torch.zeros_like(b)
        factor, held = (self.first, self.second)[which], source
        if self.of[which] == "normed":
            held = norm(source, b)
        elif self.of[which] == "sum":
            held = 2 * x + constant  # what x + constant is, once more
        elif self.of[which] == "relu":
            held = source.clamp(min=0)
        total = factor * held + constant
        if self.placement == "branch":
            return factor * held + norm(constant.expand_as(x), b)
        return norm(total, b) if self.placement == "post" and not self.absent[which] else total


@dataclasses.dataclass(frozen=True)
class Departure:
    """How a stack that is not as claimed behaves: what differs, in words, and whether the arrangement or the norm does."""

    words: str
    arrangement: Arrangement
    norm: Norm


@dataclasses.dataclass
class Probe:
    """One call on the stripped stack."""

    x: Tensor
    b: Tensor
    got: Tensor


@dataclasses.dataclass
class Seen:
    """What the stripped stack does.

    Attributes:
        departure: None where it behaves as claimed; where it does not, the simplest explanation that was found.
        as_claimed: it behaves as claimed.
        unexplained: it neither behaves as claimed, nor as anything known.
        worst: the call that shows it, and what was expected there.
    """

    departure: Departure | None
    as_claimed: bool
    unexplained: bool
    worst: Probe
    expected: Tensor

    def violation(self, message: str) -> Violation:
        """With the numbers that show it."""
        apart = (self.worst.got - self.expected).abs().nan_to_num(nan=math.inf)
        index = tuple(int(each) for each in torch.unravel_index(apart.argmax(), apart.shape))
        return Violation(
            message, expected=self.expected[index[:2]], got=self.worst.got[index[:2]], index=index,
            margin=f"{float(apart.max()):.3g} off",
        )  # fmt: skip


def claimed_norm(subject: Subject) -> Norm:
    """The norm as claimed."""
    claims = subject.claims
    kind = claims.get("normalization", "rms" if subject.role is Role.RMS_NORM else "layer")
    shift = kind == "layer" and bool(claims.get("norm_bias", True))
    return Norm(kind, float(claims["eps"]), "1 + b" if claims["gain"] == "one-plus-weight" else "1", shift)


def claimed_arrangement(instance: Instance) -> Arrangement:
    """Skips and norms as claimed."""
    config = instance.config
    final = config.ends_in_norm if instance.subject.role is Role.ENCODER else False
    return Arrangement(placement=config.norm, final_norm=final, bias=config.bias)


class Stripper:
    """Leaves only skips and norms, as the module's docstring says; by the mapping's names where they are views.

    Attributes:
        understood: whether the gains were found, so that what comes out is known.
        for_sure: whether there are exactly as many as claimed: a bias that starts at one would be taken for one more.
        silent: whether every sublayer returns a constant once everything is cleared: nothing is frozen, and no weight is computed.
    """

    def __init__(self, instance: Instance) -> None:
        self.one_plus = instance.subject.claims["gain"] == "one-plus-weight"
        module = instance.module_or_not_checked()
        d_model = instance.config.d_model
        mapping = instance.subject.declaration.weights
        named = dict(mapping(module)) if mapping else {}
        by_name = bool(named) and all(is_view_into(each, module) for each in named.values())
        self.cleared = [parameter for _, parameter in trainable(module)]
        if by_name:
            self.gains = [tensor for name, tensor in named.items() if name.endswith("gain")]
            self.vectors = [tensor for name, tensor in named.items() if name.endswith(("output.bias", "shift"))]
        else:
            long = [each for each in self.cleared if is_vector(each) and each.numel() == d_model]
            self.gains = [] if self.one_plus else [each for each in long if is_untouched_gain(each)]
            self.vectors = [each for each in long if not any(each is gain for gain in self.gains)]
        self.silent = by_name or can_be_cleared(module)
        wanted = 2 * (1 if instance.config.layer_parameters == "shared" else instance.config.layers)
        config, found = instance.config, len(self.gains)
        stack = instance.subject.role is Role.ENCODER
        self.understood = by_name or self.one_plus or wanted <= found <= wanted + stack
        self.for_sure = by_name or self.one_plus or found == wanted + (stack and config.ends_in_norm)

    @torch.no_grad()
    def leave(self, b: Tensor) -> None:
        """Gains one, other vectors ``b``, all else zero."""
        for parameter in self.cleared:
            parameter.zero_()
        for gain in self.gains:
            gain.copy_((b if self.one_plus else torch.ones_like(b)).reshape(gain.shape))
        for vector in self.vectors:
            vector.copy_(b.reshape(vector.shape))


def look(subject: Subject, case: Case) -> Seen:
    """Strip the stack, call it on tokens of ordinary size and of the size of eps, and find out how it behaves.

    Raises:
        NotChecked: it does not behave as claimed, but its gains were not found, so that it may be right.
    """
    small = math.sqrt(float(subject.claims["eps"])) or 1e-3
    inputs = subject.inputs(case)
    b = torch.randn(case.d_model, generator=generator(case.seed + 3), dtype=torch.float64) / 2
    b = b.to(device=subject.device, dtype=subject.dtype)
    instance = subject.instance(case, random_weights=False)
    stripper = Stripper(instance)
    probes = []
    for vector, scale in ((torch.zeros_like(b), 1.0), (torch.zeros_like(b), small), (b, 1.0)):
        stripper.leave(vector)
        x = inputs.tensors[0] * scale
        got = instance(dataclasses.replace(inputs, tensors=(x,)))
        probes.append(Probe(x.double().cpu(), vector.double().cpu(), got.double().cpu()))
    return _explained(instance, inputs, probes, stripper)


def _explained(instance: Instance, inputs: Inputs, probes: list[Probe], stripper: Stripper) -> Seen:
    norm, arrangement = claimed_norm(instance.subject), claimed_arrangement(instance)
    table = _positions(instance, inputs)

    def expected(probe: Probe, candidate: Arrangement, by: Norm) -> Tensor:
        return candidate.run(probe.x + table, probe.b, by, instance.config.layers)

    def fits(candidate: Arrangement, by: Norm, these: list[Probe]) -> bool:
        return all(_alike(instance, probe, expected(probe, candidate, by)) for probe in these)

    wrong = [
        probe for probe in probes if not _close(instance, probe, functools.partial(expected, probe, arrangement, norm))
    ]
    if not wrong:
        return Seen(None, True, False, probes[0], probes[0].got)
    if not stripper.understood:
        raise NotChecked("the gains of the norms were not found: weights not understood; give a mapping")
    if not stripper.silent:
        raise NotChecked(
            "parameters are frozen, or computed from others, so that sublayers cannot be silenced; give a mapping"
        )
    quiet = [probe for probe in probes if not bool(probe.b.any())]
    only_constants = not any(probe is each for probe in wrong for each in quiet)
    if not all(bool(probe.got.isfinite().all()) for probe in probes) and norm.eps:
        raise NotChecked("with all matrices zero the output is not finite: weights not understood; give a mapping")
    worst, wanted = wrong[0], expected(wrong[0], arrangement, norm)
    rough = all(_roughly(probe.got, expected(probe, arrangement, norm)) for probe in (probes[0], probes[2]))
    for departure in _departures(instance, arrangement, norm, both=not rough):
        if fits(departure.arrangement, departure.norm, probes):
            return Seen(departure, False, False, worst, wanted)
    for words, changed in _arrangements(instance, arrangement):
        moved = dataclasses.replace(arrangement, placement=changed.placement, final_norm=changed.final_norm)
        legal = changed == moved and changed.placement != "branch"
        # another legal claim is believed where eps does not show; a fault is named only where every probe agrees
        if fits(changed, norm, probes[:2] if legal else probes):
            return Seen(Departure(words, changed, norm), False, False, worst, wanted)
    if instance.config.positions == "sinusoidal":
        raise NotChecked(
            "what comes out is not skips and norms on top of the sinusoidal table, and either may be to blame"
        )
    if only_constants:  # skips and norms are right where sublayers return zeros
        raise NotChecked(
            "sublayers whose matrices are zero do not return their bias; give a mapping to check more than the skip"
        )
    if not rough and not stripper.for_sure:
        raise NotChecked("not as many gains were found as there are norms: weights not understood; give a mapping")
    return Seen(None, False, not rough, worst, wanted)


def _close(instance: Instance, probe: Probe, compute: Callable[[], Tensor]) -> bool:
    dtype, expected = instance.subject.rounds_to, compute()
    if not float((probe.got - expected).abs().max()) <= HOPELESS * tolerance.floor(expected, dtype):
        return False
    try:
        tolerance.require_close(probe.got, expected, "", dtype=dtype, again=compute)
    except Violation:
        return False
    return True


def _alike(instance: Instance, probe: Probe, expected: Tensor) -> bool:
    """Within the cheap part of the tolerance: enough to tell one explanation from another, and a thousand times cheaper."""
    dtype = instance.subject.rounds_to
    apart = float((probe.got - expected).abs().max())
    return apart <= 4 * tolerance.units(dtype) * tolerance.floor(expected, dtype)


def _roughly(got: Tensor, expected: Tensor) -> bool:
    return bool((got - expected).abs().max() <= ROUGHLY * expected.abs().max())


def _departures(instance: Instance, arrangement: Arrangement, norm: Norm, *, both: bool) -> Iterator[Departure]:
    """Everything tempting, the simplest first: another norm, another arrangement, then (``both``) one of each."""
    norms, arrangements = list(_norms(norm)), list(_arrangements(instance, arrangement))
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


def _arrangements(instance: Instance, arrangement: Arrangement) -> Iterator[tuple[str, Arrangement]]:
    change = dataclasses.replace
    other = "pre" if arrangement.placement == "post" else "post"
    final_words = "ends in a norm" if not arrangement.final_norm else "does not end in a norm"
    yield f"norm={other}", change(arrangement, placement=other)
    if instance.subject.role is Role.ENCODER:
        yield f"it {final_words}", change(arrangement, final_norm=not arrangement.final_norm)
        yield (
            f"norm={other}, and it {final_words}",
            change(arrangement, placement=other, final_norm=not arrangement.final_norm),
        )
        for lost in range(1, instance.config.layers):
            yield f"{lost} of {instance.config.layers} layers leave no trace", change(arrangement, lost=lost)
    yield "the norm stands on the sublayer's output, before the addition", change(arrangement, placement="branch")
    if arrangement.placement == "post":
        yield "the first norm is missing", change(arrangement, absent=(True, False))
        yield "the second norm is missing", change(arrangement, absent=(False, True))
    yield "the second skip adds the first skip's input", change(arrangement, from_first=True)
    for where, first, second in (
        ("each skip", True, True),
        ("the first skip", True, False),
        ("the second skip", False, True),
    ):
        for held, words in HELD.items():
            yield (
                f"{where} holds {words}",
                change(arrangement, of=(held if first else "input", held if second else "input")),
            )
    config = instance.config
    roots = [root for size in (config.d_head, config.d_model) for root in (size**-0.5, size**0.5)]
    factors = [0.0, 2.0, 0.5, 0.5**0.5, 2**0.5, 3.0, 0.1, 0.25, *roots]
    for factor in dict.fromkeys(factors):
        for where, first, second in (
            ("both skips", True, True),
            ("the first skip", True, False),
            ("the second skip", False, True),
        ):
            words = f"{where} missing" if factor == 0 else f"{where} multiplied by {factor:.3g}"
            yield words, change(arrangement, first=factor if first else 1.0, second=factor if second else 1.0)
    yield "bias is as not claimed", change(arrangement, bias=not arrangement.bias)


def _positions(instance: Instance, inputs: Inputs) -> Tensor:
    """What is added at the bottom: a learned table was set to zero, the sinusoidal one is computed by hand."""
    if instance.config.positions != "sinusoidal" or instance.subject.role is not Role.ENCODER:
        return torch.zeros(1, dtype=torch.float64)
    return sinusoidal_table(inputs.q_len, instance.config.d_model)


def sinusoidal_table(length: int, d_model: int, *, base: float = 10000.0, start: int = 0) -> Tensor:
    """``time d_model``: the two equations of section 3.5, in Python's floats."""
    rows = []
    for position in range(start, start + length):
        angles = [position / base ** (2 * (feature // 2) / d_model) for feature in range(d_model)]
        rows.append([math.cos(angle) if feature % 2 else math.sin(angle) for feature, angle in enumerate(angles)])
    return torch.tensor(rows, dtype=torch.float64)
