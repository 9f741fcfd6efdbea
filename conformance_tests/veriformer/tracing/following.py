"""Follow a sentence: build a small model, pass the ids, and note every named point on the way."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Final

import torch
from torch import Tensor, nn

from veriformer.adapters.reference import profile
from veriformer.declaration import Declaration, Unsupported
from veriformer.errors import UsageError
from veriformer.inputs import Inputs, generator
from veriformer.outcome import NotChecked
from veriformer.preflight import probe_case
from veriformer.process_state import restored
from veriformer.subjects import Instance, Subject
from veriformer.tracing import places
from veriformer.tracing.points import Point, record
from veriformer.tracing.trace import Attention, Prediction, Step, Trace
from veriformer.tracing.words import BEGIN, Words
from veriformer.tracing.your_own import found_in
from veriformer.understanding import copied, weights_if_known
from veriformer.variants import called
from veriformer_reference.build import build
from veriformer_spec.profiles import PROFILES
from veriformer_spec.role import ATTENDING, CROSS_ATTENDING, LANGUAGE_MODELS, MODELS, Role

UNTRAINED: Final = (
    "The weights are random (seed {seed}): nothing here was trained, so what it looks at and what it expects means nothing. "
    "The way is the real one."
)
AS_BUILT: Final = (
    "The weights are those that it was built with (seed {seed}). Nothing was trained here: where they are random, what it looks at and what "
    "it expects means nothing."
)
LIKELY = 3
ROLES = tuple(role for role in ATTENDING if role not in (Role.ATTENTION, Role.ADDITIVE_ATTENTION))


def follow_profile(words: Words, name: str, *, number: int = 0, sizes: Mapping[str, int] | None = None) -> Trace:
    """A sentence on its way through the reference as a known model.

    Raises:
        UsageError: there is no such profile.
    """
    if name not in PROFILES:
        raise UsageError(f"profile {name!r} does not exist; the profiles are {', '.join(PROFILES)}")
    known = PROFILES[name]
    declaration = dataclasses.replace(profile(known), sizes=dict(sizes or {}))
    return follow(words, declaration, number=number, reference=True, source=known.source)


def follow(
    words: Words, declaration: Declaration, *, number: int = 0, reference: bool = False, source: str = ""
) -> Trace:
    """A sentence on its way through a subject.

    The steps are the reference's, with the subject's weights; what the subject makes of its own that has the same numbers is
    said beside each. A subject whose weights are not understood is shown by the tensors that its modules make.

    Args:
        number: the seed.
        reference: the subject is the reference itself.

    Raises:
        UsageError: the role reads no tokens.
        SubjectError: it cannot be built or called.
    """
    role = declaration.role
    if role not in ROLES:
        raise UsageError(f"a {role} reads no sentence; trace takes {', '.join(ROLES)}")
    with restored():
        torch.set_num_threads(1)
        subject = Subject(declaration)
        inputs, instance, target = _prepared(subject, words, number)
        held = weights_if_known(instance, faulty=True)
        weights = UNTRAINED if reference else AS_BUILT
        notes = [weights.format(seed=number), words.said, *_on_inputs(declaration, words, target)]
        if held is None:
            return _unknown(words, instance, inputs, target, notes, number)
        model = build(role, instance.config)
        assert isinstance(model, nn.Module)
        model = model.double().eval()
        copied(held, model)
        found, output = record(model, lambda: called(model, inputs))
        own: Sequence[str | None] = [None] * len(found)
        if not reference:
            own, said, output = found_in(instance, inputs, found, output)
            notes.append(said)
    steps = _steps(found, own, role, words, target)
    rows = target or words.tokens
    probabilities = output.softmax(-1)[0] if role in MODELS else None
    return Trace(
        words=words,
        subject=declaration.name,
        role=str(role),
        source=source,
        sizes=_sizes(instance),
        seed=number,
        target=target,
        notes=tuple(notes),
        steps=tuple(steps),
        attention=tuple(_attention(steps, words, target, causal=subject.causal)),
        predictions=() if probabilities is None else tuple(_predictions(probabilities, rows, words)),
        probabilities=() if probabilities is None else tuple(map(tuple, probabilities.tolist())),
    )


def _prepared(subject: Subject, words: Words, number: int) -> tuple[Inputs, Instance, tuple[str, ...]]:
    """The call, the subject that was built for it, and what a decoder reads."""
    role, length = subject.role, len(words.tokens)
    fixed = subject.declaration.sizes
    case = dataclasses.replace(probe_case(subject), batch=1, q_len=length, k_len=length, seed=number)
    if case.context:
        case = dataclasses.replace(case, context=length)
    if case.vocab:
        case = dataclasses.replace(case, vocab=fixed.get("vocab", len(words.vocabulary)))
        if case.vocab < len(words.vocabulary):
            raise UsageError(f"vocab={case.vocab} holds too few words: the sentence needs {len(words.vocabulary)}")
    try:
        instance = subject.instance(case, random_weights=False)
        inputs = subject.inputs(case)
    except (Unsupported, NotChecked) as refusal:
        raise UsageError(f"{subject.declaration.name} cannot read {length} tokens: {refusal}") from None
    target = (BEGIN, *words.tokens[:-1]) if role in CROSS_ATTENDING else ()
    read = target or words.tokens
    ids = torch.tensor([words.vocabulary.index(each) for each in read])
    source = torch.tensor(words.ids)
    if role in MODELS:
        context = (source[None, :, None],) if role is Role.ENCODER_DECODER else inputs.context
        context = tuple(torch.zeros_like(each) for each in context) if role in LANGUAGE_MODELS else context
        return dataclasses.replace(inputs, tensors=(ids[None, :, None],), context=context), instance, target
    features = inputs.tensors[0].shape[-1]
    table = torch.randn(len(words.vocabulary), features, generator=generator(number + 1), dtype=torch.float64)
    tokens = table[ids][None]
    context = (table[source][None],) if role in CROSS_ATTENDING else ()
    return dataclasses.replace(inputs, tensors=(tokens,) * len(inputs.tensors), context=context), instance, target


def _on_inputs(declaration: Declaration, words: Words, target: tuple[str, ...]) -> list[str]:
    said = []
    if declaration.role not in MODELS:
        said.append("It reads features and no ids: every word is given random ones of its own.")
    if target:
        said.append(f"The decoder reads the same sentence, one place later: it begins with {BEGIN}.")
    if words.right_to_left:
        said.append(
            "The sentence is read from right to left; tokens are stored, and matrices stand, in order of their indices."
        )
    return said


def _steps(
    found: Sequence[Point], own: Sequence[str | None], role: Role, words: Words, target: tuple[str, ...]
) -> list[Step]:
    steps: list[Step] = []
    embedded = written = 0
    for point, seen in zip(found, own, strict=True):
        embedded += point.function in ("embedding.embed", "embedding.enter")
        begun = bool(target) and (embedded > 1 or point.where.startswith("decoder") or role is not Role.ENCODER_DECODER)
        heading = places.section(point.function, point.where, role, target=begun)
        part = places.part(point.where)
        length = next((size for name, size in point.axes if name in ("q_len", "k_len", "time")), 1)
        rows = target if begun and length == len(target) else words.tokens
        if point.name in ("the keys", "the values"):
            rows = words.tokens if places.attends_to_source(point.where, role) or not begun else target
        if heading == "Decoder":  # one that goes on from its last state, one token at a time
            heading, rows = f"Decoder, step {written + 1}", target[written : written + 1]
            written += point.function == "recurrence.step"
        if heading == "Head" and point.function == "feed_forward.contract":
            steps.append(Step(dataclasses.replace(point, name="the linear map of the head"), heading, part, rows, seen))
        else:
            steps.append(Step(point, heading, part, rows, seen))
    return steps


def _attention(steps: Sequence[Step], words: Words, target: tuple[str, ...], *, causal: bool) -> list[Attention]:
    """Every head's weights; where a decoder looks once for each of its steps, those are put below each other."""
    maps: dict[str, list[Tensor]] = {}
    across: dict[str, bool] = {}
    for step in steps:
        if step.point.name == "the attention weights":
            values = step.point.values[0]
            section = "Decoder" if step.section.startswith("Decoder, step") else step.section
            place = ", ".join(filter(None, (section, step.part)))
            maps.setdefault(place, []).append(values if values.dim() == 3 else values[None])
            across[place] = "cross" in step.point.where or (bool(target) and values.dim() == 2)
    found = []
    for place, several in maps.items():
        weights = torch.cat(several, dim=-2) if several[0].shape[-2] == 1 and len(several) > 1 else several[-1]
        begun = bool(target) and not place.startswith("Encoder")
        rows = target if begun else words.tokens
        columns = words.tokens if across[place] or not begun else target
        hides = not across[place] and not place.startswith("Encoder") and (causal or begun)
        hidden = (
            frozenset((i, j) for i in range(len(rows)) for j in range(i + 1, len(columns))) if hides else frozenset()
        )
        hidden = frozenset(at for at in hidden if float(weights[:, at[0], at[1]].abs().max()) == 0)
        found += [Attention(place, head, rows, columns, each.tolist(), hidden) for head, each in enumerate(weights)]
    return found


def _predictions(probabilities: Tensor, rows: Sequence[str], words: Words) -> list[Prediction]:
    found = []
    for index, row in enumerate(probabilities):
        best = row.topk(min(LIKELY, len(row)))
        likely = tuple((_word(int(at), words), float(share)) for share, at in zip(*best, strict=True))
        found.append(Prediction(index, rows[index], likely))
    return found


def _word(index: int, words: Words) -> str:
    return words.vocabulary[index] if index < len(words.vocabulary) else f"id {index}"


def _sizes(instance: Instance) -> str:
    config, role = instance.config, instance.subject.role
    names = ["d_model", "heads", *(["kv_heads"] if config.kv_heads != config.heads else []), "d_ff"]
    names += ["layers"] if role not in (Role.MULTI_HEAD_ATTENTION, Role.ENCODER_LAYER, Role.DECODER_LAYER) else []
    names += ["vocab"] if role in MODELS else []
    return " · ".join(f"{getattr(config, name)} {name}" for name in names)


def _unknown(
    words: Words, instance: Instance, inputs: Inputs, target: tuple[str, ...], notes: list[str], number: int
) -> Trace:
    """A subject whose weights nobody understands: what its modules make, under their own names."""
    from veriformer.tracing.your_own import own_steps

    steps, output = own_steps(instance, inputs, target or words.tokens)
    notes.append(
        "Its weights are not understood (veriformer map says why), so the steps have the names of its own modules."
    )
    role = instance.subject.role
    probabilities = output.softmax(-1)[0] if role in MODELS else None
    return Trace(
        words=words,
        subject=instance.subject.declaration.name,
        role=str(role),
        source="",
        sizes=_sizes(instance),
        seed=number,
        target=target,
        notes=tuple(notes),
        steps=tuple(steps),
        attention=tuple(_attention(steps, words, target, causal=instance.subject.causal)),
        predictions=() if probabilities is None else tuple(_predictions(probabilities, target or words.tokens, words)),
        probabilities=() if probabilities is None else tuple(map(tuple, probabilities.tolist())),
    )
