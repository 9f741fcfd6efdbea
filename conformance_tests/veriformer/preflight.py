"""Preflight: build, call once, and say what smells of the adapter and not of the model. Most first failures are this."""

import dataclasses

import torch
from torch import Tensor, nn

from veriformer import perturbation, precision, process_state
from veriformer.case import SHOWN, Case
from veriformer.declaration import Declaration, Unsupported
from veriformer.dropout import in_training
from veriformer.inputs import Inputs
from veriformer.masks import causal_grid
from veriformer.outcome import SubjectError, Vacuous
from veriformer.places import places_of
from veriformer.process_state import restored
from veriformer.strategies import HEADLESS
from veriformer.subjects import Instance, Subject
from veriformer.verdict import Place
from veriformer.visibility import may_see
from veriformer_spec.role import ATTENDING, CROSS_ATTENDING, FUNCTIONS, LAYERED, Role


@dataclasses.dataclass
class Prepared:
    """A subject ready to be judged.

    Attributes:
        notes: what the run assumed, and what looks like the adapter's doing, in sentences.
        blocked: why it cannot be judged at all; empty where it can.
        places: where it is written, as far as that is known.
    """

    subject: Subject
    notes: list[str]
    blocked: str = ""
    places: list[Place] = dataclasses.field(default_factory=list)


def prepared(
    declaration: Declaration, *, dtype: torch.dtype = torch.float64, device: torch.device | None = None
) -> Prepared:
    """Find out how the subject has to be judged, before any clause is."""
    subject = Subject(declaration, dtype=dtype, device=device or torch.device("cpu"), rounds_to=dtype)
    result = Prepared(subject, [], places=places_of(declaration.build, None))
    with restored():
        case = _first_case_that_runs(result)
        if case is None or declaration.role in FUNCTIONS:
            return result
        _look_for_float32(result, case)
        _look_for_dropout(result, case)
        _look_at_masks(result, case)
        _look_at_padding(result, case)
        _look_at_the_batch_axis(result, case)
    return result


def probe_case(subject: Subject, *, mask: str = "none", seed: int = 1, head_sizes: tuple[int, int] = (4, 6)) -> Case:
    """One case at which no two sizes coincide (d_model 24, heads 4, d_ff 40), or at the subject's own sizes."""
    sizes = subject.declaration.sizes
    shown = SHOWN[subject.role]
    headless = subject.role in HEADLESS or not {"d_model", "d_head"} & set(shown)
    heads = 1 if headless else sizes.get("heads", head_sizes[0])
    d_model = sizes.get("d_model", sizes.get("d_head", head_sizes[1]) * heads if not headless else 24)
    q_len = sizes.get("q_len", min(5, sizes.get("max_len", 5)))
    together = subject.self_attending or subject.aligned or mask == "causal"
    grouped = subject.claims.get("kv_heads") == "grouped" and heads % 2 == 0
    return Case(
        role=subject.role,
        batch=sizes.get("batch", 2),
        q_len=q_len,
        k_len=q_len if together else sizes.get("k_len", min(7, sizes.get("max_len", 7))),
        d_model=d_model,
        heads=heads,
        kv_heads=sizes.get("kv_heads", heads // 2 if grouped else heads),
        d_value=sizes.get("d_value", d_model // heads),
        d_ff=subject.declaration.d_ff(d_model, 40),
        layers=sizes.get("layers", 2) if subject.role in LAYERED else 1,
        vocab=sizes.get("vocab", 11) if "vocab" in shown else 0,
        # as long as the target: that lengths may differ is a clause, and no reason to judge nothing
        context=sizes.get("k_len", q_len) if subject.role in CROSS_ATTENDING else 0,
        window=sizes.get("window", 3) if subject.windowed else 0,
        d_input=sizes.get("d_input", 7) if subject.claims.get("entrance") == "projection" else 0,
        mask=mask,
        seed=seed,
    )


def _first_case_that_runs(result: Prepared) -> Case | None:
    """Build and call, in float64 first and in float32 where that fails; refusals are met with other sizes."""
    subject, asked = result.subject, result.subject.dtype
    for dtype in dict.fromkeys((asked, torch.float32)):
        subject.dtype = subject.rounds_to = dtype
        case, reason, module = _case_that_runs(subject)
        if case is not None:
            if result.blocked:
                result.notes.append(f"judged in {precision.word(dtype)}: in {precision.word(asked)} {result.blocked}")
            result.blocked = ""
            result.places = places_of(subject.declaration.build, module)
            return case
        result.blocked = result.blocked or reason
    subject.dtype = subject.rounds_to = asked
    return None


def _case_that_runs(subject: Subject) -> tuple[Case | None, str, nn.Module | None]:
    """A case at sizes that the subject does not refuse, and the module that was built for it; or why there is none."""
    reason = ""
    for head_sizes in ((4, 6), (2, 8), (1, 16)):
        case = probe_case(subject, head_sizes=head_sizes)
        try:
            instance = subject.instance(case)
            if subject.role not in FUNCTIONS:
                instance(subject.inputs(case))
        except Unsupported as refusal:
            reason = f"the subject refuses every configuration tried: {refusal}"
        except SubjectError as error:
            return None, f"the {error}{_remedy(str(error))}", None
        else:
            return case, "", instance.module
    return None, reason, None


def _remedy(message: str) -> str:
    """What to do about an error that is the adapter's."""
    if "where a tensor is promised" in message:
        return ": take the output out of it, in forward or in call(module, ...) next to the module"
    if "positional argument" in message or "unexpected keyword" in message:
        return ": return (module, call), where call(module, ...) takes the role's arguments and translates"
    return ""


def _look_for_float32(result: Prepared, case: Case) -> None:
    """Judge by float32's rounding where the subject computes in it inside."""
    subject = result.subject
    if subject.dtype is not torch.float64:
        return
    claimed = subject.claims.get("computes_in") == "float32"
    try:
        found = precision.found_inside(subject.instance(case), subject.inputs(case))
    except SubjectError:
        return  # with gradients it raises; the clause on modes will say so
    if claimed:
        subject.rounds_to = torch.float32
    elif found:
        subject.rounds_to = torch.float32
        result.notes.append(f"computes in float32 inside ({found}): judged by float32's rounding")


def _look_for_dropout(result: Prepared, case: Case) -> None:
    """Replace dropout by its expectation in training where the subject ignores ``config.dropout``."""
    subject = result.subject
    if not subject.declaration.has_module:
        return
    instance, inputs = subject.instance(case, training=True), subject.inputs(case)
    if _differs(instance, inputs):
        subject.neutralise_dropout = True
        result.notes.append(
            "dropout is on in training although config.dropout is 0: pass config.dropout on; until then training is judged with "
            "dropout replaced by its expectation"
        )
        with in_training(instance):
            if _differs(instance, inputs):
                result.notes[-1] = (
                    "two equal calls in training differ at config.dropout=0, and not by a dropout that can be replaced: something "
                    "draws, or remembers"
                )
    if _differs(subject.instance(case), inputs):
        result.notes.append(
            "two equal calls differ in evaluation mode: is dropout still on? call it with training=self.training"
        )


def _differs(instance: Instance, inputs: Inputs) -> bool:
    outputs: list[Tensor] = []
    for seed in (1, 2):
        process_state.seed(seed)
        try:
            outputs.append(instance(inputs))
        except SubjectError:
            return False  # the clause on modes will say so
    return not torch.equal(outputs[0].nan_to_num(), outputs[1].nan_to_num())


def _look_at_masks(result: Prepared, case: Case) -> None:
    """Which way does the mask point, and does it arrive?"""
    subject = result.subject
    kind = next((each for each in ("arbitrary", "causal") if each in subject.masks), None)
    if subject.role not in ATTENDING or kind is None or subject.causal or case.q_len < 3:
        return
    case = probe_case(subject, mask="causal", head_sizes=(case.heads, case.d_head))
    instance, inputs = subject.instance(case), subject.inputs(case)
    inputs = inputs.with_mask(
        causal_grid(case.q_len, case.k_len).expand(case.batch, 1, -1, -1).clone().to(subject.device)
    )
    try:
        apart, base = perturbation.key_influence(instance, inputs, 0, 1, grad=False)
    except (SubjectError, Vacuous):
        return  # the masking clauses will say so
    seen = apart > perturbation.explained(instance, inputs, base, 0.0, grad=False)
    assert inputs.mask is not None
    wanted, inverted = may_see(case, inputs)[0], may_see(case, inputs.with_mask(~inputs.mask))[0]
    if torch.equal(seen, wanted):
        return
    if torch.equal(seen, inverted):
        result.notes.append(
            "the mask points the other way: here True means may attend; pass ~mask where True means hidden"
        )
    elif bool(seen.all()) and torch.equal(instance(inputs), instance(inputs.with_mask(None))):
        result.notes.append("the mask changes nothing: does the call pass it on?")


def _look_at_padding(result: Prepared, case: Case) -> None:
    """Code that takes padding out before it computes returns anything there, and must say so."""
    subject = result.subject
    if (
        subject.role is Role.ATTENTION
        or "padding" not in subject.masks
        or subject.claims.get("padded_rows") != "computed"
    ):
        return
    if not subject.self_attending or case.q_len < 3 or case.batch < 2:
        return
    case = dataclasses.replace(case, mask="padding")
    real = torch.ones(case.batch, case.k_len, dtype=torch.bool)
    real[:, -1] = False
    mask = real[:, None, None, :].expand(-1, 1, case.q_len, -1).clone().to(subject.device)
    instance, inputs = subject.instance(case), subject.inputs(case).with_mask(mask)
    try:
        without, with_gradients = instance(inputs), instance(inputs, grad=True)
    except SubjectError:
        return  # the masking clauses will say so
    if without.shape != with_gradients.shape or without.dim() != 3:
        return
    apart = perturbation.difference(without, with_gradients)
    rounding = perturbation.explained(instance, inputs, without, float(apart.max()), grad=True)
    if bool((apart[:, -1] > rounding).all()) and not bool((apart[:, :-1] > rounding).any()):
        result.notes.append("what comes back at padding depends on the code path: claim padded_rows='unspecified'")


def _look_at_the_batch_axis(result: Prepared, case: Case) -> None:
    """A module that reads its input sequence-first attends over the batch."""
    subject = result.subject
    if subject.role not in ATTENDING or subject.role is Role.ATTENTION or case.batch < 2 or case.q_len < 2:
        return
    instance, inputs = subject.instance(case), subject.inputs(case)
    random = torch.Generator().manual_seed(2)
    base = instance(inputs)
    if base.shape[0] != case.batch or base.dim() != 3:
        return
    rounding = perturbation.explained(instance, inputs, base, 0.0, grad=False)
    try:
        other_row = instance(perturbation.with_key_changed(inputs, 1, 0, random))
        other_token = instance(perturbation.with_key_changed(inputs, 0, 1, random))
    except (SubjectError, Vacuous):
        return
    across = bool(perturbation.difference(base, other_row)[0, 0] > rounding)
    along = bool(perturbation.difference(base, other_token)[0, 0] > rounding)
    if across and not along:
        result.notes.append(
            "rows of the batch attend to each other and tokens do not: sequence-first? pass batch_first=True"
        )
