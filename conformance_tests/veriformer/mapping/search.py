"""Search: which of the variants of the reference a subject is, and where its parameters are in it, without a single name."""

import dataclasses
import math
import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from veriformer import tolerance
from veriformer.declaration import Declaration, Unsupported, UsageError
from veriformer.inputs import Inputs
from veriformer.mapping import hypotheses, matching, symmetric, tries
from veriformer.mapping.adapter import attributes
from veriformer.mapping.joining import Joined, joined
from veriformer.mapping.layout import Layout, LayoutError, named, reference_shapes
from veriformer.mapping.probing import drawn, mapping_case, probe_inputs
from veriformer.mapping.remembered import Remembered
from veriformer.mapping.symmetric import Hypothesis, Places
from veriformer.mapping.tensors import Held, held, kept
from veriformer.outcome import NotChecked, SubjectError, Violation
from veriformer.process_state import restored
from veriformer.subjects import Instance, Subject
from veriformer.variants import Variant, called
from veriformer_spec.config import Config
from veriformer_spec.role import PARAMETRIC


@dataclass(frozen=True)
class Understood:
    """A subject whose every parameter has its place.

    Attributes:
        layout: where.
        variant: which function it computes: the reference as claimed, under other legal claims, or with a catalogued fault.
        config: the sizes at which it was found.
        rounds_to: the dtype whose rounding was allowed for.
        verified: the largest difference on fresh random weights, in units of that rounding.
    """

    layout: Layout
    variant: Variant
    config: Config
    rounds_to: torch.dtype
    seconds: float
    verified: float


@dataclass(frozen=True)
class NotUnderstood:
    """A subject that equals no variant that was tried.

    Attributes:
        reason: in words; the best attempt's.
        placed: whether every parameter fits some place by its shape, so that what is not understood is the function.
        partial: the parameters that were recognised, and as what.
        symmetric_difference: how far apart the outputs were under symmetric weights, relative to the largest number.
    """

    reason: str
    placed: bool = False
    partial: Mapping[str, str] = dataclasses.field(default_factory=dict)
    symmetric_difference: float | None = None


SAME = {torch.float64: 1e-9, torch.float32: 5e-4}
"""How far apart, relative to the largest number, two outputs under symmetric weights may be to be worth a closer look."""
CLOSER_LOOKS = 6
"""Hypotheses of equal symmetric output whose rows are compared, for one variant."""
MOST_TRIED = 1200
"""Alternatives, at most: a number and no time, so that the same subject is understood on every machine."""
_KEPT: "OrderedDict[tuple[int, torch.dtype, torch.dtype], tuple[Declaration, Understood | NotUnderstood]]" = (
    OrderedDict()
)
_MOST_KEPT = 64


def automatic(subject: Subject, *, candidates: Iterable[Variant] = ()) -> Understood | NotUnderstood:
    """Find the variant that the subject computes, and a layout of its weights.

    The reference as claimed comes first, then ``candidates`` in their order. The first that verifies on fresh random weights
    wins. The subject's weights are as they were afterwards, bit for bit.
    """
    if candidates:
        return _searched(subject, candidates)
    key = (id(subject.declaration), subject.dtype, subject.rounds_to)
    if key not in _KEPT:
        _KEPT[key] = (subject.declaration, _searched(subject, ()))
        while len(_KEPT) > _MOST_KEPT:
            _KEPT.popitem(last=False)
    return _KEPT[key][1]


def _searched(subject: Subject, candidates: Iterable[Variant]) -> Understood | NotUnderstood:
    """As ``automatic``, without a memory."""
    started = time.perf_counter()
    if subject.declaration.beyond:
        return NotUnderstood(f"beyond what claims can say: {subject.declaration.beyond}")
    if subject.role not in PARAMETRIC:
        return NotUnderstood(f"a {subject.role} has no weights")
    with restored():
        try:
            case = mapping_case(subject)
            instance = subject.instance(case, random_weights=False)
            if instance.module is None:
                return NotUnderstood("no module: the subject is a bare function")
            with kept(instance.module):
                return Attempt(subject, instance, instance.module, probe_inputs(subject, case), started).run(candidates)
        except (SubjectError, Unsupported, NotChecked, UsageError) as problem:
            return NotUnderstood(str(problem))


@dataclass
class Attempt:
    """One subject, filled and called in many ways."""

    subject: Subject
    instance: Instance
    module: nn.Module
    inputs: Inputs
    started: float

    def __post_init__(self) -> None:
        claimed = reference_shapes(self.subject.role, self.instance.config)
        # tables that are kept as frozen parameters are weights only where the reference has some
        self.parameters: list[Held] = [each for each in held(self.module) if claimed or each.tensor.requires_grad]
        self.outputs: dict[Places, Remembered | str] = {}
        self.said: dict[object, Tensor] = {}
        self.tied = False
        self.saying = attributes(self.module, self.instance.config)
        matching.require_gradients(self.module)
        if self.parameters:
            drawn(self.module, 0)
        self.measured = hypotheses.measured_readings(self.module, lambda: self.instance(self.inputs, grad=True))

    def run(self, candidates: Iterable[Variant]) -> Understood | NotUnderstood:
        """Try the reference as claimed, then every other legal claim and every catalogued fault, or ``candidates`` in their place."""
        claimed = Variant(role=self.subject.role, config=self.instance.config)
        open_scale = claimed.config.scale == "unspecified"
        if open_scale:
            claimed = tries.with_claims(claimed, (("scale", "inverse-root"),))
        first = self.tried(claimed)
        if isinstance(first, Understood):
            return first
        best = first
        given = tuple(candidates)
        for tried, variant in enumerate(given or self._others(claimed)):
            try:
                result = self.tried(variant)
            except (ValueError, TypeError, RuntimeError, LookupError, AttributeError):
                continue  # a fault that cannot even be asked so
            if isinstance(result, Understood):
                return result
            if given and _rank(result) > _rank(best):
                best = result
            if not given and tried >= MOST_TRIED:
                best = dataclasses.replace(best, reason=f"{best.reason} (and not every alternative was tried)")
                break
        return self._doubted(best, claimed)

    def _doubted(self, refusal: NotUnderstood, claimed: Variant) -> NotUnderstood:
        """Weights of which there are more or fewer than in the claimed function are no proof that its function is another one."""
        own, wanted = sum(each.tensor.numel() for each in self.parameters), tries.numbers_in(claimed)
        if not refusal.placed or own == wanted:
            return refusal
        reason = f"{refusal.reason}; its weights hold {own} numbers, where those of the claimed function hold {wanted}"
        return dataclasses.replace(refusal, placed=False, reason=reason)

    def _others(self, claimed: Variant) -> Iterator[Variant]:
        """Other legal claims, one and two at a time; then catalogued faults; then numbers that a claim may have, which take longest."""
        own = sum(each.tensor.numel() for each in self.parameters)
        singles = tries.single_claims(self.subject, claimed.config)
        changed = [tries.with_claims(claimed, (each,)) for each in singles]
        yield from sorted(changed, key=lambda variant: abs(tries.numbers_in(variant) - own))
        yield from tries.claim_pairs(claimed, singles, own)
        yield from tries.faults(claimed, self.inputs)
        same = SAME[self.subject.rounds_to]
        for name in tries.FITTED:
            if name in self.subject.claims and not (name.startswith("rotary") and claimed.config.positions != "rotary"):
                found = tries.fitted(claimed, name, self.distance, same)
                if found is not None:
                    yield found

    def distance(self, variant: Variant) -> float:
        """How far the nearest hypothesis' symmetric output is from a variant's."""
        prepared = self._prepared(variant)
        if isinstance(prepared, NotUnderstood):
            return math.inf
        _, expected, outputs = prepared
        return min((apart for _, apart in outputs.distances(expected)), default=math.inf)

    def tried(self, variant: Variant) -> Understood | NotUnderstood:
        """One variant: its symmetric output first, then its rows, then fresh weights."""
        prepared = self._prepared(variant)
        if isinstance(prepared, NotUnderstood):
            return prepared
        reference, expected, outputs = prepared
        best: NotUnderstood | None = None
        looked = 0
        for hypothesis, apart in outputs.distances(expected):
            if apart <= SAME[self.subject.rounds_to]:
                looked += 1
                if looked > CLOSER_LOOKS:
                    break
                result = self._placed(variant, reference, hypothesis)
            else:
                result = NotUnderstood(
                    f"with equal weights wherever shapes are equal, outputs differ by {apart:.2g} of their size",
                    placed=True,
                    symmetric_difference=apart,
                )
            if isinstance(result, Understood):
                return result
            best = result if best is None or _rank(result) > _rank(best) else best
        return best or NotUnderstood("no way to read the parameters")

    def _prepared(self, variant: Variant) -> tuple[nn.Module, Tensor, Remembered] | NotUnderstood:
        """A variant, what it says under symmetric weights, and what the subject says under each hypothesis."""
        try:
            with variant.running(), torch.no_grad():
                reference = variant.built()
                if not isinstance(reference, nn.Module):
                    return NotUnderstood("the reference has no weights in this role")
                symmetric.fill_reference(reference, variant.config)
                expected = called(reference, self.inputs).detach()
        except Exception as error:  # noqa: BLE001  # a planted fault may raise anything
            return NotUnderstood(f"{variant.name} cannot be computed: {error}")
        outputs = self.symmetric_outputs(symmetric.places(reference, variant.config))
        return NotUnderstood(outputs) if isinstance(outputs, str) else (reference, expected, outputs)

    def symmetric_outputs(self, known: Places) -> Remembered | str:
        """What the subject says to the inputs under each hypothesis; computed once for each set of places, and when asked for."""
        if known not in self.outputs:
            possible = hypotheses.hypotheses(self.module, known, self.measured)
            if isinstance(possible, str):
                self.outputs[known] = possible
            else:
                self.outputs[known] = Remembered(self._outputs(possible))
        return self.outputs[known]

    def _outputs(self, possible: Iterator[Hypothesis]) -> Iterator[tuple[Hypothesis, Tensor]]:
        for hypothesis in possible:
            key = tuple(hypothesis.items())
            if key not in self.said:
                symmetric.fill_subject(self.module, hypothesis)
                self.said[key] = self.instance(self.inputs).double().cpu()
            yield hypothesis, self.said[key]

    def _placed(self, variant: Variant, reference: nn.Module, hypothesis: Hypothesis) -> Understood | NotUnderstood:
        best: NotUnderstood | None = None
        found: Joined | None = None
        for by_differences in (False, True):
            if (
                by_differences
                and best is not None
                and not (self.tied and found is not None and found.layout is not None)
            ):
                break  # gradients told all rows apart, or a row is a stranger anyway
            found = self._matched(variant, reference, hypothesis, by_differences=by_differences)
            if found is None:
                continue
            if found.layout is None:
                result: Understood | NotUnderstood = NotUnderstood(found.reason, placed=True, partial=found.partial)
            else:
                result = self._verified(variant, reference, found)
            if isinstance(result, Understood):
                return result
            best = result if best is None or _rank(result) > _rank(best) else best
        assert best is not None
        return best

    def _matched(
        self, variant: Variant, reference: nn.Module, hypothesis: Hypothesis, *, by_differences: bool
    ) -> Joined | None:
        """The subject's rows with the reference's."""
        symmetric.fill_reference(reference, variant.config)
        symmetric.fill_subject(self.module, hypothesis)
        theirs = dict(reference.named_parameters())
        own: dict[str, Tensor] = {each.name: each.tensor for each in self.parameters}

        def own_rows(name: str, tensor: Tensor) -> Tensor:
            return hypothesis[name].reading.of(tensor)

        if by_differences:
            with variant.running():
                expected = matching.from_differences(theirs, self._their_rows, lambda: called(reference, self.inputs))
            seen: matching.Fingerprints | None = matching.from_differences(
                own, own_rows, lambda: self.instance(self.inputs)
            )
        else:
            with variant.running(), torch.enable_grad():
                made = matching.from_gradients(theirs, self._their_rows, called(reference, self.inputs))
            seen = matching.from_gradients(own, own_rows, self.instance(self.inputs, grad=True))
            if made is None or seen is None:
                return None
            expected = made
        assert seen is not None
        matches = matching.matched(seen, expected, self.subject.rounds_to)
        self.tied = any(each.tied for each in matches.values())
        counts = {name: len(self._their_rows(name, each)) for name, each in theirs.items()}
        dead = matching.silent(expected, self.subject.rounds_to)
        return joined(
            self.subject.role,
            self.instance.config,
            self.parameters,
            matches,
            hypothesis,
            counts,
            dead,
            variant.claims,
            self.saying,
        )

    def _lacking(self, layout: Layout) -> list[str]:
        """Parameters that the subject has not, though they do something where nothing is wrong."""
        if not layout.silent:
            return []
        right = Variant(role=self.subject.role, config=layout.built)
        with right.running(), torch.enable_grad():
            reference = right.built()
            assert isinstance(reference, nn.Module)
            symmetric.fill_reference(reference, right.config)
            prints = matching.from_gradients(
                dict(reference.named_parameters()), self._their_rows, called(reference, self.inputs)
            )
        idle = matching.silent(prints or {}, self.subject.rounds_to)
        said = {named(name, layer, 0) for name in layout.silent for layer in range(layout.config.layers)}
        # a parameter that the subject has and does not use is there, under whatever name
        unused = sum(each.tensor.numel() for each in self.parameters if each.name in layout.idle)
        absent = {n: each.numel() for n, each in reference.named_parameters() if n in said and n not in idle}
        return sorted(absent) if sum(absent.values()) > unused else []

    @staticmethod
    def _their_rows(_: str, tensor: Tensor) -> Tensor:
        return tensor.reshape(-1) if symmetric.is_vector(tuple(tensor.shape)) else tensor

    def _verified(self, variant: Variant, reference: nn.Module, found: Joined) -> Understood | NotUnderstood:
        """Whether both agree on fresh random weights."""
        assert found.layout is not None
        lacking = self._lacking(found.layout) if variant.faults else []
        if lacking:
            return NotUnderstood(f"the subject has no {', '.join(lacking)}", placed=True, partial=found.partial)
        worst = 0.0
        for seed in (1, 2):
            if self.parameters:
                drawn(self.module, seed)
            try:
                weights = found.layout.weights(self.module, self.instance.config)
            except LayoutError as error:
                return NotUnderstood(str(error), placed=True, partial=found.partial)
            with torch.no_grad():
                for name, parameter in reference.named_parameters():
                    parameter.copy_(weights[name].detach().double().cpu())
            got = self.instance(self.inputs).double().cpu()
            with variant.running(), torch.no_grad():
                expected = called(reference, self.inputs)

                def again() -> Tensor:
                    return called(reference, self.inputs)

                try:
                    tolerance.require_close(got, expected, "", dtype=self.subject.rounds_to, again=again)
                except Violation as violation:
                    return NotUnderstood(
                        f"every parameter has a place, but on fresh random weights: {violation.evidence.margin}",
                        placed=True,
                        partial=found.partial,
                    )
            worst = max(worst, float((got - expected).abs().max()) / tolerance.floor(expected, self.subject.rounds_to))
        return Understood(
            found.layout,
            variant,
            self.instance.config,
            self.subject.rounds_to,
            time.perf_counter() - self.started,
            worst,
        )


def _rank(result: NotUnderstood) -> tuple[bool, int, float]:
    apart = result.symmetric_difference
    return result.placed, len(result.partial), -(apart if apart is not None else 0.0)
