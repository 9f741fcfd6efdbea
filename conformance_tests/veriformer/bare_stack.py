"""A stack stripped to its skips and norms: sublayers that return a constant, so that what comes out is known by hand.

Every matrix is zero, every gain is one, and every other vector as long as a token holds the same numbers ``b``. Then
each sublayer returns its output bias ``b`` whatever its input, whichever vector is which, and skips and norms are all
that is left. ``arrangements`` computes them by hand, and under every other arrangement that is tempting.
"""

import dataclasses
import functools
import math
from collections.abc import Callable

import torch
from torch import Tensor

from veriformer import arrangements, tolerance
from veriformer.arrangements import Arrangement, Departure, Norm
from veriformer.case import Case
from veriformer.inputs import Inputs, generator
from veriformer.outcome import NotChecked, Violation
from veriformer.subjects import Instance, Subject
from veriformer.understanding import weights_if_known
from veriformer.weights import can_be_cleared, is_untouched_gain, is_vector, is_view_into, trainable
from veriformer_spec.role import DECODERS, LAYERED, Role

ROUGHLY = 1e-3
"""Share of the output below which a difference is the norm's doing (its eps), and not the arrangement's."""

NO_CONSTANT = "sublayers whose matrices are zero do not return their bias"
"""Where skips and norms are right as far as silent sublayers show them."""

HOPELESS = 2.0**14
"""Units beyond which no rounding explains a difference: norms are well conditioned, their inputs being far from constant."""


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
    final = config.ends_in_norm if instance.subject.role in LAYERED else False
    return Arrangement(
        placement=config.norm, final_norm=final, sublayers=sublayers(instance.subject.role), bias=config.bias
    )


def sublayers(role: Role) -> int:
    """How many sublayers a layer has: a decoder's looks at the memory too."""
    return 3 if role in DECODERS else 2


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
        named = dict(weights_if_known(instance) or {})
        by_name = bool(named) and all(is_view_into(each, module) for each in named.values())
        self.cleared = [parameter for _, parameter in trainable(module)]
        if by_name:
            # norms of queries and keys are as long as a head, and their gains scale scores only
            tokens = {name: tensor for name, tensor in named.items() if tensor.numel() == d_model}
            self.gains = [tensor for name, tensor in tokens.items() if name.endswith("gain")]
            self.vectors = [tensor for name, tensor in tokens.items() if name.endswith(("output.bias", "shift"))]
        else:
            long = [each for each in self.cleared if is_vector(each) and each.numel() == d_model]
            self.gains = [] if self.one_plus else [each for each in long if is_untouched_gain(each)]
            self.vectors = [each for each in long if not any(each is gain for gain in self.gains)]
        self.silent = by_name or can_be_cleared(module)
        wanted = sublayers(instance.subject.role) * (
            1 if instance.config.layer_parameters == "shared" else instance.config.layers
        )
        config, found = instance.config, len(self.gains)
        stack = instance.subject.role in LAYERED
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
    if subject.claims.get("entrance", "none") != "none":
        raise NotChecked("input enters by a projection, which is silent once the stack is stripped")
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
        got = instance(dataclasses.replace(inputs, tensors=(x, *inputs.tensors[1:])))
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
    config, stack = instance.config, instance.subject.role in LAYERED
    for departure in arrangements.departures(config, arrangement, norm, stack=stack, both=not rough):
        if fits(departure.arrangement, departure.norm, probes):
            return Seen(departure, False, False, worst, wanted)
    for words, changed in arrangements.others(config, arrangement, stack=stack):
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
        raise NotChecked(f"{NO_CONSTANT}; give a mapping to check more than the skip")
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


def _positions(instance: Instance, inputs: Inputs) -> Tensor:
    """What is added at the bottom: a learned table was set to zero, the sinusoidal one is computed by hand."""
    if instance.config.positions != "sinusoidal" or instance.subject.role not in LAYERED:
        return torch.zeros(1, dtype=torch.float64)
    return sinusoidal_table(inputs.q_len, instance.config.d_model)


def sinusoidal_table(length: int, d_model: int, *, base: float = 10000.0, start: int = 0) -> Tensor:
    """``time d_model``: the two equations of section 3.5, in Python's floats."""
    rows = []
    for position in range(start, start + length):
        angles = [position / base ** (2 * (feature // 2) / d_model) for feature in range(d_model)]
        rows.append([math.cos(angle) if feature % 2 else math.sin(angle) for feature, angle in enumerate(angles)])
    return torch.tensor(rows, dtype=torch.float64)
