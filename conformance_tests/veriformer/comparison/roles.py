"""The suite's own probes, put to two builds of one role."""

import dataclasses
from collections.abc import Sequence
from typing import Final

import torch
from torch import nn

from veriformer.case import Case
from veriformer.comparison.made import Call, Made, Setting
from veriformer.comparison.parting import Named, arranged_alike
from veriformer.comparison.sharing import Sharing
from veriformer.comparison.states import differences
from veriformer.comparison.trial import Differs, Trial
from veriformer.declaration import Declaration, Unsupported
from veriformer.departure import named_points
from veriformer.inputs import Inputs
from veriformer.large_scores import enlarged
from veriformer.outcome import NotChecked, SubjectError
from veriformer.preflight import probe_case
from veriformer.subjects import Instance, Subject
from veriformer.targets import Copies
from veriformer.understanding import copied, weights_if_known
from veriformer_reference.build import build
from veriformer_spec.role import ATTENDING, CROSS_ATTENDING, MODELS, PARAMETRIC, Role

PLAIN: Final = "plain"
ONE_TOKEN: Final = "one token"  # noqa: S105  # no password
LARGE: Final = "large scores"
WIDE: Final = "more heads, longer, wider"
HIDDEN: Final = "one row all padded"
OWN: Final = "its own weights"
MEMORY: Final = " on the memory"


class Roles:
    """Two declarations of one role."""

    def __init__(self, old: Declaration, new: Declaration, sharing: Sharing) -> None:
        self.old, self.new, self.sharing = old, new, sharing
        self.role = str(old.role)
        self.notes: list[str] = []
        self.state_differences: list[str] = []
        self.own = isinstance(old.build, Copies) and isinstance(new.build, Copies)
        claims = [name for name, value in old.claims.items() if name in new.claims and new.claims[name] != value]
        if claims:
            self.notes.append(f"the two claim otherwise: {', '.join(claims)}; OLD's claims say what is passed")
        self._look_at_states()

    @property
    def state(self) -> str:
        """How NEW was given OLD's state."""
        return self.sharing.how

    def kinds(self) -> Sequence[str]:
        """Every mask that OLD accepts, and what is passed seldom: one token, a row of padding, scores that are large."""
        subject = Subject(self.old)
        masks = [f"{kind} mask" for kind in subject.masks if kind != "none"]
        kinds = [PLAIN, *masks]
        attends = self.old.role in ATTENDING
        if attends and {"padding", "arbitrary"} & set(subject.masks):
            kinds.append(HIDDEN)
        if self.old.role in CROSS_ATTENDING:
            kinds += [f"{kind}{MEMORY}" for kind in kinds if "causal" not in kind]
        kinds += [ONE_TOKEN, WIDE]
        if attends and self.old.claims.get("cell", "attention") == "attention":
            kinds.append(LARGE)
        return [*kinds, OWN] if self.own else kinds

    def trial(self, kind: str, dtype: torch.dtype, case: Case | None = None) -> Trial | None:
        """Both, built for one case, with OLD's weights in both.

        Raises:
            SubjectError: one of them cannot be built.
        """
        subjects = [Subject(each, dtype=dtype, rounds_to=dtype) for each in (self.old, self.new)]
        case = case or self._case(subjects[0], kind)
        try:
            old, new = (each.instance(case, random_weights=kind != OWN) for each in subjects)
            inputs = self._inputs(subjects[0], case, kind)
        except (Unsupported, NotChecked):
            return None
        if kind == LARGE:
            inputs = enlarged(old, inputs)
        self.sharing.share(old, new, inputs)
        call = Call(kind, inputs.passed(), case=str(case), specified=inputs.specified)
        return Trial(_made("OLD", old), _made("NEW", new), call)

    def smallest(self, trial: Trial, kind: str, dtype: torch.dtype, differs: Differs) -> Trial:
        """Each size made smaller as long as they differ."""
        fixed = {*self.old.sizes, *self.new.sizes}
        case = Case.parse(self.old.role, trial.call.case)
        even = Subject(self.old).turns_pairs
        for name in ("batch", "layers", "q_len", "k_len", "context", "heads", "d_head", "d_ff", "d_model", "vocab"):
            if name in fixed or (name in ("heads", "d_head") and "d_model" in fixed):
                continue
            for size in range(2 if name == "d_head" and even else 1, getattr(case, name)):
                smaller = _with(case, name, size, together=_together(self.old, case))
                try:
                    found = self.trial(kind, dtype, smaller)
                except (SubjectError, ValueError, RuntimeError):
                    continue
                if found is not None and differs(found):
                    case, trial = smaller, found
                    break
        return trial

    def named(self, trial: Trial, setting: Setting) -> Named:  # noqa: ARG002  # every setting has the same names
        """The points of the reference that holds OLD's weights, where those are understood."""
        known: list[tuple[torch.Tensor, str]] = []
        try:
            subject = Subject(self.old)
            case = Case.parse(self.old.role, trial.call.case)
            instance, inputs = subject.instance(case, random_weights=trial.call.words != OWN), None
            inputs = self._inputs(subject, case, trial.call.words)
            if trial.call.words == LARGE:
                inputs = enlarged(instance, inputs)
            held = weights_if_known(instance, faulty=True) if self.old.role in PARAMETRIC else {}
            reference = build(self.old.role, instance.config)
            if held is None or not isinstance(reference, nn.Module):
                return lambda _: ""
            reference = reference.double().eval()
            copied(held, reference)
            known = [(point.values, point.name) for point in named_points(reference, inputs)]
        except (SubjectError, Unsupported, NotChecked, ValueError, RuntimeError):
            pass  # it is only a name

        def name(values: torch.Tensor) -> str:
            near = (said for other, said in known if arranged_alike(values, other, 1e-9 * float(other.abs().max())))
            return next(near, "")

        return name

    def _case(self, subject: Subject, kind: str) -> Case:
        mask = next((each for each in ("causal", "padding", "arbitrary") if kind.startswith(each)), "none")
        if kind == LARGE:  # only where something is hidden does it show how
            mask = next((each for each in ("causal", "padding") if each in subject.masks), "none")
        case = probe_case(subject, mask=mask)
        fixed = subject.declaration.sizes
        if kind.endswith(MEMORY):
            longest = min(7, fixed.get("max_len", 7))
            case = dataclasses.replace(case, side="cross", k_len=fixed.get("k_len", longest), context=0)
        if kind == ONE_TOKEN and "q_len" not in fixed and "k_len" not in fixed:
            case = dataclasses.replace(case, q_len=1, k_len=1, context=min(case.context, 1))
        if kind == WIDE:
            wide = {"batch": 3, "q_len": 11, "k_len": 11, "layers": 3 * (case.layers > 1) or 1}
            if case.heads > 1 and not {"heads", "d_model", "d_head"} & fixed.keys():
                wide |= {"heads": 8, "kv_heads": 8 * case.kv_heads // case.heads, "d_model": 64, "d_value": 8}
            longest = fixed.get("max_len", 11)
            usual = {name: size for name, size in wide.items() if name not in fixed}
            usual |= {name: min(usual[name], longest) for name in ("q_len", "k_len") if name in usual}
            case = dataclasses.replace(case, **usual, context=usual.get("k_len", 11) if case.context else 0)  # type: ignore[arg-type]  # sizes all
        return case

    def _inputs(self, subject: Subject, case: Case, kind: str) -> Inputs:
        inputs = subject.inputs(case)
        if kind.startswith(HIDDEN):
            mask = torch.ones(case.batch, 1, inputs.q_len, inputs.k_len, dtype=torch.bool)
            mask[0] = False
            inputs = inputs.with_mask(mask)
        return inputs

    def _look_at_states(self) -> None:
        subjects = Subject(self.old), Subject(self.new)
        case = probe_case(subjects[0])
        try:
            old, new = (each.instance(case, random_weights=False) for each in subjects)
        except (SubjectError, Unsupported):
            return  # the first trial says so
        if old.module is not None and new.module is not None:
            self.state_differences = differences(old.module, new.module, values="all" if self.own else "buffers")


def _made(name: str, instance: Instance) -> Made:
    return Made(name, instance.raw, instance.module)


def _together(declaration: Declaration, case: Case) -> bool:
    """Whether there are as many keys as queries."""
    alone = Subject(declaration).self_attending and not (declaration.role in CROSS_ATTENDING and case.side == "cross")
    return alone or declaration.role in (*MODELS, Role.LAYER_NORM)


def _with(case: Case, name: str, size: int, *, together: bool) -> Case:
    """``case`` with one size changed, and what hangs on it."""
    if name == "heads":
        kv_heads = case.kv_heads if size % case.kv_heads == 0 and case.kv_heads < case.heads else size
        return dataclasses.replace(case, heads=size, kv_heads=kv_heads, d_model=size * case.d_head)
    if name == "d_head":
        return dataclasses.replace(case, d_model=case.heads * size, d_value=size)
    if name == "d_model":
        return dataclasses.replace(case, d_model=size) if case.heads == 1 else case
    if name == "q_len" and together:
        return dataclasses.replace(case, q_len=size, k_len=size)
    return dataclasses.replace(case, **{name: size})  # type: ignore[arg-type]  # a size
