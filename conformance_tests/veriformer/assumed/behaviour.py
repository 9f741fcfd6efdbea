"""Behaviour: what a class does when it is called without a mask: which axis is time, whether it hides the future, where it norms."""

import contextlib
import dataclasses
import inspect
import itertools
import re
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from veriformer import bare_stack, perturbation
from veriformer.assumed import names, trying
from veriformer.assumed.draft import Draft
from veriformer.assumed.trying import Trial
from veriformer.outcome import NotChecked
from veriformer_spec.config import CLAIMS
from veriformer_spec.role import ATTENDING, CROSS_ATTENDING, DECODERS, LAYERED, MODELS, STACKS, Role

USUAL_EPS = (1e-5, 1e-6, 1e-12, 1e-8)


def laid_out(draft: Draft) -> Draft:
    """Whether time or the batch stands first."""
    if draft.role is Role.POSITIONAL_ENCODING:
        return _encoding_laid_out(draft)
    if draft.role not in ATTENDING or draft.role is Role.ATTENTION:
        return draft
    try:
        trial = Trial(draft)
        across, along = trying.across_rows(trial, trial.case())
    except trying.REFUSALS:
        return draft
    if draft.sequence_first:
        how = "tried: called with the batch first it does not work" + (
            ", and so tokens see each other" if along else ""
        )
        return draft.saying("layout", "time first: [time, batch, ...]", how)
    if across and not along and _written_batch_first(draft):
        how = "the code unpacks its input as (batch, time, ...); yet the first axis attends to itself: the clauses will say so"
        return draft.saying("layout", "batch first: [batch, time, ...]", f"not what was tried: {how}")
    if across and not along:
        turned = draft.with_(sequence_first=True)
        try:
            trial = Trial(turned)
            if trying.output_of(trial, trial.case()) is not None:
                how = "tried: the first axis attends to itself, the second does not; if the batch is meant to stand first, that is a mistake"
                return turned.saying("layout", "time first: [time, batch, ...]", how)
        except trying.REFUSALS:
            return draft
    if along and not across:
        how = "tried: the second axis attends to itself, the first does not"
        return draft.saying("layout", "batch first: [batch, time, ...]", how)
    how = "not decided: rows of the batch are mixed" if across else "not decided: no token was seen to look at another"
    return draft.saying("layout", "batch first: [batch, time, ...]", how)


_UNPACKED = re.compile(r"^\s*\(?(\w+)\s*,\s*(\w+)\s*[,)=].*=\s*\w+\.(?:shape|size\(\))", re.MULTILINE)


def _written_batch_first(draft: Draft) -> bool:
    """Whether the code around the class, wherever it names the axes of its input, names the batch first."""
    try:
        trial = Trial(draft)
        module = trial.built(trial.case(), own_weights=True).module
    except trying.REFUSALS:
        return False
    text = ""
    for made in {type(each) for each in module.modules()} if module is not None else ():
        if made.__module__.partition(".")[0] != "torch":
            with contextlib.suppress(OSError, TypeError):
                text += inspect.getsource(made)
    first = {names.plain(one) for one, _ in _UNPACKED.findall(text)}
    return bool(first & names.BATCHES) and not first & names.TIMES


def _encoding_laid_out(draft: Draft) -> Draft:
    """A table is added along time, and is the same in every row of the batch."""
    trial = Trial(draft)
    case = trial.case()
    inputs = trial.inputs(case)
    try:
        added = trial.built(case)(inputs) - inputs.tensors[0]
    except trying.REFUSALS:
        return draft
    if bool((added[:, :1] - added).abs().max() < 1e-9) and bool((added[:1] - added).abs().max() > 1e-6):
        return draft.with_(sequence_first=True).saying(
            "layout", "time first: [time, batch, ...]", "tried: what is added differs along the first axis"
        )
    return draft.saying(
        "layout", "batch first: [batch, time, ...]", "tried: what is added differs along the second axis"
    )


def hides_the_future(draft: Draft) -> Draft:
    """Whether the class is causal by itself."""
    if "causal" in draft.claims or draft.role not in CLAIMS["causal"].roles or CLAIMS["causal"].default_for(draft.role):
        return draft
    trial = Trial(draft)
    case = trial.case()
    case = dataclasses.replace(case, k_len=case.q_len)
    apart = trying.influence(trial, case)
    if apart is None or case.q_len < 3:
        return draft
    shows = trying.seen(apart).double()
    future = torch.ones(case.q_len, case.q_len, dtype=torch.bool).triu(1)
    before, after = float(shows[:, future.T].mean()), float(shows[:, future].mean())
    if before > 0 and after < before / 2:
        how = (
            "tried: without a mask, no token sees a later one"
            if after == 0
            else "tried: without a mask, some of the future is hidden"
        )
        return draft.with_(claims={**draft.claims, "causal": True}).saying(
            "causal", "True: hides the future by itself", how
        )
    return draft.saying("causal", "False", "tried: without a mask, tokens see later ones")


def judged_norms(draft: Draft) -> Draft:
    """Where the norms stand and what they are, seen with sublayers that return a constant: no fault inside a sublayer shows there."""
    if draft.role not in (*STACKS, *DECODERS):
        return draft
    named = ("norm", "normalization", "norm_bias", "final_norm", "eps")
    free = [name for name in named if name not in draft.claims and draft.role in CLAIMS[name].roles]
    best: Mapping[str, object] | None = None
    for claims in _arrangements(draft, free):
        try:
            trial = Trial(draft.with_(claims={**draft.claims, **claims}))
            case = trial.case(
                side="self", layers=trial.subject.declaration.sizes.get("layers", 2) if draft.role in LAYERED else 1
            )
            found = bare_stack.look(trial.subject, case)
        except NotChecked as reason:
            if str(reason).startswith(bare_stack.NO_CONSTANT):
                return _with_norms(
                    draft, claims, "tried: with sublayers that return zeros, the output is that of such norms"
                )
            continue
        except trying.REFUSALS:
            continue
        if found.as_claimed:
            return _with_norms(
                draft, claims, "tried: with sublayers that return a constant, the output is that of such norms"
            )
        arranged = found.departure.arrangement if found.departure is not None else None
        if best is None and arranged is not None and arranged.placement == claims.get("norm", draft.claims.get("norm")):
            best = claims
    if best is not None:
        return _with_norms(
            draft,
            {name: best[name] for name in ("norm",) if name in best},
            "tried: nearest to what sublayers that return a constant show",
        )
    if "norm" in free:
        draft = draft.saying(
            "norm", CLAIMS["norm"].default, "not decided: no arrangement of norms explains the output; the default"
        )
    return draft


def norms_of_a_model(draft: Draft) -> Draft:
    """Where a model's layers normalise: with embeddings a million times as large, a pre-norm layer adds next to nothing to them."""
    if draft.role not in MODELS or "norm" in draft.claims:
        return draft
    trial = Trial(draft)
    case = trial.case()
    try:
        instance, inputs = trial.built(case), trial.inputs(case)
        tables = (
            [each for each in instance.module.modules() if isinstance(each, nn.Embedding)] if instance.module else []
        )
        with torch.no_grad():
            for each in {id(table.weight): table.weight for table in tables}.values():
                each.mul_(1e6)
        random = torch.Generator().manual_seed(4)
        base, last = instance(inputs), case.q_len - 1
        other = perturbation.difference(base, instance(perturbation.with_query_changed(inputs, 0, 0, random)))[0, last]
        own = perturbation.difference(base, instance(perturbation.with_query_changed(inputs, 0, last, random)))[0, last]
    except trying.REFUSALS:
        return draft
    if not tables or not bool(own.isfinite()) or float(own) == 0:
        return draft
    if float(other) < 1e-3 * float(own):
        return _claim(
            draft, "norm", "pre", "tried: with embeddings a million times as large, a token follows itself alone"
        )
    return draft


def _arrangements(draft: Draft, free: list[str]) -> Iterator[dict[str, object]]:
    """Claims about norms, usual ones first; a pre-norm stack without its last norm is asked for, and never assumed."""
    values: dict[str, tuple[object, ...]] = {
        "norm": ("post", "pre"),
        "normalization": ("layer", "rms"),
        "norm_bias": (True, False),
        "eps": USUAL_EPS,
        "final_norm": ("as-placed", True) if draft.role in LAYERED else ("as-placed",),
    }
    ordered = ("final_norm", "eps", "norm_bias", "normalization", "norm")
    names = [name for name in ordered if name in free]
    for taken in itertools.product(*(values[name] for name in names)):
        claims = dict(zip(names, taken, strict=True))
        if claims.get("normalization") == "rms" and claims.get("norm_bias", True) is not True:
            continue
        if claims.get("final_norm") is True and claims.get("norm") == "pre":
            continue
        yield claims


def _with_norms(draft: Draft, claims: Mapping[str, object], how: str) -> Draft:
    for name, value in claims.items():
        default = value == CLAIMS[name].default_for(draft.role)
        if not default:
            draft = draft.with_(claims={**draft.claims, name: value})
        if name == "norm" or not default:
            draft = draft.saying(name, value, how)
    return draft


def probabilities(draft: Draft) -> Draft:
    """Of a model, whether it gives probabilities in the place of logits: said, and left to the clauses."""
    if draft.role not in MODELS:
        return draft
    try:
        trial = Trial(draft)
        found = trying.output_of(trial, trial.case())
    except trying.REFUSALS:
        return draft
    if found is None:
        return draft
    output = found[1].double()
    for words, each, but in (
        ("probabilities", output, "the role promises logits, and the clauses will say so"),
        ("logarithms of probabilities", output.exp(), "they are logits up to a number for each token"),
    ):
        if bool((each >= 0).all()) and bool(((each.sum(-1) - 1).abs() < 1e-6).all()):
            return draft.saying("output", words, f"tried: each row sums to one; {but}")
    return draft.saying("output", "logits", "tried: rows do not sum to one")


def padding_by_ids(draft: Draft) -> Draft:
    """Whether a model that is passed no mask sees by the id of padding what is padding."""
    if draft.role not in MODELS or "masks" in draft.claims:
        return draft
    taken = {each.slot for each in draft.masks if each.part != "None"}
    sides = {"source_mask": "source", "target_mask": "target"} if draft.role in CROSS_ATTENDING else {"mask": "ids"}
    padded, kinds = list[str](), set[bool]()
    for slot, ids in sides.items():
        if slot in taken:
            kinds.add(True)
            continue
        told = "config.pad_id" in f"{draft.made} {draft.settings}"
        hides = _hides_its_padding(draft, "cross" if slot == "source_mask" else "self")
        kinds.add(hides or told)
        if told and not hides:
            padded.append(ids)
            how = "the constructor takes it; real tokens were not seen to be spared by padding, and the clauses will say so"
            draft = draft.saying(f"padding in {ids}", "told by the id 0", how)
        if hides:
            padded.append(ids)
            draft = draft.saying(
                f"padding in {ids}",
                "told by the id 0",
                "tried: padded with that id, real tokens get what they get without it",
            )
    draft = draft.with_(padded=tuple(padded))
    if kinds == {True}:
        return draft
    return draft.with_(claims={**draft.claims, "masks": ("none",)}).saying(
        "masks", "none", "padding cannot be told it, and it does not see it by itself"
    )


def _hides_its_padding(draft: Draft, side: str) -> bool:
    """Whether a padded row gets, at its real tokens, what it gets alone; a causal model shows that of its future at any rate."""
    trial = Trial(draft)
    case = trial.case(side=side, batch=2)
    inputs = trial.inputs(case)
    if draft.role is Role.CAUSAL_LM:
        return _shows_its_own_padding(trial, case, inputs)
    tokens = inputs.key_side[0].clone()
    tokens[:, -2:] = 0
    kept = torch.arange(tokens.shape[1] - 2)
    padded = (
        inputs.with_keys((tokens,)) if not inputs.self_attending else dataclasses.replace(inputs, tensors=(tokens,))
    )
    try:
        instance = trial.built(case)
        whole, alone = instance(padded), instance(padded.taking(kept, kept if side == "self" else None))
    except trying.REFUSALS:
        return False
    length = alone.shape[1]
    return bool((whole[:, :length] - alone).abs().max() <= 1e-9 * whole.abs().max())


def _shows_its_own_padding(trial: Trial, case: object, inputs: object) -> bool:
    """Padding before the words, which a causal model sees unless it hides it: without positions in the way, this is left open."""
    del trial, case, inputs
    return False


def tied(draft: Draft) -> Draft:
    """What the parameters themselves say: a tied output, a bias in it, positions that are learned."""
    if draft.role not in MODELS and draft.role not in (Role.ENCODER, Role.DECODER):
        return draft
    try:
        trial = Trial(draft)
        case = trial.case()
        module = trial.built(case, own_weights=True).module
        config = trial.subject.config(case)
    except trying.REFUSALS:
        return draft
    if module is None:
        return draft
    if draft.role in MODELS:
        heads = [each for each in module.modules() if isinstance(each, nn.Linear) and each.out_features == case.vocab]
        tables = [
            each.weight
            for each in module.modules()
            if isinstance(each, nn.Embedding) and each.num_embeddings == case.vocab
        ]
        if heads and tables:
            shared = any(heads[-1].weight is each for each in tables)
            draft = _claim(
                draft,
                "tied",
                shared,
                "seen: the output projection is the token embedding's own tensor"
                if shared
                else "seen: the output projection is a tensor of its own",
            )
            draft = _claim(draft, "head_bias", heads[-1].bias is not None, "seen: its output projection's bias")
    return _positions(draft, trial, module, config.max_len)


def _positions(draft: Draft, trial: Trial, module: nn.Module, longest: int) -> Draft:
    """Which table of positions there is, and whether positions make a difference at all."""
    if "positions" in draft.claims:
        return draft
    d_model = trial.case().d_model
    learned = [name for name, each in module.named_parameters() if _is_table(each, longest, d_model)]
    kept = [name for name, each in module.named_buffers() if _is_table(each, longest, d_model)]
    differs = _tells_positions_apart(trial)
    if learned:
        return _claim(draft, "positions", "learned", f"seen: {learned[0]} has a row for each of max_len positions")
    if kept or (differs and any(_has_rows(each, d_model) for each in module.buffers())):
        return _claim(
            draft, "positions", "sinusoidal", f"seen: a table that is not trained{f', {kept[0]}' if kept else ''}"
        )
    if differs is False and draft.role in MODELS:
        return _claim(
            draft,
            "positions",
            "sinusoidal",
            "not decided: equal words get equal outputs wherever they stand, so there seem to be no positions; --set positions=none if that is meant",
        )
    return draft


def _is_table(tensor: Tensor, longest: int, d_model: int) -> bool:
    return sorted(size for size in tensor.shape if size > 1) == sorted((longest, d_model))


def _has_rows(tensor: Tensor, d_model: int) -> bool:
    sizes = [size for size in tensor.shape if size > 1]
    return len(sizes) == 2 and sizes[-1] == d_model and sizes[0] >= 16


def _tells_positions_apart(trial: Trial) -> bool | None:
    """Whether one word, over and over, gets other outputs at other places; None where it cannot be found out."""
    case = trial.case()
    inputs = trial.inputs(case)
    same = tuple(each[:, :1].expand_as(each).contiguous() for each in inputs.tensors)
    same = same[:1] * len(same) if inputs.self_attending else same
    try:
        output = trial.built(case)(dataclasses.replace(inputs, tensors=same))
    except trying.REFUSALS:
        return None
    return bool((output - output[:, :1]).abs().max() > 1e-6 * output.abs().max())


def _claim(draft: Draft, name: str, value: object, how: str) -> Draft:
    """With one claim that is said, unless the user made it or it is the default."""
    if name in draft.claims or draft.role not in CLAIMS[name].roles:
        return draft
    if value != CLAIMS[name].default_for(draft.role):
        draft = draft.with_(claims={**draft.claims, name: value})
    return draft.saying(name, value, how)
