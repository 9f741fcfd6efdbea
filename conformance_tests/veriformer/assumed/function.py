"""Function: which of the legal claims the class computes, seen in what it calls, and proved on fresh random weights."""

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from veriformer.assumed import trying
from veriformer.assumed.draft import Draft
from veriformer.assumed.trying import Trial
from veriformer.mapping import Understood, automatic, tries
from veriformer.mapping.probing import mapping_case
from veriformer.subjects import Subject
from veriformer.variants import Variant
from veriformer_spec.config import CLAIMS
from veriformer_spec.role import MODELS, PARAMETRIC, Role

GATED = {"relu": "reglu", "gelu": "geglu", "gelu-tanh": "geglu", "silu": "swiglu"}
"""With a second projection."""
SEARCHED: Mapping[str, tuple[object, ...]] = {
    "activation": CLAIMS["activation"].values,
    "eps": (1e-5, 1e-6, 1e-12, 1e-8),
    "embedding_scale": ("none", "root-d_model"),
    "bias": (True, False),
    "embedding_norm": (False, True),
    "final_norm": ("as-placed", True),
    "norm": ("post", "pre"),
    "head": ("linear", "transform"),
    "normalization": ("layer", "rms"),
    "norm_bias": (True, False),
    "positions": ("none", "rotary", "alibi"),
}
"""Claims that a class may make by what it computes; never one whose other value is a known mistake, such as a forgotten scale."""
MOST = 160


class _Calls(TorchFunctionMode):
    """Notes the nonlinearities that are called, and how long the rows are."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, int]] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Note it, and run it."""
        del types
        kwargs = kwargs or {}
        name = _NONLINEAR.get(func)
        if name and args and isinstance(args[0], Tensor):
            tanh = name == "gelu" and kwargs.get("approximate", "none") == "tanh"
            self.seen.append(("gelu-tanh" if tanh else name, args[0].shape[-1]))
        return func(*args, **kwargs)


_NONLINEAR: Mapping[Any, str] = {
    functional.relu: "relu", torch.relu: "relu", torch.relu_: "relu", Tensor.relu: "relu", Tensor.relu_: "relu",
    functional.gelu: "gelu", functional.silu: "silu",
}  # fmt: skip


def activation(draft: Draft) -> Draft:
    """Which nonlinearity is called on what is as long as the inside of the feed-forward network."""
    if "activation" in draft.claims or draft.role not in CLAIMS["activation"].roles:
        return draft
    try:
        trial = Trial(draft)
        case = trial.case()
        instance, inputs = trial.built(case), trial.inputs(case)
        with _Calls() as calls:
            instance(inputs)
    except trying.REFUSALS:
        return draft
    inside = instance.config.d_ff
    found = {name for name, length in calls.seen if length == inside}
    if len(found) != 1 or instance.module is None:
        return draft
    (name,) = found
    matrices = sum(
        inside in shape or 2 * inside in shape for shape in trying.shapes(instance.module).values() if len(shape) == 2
    )
    fused = any(2 * inside in shape for shape in trying.shapes(instance.module).values() if len(shape) == 2)
    stacks = 2 if draft.role is Role.ENCODER_DECODER else 1
    gated = case.layers and (matrices >= 3 * case.layers * stacks or fused)
    return _claim(
        draft,
        "activation",
        GATED[name] if gated else name,
        f"seen: {name} is called on {inside} features{', and a second projection is there' if gated else ''}",
    )


def biases(draft: Draft) -> Draft:
    """Whether projections have biases: what holds a matrix holds a vector, too."""
    if "bias" in draft.claims or draft.role not in CLAIMS["bias"].roles:
        return draft
    try:
        trial = Trial(draft)
        case = trial.case()
        module = trial.built(case).module
    except trying.REFUSALS:
        return draft
    if module is None:
        return draft
    with_, without = 0, 0
    for each in module.modules():
        own = [tuple(one.shape) for _, one in each.named_parameters(recurse=False)]
        if isinstance(each, nn.Embedding) or not any(len(shape) >= 2 for shape in own):
            continue
        if draft.role in MODELS and any(case.vocab in shape for shape in own):
            continue
        has = any(len(shape) == 1 for shape in own)
        with_, without = with_ + has, without + (not has)
    if without and not with_:
        return _claim(draft, "bias", False, "seen: no projection has one")
    if without:
        return draft.saying(
            "bias", "True", f"not decided: {with_} projections have one and {without} have none, which no claim says"
        )
    return draft


def kinds_of_norm(draft: Draft) -> Draft:
    """Whether the norms subtract the mean, and whether they add a shift: each is called on its own, whatever is wrong around it."""
    if draft.role not in CLAIMS["normalization"].roles or {"normalization", "norm_bias"} & draft.claims.keys():
        return draft
    try:
        trial = Trial(draft)
        case = trial.case()
        module = trial.built(case, own_weights=True).module
    except trying.REFUSALS:
        return draft
    norms = [each for each in module.modules() if _norm(each, case.d_model)] if module is not None else []
    found = {_norm(each, case.d_model) for each in norms}
    added = {_eps(each, case.d_model) for each in norms}
    if len(added) == 1 and None not in added and "eps" not in draft.claims:
        draft = _claim(draft, "eps", added.pop(), "tried: its norms, called alone, add it to the variance")
    if found == {("rms", False)}:
        return _claim(
            draft, "normalization", "rms", "tried: its norms, called alone, change with a constant that is added"
        )
    if found == {("layer", False)}:
        return _claim(draft, "norm_bias", False, "seen: its norms have no shift")
    return draft


def _norm(module: nn.Module, d_model: int) -> tuple[str, bool] | None:
    """The kind of a norm, and whether it has a shift; None for what is none."""
    own = [tuple(each.shape) for each in module.parameters()]
    if own not in ([(d_model,)], [(d_model,), (d_model,)]):
        return None
    x = torch.randn(2, 3, d_model, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    try:
        with torch.no_grad():
            one, other, larger = (module(each).double() for each in (x, x + 1, 100 * x))
    except Exception:  # noqa: BLE001  # it may want anything, and is then none
        return None
    if one.shape != x.shape or float((one - larger).abs().max()) > 1e-2:
        return None
    return ("layer" if float((one - other).abs().max()) < 1e-6 else "rms", len(own) == 2)


@torch.no_grad()
def _eps(module: nn.Module, d_model: int) -> float | None:
    """Which usual number a fresh norm adds to the variance; None where it is none of those."""
    x = torch.randn(1, 1, d_model, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    x = (x - x.mean()) / x.var(unbiased=False).sqrt() * 1e-3
    spread = float(module(x).double().square().mean())
    found = 1e-6 * (1 / spread - 1) if spread else 0.0
    return next((each for each in SEARCHED["eps"] if isinstance(each, float) and abs(found - each) < 1e-2 * each), None)


def proved(draft: Draft) -> Draft:
    """The claims under which the class equals the reference on fresh random weights, where there are such."""
    if draft.role not in PARAMETRIC:
        return draft
    declared = draft.declaration()
    subject = Subject(declared)
    try:
        case = mapping_case(subject)
        module = subject.instance(case, random_weights=False).module
        config = subject.config(case)
    except trying.REFUSALS:
        return draft
    if module is None:
        return draft
    own = sum(each.numel() for each in module.parameters())
    claimed = Variant(role=draft.role, config=config)
    try:
        found = automatic(subject, candidates=list(_candidates(draft, claimed, own)))
    except (ValueError, TypeError, RuntimeError, LookupError, AttributeError):
        return draft
    if not isinstance(found, Understood):
        return draft.saying("function", "as claimed", f"not proved: {found.reason}")
    for name, value in found.variant.claims:
        draft = _claim(draft, name, value, "tried: with it, and on fresh random weights, it equals the reference")
    return draft.saying(
        "function",
        "as claimed",
        "proved: on fresh random weights it equals the reference, and every parameter has its place",
    )


def _candidates(draft: Draft, claimed: Variant, own: int) -> Iterator[Variant]:
    """Other legal values of what nobody said, those first that differ in few claims and have as many numbers."""
    known = {each.what for each in draft.assumed if each.how.startswith(("tried", "seen"))} | set(draft.claims)
    free = [name for name in SEARCHED if draft.role in CLAIMS[name].roles and name not in known]
    options: list[list[tuple[tuple[str, object], ...]]] = []
    for name in free:
        current = draft.claims.get(name, CLAIMS[name].default_for(draft.role))
        values = [each for each in SEARCHED[name] if each != current or type(each) is not type(current)]
        changes: list[tuple[tuple[str, object], ...]] = [((name, each),) for each in values]
        if ("positions", "rotary") in [each[0] for each in changes]:
            changes.append((("positions", "rotary"), ("rotary_pairing", "adjacent")))
        options.append(changes)
    count = 0
    for size in (1, 2, 3):
        for chosen in itertools.combinations(options, size):
            for several in itertools.product(*chosen):
                try:
                    variant = tries.with_claims(claimed, tuple(itertools.chain(*several)))
                    fits = tries.numbers_in(variant) == own
                except (ValueError, TypeError, RuntimeError):
                    continue
                if fits:
                    yield variant
                    count += 1
                if count >= MOST:
                    return


def _claim(draft: Draft, name: str, value: object, how: str) -> Draft:
    if value != CLAIMS[name].default_for(draft.role):
        draft = draft.with_(claims={**draft.claims, name: value})
    else:
        draft = draft.with_(claims={each: one for each, one in draft.claims.items() if each != name})
    return draft.saying(name, value, how)
