"""Calls of their own kind: biases, losses, schedules, dropout by itself, generation, angles from a start, and cached runs."""

import dataclasses
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from veriformer import cached
from veriformer.calls import described
from veriformer.diagnosis.grounds import MAX_LEN, Setting, Side, base_case
from veriformer.diagnosis.probes import SEED, Probe
from veriformer.inputs import generator
from veriformer.outcome import SubjectError
from veriformer.subjects import Subject
from veriformer.toy_language import as_tensor, dice, ordinary, prompts
from veriformer.toy_tables import (
    TableMaker,
    by_the_last_id,
    by_the_prompt,
    by_the_whole_text,
    counting_down,
    ending_at_once,
)
from veriformer.writing import language, write_on
from veriformer_spec.role import Role


def probes_of(subject: Subject) -> list[Probe]:
    """Of a role whose call is of its own kind."""
    match subject.role:
        case Role.ATTENTION_BIAS:
            return _biases(subject)
        case Role.LOSS:
            return _losses()
        case Role.LEARNING_RATE_SCHEDULE:
            return _rates()
        case Role.DROPOUT:
            return _drops()
        case Role.GENERATION:
            return _texts(subject)
        case _:
            return []


def more_of(subject: Subject) -> list[Probe]:
    """Beside ordinary calls: angles that do not begin at zero, and cached runs."""
    if subject.role is Role.ROTARY_ENCODING:
        return [Probe(f"from position {start}", lambda side, start=start: _turned(side, start)) for start in (1, 5, 12)]  # type: ignore[misc]  # bound now
    if subject.claims.get("cache") and subject.declaration.steps is not None:
        return _cached_runs(subject)
    return []


def _tensor(output: object) -> Tensor:
    if not isinstance(output, Tensor):
        raise SubjectError(f"call returned {described(output)} where a tensor is promised", origin="call")
    return output.clone()


def _turned(side: Side, start: int) -> dict[str, Tensor]:
    case = base_case(side.instance.subject)
    x = torch.randn(case.batch, case.heads, case.q_len, case.d_head, generator=generator(SEED), dtype=torch.float64)
    with torch.no_grad():
        return {"output": _tensor(side.instance.raw(side.moved(x), start))}


def _biases(subject: Subject) -> list[Probe]:
    def ask(side: Side, q_len: int, k_len: int) -> dict[str, Tensor]:
        with torch.no_grad():
            values = _tensor(side.instance.raw(q_len, k_len)).double().cpu()
        if tuple(values.shape) != (side.instance.config.heads, q_len, k_len):
            return {"bias": values}
        own = values[:, torch.arange(q_len), torch.arange(k_len - q_len, k_len)]
        apart = torch.arange(k_len - q_len, k_len)[:, None] - torch.arange(k_len)
        seen = apart >= 0 if subject.claims["direction"] == "causal" else torch.ones_like(apart, dtype=torch.bool)
        return {"bias": torch.where(seen, values - own[..., None], 0.0)}

    sizes = ((5, 5), (3, 7), (1, 9), (1, 1), (MAX_LEN, MAX_LEN), (2, MAX_LEN))
    found = [
        Probe(f"{q_len} queries and {k_len} keys", lambda side, q_len=q_len, k_len=k_len: ask(side, q_len, k_len))  # type: ignore[misc]  # bound now
        for q_len, k_len in sizes
    ]
    if subject.claims.get("bias_kind") == "alibi" and "heads" not in subject.declaration.sizes:
        for heads in (6, 12):  # no power of two: half of them stand on another series
            other = Setting(sizes=(("heads", heads), ("kv_heads", heads), ("d_model", heads * 6)))
            found.append(Probe(f"{heads} heads", lambda side: ask(side, 5, 5), other))
    return found


def _losses() -> list[Probe]:
    def ask(side: Side, size: float, lengths: Sequence[int], *, impossible: bool = False) -> dict[str, Tensor]:
        config = side.instance.config
        random, time = generator(SEED), max(*lengths, 2)
        logits = size * torch.randn(len(lengths), time, config.vocab, generator=random, dtype=torch.float64)
        ids = torch.randint(0, config.vocab - 1, (len(lengths), time), generator=random)
        ids += ids >= config.pad_id
        if impossible:
            logits[..., (int(ids[0, 0]) + 1) % config.vocab] = -torch.inf
        real = torch.arange(time) < torch.tensor(lengths)[:, None]
        ids = ids.masked_fill(~real, config.pad_id)
        given = side.moved(logits).requires_grad_()
        with torch.enable_grad():
            output = _tensor(side.instance.raw(given, side.moved(ids), side.moved(real))).reshape(())
            found = {"loss": output.detach()}
            if output.requires_grad:
                found["gradient"] = torch.autograd.grad(output, given)[0]
        return found

    def of(share: float, pad_id: int) -> Setting:
        return Setting(changes=(("label_smoothing", share), ("pad_id", pad_id), ("vocab", 11)))

    ragged, full = (5, 3, 4), (4, 4)
    found = [
        Probe("padded rows", lambda side: ask(side, 2.0, ragged), of(0.0, 0)),
        Probe("padded rows, smoothed", lambda side: ask(side, 2.0, ragged), of(0.1, 0)),
        Probe("rows without padding", lambda side: ask(side, 2.0, full), of(0.0, 10)),
        Probe("rows without padding, smoothed", lambda side: ask(side, 2.0, full), of(0.3, 10)),
        Probe("large logits", lambda side: ask(side, 2000.0, ragged), of(0.0, 0)),
        Probe("one row, almost all padding", lambda side: ask(side, 2.0, (5, 2)), of(0.1, 10)),
    ]
    return found


def _rates() -> list[Probe]:
    def ask(side: Side) -> dict[str, Tensor]:
        steps = (1, 2, 3, 8, 9, 10, 11, 40, 400)
        return {"rates": torch.tensor([float(side.instance.raw(step)) for step in steps], dtype=torch.float64)}

    return [Probe(f"a warm-up of {steps}", ask, Setting(changes=(("warmup", steps),))) for steps in (10, 200)]


def _drops() -> list[Probe]:
    def ask(side: Side) -> dict[str, Tensor]:
        """What is the same for every draw: the kept features' factor, and along which axes a draw is repeated."""
        instance, rate = side.instance, side.instance.config.dropout
        assert instance.module is not None
        x = side.moved(1 + torch.rand(4, 16, 32, generator=generator(SEED), dtype=torch.float64))
        instance.module.train()
        try:
            first, second = (_tensor(instance.raw(x.clone())) for _ in range(2))
        finally:
            instance.module.eval()
        dropped = first == 0
        factors = (first / x)[~dropped]
        repeated = [
            torch.equal(dropped, dropped[index].expand_as(dropped))
            for index in (slice(0, 1), (slice(None), slice(0, 1)), (..., slice(0, 1)))
        ]
        share = round(20 * float(dropped.double().mean())) / 20
        return {
            "factor": torch.stack((factors.min(), factors.max())) if factors.numel() else factors,
            "repeated": torch.tensor([*repeated, torch.equal(dropped, second == 0)], dtype=torch.float64),
            "share": torch.tensor([share, rate]),
            "evaluation": _tensor(instance.raw(x.clone())),
        }

    return [Probe(f"a rate of {rate:g}", ask, Setting(dropout=rate)) for rate in (0.3, 0.8)]


_ALWAYS: Mapping[str, Mapping[str, object]] = {
    "greedy": {"strategy": "greedy"},
    "one beam": {"strategy": "beam", "beams": 1},
    "one candidate": {"strategy": "sample", "top_k": 1},
}
"""Ways of asking for the likeliest ids: every legal way of searching writes the same."""
_BEAMS = (2, 5)
"""Beams with which legal ways of searching may write different texts."""
_SETS: Mapping[str, Mapping[str, object]] = {
    "three candidates": {"top_k": 3},
    "half the mass": {"top_p": 0.5},
    "a low temperature": {"temperature": 0.4, "top_p": 0.9},
    "a high temperature": {"temperature": 3.0, "top_p": 0.9},
    "five candidates and more than half of their mass": {"top_k": 5, "top_p": 0.6},
}
"""Ways of drawing of which it is known what may be drawn."""


def _texts(subject: Subject) -> list[Probe]:
    """What is written after each of a few tables, by every strategy that is claimed."""
    known = subject.claims["strategies"]
    order: list[int] = []
    tables: dict[str, TableMaker] = {
        "the last id": by_the_last_id(SEED, may_end=True),
        "the whole text": by_the_whole_text(SEED, may_end=True),
        "the whole text, without an end": by_the_whole_text(SEED, may_end=False),
        "an end at once": ending_at_once(SEED),
        "counting down": counting_down(SEED, order),
    }
    order += _order()
    found = [
        _text_probe(f"{table_name}, {way}, {shortest} or more", table, how, shortest)
        for table_name, table in tables.items()
        for way, how in _ALWAYS.items()
        if how["strategy"] in known
        for shortest in (0, 4)
    ]
    if "beam" in known:
        everything = {"strategy": "beam", "beams": 1000}
        found.append(_text_probe("the best of all texts", tables["the whole text"], everything, 0, longest=3))
        found += [
            _text_probe(f"{table_name}, {beams} beams", table, {"strategy": "beam", "beams": beams}, 0, free=True)
            for table_name, table in tables.items()
            for beams in _BEAMS
        ]
    if "sample" in known:
        cold = {"strategy": "sample", "temperature": 0.0}
        found.append(_text_probe("a temperature of zero", tables["the last id"], cold, 0, free=True))
        found += [_set_probe(f"what is drawn from {name}", how) for name, how in _SETS.items()]
    return found


def _ends() -> tuple[int, int]:
    end_id, pad_id = dice(SEED).sample(range(11), 2)
    return end_id, pad_id


def _order() -> list[int]:
    end_id, pad_id = _ends()
    words = ordinary(11, end_id, pad_id)
    return [end_id, *dice(SEED + 1).sample(words, len(words))]


def _text_probe(
    name: str, table: TableMaker, how: Mapping[str, object], shortest: int, *, longest: int = 6, free: bool = False
) -> Probe:
    def ask(side: Side) -> dict[str, Tensor]:
        model = language(side.instance.subject, 11, dice(SEED), table)
        words = ordinary(11, model.end_id, model.pad_id)
        given = prompts(3, 3, words, dice(SEED + 2))
        asked = {"beams": 1, "temperature": 1.0, "top_k": None, "top_p": None, **how}
        lengths = {"max_new_tokens": longest, "min_new_tokens": shortest}
        with torch.no_grad():
            rows = side.instance.raw(
                model, side.moved(as_tensor(given, torch.device("cpu"))), end_id=model.end_id, pad_id=model.pad_id, **lengths, **asked
            )  # fmt: skip
        return {f"row {index}": _without_the_end(row, model.pad_id) for index, row in enumerate(_tensor(rows).cpu())}

    return Probe(name, ask, _writing(), free=free)


def _without_the_end(row: Tensor, pad_id: int) -> Tensor:
    """What was written, without the padding behind it: a tensor may be as wide as it likes."""
    kept = (row != pad_id).nonzero()
    return row[: int(kept.max()) + 1 if kept.numel() else 0]


def _writing() -> Setting:
    return Setting(changes=(("vocab", 11), ("pad_id", _ends()[1])))


def _set_probe(name: str, how: Mapping[str, object]) -> Probe:
    """Which ids are ever drawn after each of three prompts: the same for everyone who draws rightly, with whatever numbers."""

    def ask(side: Side) -> dict[str, Tensor]:
        model = language(side.instance.subject, 11, dice(SEED), by_the_prompt(SEED, 3))
        given = prompts(3, 3, ordinary(11, model.end_id, model.pad_id), dice(SEED + 2))
        rows = [prompt for prompt in given for _ in range(DRAWS)]
        texts = write_on(side.instance, model, rows, {"strategy": "sample", **how}, longest=1)
        return {
            f"prompt {index}": torch.tensor(
                sorted({text[0] for text in texts[index * DRAWS : (index + 1) * DRAWS] if text})
            ).double()
            for index in range(3)
        }

    return Probe(name, ask, _writing())


DRAWS = 160
"""Of each prompt: an id of probability 0.05 is missed in one of 3600 runs."""


def _cached_runs(subject: Subject) -> list[Probe]:
    """One by one, in chunks, with padding in the past, after the rows changed places, and a second run beside the first."""
    case = dataclasses.replace(base_case(subject), q_len=6)
    text = cached.drawn(subject, case, SEED)
    sides = subject.claims["padding_sides"]
    padded = cached.padded(text, "left" if "left" in sides else sides[0], SEED)
    first = 1 + int(padded.real().int().argmax(1).max())

    def read(side: Side, text: cached.Text, sizes: Sequence[int]) -> dict[str, Tensor]:
        logits = cached.read(side.instance, _on(side, text), sizes)
        return {"logits": torch.where(text.real().to(logits.device)[..., None], logits, 0.0)}

    def reordered(side: Side) -> dict[str, Tensor]:
        rows = side.moved(torch.tensor([2, 0, 0] if case.batch > 2 else [1, 0]))
        given = _on(side, text)
        reader = cached.Reader.begins(side.instance, case.batch, text.length)
        reader.read(given.until(3))
        reader.reorder(rows)
        return {"logits": reader.read_all(given.rows(rows).after(3), (1, 2))}

    def beside(side: Side) -> dict[str, Tensor]:
        given = _on(side, text)
        first = cached.Reader.begins(side.instance, case.batch, text.length)
        before = first.read(given.until(2))
        second = cached.Reader.begins(side.instance, case.batch, text.length)
        other = second.read_all(given.rows(torch.arange(case.batch).flip(0)), (3, 3))
        return {"first": torch.cat((before, first.read_all(given.after(2), (1, 3))), 1), "second": other}

    def copied(side: Side) -> dict[str, Tensor]:
        given = _on(side, text)
        first = cached.Reader.begins(side.instance, case.batch, text.length)
        first.read(given.until(2))
        second = first.copy()
        return {"second": second.read_all(given.after(2), (2, 2)), "first": first.read_all(given.after(2), (1, 3))}

    steps = subject.declaration.steps
    found = [
        Probe("cached, one by one", lambda side: read(side, text, (1,) * 6), steps=6),
        Probe("cached, in chunks", lambda side: read(side, text, (2, 3, 1)), steps=3),
        Probe("cached, all at once", lambda side: read(side, text, (6,)), steps=2),
        Probe(
            "cached, with padding in the past",
            lambda side: read(side, padded, (first, *[1] * (padded.length - first))),
            steps=5,
        ),
        Probe("cached, two runs", beside, steps=6),
    ]
    if steps is not None and steps.reorder is not None:
        found.append(Probe("cached, rows reordered", reordered, steps=3))
    if steps is not None and steps.copy is not None:
        found.append(Probe("cached, a copy", copied, steps=6))
    return found


def _on(side: Side, text: cached.Text) -> cached.Text:
    return cached.Text(side.moved(text.ids), None if text.mask is None else side.moved(text.mask))
