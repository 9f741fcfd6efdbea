"""The future of a model over ids: hidden by the model itself, or by a mask that it leaves to its caller."""

import dataclasses
from collections.abc import Iterator

import torch

from veriformer.assumed import masks, trying
from veriformer.assumed.draft import Draft, Mask
from veriformer.assumed.signature import Reading, mask_slots
from veriformer.assumed.trying import Trial
from veriformer.visibility import may_see
from veriformer_spec.role import Role


def hidden(draft: Draft, reading: Reading) -> tuple[Draft, tuple[Mask, ...]]:
    """What is seen of it; and the mask that has to be passed at any rate, where there is one."""
    if draft.role not in (Role.CAUSAL_LM, Role.ENCODER_DECODER):
        return draft, ()
    trial = Trial(draft)
    case = trial.case()
    apart = trying.influence(trial, case)
    if apart is None:
        return draft, ()
    later = torch.ones(case.q_len, case.q_len, dtype=torch.bool).triu(1)
    if not bool(trying.seen(apart)[:, later].any()):
        how = "tried: without a mask, no token sees a later one"
        return draft.saying("causal", "True: hides the future by itself", how), ()
    found = next(_ways(draft, reading), None)
    if found is None:
        how = "tried: without a mask, tokens see later ones, and no mask hides them; the clauses will say so"
        return draft.saying("causal", "True", f"not so as {how}"), ()
    with_padding = masks.tried(_without(draft, found.parameter), found)
    if with_padding is None or not with_padding.exact:
        found = dataclasses.replace(found, part="None")
    how = "tried: without it tokens see later ones, and with it they do not"
    said = f"{found.points}, shape [{found.shape}], and always hides the future"
    return draft.saying(f"the mask {found.parameter}", said, how), (found,)


def _ways(draft: Draft, reading: Reading) -> Iterator[Mask]:
    """Masks that hide the future, and that alone."""
    for parameter in reading.masks:
        slot = mask_slots(draft.role, parameter)[0]
        if slot not in ("mask", "target_mask"):
            continue
        for each in masks.conventions(masks.blank(draft, parameter, slot, always=False), padding_only=False):
            if "q_len" not in each.shape:
                continue
            moved = dataclasses.replace(each, causal=True)
            plain = _without(draft, parameter)
            trial = Trial(plain.with_(masks=(*plain.masks, moved)))
            case = trial.case()
            apart = trying.influence(trial, case)
            if apart is not None and torch.equal(trying.seen(apart), may_see(case, trial.inputs(case))):
                yield moved


def _without(draft: Draft, parameter: str) -> Draft:
    """The draft that passes nothing to one parameter."""
    passed = {name: value for name, value in draft.passed.items() if name != parameter}
    return draft.with_(passed=passed, masks=tuple(each for each in draft.masks if each.parameter != parameter))
