"""Does a value's shape fit a declared one? Names bind as they would in jaxtyping's run."""

from dataclasses import dataclass

from . import axis as axes
from .axis import Axis, Verdict, same
from .grammar import Item, Kind
from .memo import Memo
from .shape import Declared, Dim, Dims, Spread, axes_of, spread_at


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Why a shape does not fit: the axis at odds in one line, or the rank."""

    reason: str


@dataclass(frozen=True, slots=True)
class _Pair:
    """One declared axis beside the actual one; `at` counts the actual axes from the left."""

    item: Item
    actual: Axis
    at: int
    wanted: Axis | None


def match(declared: Declared, actual: Dims, memo: Memo) -> Mismatch | None:
    """Fit an actual shape to a declared one, binding the names that are still free.

    A shape of which too little is known fits. On a mismatch the memo is left as it was.
    """
    before = memo.copy()
    problem = _match(declared, actual, memo)
    if problem is not None:
        memo.sizes, memo.spreads = before.sizes, before.spreads
    return problem


def _match(declared: Declared, actual: Dims, memo: Memo) -> Mismatch | None:
    middle = declared.spread
    at = spread_at(actual)
    problem = _runs_at_odds(declared, actual, memo)
    if problem is not None:
        return problem
    if middle is None:
        if at is None and len(actual) != len(declared.items):
            return Mismatch(_ranks(len(actual), f"{len(declared.items)}"))
        if at is not None and len(actual) - 1 > len(declared.items):
            return Mismatch(_ranks(len(actual) - 1, f"{len(declared.items)}", "or more "))
    elif at is None and len(actual) < len(declared.items) - 1:
        return Mismatch(_ranks(len(actual), f"{len(declared.items) - 1} or more"))
    pairs, captured = _aligned(declared, actual, memo)
    for pair in pairs:
        problem = _fits(pair, memo)
        if problem is not None:
            return problem
    if middle is not None and captured is not None:
        problem = _captures(declared.items[middle], captured, memo)
        if problem is not None:
            return problem
    for pair in pairs:
        problem = _expression_fits(pair, memo) or _displaced(pair, pairs, memo)
        if problem is not None:
            return problem
    return None


def _runs_at_odds(declared: Declared, actual: Dims, memo: Memo) -> Mismatch | None:
    """``*batch`` is any number of axes, so it fits only where ``*batch`` is declared."""
    at, middle = spread_at(actual), declared.spread
    run = actual[at] if at is not None else None
    if at is None or not isinstance(run, Spread) or run.name is None or run.broadcast:
        return None
    if run.name.startswith("...") and run.name not in memo.spreads:
        # To someone else `...` means: whatever fits.
        return None
    if middle is None:
        return Mismatch(f'"{run}" is any number of axes, not {len(declared.items)} in all')
    item = declared.items[middle]
    if run.name in memo.spreads and not item.name:
        return _named_in_run(declared, actual, at, memo)
    if item.broadcast or memo.spreads.get(item.name) != (run,):
        return None
    behind, wanted = len(actual) - at - 1, len(declared.items) - middle - 1
    if (at, behind) != (middle, wanted):
        return Mismatch(f'"{run}" has {at} axes before and {behind} behind it, not {middle} and {wanted}')
    return None


def _named_in_run(declared: Declared, actual: Dims, at: int, memo: Memo) -> Mismatch | None:
    """``time ... d`` for ``... time d``: a size known by name stands where the run may have any axes."""
    middle = declared.spread
    assert middle is not None
    behind, wanted = len(actual) - at - 1, len(declared.items) - middle - 1
    inside = [*declared.items[at:middle], *declared.items[middle + 1 : len(declared.items) - behind]]
    for item in inside if at < middle or behind < wanted else ():
        bound = memo.sizes.get(item.name) if item.kind is Kind.NAME and not item.broadcast else None
        if bound is not None and bound.known and not bound.soft:
            return Mismatch(f'"{actual[at]}" is any number of axes, "{item.name}" is one of them only by chance')
    return None


def _ranks(actual: int, wanted: str, more: str = "") -> str:
    return f"{actual} {more}{'axis' if actual == 1 else 'axes'}, not {wanted}"


def _aligned(declared: Declared, actual: Dims, memo: Memo) -> tuple[list[_Pair], Dims | None]:
    """Pair the axes from both ends; what lies between is for the declared spread, if any."""
    items, middle, at = declared.items, declared.spread, spread_at(actual)
    left = len(items) if middle is None else middle
    right = 0 if middle is None else len(items) - middle - 1
    captured: Dims | None = None
    if at is None:
        if middle is None:
            right = 0
        captured = actual[left : len(actual) - right] if middle is not None else None
    else:
        whole = at >= left and len(actual) - at - 1 >= right
        if middle is not None and whole:
            captured = actual[left : len(actual) - right]
        right = min(len(actual) - at - 1, right if middle is not None else len(items))
        left = min(at, left)
    pairs = [_pair(items[i], actual[i], i, memo) for i in range(left)]
    pairs += [_pair(items[len(items) - i], actual[len(actual) - i], len(actual) - i, memo) for i in range(right, 0, -1)]
    return pairs, captured


def _pair(item: Item, actual: Dim, at: int, memo: Memo) -> _Pair:
    assert isinstance(actual, Axis)
    return _Pair(item, actual, at, memo.sizes.get(item.name) if item.kind is Kind.NAME else None)


def _fits(pair: _Pair, memo: Memo) -> Mismatch | None:
    item, actual = pair.item, pair.actual
    if item.kind is Kind.ANY or item.per_leaf or (item.broadcast and actual.is_one):
        return None
    if item.kind is Kind.FIXED:
        wanted = axes.number(item.size)
    elif item.kind is Kind.NAME:
        bound = memo.sizes.get(item.name)
        if bound is None or not bound.known:
            if not actual.maybe_one:
                memo.sizes[item.name] = actual
            return None
        wanted = bound
        if bound.soft and actual.known and not actual.soft and not actual.maybe_one:
            # From here on the name stands for the axis that is known better.
            memo.sizes[item.name] = actual
    else:
        return None
    if same(wanted, actual) is Verdict.NO:
        return _at_odds(pair, wanted)
    return None


def _at_odds(pair: _Pair, wanted: Axis) -> Mismatch:
    return Mismatch(f'axis {pair.at} is "{pair.actual}", not "{wanted}"')


def _expression_fits(pair: _Pair, memo: Memo) -> Mismatch | None:
    if pair.item.kind is not Kind.EXPRESSION or (pair.item.broadcast and pair.actual.is_one):
        return None
    wanted = memo.evaluate(pair.item)
    if wanted is not None and same(wanted, pair.actual) is Verdict.NO:
        return _at_odds(pair, wanted)
    return None


def _displaced(pair: _Pair, pairs: list[_Pair], memo: Memo) -> Mismatch | None:
    """A size that cannot be compared, while the axis declared there stands elsewhere.

    ``batch time ?`` given for ``batch channels time``: whatever ``?`` is, ``time``
    has ended up where ``channels`` belongs.
    """
    wanted = pair.wanted
    if wanted is None and pair.item.kind is Kind.NAME:
        wanted = memo.integers.get(pair.item.name)
    if wanted is None or not wanted.known or wanted.constant is not None:
        return None
    if pair.item.broadcast or pair.actual.maybe_one or same(wanted, pair.actual) is Verdict.YES:
        return None
    if pair.actual.known and not pair.actual.soft:
        return None
    for other in pairs:
        if other is pair or other.item.kind is Kind.ANY:
            continue
        if same(other.actual, wanted) is not Verdict.YES:
            continue
        declared = memo.evaluate(other.item) if other.wanted is not None else None
        if other.item.kind is Kind.NAME and other.item.name == pair.item.name:
            continue
        if declared is None or same(declared, wanted) is not Verdict.YES:
            return _at_odds(pair, wanted)
    return None


def _captures(item: Item, captured: Dims, memo: Memo) -> Mismatch | None:
    """Bind ``*name``, or compare with what it is bound to."""
    if not item.name or item.per_leaf:
        return None
    known = memo.spreads.get(item.name)
    if known is None and item.broadcast:
        # `*name` itself is still to come: it may have more axes than these.
        memo.spreads.setdefault(f"#{item.name}", captured)
        return None
    if known is None:
        smaller = memo.spreads.get(f"#{item.name}")
        if smaller is not None and not _broadcasts(smaller, captured):
            return _runs_differ(item, captured, smaller)
        memo.spreads[item.name] = captured
        return None
    fits = _broadcasts(captured, known) if item.broadcast else _equal(captured, known)
    if fits:
        return None
    return _runs_differ(item, captured, known)


def _runs_differ(item: Item, captured: Dims, known: Dims) -> Mismatch:
    shown, wanted = (" ".join(str(dim) for dim in dims) for dims in (captured, known))
    return Mismatch(f'"*{item.name}" is "{shown}", not "{wanted}"')


def _equal(captured: Dims, known: Dims) -> bool:
    if captured == known or _open(captured) or _open(known):
        return True
    if len(captured) != len(known):
        return spread_at(captured) is not None and spread_at(known) is not None
    return all(_dims_agree(one, other) for one, other in zip(captured, known, strict=True))


def _broadcasts(captured: Dims, known: Dims) -> bool:
    """Whether axes written ``*#name`` broadcast to those of ``*name``."""
    left, right = list(captured), list(known)
    while left:
        if not right:
            return isinstance(left[-1], Spread)
        one, other = left.pop(), right.pop()
        if isinstance(one, Spread) or isinstance(other, Spread):
            return True
        if not one.is_one and same(one, other) is Verdict.NO:  # a one of `*name` stretches to nothing
            return False
    return True


def _dims_agree(one: Dim, other: Dim) -> bool:
    if isinstance(one, Axis) and isinstance(other, Axis):
        return same(one, other) is not Verdict.NO
    if isinstance(one, Spread) and isinstance(other, Spread):
        return one.name == other.name
    return False


def _open(dims: Dims) -> bool:
    """Whether the number of axes may be anything: ``...``, or axes that broadcast."""
    return any(isinstance(dim, Spread) and (dim.name is None or dim.broadcast) for dim in dims) or (
        axes_of(dims) is None and len(dims) != 1
    )
