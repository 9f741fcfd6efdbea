"""Grounds: the subject and the reference brought onto the same weights, so that what they answer can be compared."""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from veriformer.adapters.reference import STEPS
from veriformer.calls import mapped as changed
from veriformer.case import Case
from veriformer.declaration import Declaration
from veriformer.diagnosis.candidates import CORRECT, Candidate, Claimed
from veriformer.inputs import Inputs
from veriformer.oracle import unchecked
from veriformer.preflight import probe_case
from veriformer.subjects import Instance, Subject
from veriformer.variants import Variant
from veriformer.weights import scale_matrices, trainable
from veriformer_reference.build import build
from veriformer_spec.config import Config
from veriformer_spec.role import Role

MAX_LEN = 17
"""The longest sequence: a prime, and no other size of a probe."""
VOCAB = 31

Weights = Callable[[nn.Module, Config], Mapping[str, Tensor]]
"""The subject's tensors under the reference's parameter names."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Setting:
    """How the subject is built for some of the probes.

    Attributes:
        factor: what the weights' matrices are multiplied by.
        dropout: the rate, of probes that are asked in training.
        changes: what else the configuration has that no case says.
    """

    factor: float = 1.0
    dropout: float = 0.0
    changes: tuple[tuple[str, object], ...] = ()


ORDINARY = Setting()


@dataclasses.dataclass(frozen=True)
class Side:
    """One of the two that are asked: the subject, or the reference in its place.

    Attributes:
        gradients: a gradient of each parameter that has one, made comparable with the other side's.
    """

    instance: Instance
    gradients: Callable[[Tensor], Mapping[str, Tensor]]
    ours: bool

    def given(self, inputs: Inputs) -> Inputs:
        """The inputs of a call, in the dtype and on the device that this side takes."""
        if not self.ours:
            return inputs
        return changed(inputs, Tensor.cpu, masks=True).to(torch.float64)

    def moved(self, tensor: Tensor) -> Tensor:
        """A tensor of numbers or ids, likewise."""
        subject = self.instance.subject
        tensor = tensor.to(subject.device)
        return tensor.to(subject.dtype) if tensor.is_floating_point() else tensor


class CannotCompare(Exception):  # not an error: a candidate that needs weights which the subject does not have
    """The reference under these claims has parameters for which the subject gives no weights."""


def base_case(subject: Subject) -> Case:
    """The sizes of every probe: no two coincide that need not."""
    case = probe_case(subject)
    sizes = subject.declaration.sizes
    changes: dict[str, Any] = {"batch": sizes.get("batch", 3)}
    if case.vocab:
        changes["vocab"] = sizes.get("vocab", VOCAB)
    return dataclasses.replace(case, **changes)


@dataclasses.dataclass(frozen=True)
class Ground:
    """One build of the subject, and the reference in its place, with the same weights.

    Attributes:
        mapping: the subject's tensors under the reference's names, with their history, so that gradients find their way back.
        before: their values before the subject was asked anything: some subjects change them.
        fill: puts weights into a reference of any claims; where there is none, they are taken from ``mapping``.
    """

    subject: Subject
    instance: Instance
    mapping: Mapping[str, Tensor]
    before: Mapping[str, Tensor]
    fill: Callable[[nn.Module, Config], None] | None = None
    _kept: dict[Claimed, tuple[Any, object]] = dataclasses.field(default_factory=dict)

    @property
    def theirs(self) -> Side:
        """The subject."""
        return Side(self.instance, self._of_the_subject, ours=False)

    def ours(self, candidate: Candidate = CORRECT) -> Side:
        """The reference as ``candidate`` has it.

        Raises:
            CannotCompare: it has parameters for which there are no weights.
        """
        config = dataclasses.replace(self.instance.config, **dict(candidate.claims), computes_in="input")
        variant = Variant(role=self.subject.role, config=config, claims=candidate.claims, faults=candidate.faults)
        function = self._built(candidate.claims, config)
        declaration = Declaration(
            name=f"reference: {candidate.name}",
            role=self.subject.role,
            build=lambda _: function,
            claims=self.subject.claims,
            during=variant.running,
            steps=STEPS if self.subject.claims.get("cache") else None,
        )
        module = function if isinstance(function, nn.Module) else None
        return Side(
            Instance(Subject(declaration), config, module, function), functools.partial(self._of_the_reference, module), ours=True
        )

    def _built(self, claims: Claimed, config: Config) -> nn.Module | Callable[..., Any]:
        """A reference with the weights in it; the last one again, where whatever was asked of it left it as it was."""
        known = self._kept.get(claims)
        if known is not None and isinstance(known[0], nn.Module) and _marks(known[0]) == known[1]:
            return known[0]
        with unchecked():
            function = self._filled(_fresh(self.subject.role, config), config)
        self._kept[claims] = (function, _marks(function))
        return function

    def _filled(self, function: nn.Module | Callable[..., Any], config: Config) -> nn.Module | Callable[..., Any]:
        if not isinstance(function, nn.Module):
            return function
        if self.fill is not None:
            self.fill(function, config)
            return function
        with torch.no_grad():
            for name, parameter in function.named_parameters():
                given = self.before.get(name)
                if given is None or given.shape != parameter.shape:
                    raise CannotCompare(name)
                parameter.copy_(given)
        return function

    def _of_the_subject(self, loss: Tensor) -> Mapping[str, Tensor]:
        """The gradients of the subject's own parameters: of those that ``mapping`` comes from, or what no layout changes of all."""
        if self.instance.module is None:
            return {}
        parameters = [each for _, each in trainable(self.instance.module)]
        if not parameters:
            return {}
        found = torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)
        if self.fill is not None:
            return _whatever_the_layout(found)
        reached = _reached(self.mapping, parameters)
        return {"parameters": torch.cat([torch.zeros(0), *(found[index].flatten().cpu() for index in reached)])}

    def _of_the_reference(self, module: nn.Module | None, loss: Tensor) -> Mapping[str, Tensor]:
        """The reference's gradients, sent back through ``mapping``."""
        if module is None or self.instance.module is None:
            return {}
        own = [each for _, each in trainable(self.instance.module)]
        names, parameters = _named(module)
        if not own or not parameters:
            return {}
        found = torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)
        if self.fill is not None:
            return _whatever_the_layout(found)
        reached = _reached(self.mapping, own)
        parts = [
            (self.mapping[name] * each.to(self.mapping[name])).sum()
            for name, each in zip(names, found, strict=True)
            if self.mapping[name].requires_grad
        ]
        if not parts:
            return {"parameters": torch.zeros(0)}
        back = torch.autograd.grad(
            torch.stack(parts).sum(), own, allow_unused=True, materialize_grads=True, retain_graph=True
        )
        return {"parameters": torch.cat([torch.zeros(0), *(back[index].flatten().cpu() for index in reached)])}


def _marks(function: object) -> object:
    """What changes with a module that is changed: where its parameters lie, how often they were written, what was hung on them."""
    if not isinstance(function, nn.Module):
        return None
    parameters = tuple((each.data_ptr(), each._version, len(vars(each))) for each in function.parameters())  # noqa: SLF001  # no public way to ask whether a tensor was written
    return parameters, tuple(len(vars(each)) for each in function.modules())


def _named(module: nn.Module) -> tuple[tuple[str, ...], tuple[nn.Parameter, ...]]:
    named = trainable(module)
    return tuple(name for name, _ in named), tuple(each for _, each in named)


def _fresh(role: Role, config: Config) -> nn.Module | Callable[..., Any]:
    with torch.random.fork_rng(devices=[]):
        made = build(role, config)
    return made.double().eval() if isinstance(made, nn.Module) else made


def _reached(mapping: Mapping[str, Tensor], parameters: list[nn.Parameter]) -> list[int]:
    """Which parameters some mapped tensor comes from."""
    parts = [each.sum() for each in mapping.values() if each.requires_grad]
    if not parts:
        return []
    found = torch.autograd.grad(torch.stack(parts).sum(), parameters, allow_unused=True, retain_graph=True)
    return [index for index, each in enumerate(found) if each is not None]


def _whatever_the_layout(gradients: tuple[Tensor, ...]) -> Mapping[str, Tensor]:
    """What fusing, cutting and transposing parameters leaves as it is: how many gradients are zero, and the sum of their squares."""
    joined = torch.cat([each.detach().double().cpu().flatten() for each in gradients])
    return {"parameters": torch.stack((joined.square().sum(),))}


class Grounds:
    """A ground for each probe, made when it is first asked for: what one probe leaves behind, no other sees.

    Attributes:
        basis: ``weights``, ``symmetric weights``, or ``outputs`` where there are no weights.
    """

    def __init__(self, subject: Subject, basis: str, make: Callable[[Setting, Case], Ground]) -> None:
        self.subject, self.basis, self.case = subject, basis, base_case(subject)
        self._make = make
        self._made: dict[str, Ground] = {}

    def at(self, probe: str, setting: Setting) -> Ground:
        """The ground of one probe.

        Raises:
            SubjectError: the subject cannot be built so.
            Unsupported: it refuses to be.
        """
        if probe not in self._made:
            self._made[probe] = self._make(setting, self.case)
        return self._made[probe]


def built(subject: Subject, setting: Setting, case: Case) -> Instance:
    """The subject at the probes' sizes, with random weights."""
    changes = {"max_len": subject.declaration.sizes.get("max_len", MAX_LEN), **dict(setting.changes)}
    instance = subject.instance(case, dropout=setting.dropout, changes=changes)
    if setting.factor != 1 and instance.module is not None:
        scale_matrices(instance.module, setting.factor)
    return instance


def on_weights(subject: Subject, weights: Weights) -> Grounds:
    """Compared with the subject's weights in the reference's places."""

    def make(setting: Setting, case: Case) -> Ground:
        instance = built(subject, setting, case)
        with torch.enable_grad():
            mapping = dict(weights(instance.module_or_not_checked(), instance.config))
        return Ground(subject, instance, mapping, _snapshot(mapping))

    return Grounds(subject, "weights", make)


def _snapshot(mapping: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    return {name: each.detach().double().cpu().clone() for name, each in mapping.items()}


def on_outputs(subject: Subject) -> Grounds:
    """Compared as they are: the reference has no weights in this role."""
    return Grounds(subject, "outputs", lambda setting, case: Ground(subject, built(subject, setting, case), {}, {}))


def has_weights(subject: Subject) -> bool:
    """Whether the reference has weights in the subject's role."""
    case = base_case(subject)
    made = _fresh(subject.role, subject.config(case))
    return isinstance(made, nn.Module) and any(True for _ in made.parameters())


def given_weights(subject: Subject) -> Weights | None:
    """What the adapter says of the weights."""
    weights = subject.declaration.weights
    return None if weights is None else lambda module, _: weights(module)


@contextlib.contextmanager
def quietly() -> Iterator[Any]:
    """Nothing that is printed meanwhile is seen by anyone else."""
    import io

    with contextlib.redirect_stdout(io.StringIO()) as said, contextlib.redirect_stderr(io.StringIO()):
        yield said

