"""Assume: from a class and a role to an adapter, or to the one thing that cannot be decided."""

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import nn

from veriformer.assumed import behaviour, function, future, masks, names, signature, trying
from veriformer.assumed.constructor import (
    Construction,
    annotation,
    constructions,
    missing_in,
    passes_on,
    settings_parameter,
)
from veriformer.assumed.draft import CALLS, Draft, Origin, Undecided
from veriformer.assumed.settings import Fields, from_a_class
from veriformer.assumed.signature import Reading
from veriformer.assumed.trying import Trial
from veriformer.assumed.wiring import Wiring
from veriformer.case import SHOWN
from veriformer.outcome import SubjectError
from veriformer.process_state import restored
from veriformer.strategies import HEADLESS
from veriformer_spec.config import Config
from veriformer_spec.role import LANGUAGE_MODELS, LAYERED, MODELS, Role

REMEDY = "`veriformer init` writes the adapter with this place open"


def assume(origin: Origin, role: Role, claims: Mapping[str, object], sizes: Mapping[str, int]) -> Draft:
    """Everything that has to be known to judge a class, said by nobody and found out.

    Args:
        claims: what the user claims of it; nothing of that is found out anew.
        sizes: that cannot be changed.

    Raises:
        Undecided: something cannot be found out.
    """
    if role not in CALLS:
        raise Undecided(
            f"--as {role} of {origin.name}: a {role} is called in a way of its own, of which nothing can be assumed; write an adapter"
        )
    with restored(), torch.random.fork_rng(devices=[]):
        reading = signature.read(origin.made, role)
        draft = Draft(origin=origin, role=role, passed=reading.passed, claims=dict(claims), sizes=dict(sizes))
        draft = _said_of_the_call(draft, reading)
        if reading.open:
            listed = ", ".join(reading.open)
            raise Undecided(
                f"{origin.name}.forward must be passed {listed}, which no {role} is called with, and whose name says nothing; {REMEDY}",
                draft.with_(
                    passed={**draft.passed, **dict.fromkeys(reading.open, "...")},
                    made=_first(draft),
                    todo=(f"what forward's {listed} should be passed",),
                ),
            )
        draft = _constructed(draft, reading)
        if not draft.sizes.get("q_len"):
            draft = behaviour.laid_out(draft)
        draft = behaviour.hides_the_future(draft)
        draft, hiding = future.hidden(draft, reading)
        told = masks.jointly(draft.with_(masks=(*draft.masks, *hiding)) if hiding else draft, reading)
        for each in told:
            said = f"{each.points}, shape [{each.shape}], as {each.slot}"
            how = "tried: together they hide the keys that they should hide, and only them"
            draft = draft.saying(f"the mask {each.parameter}", said, how)
        draft = masks.decided(draft.with_(masks=()), reading, (*hiding, *told))
        draft = behaviour.padding_by_ids(draft)
        for step in _CLAIMS:
            draft = step(draft)
    return draft


_CLAIMS: tuple[Callable[[Draft], Draft], ...] = (
    function.activation,
    function.biases,
    function.kinds_of_norm,
    behaviour.judged_norms,
    behaviour.norms_of_a_model,
    behaviour.tied,
    behaviour.probabilities,
    function.proved,
)


def _said_of_the_call(draft: Draft, reading: Reading) -> Draft:
    """What forward's names say."""
    if draft.role is Role.MULTI_HEAD_ATTENTION and not reading.memory and "memory" not in draft.claims:
        draft = draft.with_(claims={**draft.claims, "memory": "query"})
        draft = draft.saying(
            "memory", "query: keys and values come from the queries' tokens", "forward takes one input"
        )
    said = ", ".join(f"{name} = {value}" for name, value in reading.passed.items())
    return draft.saying(
        "forward",
        said,
        "by the parameters' names" if all(name.isidentifier() for name in reading.passed) else "by their order",
    )


def _constructed(draft: Draft, reading: Reading) -> Draft:
    """The draft with a constructor and a call that give what the role promises.

    Raises:
        Undecided: there is none.
    """
    first: Undecided | None = None
    misshapen: tuple[Draft, Construction] | None = None
    for construction in _ways(draft, reading):
        if construction.open:
            first = first or _open(draft, construction)
            continue
        for each in _callings(_with(draft, construction), reading):
            try:
                found = _running(each)
            except trying.REFUSALS as error:
                first = first or _failed(each, error)
                continue
            if found is not None:
                return _said_of_the_constructor(found, construction)
            first = first or _failed(each, None)
            misshapen = misshapen or _misshapen(each, construction)
    if misshapen is not None:
        return _said_of_the_constructor(*misshapen)
    raise first or Undecided(f"{draft.origin.name} has no constructor that can be read; {REMEDY}", draft)


def _misshapen(draft: Draft, construction: Construction) -> "tuple[Draft, Construction] | None":
    """A draft that gives one tensor of another shape than the role promises: that is for a clause to say."""
    draft = _own_sizes(draft)
    trial = Trial(draft)
    result = trying.returned(trial, trial.case())
    if not isinstance(result, torch.Tensor) or draft.sequence_first:
        return None
    shape = ", ".join(map(str, result.shape))
    how = f"not decided: it has the shape [{shape}], which the role does not promise; the clauses will say so"
    return draft.saying("output", "the result", how), construction


def _first(draft: Draft) -> str:
    """The likeliest constructor, for an adapter whose call is open."""
    wiring = Wiring(draft.origin, draft.role, draft.claims)
    found = next(constructions(draft.origin.made, draft.origin.name, draft.role, draft.claims, wiring), None)
    return found.made if found else f"{draft.origin.name}(...)"


def _ways(draft: Draft, reading: Reading) -> Iterator[Construction]:
    """Every way to construct the class."""
    origin, role, said = draft.origin, draft.role, draft.claims
    parameter = settings_parameter(origin.made)
    if parameter is not None:
        named = annotation(origin.made, parameter)
        tried = False
        if named is Config:
            yield Construction(f"{origin.name}({parameter.name}=config)", {parameter.name: "config, as it is"})
            return
        for each in from_a_class(origin, parameter, role, said):
            tried = True
            yield each
        yield Construction(f"{origin.name}({parameter.name}=config)", {parameter.name: "config, as it is"})
        if not tried or named is None:
            yield from _by_asking(draft, Fields(origin, parameter, role, said), reading)
        return
    wiring = Wiring(origin, role, said)
    for each in constructions(origin.made, origin.name, role, said, wiring):
        if passes_on(origin.made):
            yield from _passing_on(draft, each, reading)
        yield dataclasses.replace(
            each, open=tuple(f"{name} ({wiring.why[name]})" if name in wiring.why else name for name in each.open)
        )


def _by_asking(draft: Draft, fields: Fields, reading: Reading) -> Iterator[Construction]:
    """A namespace that gets the fields which the class is seen to ask for."""
    for _ in range(60):
        construction = fields.construction()
        error: BaseException | None = None
        for each in _callings(_with(draft, construction), reading):
            try:
                if _running(each) is not None:
                    yield construction
                    return
            except SubjectError as raised:
                error = raised.__cause__
                break
            except trying.REFUSALS:
                continue
        if not fields.learned(error):
            break
    yield fields.construction()


def _passing_on(draft: Draft, construction: Construction, reading: Reading) -> Iterator[Construction]:
    """With what a constructor that takes ``**anything`` is seen to pass on to one that is missing something."""
    for _ in range(4):
        try:
            for each in _callings(_with(draft, construction), reading):
                if _running(each) is not None:
                    yield construction
                    return
        except SubjectError as error:
            missing = [name for name in missing_in(error.__cause__) if name not in construction.said]
            more = {name: list(names.meanings(name, (*construction.said, *missing), draft.role)) for name in missing}
            if not missing or not all(more.values()):
                return
            given = {name: f"config.{meant[0]}" for name, meant in more.items()}
            listed = ", ".join(f"{name}={value}" for name, value in given.items())
            made = construction.made.removesuffix(")")
            comma = "" if made.endswith("(") else ", "
            construction = dataclasses.replace(
                construction, made=f"{made}{comma}{listed})", said={**construction.said, **given}
            )
        except trying.REFUSALS:
            return


def _with(draft: Draft, construction: Construction) -> Draft:
    """With a constructor, and the sizes that it does not take."""
    said = f"{construction.made} {construction.settings}"
    sizes, claims = dict(draft.sizes), dict(draft.claims)
    draft = draft.with_(made=construction.made, settings=construction.settings, neighbours=construction.neighbours)
    headed = (
        draft.role not in HEADLESS
        and "heads" in SHOWN[draft.role]
        and draft.role not in (Role.ATTENTION, Role.SELF_ATTENTION)
    )
    if headed and "config.heads" not in said and "heads" not in sizes:
        sizes["heads"] = 1
        draft = draft.saying("heads", 1, "the constructor takes no number of heads")
    if "config.kv_heads" in said and "kv_heads" not in claims:
        claims["kv_heads"] = "grouped"
        draft = draft.saying("kv_heads", "grouped", "the constructor takes a number of key/value heads")
    return draft.with_(sizes=sizes, claims=claims)


def _callings(draft: Draft, reading: Reading) -> Iterator[Draft]:
    """Ways to call it before anything is known of its masks: none, None, or one that hides nothing."""
    needed = [name for name, free in reading.masks.items() if free]
    variants: list[Draft] = [draft]
    if needed:
        variants = [draft.with_(passed={**draft.passed, **dict.fromkeys(needed, "None")})]
        variants += [draft.with_(masks=others) for others in itertools.islice(masks.neutral(draft, needed), 60)]
    for each in variants:
        yield each
        if reading.labels and draft.role in LANGUAGE_MODELS:
            yield each.with_(passed={**each.passed, reading.labels: "ids.contiguous()"})
        if draft.role is Role.ATTENTION:
            yield each.with_(batched=True)
        yield each.with_(sequence_first=True)


def _running(draft: Draft) -> Draft | None:
    """With what takes the output out, and the sizes that the class has by itself; None where nothing has the promised shape.

    Raises:
        SubjectError, Unsupported: it cannot be built, or called.
    """
    draft = _own_sizes(draft)
    trial = Trial(draft)
    found = trying.output_of(trial, trial.case())
    if found is None:
        return None
    how, _ = found
    return (
        draft.with_(output=how).saying("output", f"the result{how}", "tried: that part has the promised shape")
        if how
        else draft
    )


def _own_sizes(draft: Draft) -> Draft:
    """Sizes that are written in the class: the inside of the feed-forward network, layers, rows of a table of positions."""
    said, role, sizes = f"{draft.made} {draft.settings}", draft.role, dict(draft.sizes)
    shown = SHOWN[role]
    if "d_ff" in shown and "config.d_ff" not in said and not {"d_ff", "d_ff_ratio"} & sizes.keys():
        ratio = _ratio(draft)
        if ratio:
            sizes["d_ff_ratio"] = ratio
            draft = draft.saying("d_ff", f"{ratio} * d_model", "built: that is what its matrices have inside")
    if role in LAYERED and "config.layers" not in said and "layers" not in sizes:
        module = _module(draft.with_(sizes=sizes))
        repeated = (
            [len(each) for each in module.modules() if isinstance(each, nn.ModuleList)] if module is not None else []
        )
        sizes["layers"] = max(repeated, default=1)
        draft = draft.saying("layers", sizes["layers"], "built: the constructor takes no number of layers")
    if "config.max_len" not in said and "max_len" not in sizes and role in (*LAYERED, Role.POSITIONAL_ENCODING):
        module = _module(draft.with_(sizes=sizes))
        rows = _rows(module, draft.with_(sizes=sizes)) if module is not None else 0
        if rows:
            sizes["max_len"] = rows
            draft = draft.saying("max_len", rows, "built: its table of positions has that many rows")
    return draft.with_(sizes=sizes)


def _module(draft: Draft, **changes: Any) -> nn.Module | None:
    trial = Trial(draft)
    return trial.built(trial.case(**changes), own_weights=True).module


def _ratio(draft: Draft) -> int:
    """How many times ``d_model`` the class has inside; 0 where no multiple is seen."""
    found = set[int]()
    for d_model in (24, 36):
        module = _module(draft, d_model=d_model, kv_heads=draft.sizes.get("heads", 4))
        if module is None:
            return 0
        shapes = [shape for shape in trying.shapes(module).values() if len(shape) == 2 and d_model in shape]
        into = {max(shape) // d_model for shape in shapes if shape[0] != shape[1] and max(shape) % d_model == 0}
        back = set(shapes)
        both = {times for times in into if (times * d_model, d_model) in back and (d_model, times * d_model) in back}
        found = both if not found else found & both
        if not found:
            return 0
    return max(found)


def _rows(module: nn.Module, draft: Draft) -> int:
    """Rows of a learned or kept table of positions, at sizes at which nothing else has as many."""
    case = Trial(draft).case()
    tables = [tuple(each.shape) for each in (*module.parameters(), *module.buffers())]
    flat = [[size for size in shape if size > 1] for shape in tables]
    taken = {case.vocab, case.d_model, case.d_ff, 2 * case.d_model, 3 * case.d_model, 4 * case.d_model}
    rows = [
        shape[0]
        for shape in flat
        if len(shape) == 2 and shape[1] == case.d_model and shape[0] not in taken and shape[0] >= 16
    ]
    return min(rows, default=0)


def _said_of_the_constructor(draft: Draft, construction: Construction) -> Draft:
    said = ", ".join(f"{name} = {value.removeprefix('config.')}" for name, value in construction.said.items())
    return draft.saying("constructor", said or "nothing", "by the parameters' names, and built")


def _open(draft: Draft, construction: Construction) -> Undecided:
    listed = ", ".join(construction.open)
    plain = [each.partition(" ")[0] for each in construction.open]
    return Undecided(
        f"{draft.origin.name} must be constructed with {listed}: nobody knows what to pass; say which of config's sizes it is in an "
        f"adapter; {REMEDY}",
        _with(draft, construction).with_(
            todo=(f"what the constructor's {', '.join(plain)} should be: one of config's fields, or a part of its own",)
        ),
    )


def _failed(draft: Draft, error: Exception | None) -> Undecided:
    made = draft.made if len(draft.made) < 200 else f"{draft.made[:197]}..."
    said = (
        f"the {error}"
        if error is not None
        else f"nothing in what comes back has the shape that a {draft.role} promises"
    )
    hint = " (its ids may need a mask of their own)" if error is None and draft.role in MODELS else ""
    return Undecided(
        f"{made}, called with {', '.join(f'{name}={value}' for name, value in draft.passed.items())}: {said}{hint}; is it a {draft.role}? {REMEDY}",
        draft.with_(todo=(f"constructor or call: {said}",)),
    )
