"""Masks: which way each points, found out by hiding keys and looking who still sees them."""

import dataclasses
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from veriformer import passing
from veriformer.assumed import trying
from veriformer.assumed.draft import Draft, Mask, Undecided
from veriformer.assumed.signature import Reading, mask_slots
from veriformer.assumed.trying import Trial
from veriformer.case import Case
from veriformer.inputs import Inputs
from veriformer.visibility import may_see
from veriformer_spec.config import CLAIMS
from veriformer_spec.role import CROSS_ATTENDING, MODELS, Role

CLEAR = 30.0
"""How much less a hidden key must show than a visible one, for a convention to be recognised in code that hides imperfectly."""


@dataclasses.dataclass(frozen=True)
class Tried:
    """One convention of one parameter, tried.

    Attributes:
        exact: it hides what should be hidden, and that alone.
        works: the mask changes something.
        clear: by how much visible keys show more than hidden ones; of code that hides imperfectly.
        narrow: it does so only for masks that a narrower shape could say.
    """

    mask: Mask
    exact: bool
    works: bool
    clear: float
    narrow: bool = False


def conventions(mask: Mask, *, padding_only: bool) -> Iterator[Mask]:
    """Every way in which a parameter may want its mask, those that can say most first."""
    shapes = passing.SHAPES
    for shape in shapes:
        lengths = shape.endswith("lengths")
        if padding_only and shape in passing.EVERY_ROW:
            continue
        for points in passing.POINTS[:1] if lengths else passing.POINTS:
            yield dataclasses.replace(mask, shape=shape, points=points)


def pattern(case: Case, shape: str, *, padding_only: bool, causal: bool) -> Tensor:
    """``batch 1 q_len k_len``: what is hidden while a shape is tried; each query sees something, and a third is hidden."""
    random = torch.Generator().manual_seed(11)
    batch, q_len, k_len = case.batch, case.q_len, case.k_len
    if shape.endswith("q_len lengths") and not padding_only:
        counted = torch.randint(1, k_len + 1, (batch, q_len, 1), generator=random)
        counted[0, 0] = 1
        return (torch.arange(k_len) < counted)[:, None]
    if shape in passing.EVERY_QUERY or shape.endswith("lengths") or padding_only:
        keys = torch.ones(batch, k_len, dtype=torch.bool)
        for row in range(batch):
            if padding_only or shape.endswith("lengths"):
                keys[row, k_len - 1 - row % (k_len - 1) :] = False
            else:
                keys[row, 1 + row % (k_len - 1)] = False
        return keys[:, None, None].expand(-1, 1, q_len, -1).clone()
    rows = 1 if shape in passing.EVERY_ROW else batch
    grid = torch.rand((rows, 1, q_len, k_len), generator=random) < 0.65
    grid[..., 0] = True
    if causal or q_len == k_len:
        grid = grid | torch.eye(q_len, k_len, dtype=torch.bool)
    return grid.expand(batch, 1, q_len, k_len).clone()


def tried(draft: Draft, mask: Mask, *, as_in: str = "") -> Tried | None:
    """One convention; None where it cannot be passed.

    Args:
        as_in: hide no more than what another shape could say.
    """
    trial = Trial(draft.with_(masks=(*draft.masks, mask)))
    side = "cross" if mask.slot in ("memory_mask", "source_mask") else "self"
    padding_only = draft.role in MODELS
    case = trial.case(side=side, mask="padding" if padding_only else "arbitrary")
    inputs = trial.inputs(dataclasses.replace(case, mask="none"))
    grid = pattern(case, as_in or mask.shape, padding_only=padding_only, causal=trial.subject.causal)
    masked = inputs.with_mask(grid)
    works = _works(trial, case, inputs, masked)
    if not works:
        return None if works is None else Tried(mask, exact=False, works=False, clear=0.0)
    apart = trying.influence(trial, case, masked)
    if apart is None:
        return None
    wanted = may_see(case, masked)
    compared = ~masked.unspecified()[..., None].expand_as(wanted)
    exact = bool((trying.seen(apart) == wanted)[compared].all())
    hidden, visible = apart[compared & ~wanted], apart[compared & wanted]
    clear = float(visible.mean() / hidden.mean().clamp(min=1e-12)) if hidden.numel() and visible.numel() else 0.0
    return Tried(mask, exact, works=True, clear=clear)


def _works(trial: Trial, case: Case, inputs: Inputs, masked: Inputs) -> bool | None:
    """Whether the mask changes anything; None where it cannot be passed."""
    assert masked.mask is not None
    try:
        instance = trial.built(case)
        hiding = instance(masked)
    except trying.REFUSALS:
        return None
    try:
        return not torch.equal(instance(inputs.with_mask(torch.ones_like(masked.mask))), hiding)
    except trying.REFUSALS:
        return True


def candidates(draft: Draft, parameter: str, *, always: bool) -> list[Tried]:
    """Every convention of a parameter that can be passed, exact ones first."""
    found: list[Tried] = []
    for slot in mask_slots(draft.role, parameter):
        for each in conventions(blank(draft, parameter, slot, always=always), padding_only=draft.role in MODELS):
            result = tried(draft, each)
            if result is None:
                continue
            if result.exact:
                return [_broader(draft, result), *found]
            found.append(result)
    return found


def _broader(draft: Draft, found: Tried) -> Tried:
    """The same convention in a shape that can say more, where that is taken too.

    A module that takes such a mask, and hides with it what a narrower one can say but not all that it says, is wrong: judged by the
    narrower shape alone it would not be found.
    """
    narrow = found.mask.shape
    if narrow not in (*passing.EVERY_QUERY, *passing.EVERY_ROW) or draft.role in MODELS or narrow.endswith("lengths"):
        return found
    for shape in passing.SHAPES[: passing.SHAPES.index(passing.EVERY_ROW[0])]:
        wider = dataclasses.replace(found.mask, shape=shape)
        result = tried(draft, wider, as_in=narrow)
        if result is not None and result.exact:
            return Tried(wider, exact=True, works=True, clear=0.0, narrow=True)
    return found


def jointly(draft: Draft, reading: Reading) -> tuple[Mask, ...]:
    """The source's padding, where it hides only if several parameters are told of it: the encoder's, and that of the memory."""
    other = [name for name in reading.masks if mask_slots(draft.role, name)[0] == "source_mask"]
    group = [name for name in other if "pad" in name.lower()] or other
    if draft.role is not Role.ENCODER_DECODER or len(group) < 2:
        return ()
    passed = {name: value for name, value in draft.passed.items() if name not in group}
    blanks = [Mask(parameter=name, slot="source_mask", always=reading.masks[name], query="source") for name in group]
    plain = draft.with_(passed=passed, masks=tuple(each for each in draft.masks if each.parameter not in group))
    for first in conventions(blanks[0], padding_only=True):
        if first.shape in passing.EVERY_QUERY:
            rest = tuple(dataclasses.replace(each, shape=first.shape, points=first.points) for each in blanks[1:])
            result = tried(plain.with_(masks=(*plain.masks, *rest)), first)
            if result is not None and result.exact:
                return (first, *rest)
    return ()


def blank(draft: Draft, parameter: str, slot: str, *, always: bool) -> Mask:
    """A parameter's mask, before its convention is known: which inputs say how many queries and keys there are."""
    query, key = "x", ""
    if draft.role in (Role.ATTENTION, Role.MULTI_HEAD_ATTENTION, Role.ADDITIVE_ATTENTION):
        query = "query"
        key = "key" if draft.role is Role.ATTENTION else "memory"
        if draft.claims.get("memory") == "query":
            key = ""
    elif draft.role is Role.ENCODER_DECODER:
        query, key = ("target", "source") if slot == "source_mask" else ("target", "")
    elif draft.role in MODELS:
        query = "ids"
    elif slot == "memory_mask":
        key = "memory"
    return Mask(parameter=parameter, slot=slot, always=always, query=query, key=key)


def best(found: Sequence[Tried]) -> tuple[Tried | None, str]:
    """What to assume of one parameter, and how it was found out."""
    exact = next((each for each in found if each.exact), None)
    if exact is not None and exact.narrow:
        how = "tried: it takes such masks, but hides what it should only where all queries see the same; the clauses will say so"
        return exact, f"not so as it should be; {how}"
    if exact is not None:
        return exact, "tried: hides the keys that it should hide, and only them"
    working = [each for each in found if each.works]
    if not working:
        return next(
            iter(found), None
        ), "not decided: it changes nothing, however it is passed; the masking clauses will say so"
    clearest = max(working, key=lambda each: each.clear)
    if clearest.clear >= CLEAR:
        return (
            clearest,
            f"tried: hidden keys show {clearest.clear:.0f} times less than visible ones, but show; no way to pass it hides them",
        )
    default = next((each for each in working if each.mask.points == "True keeps"), working[0])
    return default, "not decided: no way to pass it hides what it should; the masking clauses will say so"


def decided(draft: Draft, reading: Reading, fixed: tuple[Mask, ...] = ()) -> Draft:
    """The draft with a convention for each mask, and what that says about the masks that it takes.

    Args:
        fixed: masks that are known already.

    Raises:
        Undecided: a mask that must be passed cannot be passed in any way.
    """
    known = [each.parameter for each in fixed]
    needed = [name for name, free in reading.masks.items() if free and name not in known]
    draft = draft.with_(passed={name: value for name, value in draft.passed.items() if name not in known})
    draft = _without_optional(draft.with_(masks=fixed), needed).with_(masks=())
    open_ = [name for name in needed if name not in draft.passed]
    taken: list[tuple[Tried, str]] = []
    for parameter in reading.masks:
        found: list[Tried] = []
        if parameter in known:
            continue
        if parameter in open_:
            for others in neutral(draft, [each for each in open_ if each != parameter]):
                found = candidates(draft.with_(masks=(*fixed, *others)), parameter, always=True)
                if any(each.exact for each in found):
                    break
        else:
            others = (*fixed, *_others(open_, taken))
            plain = draft.with_(
                passed={name: value for name, value in draft.passed.items() if name != parameter}, masks=others
            )
            found = candidates(plain, parameter, always=False)
        chosen, how = best(found)
        if chosen is not None:
            taken.append((chosen, how))
        elif parameter in open_:
            raise Undecided(
                f"{draft.origin.name}.forward must be passed {parameter}, and no mask that was tried can be: tried the shapes "
                f"{', '.join(passing.SHAPES)} as booleans, numbers and added to the scores",
                draft.with_(
                    passed={**draft.passed, parameter: "..."},
                    todo=(*draft.todo, f"what {parameter} takes: no mask that was tried could be passed"),
                ),
            )
        else:
            draft = draft.saying(
                f"the mask {parameter}", "not passed", "tried: no mask that was tried can be passed there"
            )
    return _chosen(draft, taken, open_, fixed)


def _without_optional(draft: Draft, needed: Sequence[str]) -> Draft:
    """With None passed for masks that have no default, where that can be done."""
    free = draft.with_(passed={**draft.passed, **dict.fromkeys(needed, "None")})
    if not needed:
        return draft
    try:
        trial = Trial(free)
        if trying.output_of(trial, trial.case()) is not None:
            return free
    except trying.REFUSALS:
        pass
    return draft


def neutral(draft: Draft, others: Sequence[str]) -> Iterator[tuple[Mask, ...]]:
    """Ways to pass a mask that hides nothing for every other parameter that must be passed one."""
    if not others:
        yield ()
        return
    first, *rest = others
    for slot in mask_slots(draft.role, first)[:1]:
        for each in conventions(blank(draft, first, slot, always=True), padding_only=draft.role in MODELS):
            if each.points not in ("True keeps", "True hides", "added"):
                continue
            for more in neutral(draft, rest):
                yield (each, *more)


def _others(open_: Sequence[str], taken: Sequence[tuple[Tried, str]]) -> tuple[Mask, ...]:
    """Masks that must be passed beside the one that is tried."""
    return tuple(each.mask for each, _ in taken if each.mask.parameter in open_)


def _chosen(draft: Draft, taken: list[tuple[Tried, str]], open_: Sequence[str], fixed: tuple[Mask, ...]) -> Draft:
    """Which parameters the adapter passes masks to, and the claim on masks that follows."""
    kinds: dict[str, frozenset[str]] = {}
    kept: list[Mask] = list(fixed)
    full = {each.slot for each in fixed if not each.part}
    taken = [(each, how) for each, how in taken if each.mask.slot not in full or each.mask.parameter in open_]
    for slot in dict.fromkeys(each.mask.slot for each, _ in taken):
        here = [(each, how) for each, how in taken if each.mask.slot == slot]
        exact = [each for each, _ in here if each.exact] or [each for each, _ in here]
        exact.sort(key=lambda each: passing.SHAPES.index(each.mask.shape))
        masks = [exact[0].mask]
        rows = next((each.mask for each in exact if each.mask.shape in passing.EVERY_ROW), None)
        queries = next((each.mask for each in exact if each.mask.shape in passing.EVERY_QUERY), None)
        if exact[0].mask.shape in passing.EVERY_ROW and rows and queries and draft.role not in MODELS:
            masks = [dataclasses.replace(rows, part="every_row"), dataclasses.replace(queries, part="every_query")]
        kept += masks
        kinds[slot] = frozenset().union(*(_kinds(each) for each in masks))
        for each, how in here:
            mine = each.mask.parameter in [one.parameter for one in masks] or each.mask.parameter in open_
            said = (
                f"{each.mask.points}, shape [{each.mask.shape}], as {slot}"
                if mine
                else "not passed: another parameter can say more"
            )
            if "lengths" in each.mask.shape and mine:
                said = f"numbers of visible keys, shape [{each.mask.shape}], as {slot}"
            draft = draft.saying(f"the mask {each.mask.parameter}", said, how)
    for each, _ in taken:
        if each.mask.parameter in open_ and each.mask.parameter not in [one.parameter for one in kept]:
            kept.append(each.mask)
    draft = draft.with_(
        masks=tuple(kept),
        passed={name: value for name, value in draft.passed.items() if name not in [one.parameter for one in kept]},
    )
    return _claimed(draft, kinds)


def _kinds(mask: Mask) -> frozenset[str]:
    """Which kinds of mask a parameter's shape can say."""
    if mask.shape in passing.EVERY_QUERY:
        return frozenset({"none", "padding"})
    if mask.shape in passing.EVERY_ROW:
        return frozenset({"none", "causal"})
    if mask.shape.endswith("lengths"):
        return frozenset({"none", "causal", "padding"})
    return frozenset({"none", "causal", "padding", "arbitrary"})


def _claimed(draft: Draft, kinds: dict[str, frozenset[str]]) -> Draft:
    """The claim on masks: what every side can be passed."""
    if "masks" in draft.claims or draft.role not in CLAIMS["masks"].roles:
        return draft
    if draft.role in MODELS:
        return draft  # decided with what the ids say
    sides = ("mask", "memory_mask") if draft.role in CROSS_ATTENDING else ("mask",)
    found = [kinds.get(side, frozenset({"none"})) for side in sides]
    both = frozenset.intersection(*found)
    if draft.role in CROSS_ATTENDING and "causal" in found[0]:
        both |= {"causal"}  # never passed on the memory's side
    if "arbitrary" in both:
        return draft
    both -= {"arbitrary"}
    ordered = tuple(each for each in ("none", "causal", "padding") if each in both)
    why = "as the shapes of its masks can say" if kinds else "forward has no parameter for a mask"
    return draft.with_(claims={**draft.claims, "masks": ordered}).saying("masks", ", ".join(ordered), why)
