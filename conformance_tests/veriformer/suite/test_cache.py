"""Cache, tested: a text read piece by piece, beside one pass over the whole of it."""

import dataclasses
from collections.abc import Iterator, Sequence
from functools import partial

import torch
from torch import Tensor

from veriformer import cached, tolerance
from veriformer.cached import Fresh, Reader, Text
from veriformer.case import Case
from veriformer.inputs import generator
from veriformer.outcome import NotChecked, Vacuous, Violation
from veriformer.picture import moved_down
from veriformer.property import checks
from veriformer.strategies import cases
from veriformer.subjects import Instance, Subject
from veriformer_spec import cache

SHORT = (3, 6)
"""Tokens, where a case costs a step for each of them."""
FEW_LAYERS = (1, 2)
"""A cache is wrong in one layer as in many; two, because one may be forgotten."""


def require_equals_the_full_pass(make: Fresh, text: Text, sizes: Sequence[int]) -> None:
    """Fail where reading ``text`` in chunks of these sizes does not give the logits of one pass over it.

    The two are computed by two instances with the same weights, so that neither sees what the other left behind.
    """
    instance, other = make(), make()
    expected, got = cached.whole(other, text), cached.read(instance, text, sizes)
    start = 0
    for size in sizes:
        end = start + size
        span = f"token {start}" if size == 1 else f"tokens {start} to {end - 1}, read together,"
        message = f"after {start} tokens in the cache, the logits at {span} are not those of the full pass"
        try:
            cached.require_same(
                make.subject, got[:, start:end], expected[:, start:end], message,
                again=lambda: cached.whole(other, text), cached=lambda: cached.read(make(), text, sizes),
            )  # fmt: skip
        except Violation as seen:
            raise _explained(seen, make(), text, sizes, got, start, end) from None
        start = end


def _explained(
    seen: Violation, instance: Instance, text: Text, sizes: Sequence[int], got: Tensor, start: int, end: int
) -> Violation:
    """The violation, with what else would give the same logits."""
    said = f"chunks of {', '.join(map(str, sizes))}; {seen.evidence.margin}"
    told_apart = all(len(set(row)) == text.length for row in text.ids.tolist())
    if (
        start
        and told_apart
        and _near(instance, got[:, start:end], cached.whole(instance, Text(text.ids[:, start:end])))
    ):
        said += "; they are those of a text that begins here: the past is not seen at all"
    row, token, *_ = (*seen.evidence.index, 0, 0)
    picture = moved_down(seen.evidence.picture, start, ("token", "word"))
    seen.evidence = dataclasses.replace(seen.evidence, margin=said, index=[row, start + token], picture=picture)
    return seen


def _near(instance: Instance, got: Tensor, expected: Tensor) -> bool:
    dtype = instance.subject.rounds_to
    return float((got - expected).abs().max()) <= tolerance.units(dtype) * tolerance.floor(expected, dtype)


@checks(
    cache.ONE_BY_ONE_EQUALS_THE_FULL_PASS,
    sentence="68f361e1",
    cases=cases(q_len=SHORT, layers=FEW_LAYERS, vocab=(8, 13)),
    most=8,
)
def test_one_by_one_equals_the_full_pass(subject: Subject, case: Case) -> None:
    """Token by token."""
    if case.q_len < 2:
        raise Vacuous("one token has no past")
    text = cached.drawn(subject, case, case.seed)
    require_equals_the_full_pass(Fresh(subject, case), text, [1] * case.q_len)


@checks(
    cache.CHUNKS_EQUAL_THE_FULL_PASS,
    sentence="aad72a9f",
    cases=cases(q_len=(4, 7), layers=FEW_LAYERS, vocab=(8, 13)),
    most=8,
)
def test_chunks_equal_the_full_pass(subject: Subject, case: Case) -> None:
    """A prompt and then one by one; two chunks; any composition; and up to the longest length."""
    if case.q_len < 2:
        raise Vacuous("one token makes one chunk")
    make, text = Fresh(subject, case), cached.drawn(subject, case, case.seed)
    prompt = 1 + case.seed % (case.q_len - 1)
    for sizes in (
        [prompt] + [1] * (case.q_len - prompt),
        [prompt, case.q_len - prompt],
        cached.composition(case.q_len, case.seed + 1),
    ):
        require_equals_the_full_pass(make, text, sizes)
    if "q_len" in subject.declaration.sizes:
        return
    longest = subject.config(case).max_len
    long = cached.drawn(subject, case, case.seed + 2, length=longest)
    require_equals_the_full_pass(make, long, _to_the_limit(longest, case.seed))


def _to_the_limit(longest: int, seed: int) -> list[int]:
    """Four chunks or so, the last of one token."""
    ends = sorted(set(torch.randint(1, longest, (2,), generator=generator(seed)).tolist()))
    return cached.sizes_between([*ends, longest - 1, longest])


@checks(
    cache.PAST_PADDING_STAYS_HIDDEN,
    sentence="3a5a4bf3",
    cases=cases(batch=(2, 3), q_len=(4, 7), layers=FEW_LAYERS, vocab=(8, 13), masks=("padding",)),
    most=8,
)
def test_padding_in_the_past_stays_hidden(subject: Subject, case: Case) -> None:
    """Rows padded where it is claimed to be legal, read in pieces: real tokens get what their row gives alone, without padding.

    The first piece holds a real token of every row: what a model keeps of a row of which it has seen nothing is not said.
    """
    make = Fresh(subject, case)
    seen = 0
    for index, side in enumerate(padding_sides(subject)):
        text = cached.padded(cached.drawn(subject, case, case.seed + index), side, case.seed + index)
        first = 1 + int(text.real().int().argmax(1).max())
        one_by_one = [first] + [1] * (text.length - first)
        drawn = cached.composition(text.length, case.seed, first=first)
        seen += require_rows_as_without_padding(make, text, drawn if (case.seed + index) % 2 else one_by_one, side)
    if not seen:
        raise Vacuous("no row holds padding, or none is real after the first piece")


def padding_sides(subject: Subject) -> Iterator[str]:
    """Where padding may stand; with a sliding window, whose width may count padding or not, not in between."""
    for side in subject.claims["padding_sides"]:
        if side != "interior" or not subject.windowed:
            yield side


def require_rows_as_without_padding(make: Fresh, text: Text, sizes: Sequence[int], side: str) -> int:
    """Fail where a real token gets other logits than its row gives alone, read in the same pieces; how many rows were compared."""
    got = cached.read(make(), text, sizes)
    compared = 0
    for row in range(text.batch):
        real = text.real()[row]
        alone, pieces = text.without_padding(row), [int(each.sum()) for each in torch.split(real, list(sizes))]
        pieces = [each for each in pieces if each]
        expected = cached.read(make(), alone, pieces)
        shown = real.int().tolist()
        cached.require_same(
            make.subject, got[row : row + 1, real], expected,
            f"row {row}, padded {side} (real: {shown}): real tokens do not get the logits of the row without padding",
            again=partial(cached.whole, make(), alone), cached=lambda: cached.read(make(), text, sizes),
        )  # fmt: skip
        compared += not bool(real.all())
    return compared


@checks(
    cache.WINDOW_HOLDS_ACROSS_THE_CACHE,
    sentence="b5cf6d60",
    cases=cases(q_len=(6, 9), layers=FEW_LAYERS, vocab=(8, 13), window=(2, 4)),
    most=8,
)
def test_a_sliding_window_holds_across_the_cache(subject: Subject, case: Case) -> None:
    """Across the first token that the window drops: one by one, in a chunk wider than the window, and one of its width."""
    window = subject.config(case).window
    if case.q_len <= window:
        raise Vacuous("the window drops nothing")
    make, text = Fresh(subject, case), cached.drawn(subject, case, case.seed)
    ends = {
        "token by token": range(1, case.q_len + 1),
        "up to the window's width, then token by token": range(window, case.q_len + 1),
        "one token, and a chunk wider than the window": (1, case.q_len),
        "a chunk wider than the window, then token by token": range(window + 1, case.q_len + 1),
        "any chunks": [*torch.tensor(cached.composition(case.q_len, case.seed)).cumsum(0).tolist()],
    }
    for each in ends.values():
        require_equals_the_full_pass(make, text, cached.sizes_between(list(each)))


@checks(
    cache.A_CACHE_BELONGS_TO_ITS_CALLER,
    sentence="04cd7dba",
    cases=cases(q_len=SHORT, layers=FEW_LAYERS, vocab=(8, 13)),
    most=8,
)
def test_a_cache_belongs_to_its_caller(subject: Subject, case: Case) -> None:
    """Runs left in the middle, of another batch and length and of the same; then others, full passes between; copies in turns.

    Each gives what it gives on an instance that was never called: whether that is right is asked by other clauses.
    """
    make = Fresh(subject, case)
    instance, text = make(), cached.drawn(subject, case, case.seed)
    sizes = cached.composition(text.length, case.seed)
    passed, run = cached.whole(make(), text), cached.read(make(), text, sizes)
    other = cached.drawn(
        subject, case, case.seed + 1, batch=_another_batch(subject, case), length=_another_length(subject, case)
    )

    def require(got: Tensor, expected: Tensor, said: str) -> None:
        cached.require_same(
            subject, got, expected, said,
            again=lambda: cached.whole(make(), text), cached=lambda: cached.read(make(), text, sizes),
        )  # fmt: skip

    for abandoned in (other, cached.drawn(subject, case, case.seed + 4)):
        Reader.begins(instance, abandoned.batch, abandoned.length).read(abandoned.until(max(1, abandoned.length - 1)))
    require(cached.whole(instance, text), passed, "a full pass after a cached run is not what it is without one")
    require(
        cached.read(instance, text, sizes),
        run,
        "a cached run after another one is not what it is alone: it meets the run before",
    )
    require(cached.whole(instance, text), passed, "a full pass between two cached runs is not what it is without them")
    require(cached.read(instance, text, sizes), run, "a cached run after a full pass is not what it is alone")
    if instance.steps.copy is not None:
        _copies_go_on_alone(make, subject, case)


def _another_batch(subject: Subject, case: Case) -> int:
    return case.batch if "batch" in subject.declaration.sizes else case.batch + 1


def _another_length(subject: Subject, case: Case) -> int:
    return case.q_len if "q_len" in subject.declaration.sizes else case.q_len + 2


def _copies_go_on_alone(make: Fresh, subject: Subject, case: Case) -> None:
    """Two runs go on from one beginning in turns; two that begin anew, in turns, do not meet either."""
    text, other = (cached.drawn(subject, case, case.seed + shift) for shift in (2, 3))
    shared = case.q_len // 2
    branched = Text(torch.cat((text.ids[:, :shared], other.ids[:, shared:]), 1))
    instance = make()
    first = Reader.begins(instance, text.batch, text.length)
    before = first.read(text.until(shared))
    second = first.copy()
    _in_turns(
        make, (first, second), (text, branched), [before.clone(), before], shared,
        "two runs that go on from one cache in turns meet",
    )  # fmt: skip
    instance = make()
    begun = tuple(Reader.begins(instance, text.batch, text.length) for _ in range(2))
    _in_turns(make, begun, (text, other), [before[:, :0], before[:, :0]], 0, "two runs that each began anew meet")


def _in_turns(
    make: Fresh, runs: Sequence[Reader], texts: Sequence[Text], got: list[Tensor], start: int, message: str
) -> None:
    """Read the rest of each text token by token, now of one and now of the other."""
    for token in range(start, texts[0].length):
        for index, (run, text) in enumerate(zip(runs, texts, strict=True)):
            got[index] = torch.cat((got[index], run.read(Text(text.ids[:, token : token + 1]))), 1)
    sizes = cached.sizes_between([start, *range(start + 1, texts[0].length + 1)])
    for name, text, logits in zip(("first", "second"), texts, got, strict=True):
        cached.require_same(
            make.subject, logits, cached.read(make(), text, sizes), f"{message}: the {name} is not what it is alone",
            again=partial(cached.whole, make(), text), cached=partial(cached.read, make(), text, sizes),
        )  # fmt: skip


@checks(
    cache.REORDERING_FOLLOWS_THE_ROWS,
    sentence="eaad2faa",
    cases=cases(batch=(3, 4), q_len=(4, 6), layers=FEW_LAYERS, vocab=(8, 13)),
    most=8,
)
def test_reordering_follows_the_rows(subject: Subject, case: Case) -> None:
    """Rows in a circle, and rows chosen as beams are, some twice: each goes on as the row that it was copied from.

    A circle of three rows is not its own inverse.
    """
    if subject.instance(case).steps.reorder is None:
        raise NotChecked("steps has no reorder: the subject does not say how rows of its cache are chosen")
    if case.batch < 2:
        raise Vacuous("one row has one order")
    circle = torch.arange(case.batch).roll(1)
    beams = torch.randint(0, case.batch, (case.batch,), generator=generator(case.seed))
    for side in (None, *_sides_for_rows(subject)):
        _require_reordered(subject, case, (circle, beams), side)


def _sides_for_rows(subject: Subject) -> list[str]:
    """A padded side, so that rows differ in length, where one is legal in the past."""
    accepted = "padding" in subject.masks
    return [side for side in padding_sides(subject) if side != "right"][:1] if accepted else []


def _last_logits(instance: Instance, text: Text) -> Tensor:
    return cached.whole(instance, text)[:, -1:]


def _require_reordered(subject: Subject, case: Case, orders: Sequence[Tensor], side: str | None) -> None:
    make = Fresh(subject, case)
    text = cached.drawn(subject, case, case.seed)
    shared = max(1, case.q_len - len(orders))
    if side is not None:
        text = cached.padded(text.until(shared), side, case.seed).then(text.after(shared))
        shared = max(shared, 1 + int(text.real().int().argmax(1).max()))
    run, so_far = Reader.begins(make(), text.batch, text.length), text.until(shared)
    run.read(so_far)
    for token, rows in zip(range(shared, text.length), orders, strict=False):
        order = rows.to(text.ids.device)
        run.reorder(order)
        new = text.after(token).until(1)
        so_far = so_far.rows(order).then(new)
        sizes = [shared] + [1] * (so_far.length - shared)
        got, expected = run.read(new), cached.read(make(), so_far, sizes)[:, -1:]
        cached.require_same(
            make.subject, got, expected,
            f"with {token} tokens in the cache and its rows in the order {rows.tolist()}, rows do not go on as those they were copied from",
            again=partial(_last_logits, make(), so_far), cached=partial(cached.read, make(), so_far, sizes),
        )  # fmt: skip


@checks(
    cache.CACHED_ROWS_ARE_INDEPENDENT,
    sentence="7f133e6e",
    cases=cases(batch=(2, 3), q_len=SHORT, layers=FEW_LAYERS, vocab=(8, 13)),
    most=8,
)
def test_cached_rows_are_independent(subject: Subject, case: Case) -> None:
    """Other tokens, and other padding, in all rows but one: that row's logits stay; and it gives them alone."""
    if case.batch < 2:
        raise Vacuous("there is one row")
    make, row = Fresh(subject, case), case.seed % case.batch
    kept = torch.tensor([row], device=subject.device)
    own, foreign = (cached.drawn(subject, case, case.seed + shift) for shift in (0, 1))
    sides = [None, *(padding_sides(subject) if "padding" in subject.masks else ())]
    for side in sides[case.seed % len(sides) :][:1] + sides[-1:]:
        text, others = own, foreign
        if side is not None:
            text, others = (cached.padded(each, side, case.seed + shift) for shift, each in enumerate((own, foreign)))
        first = 1 + max(int(each.real().int().argmax(1).max()) for each in (text, others))
        sizes = cached.composition(case.q_len, case.seed, first=min(first, case.q_len))
        changed = _with_row(others, text, row)
        _require_row_stays(make, text, changed, row, sizes, "changes with the other rows")
        if "batch" not in subject.declaration.sizes:
            _require_row_stays(make, text, text.rows(kept), row, sizes, "is not what it gives alone")


def _with_row(others: Text, text: Text, row: int) -> Text:
    """``others`` with one row of ``text``."""
    here = torch.zeros(text.batch, 1, dtype=torch.bool, device=text.ids.device)
    here[row] = True
    mask = None if text.mask is None else torch.where(here, text.real(), others.real())
    return Text(torch.where(here, text.ids, others.ids), mask)


def _require_row_stays(make: Fresh, text: Text, other: Text, row: int, sizes: Sequence[int], message: str) -> None:
    real = text.real()[row]
    after = make()
    there = row if other.batch == text.batch else 0
    expected = cached.read(make(), text, sizes)[row, real]
    cached.require_same(
        make.subject, cached.read(after, other, sizes)[there, real], expected, f"in a cached run row {row} {message}",
        again=lambda: cached.whole(make(), text)[row, real], cached=lambda: cached.read(make(), text, sizes),
    )  # fmt: skip


@checks(
    cache.NOTHING_IS_ROUNDED_IN_THE_CACHE,
    sentence="07ce6dee",
    cases=cases(q_len=SHORT, layers=FEW_LAYERS, vocab=(8, 13)),
    most=6,
)
def test_nothing_is_rounded_in_the_cache(subject: Subject, case: Case) -> None:
    """Watch every operation of a cached run, and of the full pass: digits are lost in neither, or in both."""
    if subject.dtype is not torch.float64:
        raise NotChecked("whether digits are lost on the way is seen in float64 only")
    if case.q_len < 2:
        raise Vacuous("one token has no past")
    instance, text = subject.instance(case), cached.drawn(subject, case, case.seed)
    if cached.leaks(lambda: cached.whole(instance, text)):
        raise NotChecked("the full pass rounds too, which numerics.nothing-is-rounded-on-the-way reports")
    lost = cached.leaks(lambda: cached.read(instance, text, [1] * text.length))
    if lost:
        raise Violation(f"a cached run loses digits that the full pass keeps: {lost[0]}")
