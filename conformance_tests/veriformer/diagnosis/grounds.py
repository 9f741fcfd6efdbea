"""Grounds: the subject and the reference brought onto the same weights, so that what they answer can be compared."""

import contextlib
import dataclasses
import functools
import io
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from veriformer.adapters.reference import STEPS
from veriformer.calls import mapped as changed
from veriformer.case import Case
from veriformer.declaration import Declaration
from veriformer.diagnosis.candidates import CORRECT, Candidate
from veriformer.errors import Unsupported
from veriformer.faults.fault import patched
from veriformer.inputs import Inputs
from veriformer.oracle import unchecked
from veriformer.preflight import probe_case
from veriformer.reach import tracing
from veriformer.subjects import Instance, Subject
from veriformer.variants import Variant
from veriformer.weights import trainable
from veriformer_reference.build import build
from veriformer_spec.config import Config
from veriformer_spec.role import Role

MAX_LEN = 17
"""The longest sequence: a prime, and no other size of a probe."""
VOCAB = 31
HEAD_SIZES = ((4, 6), (2, 8), (1, 16))
"""Heads and features of each: the first that the subject does not refuse."""

Gradients = Callable[[Tensor], Mapping[str, Tensor]]
Fill = Callable[[nn.Module, Config], None]
"""Puts weights into a reference.

Raises:
    CannotCompare: it has parameters for which there are none.
"""


class CannotCompare(Exception):  # not an error: a candidate that needs weights which the subject does not have
    """The reference under these claims has parameters for which the subject gives no weights."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Setting:
    """How the subject is built for some of the probes.

    Attributes:
        factor: what the weights' matrices are multiplied by.
        dropout: the rate.
        changes: what else the configuration has that no case says.
        sizes: of the case, where they are other ones than the usual.
    """

    sizes: tuple[tuple[str, int], ...] = ()
    factor: float = 1.0
    dropout: float = 0.0
    changes: tuple[tuple[str, object], ...] = ()


ORDINARY = Setting()


@dataclasses.dataclass(frozen=True)
class Side:
    """One of the two that are asked: the subject, or the reference in its place.

    Attributes:
        gradients: of the parameters, in a form in which both sides' can be compared.
        ours: whether it is the reference.
    """

    instance: Instance
    gradients: Gradients
    ours: bool

    def given(self, inputs: Inputs) -> Inputs:
        """The inputs of a call, in the dtype and on the device that this side takes."""
        return changed(inputs, Tensor.cpu, masks=True).to(torch.float64) if self.ours else inputs

    def moved(self, tensor: Tensor) -> Tensor:
        """A tensor of numbers, ids or a mask, likewise."""
        subject = self.instance.subject
        tensor = tensor.to(subject.device)
        return tensor.to(subject.dtype) if tensor.is_floating_point() else tensor


@dataclasses.dataclass(frozen=True)
class Ground:
    """One build of the subject, and the reference in its place, with the same weights.

    Attributes:
        fill: puts the subject's weights into a reference.
        of_the_subject: its parameters' gradients.
        of_the_reference: those of a reference, in the same form.
        key: equal wherever the reference's answers are; None where they are this subject's alone.
    """

    subject: Subject
    instance: Instance
    fill: Fill
    of_the_subject: Gradients
    of_the_reference: Callable[[nn.Module | None, Tensor], Mapping[str, Tensor]]
    key: object = None
    _kept: dict[object, tuple[Any, object]] = dataclasses.field(default_factory=dict)

    @property
    def theirs(self) -> Side:
        """The subject."""
        return Side(self.instance, self.of_the_subject, ours=False)

    def ours(self, candidate: Candidate = CORRECT) -> Side:
        """The reference as ``candidate`` has it.

        Raises:
            CannotCompare: it has parameters for which there are no weights.
        """
        claims: dict[str, Any] = dict(candidate.claims)
        config = dataclasses.replace(self.instance.config, **claims, computes_in="input")
        variant = Variant(role=self.subject.role, config=config, claims=candidate.claims, faults=candidate.faults)
        function = self._built(variant)
        declaration = Declaration(
            name=f"reference: {candidate.name}",
            role=self.subject.role,
            build=lambda _: function,
            claims=self.subject.claims,
            during=variant.running,
            steps=STEPS if self.subject.claims.get("cache") else None,
        )
        module = function if isinstance(function, nn.Module) else None
        instance = Instance(Subject(declaration), config, module, function)
        return Side(instance, functools.partial(self.of_the_reference, module), ours=True)

    def _built(self, variant: Variant) -> nn.Module | Callable[..., Any]:
        """A reference with the weights in it; the last one again, where whatever was asked of it left it as it was."""
        role, config = self.subject.role, variant.config
        construction = called_in_construction(role, config) if variant.faults else frozenset[str]()
        faults = tuple(each for each in variant.faults if construction & {target for target, _ in each.patches})
        key = (variant.claims, tuple(each.id for each in faults))
        known = self._kept.get(key)
        if known is not None and isinstance(known[0], nn.Module) and _marks(known[0]) == known[1]:
            return known[0]
        function = fresh(role, config)
        if faults:
            with patched(tuple(patch for each in faults for patch in each.patches)):
                faulty = fresh(role, config)
            if _names(faulty) == _names(function):  # or else there are weights that nobody could fill
                function = faulty
        if isinstance(function, nn.Module):
            with torch.no_grad():
                self.fill(function, config)
        self._kept[key] = (function, _marks(function))
        return function


def _names(function: object) -> dict[str, torch.Size]:
    if not isinstance(function, nn.Module):
        return {}
    return {name: each.shape for name, each in function.named_parameters(remove_duplicate=False)}


@functools.lru_cache(maxsize=256)
def called_in_construction(role: Role, config: Config) -> frozenset[str]:
    """The functions of the reference that some fault replaces, and that are called when it is built."""
    with tracing() as called:
        fresh(role, config)
    return frozenset(called)


def _marks(function: object) -> object:
    """What changes with a module that is changed: where its parameters lie, how often they were written, what was hung on them."""
    if not isinstance(function, nn.Module):
        return None
    parameters = tuple((each.data_ptr(), each._version, len(vars(each))) for each in function.parameters())  # noqa: SLF001  # no public way to ask whether a tensor was written
    return parameters, tuple(len(vars(each)) for each in function.modules())


def fresh(role: Role, config: Config) -> nn.Module | Callable[..., Any]:
    """The reference, in float64 and evaluation mode."""
    with torch.random.fork_rng(devices=[]), unchecked():
        made = build(role, config)
    return made.double().eval() if isinstance(made, nn.Module) else made


def base_case(subject: Subject, head_sizes: tuple[int, int] = HEAD_SIZES[0]) -> Case:
    """The sizes of every probe: no two coincide that need not."""
    case = probe_case(subject, head_sizes=head_sizes)
    sizes = subject.declaration.sizes
    changes: dict[str, Any] = {"batch": sizes.get("batch", 3)}
    if case.vocab:
        changes["vocab"] = sizes.get("vocab", VOCAB)
    return dataclasses.replace(case, **changes)


class Grounds:
    """A ground for each probe, made when it is first asked for: what one probe leaves behind, no other sees.

    Attributes:
        basis: ``weights``, ``symmetric weights``, or ``outputs`` where there are no weights.
        case: the sizes.
    """

    def __init__(self, subject: Subject, basis: str, make: Callable[[Setting, Case], Ground], case: Case) -> None:
        self.subject, self.basis, self.case = subject, basis, case
        self._make = make
        self._made: dict[str, Ground] = {}

    def at(self, probe: str, setting: Setting) -> Ground:
        """The ground of one probe.

        Raises:
            SubjectError: the subject cannot be built so.
            Unsupported: it refuses to be.
        """
        if probe not in self._made:
            sizes: dict[str, Any] = dict(setting.sizes)
            case = dataclasses.replace(self.case, **sizes)
            self._made[probe] = self._make(setting, case)
        return self._made[probe]


def possible_case(subject: Subject) -> Case:
    """The sizes of the probes, as near to the usual ones as the subject allows.

    Raises:
        Unsupported: it refuses all of them.
        SubjectError: it cannot be built.
    """
    refusal: Unsupported | None = None
    for head_sizes in HEAD_SIZES:
        case = base_case(subject, head_sizes)
        try:
            built(subject, ORDINARY, case)
        except Unsupported as error:
            refusal = error
        else:
            return case
    assert refusal is not None
    raise refusal


def built(subject: Subject, setting: Setting, case: Case) -> Instance:
    """The subject at the probes' sizes, with random weights."""
    changes = {"max_len": subject.declaration.sizes.get("max_len", MAX_LEN), **dict(setting.changes)}
    return subject.instance(case, dropout=setting.dropout, changes=changes)


def has_weights(role: Role, config: Config) -> bool:
    """Whether the reference has weights."""
    made = fresh(role, config)
    return isinstance(made, nn.Module) and bool(trainable(made))


@contextlib.contextmanager
def quietly() -> Iterator[io.StringIO]:
    """Nothing that is printed meanwhile is seen by anyone else."""
    with contextlib.redirect_stdout(io.StringIO()) as said, contextlib.redirect_stderr(io.StringIO()):
        yield said
