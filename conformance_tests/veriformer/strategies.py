"""How cases are drawn: sizes and one seed, never a tensor element by element.

The smallest sizes are set for each clause, and are already large enough for the clause to fail: at loose ranges, five examples
left fewer than three useful cases in 117 of 200 runs; with the minima here, in none.
"""

import functools
from collections.abc import Callable

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from veriformer.case import SHOWN, SIDES, Case
from veriformer.outcome import NotChecked
from veriformer.property import Cases
from veriformer.subjects import Subject
from veriformer_spec.role import CROSS_ATTENDING, NORMS, Role

SEEDS = 2**16
_SEED = st.integers(0, SEEDS - 1)
Range = tuple[int, int]

WIDE = {
    "batch": (5, 7), "q_len": (9, 17), "k_len": (9, 17), "heads": (6, 8), "d_head": (8, 16, 24), "d_model": (24, 33, 64),
    "d_value": (8, 16), "d_ff": (24, 48), "layers": (4,), "vocab": (17, 29), "window": (6,), "d_input": (12,),
    "context": (9,),
}  # fmt: skip
"""Larger sizes that are met now and then: code that is right for few heads may be wrong for many."""
USUAL = 6
"""How often each usual size stands in the draw, for once that each wide one does."""


def cases(
    *,
    batch: Range = (1, 3),
    q_len: Range = (2, 5),
    k_len: Range = (2, 5),
    heads: Range = (2, 4),
    d_head: Range = (2, 4),
    d_model: Range = (4, 12),
    d_value: Range = (2, 5),
    d_ff: Range = (4, 12),
    layers: Range = (1, 3),
    groups: Range = (1, 3),
    vocab: Range = (5, 11),
    window: Range = (2, 3),
    d_input: Range = (3, 8),
    context: Range = (2, 4),
    masks: tuple[str, ...] = ("none",),
    sides: tuple[str, ...] = SIDES,
    same_length: bool = False,
) -> Cases:
    """A strategy factory for ``checks``: each range is (smallest, largest), and draws shrink towards the smallest.

    Args:
        d_model: features of a token where the role has no heads; elsewhere they are heads times d_head.
        groups: query heads to each key/value head, where the subject claims grouped heads.
        vocab: words of the vocabulary, of which the first is padding.
        window: positions that a query sees, where a sliding window is claimed.
        d_input: features of real-valued input, where an entrance for it is claimed.
        context: positions of the memory where a role with two key sides is looked at on its own.
        masks: kinds of mask; those that the subject does not accept are left out.
        sides: which key side of a role with two is looked at: its own tokens (``self``), or the memory (``cross``).
        same_length: as many keys as queries, also where they could differ.

    Raises:
        NotChecked: the subject accepts none of ``masks``.
    """

    def strategy(subject: Subject) -> SearchStrategy[Case]:
        accepted = [kind for kind in masks if kind in subject.masks]
        if not accepted:
            raise NotChecked(f"the subject accepts no {' or '.join(masks)} mask")
        ranges = {
            "batch": batch, "q_len": q_len, "k_len": k_len, "heads": heads, "d_head": d_head, "d_model": d_model,
            "d_value": d_value, "d_ff": d_ff, "layers": layers, "groups": groups, "vocab": vocab, "window": window,
            "d_input": d_input, "context": context,
        }  # fmt: skip
        if subject.role not in CROSS_ATTENDING:
            return _drawn(subject, ranges, {"self": accepted}, same_length=same_length)
        by_side = {side: [kind for kind in accepted if side == "self" or kind != "causal"] for side in sides}
        by_side = {side: kinds for side, kinds in by_side.items() if kinds}
        if not by_side:
            raise NotChecked(f"no {' or '.join(masks)} mask is passed on the memory's side")
        return _drawn(subject, ranges, by_side, same_length=same_length)

    return strategy


def probes(*, masks: tuple[str, ...] = ("none",), q_len: int = 5, k_len: int = 5, batch: int = 2) -> Cases:
    """A strategy factory with one size only, at which no two sizes coincide: d_model 24, heads 4, d_ff 40; seeds vary."""
    return cases(
        batch=(batch, batch), q_len=(q_len, q_len), k_len=(k_len, k_len), heads=(4, 4), d_head=(6, 6), d_model=(24, 24),
        d_value=(6, 6), d_ff=(40, 40), layers=(2, 2), groups=(2, 2), vocab=(11, 11), window=(3, 3), d_input=(7, 7),
        context=(4, 4), masks=masks,
    )  # fmt: skip


@st.composite
def _drawn(
    draw: DrawFn, subject: Subject, ranges: dict[str, Range], masks: dict[str, list[str]], *, same_length: bool
) -> Case:
    fixed = subject.declaration.sizes
    role = subject.role
    shown = SHOWN[role]
    unseen = Case(role=role)

    def size(name: str, *, at_most: int | None = None) -> int:
        if name in fixed:
            return fixed[name]
        return draw(_sizes(name, ranges[name], at_most), label=name)

    def size_if(name: str, *, meant: bool, otherwise: int) -> int:
        return size(name) if meant else otherwise

    longest = fixed.get("max_len")
    side = draw(_one_of(tuple(masks)), label="side") if role in CROSS_ATTENDING else "self"
    mask = draw(_one_of(tuple(masks[side])), label="mask")
    queries = size("q_len", at_most=longest) if "q_len" in shown else unseen.q_len
    keys = queries
    if "k_len" in shown and side != ("self" if role in CROSS_ATTENDING else "") and not same_length:
        together = subject.self_attending and role not in CROSS_ATTENDING
        # causal with another number of keys needs an alignment, which is a clause of its own
        aligned = side == "self" and (subject.aligned or mask == "causal")
        keys = queries if together else size("k_len", at_most=longest)
        keys = queries if aligned else keys
    context = 0
    if role in CROSS_ATTENDING and side == "self":
        context = fixed.get("k_len") or draw(_sizes("context", ranges["context"], longest), label="context")
    heads, kv_heads, d_model = _head_sizes(draw, subject, ranges)
    value_size_is_free = role is Role.ATTENTION and subject.claims["value_size"] == "any"
    return Case(
        role=role,
        batch=size_if("batch", meant="batch" in shown, otherwise=unseen.batch),
        q_len=queries,
        k_len=keys,
        d_model=d_model,
        heads=heads,
        kv_heads=kv_heads,
        d_value=size("d_value") if value_size_is_free else d_model // heads,
        d_ff=_inside(subject, d_model, size) if "d_ff" in shown else 1,
        layers=size_if("layers", meant="layers" in shown, otherwise=1),
        vocab=size_if("vocab", meant="vocab" in shown, otherwise=0),
        side=side,
        context=context,
        window=size_if("window", meant=subject.windowed, otherwise=0),
        d_input=size_if("d_input", meant=subject.claims.get("entrance") == "projection", otherwise=0),
        mask=mask,
        seed=draw(_SEED, label="seed"),
    )


def _inside(subject: Subject, d_model: int, size: Callable[[str], int]) -> int:
    """The inside of the feed-forward network: drawn, unless it goes with ``d_model``."""
    goes_with = "d_ff_ratio" in subject.declaration.sizes
    return subject.declaration.d_ff(d_model, 0) if goes_with else size("d_ff")


@functools.cache  # a strategy costs more to make than to draw from
def _sizes(name: str, bounds: Range, at_most: int | None = None) -> SearchStrategy[int]:
    """Mostly within ``bounds``, now and then wider; a range of one value is meant, and stays. Shrinks to the smallest."""
    low, high = bounds
    if low == high:
        return st.just(low)
    longest = max(low, at_most or max(high, *WIDE[name]))
    usual = [size for size in range(low, high + 1) if size <= longest]
    return st.sampled_from(usual * USUAL + [size for size in WIDE[name] if high < size <= longest])


@functools.cache
def _one_of(words: tuple[str, ...]) -> SearchStrategy[str]:
    """Shrinks to the first."""
    return st.sampled_from(words)


@functools.cache
def _several_first(low: int, high: int) -> SearchStrategy[int]:
    """Shrinks to two, not to one: with one group, or one key/value head, every order of sharing is the same."""
    return st.sampled_from([*range(max(low, 2), high + 1), *range(low, 2)])


HEADLESS = (
    *NORMS, Role.FEED_FORWARD, Role.POSITIONAL_ENCODING, Role.ADDITIVE_ATTENTION, Role.TOKEN_EMBEDDING, Role.DROPOUT,
    Role.LEARNING_RATE_SCHEDULE,
)  # fmt: skip
"""Roles whose features are dealt to no heads."""


def _head_sizes(draw: DrawFn, subject: Subject, ranges: dict[str, Range]) -> tuple[int, int, int]:
    """Heads, key/value heads and d_model, within the sizes that the subject fixes."""
    fixed = subject.declaration.sizes
    if subject.role in HEADLESS:
        d_model = (
            fixed["d_model"] if "d_model" in fixed else draw(_sizes("d_model", ranges["d_model"]), label="d_model")
        )
        return 1, 1, d_model
    if not {"d_model", "d_head"} & set(SHOWN[subject.role]):
        return 1, 1, Case(role=subject.role).d_model
    grouped = subject.claims.get("kv_heads") == "grouped"
    if "heads" in fixed:
        heads = fixed["heads"]
        kv_heads = fixed.get("kv_heads", heads)
    else:
        group = draw(_several_first(*ranges["groups"]), label="groups") if grouped else 1
        least = -(-ranges["heads"][0] // group)
        most = max(least, ranges["heads"][1] // group, 2 if grouped else 1)
        key_heads = _several_first(least, most) if grouped else _sizes("heads", (least, most))
        kv_heads = fixed.get("kv_heads") or draw(key_heads, label="kv_heads")
        heads = kv_heads * group
    if "d_model" in fixed:
        if fixed["d_model"] % heads:
            heads = kv_heads = 1  # nothing else is sure to divide it
        return heads, kv_heads, fixed["d_model"]
    d_head = fixed["d_head"] if "d_head" in fixed else draw(_sizes("d_head", ranges["d_head"]), label="d_head")
    if subject.turns_pairs and "d_head" not in fixed:
        d_head += d_head % 2
    return heads, kv_heads, heads * d_head
