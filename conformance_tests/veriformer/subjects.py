"""A subject: an implementation under test, as its adapter presents it, built anew for each case."""

import contextlib
import dataclasses
import functools
import traceback
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from veriformer.case import Case
from veriformer.declaration import Declaration, Unsupported, UsageError
from veriformer.inputs import Inputs, inputs_of
from veriformer.outcome import NotChecked, SubjectError
from veriformer.process_state import seed
from veriformer.steps import Steps
from veriformer.weights import randomise
from veriformer_spec.config import FIELDS, Config
from veriformer_spec.role import FUNCTIONS, LAYERED, MODELS, Role


@dataclasses.dataclass
class Subject:
    """A declaration, and where and how precisely it is judged.

    Attributes:
        dtype: what the subject is built and called in.
        device: where.
        rounds_to: the dtype whose rounding is allowed for; float32 where a float32 island was found inside a float64 run.
        neutralise_dropout: replace dropout by its expectation in training, because the subject ignores ``config.dropout``.
        observe_case: told each case before it is run, so that the parent knows where a killed child stood.
    """

    declaration: Declaration
    dtype: torch.dtype = torch.float64
    device: torch.device = dataclasses.field(default_factory=lambda: torch.device("cpu"))
    rounds_to: torch.dtype = torch.float64
    neutralise_dropout: bool = False
    observe_case: Callable[[Case], None] = lambda _: None

    @property
    def role(self) -> Role:
        """What the subject claims to be."""
        return self.declaration.role

    @property
    def claims(self) -> Mapping[str, Any]:
        """Every claim of the role, with its value."""
        return self.declaration.claims

    @property
    def masks(self) -> tuple[str, ...]:
        """The kinds of mask that the subject accepts."""
        kinds = tuple(self.claims.get("masks", ("none",)))
        return tuple(kind for kind in kinds if kind in ("none", "padding")) if self.role in MODELS else kinds

    @property
    def causal(self) -> bool:
        """Whether the subject hides the future by itself."""
        return bool(self.claims.get("causal", False))

    @property
    def self_attending(self) -> bool:
        """Whether queries and keys are the same tokens; of a role with two key sides, on its own."""
        if self.role is Role.MULTI_HEAD_ATTENTION:
            return bool(self.claims["memory"] == "query")
        return self.role not in (Role.ATTENTION, Role.ADDITIVE_ATTENTION, Role.ATTENTION_BIAS)

    @property
    def aligned(self) -> bool:
        """Whether query i stands beside key i of another input, so that both have one length and go together."""
        placed = self.role is Role.MULTI_HEAD_ATTENTION and self.claims["positions"] != "none"
        return self.causal or placed

    @property
    def windowed(self) -> bool:
        """Whether the subject sees the last ``config.window`` positions only."""
        return bool(self.claims.get("sliding_window")) and self.causal

    @property
    def turns_pairs(self) -> bool:
        """Whether the subject turns pairs of features of a head, of which there must be whole ones."""
        return self.role is Role.ROTARY_ENCODING or self.claims.get("positions") == "rotary"

    def config(self, case: Case, *, dropout: float = 0.0, changes: Mapping[str, Any] = MappingProxyType({})) -> Config:
        """What ``build`` receives for ``case``, and with ``changes`` to what no case says, such as ``warmup``."""
        claimed = {name: value for name, value in self.claims.items() if name in FIELDS and name != "kv_heads"}
        longest = max(case.q_len, case.k_len, case.context)
        sizes: dict[str, Any] = {"vocab": case.vocab, "window": case.window, "d_input": case.d_input}
        fixed = self.declaration.sizes
        sizes |= {name: fixed[name] for name in ("buckets", "max_distance") if name in fixed}  # no case draws them
        config = Config(
            d_model=case.d_model,
            heads=case.heads,
            kv_heads=case.kv_heads,
            d_head=case.d_head,
            d_value=case.d_value if self.role is Role.ATTENTION else case.d_head,
            d_ff=self.declaration.d_ff(case.d_model, case.d_ff),
            layers=case.layers if self.role in LAYERED else 1,
            max_len=fixed.get("max_len", max(2 * longest, 16)),
            dropout=dropout,
            **{name: size for name, size in sizes.items() if size},
            **{name: value for name, value in claimed.items() if name != "dropout"},
        )
        return dataclasses.replace(config, **changes) if changes else config

    def inputs(self, case: Case, *, dtype: torch.dtype | None = None) -> Inputs:
        """The arguments of the call that ``case`` stands for."""
        return inputs_of(
            case,
            causal=self.causal,
            self_attending=self.self_attending,
            unpadded=self.claims.get("padded_rows") == "unspecified",
            dtype=dtype or self.dtype,
            device=self.device,
            claims=self.claims,
            aligned=self.aligned,
        )

    def instance(
        self,
        case: Case,
        *,
        dropout: float = 0.0,
        changes: Mapping[str, Any] = MappingProxyType({}),
        training: bool = False,
        dtype: torch.dtype | None = None,
        random_weights: bool = True,
    ) -> "Instance":
        """Build the subject for ``case``, in evaluation mode unless ``training``, with fresh random weights.

        Raises:
            Unsupported: the subject refuses the configuration.
            SubjectError: building raised.
        """
        wanted = dtype or self.dtype
        config = self.config(case, dropout=dropout, changes=changes)
        with self._guard("build"), torch.random.fork_rng(devices=[]), default_dtype(wanted):
            seed(case.seed)
            built = self.declaration.build(config)
            parted = self.role in FUNCTIONS and not isinstance(built, nn.Module | tuple)
            module, call = _taken_apart(built, has_module=self.declaration.has_module and not parted)
            if module is not None:
                module = module.to(device=self.device, dtype=wanted).train(training)
        if module is not None and random_weights:
            randomise(module, case.seed + 1)
        return Instance(self, config, module, call)

    @contextlib.contextmanager
    def _guard(self, origin: str) -> Iterator[None]:
        """Run the subject's own code: planted faults in, and whatever it raises named as the subject's."""
        during = self.declaration.during
        with during() if during else contextlib.nullcontext():
            try:
                yield
            except (Unsupported, UsageError, KeyboardInterrupt):
                raise
            except SystemExit as exit_:
                raise SubjectError(f"{origin} called sys.exit({exit_.code!r})", origin=origin) from exit_
            except BaseException as error:
                line = traceback.extract_tb(error.__traceback__)[-1]
                where = f"{line.filename.rpartition('/')[2]}:{line.lineno}"
                said = str(error).strip().split("\n")[0][:300]
                raise SubjectError(
                    f"{origin} raised {type(error).__name__} at {where}: {said}", origin=origin
                ) from error


@contextlib.contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    """Tables and weights that a subject makes without naming a dtype are made in this one, and not cast into it later."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype if dtype in (torch.float32, torch.float64) else torch.float32)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def _taken_apart(built: Any, *, has_module: bool) -> tuple[nn.Module | None, Callable[..., Any]]:
    """The module, where there is one, and what to call."""
    if isinstance(built, tuple):
        if len(built) != 2 or not isinstance(built[0], nn.Module) or not callable(built[1]):
            raise UsageError(
                "build returned a tuple that is not (module, call): return the module, or the module and a function "
                "call(module, ...) that translates"
            )
        module, call = built
        return module, functools.partial(call, module)
    if isinstance(built, nn.Module):
        return built, built
    if not callable(built):
        raise UsageError(f"build returned {type(built).__name__}, which cannot be called: return a torch.nn.Module")
    if has_module:
        raise UsageError(
            "build returned a function: return the module itself, or (module, call), so that it can be put in evaluation mode and "
            "cast; for a bare function without parameters, declare module=None"
        )
    if any(isinstance(cell.cell_contents, nn.Module) for cell in getattr(built, "__closure__", None) or ()):
        raise UsageError(
            "build returned a closure over a module, whose dropout would stay on and which cannot be cast: return (module, call)"
        )
    return None, built


@dataclasses.dataclass
class Instance:
    """A subject that is built and can be called."""

    subject: Subject
    config: Config
    module: nn.Module | None
    function: Callable[..., Any]

    def __call__(self, inputs: Inputs, *, grad: bool = False) -> Tensor:
        """Call on clones of ``inputs``: shape, strides and alignment are the same each time, and nothing can be overwritten.

        Args:
            grad: record a graph; torch.nn runs other code without one.

        Raises:
            SubjectError: the call raised, or returned something that is no tensor.
        """
        with torch.enable_grad() if grad else torch.no_grad():
            output = self.raw(*inputs.passed())
            if not isinstance(output, Tensor):
                raise SubjectError(f"call returned {_described(output)} where a tensor is promised", origin="call")
            return inputs.specified(output.clone())  # a buffer that is used again would make every two calls equal

    def raw(self, *arguments: Any, **options: Any) -> Any:
        """Call with exactly these arguments; a mask of None at the end is not passed at all.

        Raises:
            SubjectError: the call raised.
        """
        while arguments and arguments[-1] is None:
            arguments = arguments[:-1]
        with self.subject._guard("call"):  # noqa: SLF001  # the guard is the subject's, and instances are part of it
            return self.function(*arguments, **options)

    @property
    def steps(self) -> Steps:
        """How the subject goes on from what it has read; its four functions are guarded as calls are.

        Raises:
            NotChecked: the adapter does not say.
        """
        steps = self.subject.declaration.steps
        if steps is None:
            raise NotChecked("no steps: declare steps=, how the subject goes on from what it has read")
        return Steps(
            start=self._guarded(steps.start),
            step=self._guarded(steps.step),
            reorder=None if steps.reorder is None else self._guarded(steps.reorder),
            copy=None if steps.copy is None else self._guarded(steps.copy),
        )

    def _guarded(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def guarded(*arguments: Any) -> Any:
            with self.subject._guard("call"):  # noqa: SLF001  # as in raw
                return function(*arguments)

        return guarded

    def on(self, module: nn.Module) -> "Instance":
        """The same call, on another module: a copy, or one that was moved."""
        translated = isinstance(self.function, functools.partial)
        function = functools.partial(self.function.func, module) if translated else module  # type: ignore[attr-defined]  # a partial
        return dataclasses.replace(self, module=module, function=function)

    def module_or_not_checked(self) -> nn.Module:
        """The module.

        Raises:
            NotChecked: the subject is a bare function.
        """
        if self.module is None:
            raise NotChecked("no module: the subject is a bare function")
        return self.module


def _described(output: object) -> str:
    if isinstance(output, tuple | list):
        return f"a {type(output).__name__} of {len(output)} ({', '.join(type(each).__name__ for each in output)})"
    return f"a {type(output).__name__}"
