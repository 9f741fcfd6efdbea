"""The size of one axis, as a polynomial in axis names with whole-number coefficients.

``heads*d_head`` and ``d_head*heads`` have one normal form, so do ``past+new`` and
``new+past``. What has no such form (a division that leaves a rest) is an *atom*: a
symbol spelled like the expression, which equals itself and may equal anything else.
"""

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

Monomial: TypeAlias = tuple[str, ...]
Terms: TypeAlias = dict[Monomial, int]


class Verdict(enum.Enum):
    """Whether two sizes are equal, for every size the names may take."""

    YES = "equal"
    NO = "different"
    MAYBE = "not known"


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis.

    Attributes:
        terms: the polynomial, sorted; None if nothing is known of the size.
        soft: the size comes from ordinary integers (a parameter ``heads: int``, a
            literal in ``view``), which the annotations say nothing about: it may
            equal any named axis.
        maybe_one: written ``#name``: this size, or 1.
    """

    terms: tuple[tuple[Monomial, int], ...] | None
    soft: bool = False
    maybe_one: bool = False

    @property
    def constant(self) -> int | None:
        """The number, if the size is one."""
        if self.terms is None or self.maybe_one:
            return None
        if not self.terms:
            return 0
        return self.terms[0][1] if len(self.terms) == 1 and not self.terms[0][0] else None

    @property
    def symbol(self) -> str | None:
        """The name, if the size is nothing but one name."""
        if self.terms is None or len(self.terms) != 1:
            return None
        ((monomial, coefficient),) = self.terms
        return monomial[0] if coefficient == 1 and len(monomial) == 1 else None

    @property
    def known(self) -> bool:
        """Whether anything is known of the size."""
        return self.terms is not None

    @property
    def is_one(self) -> bool:
        """Whether the size is the number 1, for sure."""
        return self.constant == 1

    def symbols(self) -> set[str]:
        """The axis names and atoms that the size depends on."""
        return {symbol for monomial, _ in self.terms or () for symbol in monomial}

    def softened(self) -> "Axis":
        """The same size, which may from here on equal any named axis."""
        return Axis(self.terms, True, self.maybe_one)

    def __str__(self) -> str:
        if self.terms is None:
            return "?"
        return ("#" if self.maybe_one else "") + (_spelled(self.terms) or "0")


UNKNOWN: Final = Axis(None)
ONE: Final = Axis((((), 1),))


def number(value: int, *, soft: bool = False) -> Axis:
    """The size that is this whole number."""
    return Axis((((), value),) if value else (), soft)


def named(name: str, *, soft: bool = False, maybe_one: bool = False) -> Axis:
    """The size that is this name."""
    return Axis((((name,), 1),), soft, maybe_one)


def same(first: Axis, second: Axis) -> Verdict:
    """Compare two sizes; different names are different sizes, a soft size may be any."""
    if first.terms is None or second.terms is None:
        return Verdict.MAYBE
    if first.terms == second.terms:
        # "#b" beside "b" may still be 1 beside b.
        return Verdict.YES if first.maybe_one == second.maybe_one else Verdict.MAYBE
    if first.maybe_one or second.maybe_one:
        return Verdict.MAYBE
    if first.constant is not None and second.constant is not None:
        return Verdict.NO
    if _has_atom(first) or _has_atom(second):
        return Verdict.MAYBE
    if first.soft or second.soft:
        return Verdict.NO if _is_multiple(first, second) else Verdict.MAYBE
    return Verdict.NO


def _is_multiple(first: Axis, second: Axis) -> bool:
    """``4*width`` is never ``width``, whatever the integer ``width`` is."""
    if not first.soft or not second.soft or not first.symbols() or not second.symbols():
        return False
    for one, other in ((first, second), (second, first)):
        factor = divide(one, other).constant
        if factor is not None and factor > 1:
            return True
    return False


def add(first: Axis, second: Axis, sign: int = 1) -> Axis:
    """The sum of two sizes, or with ``sign=-1`` their difference."""
    if first.terms is None or second.terms is None or first.maybe_one or second.maybe_one:
        return UNKNOWN
    total: Terms = dict(first.terms)
    for monomial, coefficient in second.terms:
        total[monomial] = total.get(monomial, 0) + sign * coefficient
    return _axis(total, first.soft or second.soft)


def multiply(first: Axis, second: Axis) -> Axis:
    """The product of two sizes."""
    if first.terms is None or second.terms is None or first.maybe_one or second.maybe_one:
        return UNKNOWN
    return _axis(_times(dict(first.terms), dict(second.terms)), first.soft or second.soft)


def product(axes: Iterable[Axis]) -> Axis:
    """The product of any number of sizes; 1 for none."""
    total = ONE
    for axis in axes:
        total = multiply(total, axis)
    return total


def divide(first: Axis, second: Axis, *, exactly: bool = False) -> Axis:
    """``first // second``: exact where the polynomial divides, else an atom.

    Args:
        exactly: the division is known to leave no rest (the ``-1`` of a ``view``), so
            common factors may be cancelled.
    """
    if first.terms is None or second.terms is None or not second.terms:
        return UNKNOWN
    if first.maybe_one or second.maybe_one:
        return UNKNOWN
    soft = first.soft or second.soft
    if first.constant is not None and second.constant is not None:
        return number(first.constant // second.constant, soft=soft)
    quotient = _quotient(dict(first.terms), dict(second.terms))
    if quotient is not None:
        return _axis(quotient, soft)
    if exactly and len(first.terms) == len(second.terms) == 1:
        first, second = _cancelled(first, second)
    return Axis((((_atom("//", first, second),), 1),), True)


def remainder(first: Axis, second: Axis) -> Axis:
    """``first % second``: exact for numbers, else an atom."""
    if first.constant is not None and second.constant:
        return number(first.constant % second.constant, soft=first.soft or second.soft)
    if first.terms is None or second.terms is None:
        return UNKNOWN
    return Axis((((_atom("%", first, second),), 1),), True)


def replace(axis: Axis, values: Mapping[str, Axis]) -> Axis:
    """The polynomial with some of its names replaced by other sizes."""
    if axis.terms is None or not axis.symbols() & values.keys():
        return axis
    total = number(0, soft=axis.soft)
    for monomial, coefficient in axis.terms:
        factors = [values.get(symbol, named(symbol)) for symbol in monomial]
        if len(axis.terms) == 1 and len(factors) == 1 and coefficient == 1:
            found = factors[0]
            return Axis(found.terms, found.soft or axis.soft, found.maybe_one or axis.maybe_one)
        total = add(total, product([number(coefficient), *factors]))
    return Axis(total.terms, total.soft, axis.maybe_one)


def _axis(terms: Terms, soft: bool) -> Axis:
    kept = sorted((monomial, value) for monomial, value in terms.items() if value)
    return Axis(tuple(kept), soft)


def _times(first: Terms, second: Terms) -> Terms:
    total: Terms = {}
    for left, left_value in first.items():
        for right, right_value in second.items():
            monomial = tuple(sorted(left + right))
            total[monomial] = total.get(monomial, 0) + left_value * right_value
    return total


def _quotient(dividend: Terms, divisor: Terms) -> Terms | None:
    """Polynomial long division; None if it leaves a rest."""
    lead = max(divisor, key=_order)
    result: Terms = {}
    while dividend:
        top = max(dividend, key=_order)
        monomial = _without(top, lead)
        if monomial is None or dividend[top] % divisor[lead]:
            return None
        coefficient = dividend[top] // divisor[lead]
        result[monomial] = coefficient
        for key, value in _times({monomial: coefficient}, divisor).items():
            dividend[key] = dividend.get(key, 0) - value
            if not dividend[key]:
                del dividend[key]
    return result


def _order(monomial: Monomial) -> tuple[int, Monomial]:
    return len(monomial), monomial


def _without(monomial: Monomial, factor: Monomial) -> Monomial | None:
    rest = list(monomial)
    for symbol in factor:
        if symbol not in rest:
            return None
        rest.remove(symbol)
    return tuple(rest)


def _cancelled(first: Axis, second: Axis) -> tuple[Axis, Axis]:
    assert first.terms and second.terms
    (above, above_value), (below, below_value) = first.terms[0], second.terms[0]
    upper, lower = list(above), list(below)
    for symbol in below:
        if symbol in upper:
            upper.remove(symbol)
            lower.remove(symbol)
    if below_value and above_value % below_value == 0:
        above_value, below_value = above_value // below_value, 1
    return (
        _axis({tuple(upper): above_value}, first.soft),
        _axis({tuple(lower): below_value}, second.soft),
    )


def _atom(operator: str, first: Axis, second: Axis) -> str:
    return f"({_enclosed(first)}{operator}{_enclosed(second)})"


def _enclosed(axis: Axis) -> str:
    text = str(axis)
    return text if axis.symbol or axis.constant is not None else f"({text})"


def _has_atom(axis: Axis) -> bool:
    return any(symbol.startswith("(") for symbol in axis.symbols())


def _spelled(terms: tuple[tuple[Monomial, int], ...]) -> str:
    text = ""
    for monomial, value in sorted(terms, key=lambda term: (-len(term[0]), term[0])):
        factors = [str(abs(value))] if abs(value) != 1 or not monomial else []
        factors += [
            s[1:-1] if s.startswith("(") and len(terms) == len(monomial) == 1 and abs(value) == 1 else s
            for s in monomial
        ]
        text += ("-" if value < 0 else "+" if text else "") + "*".join(factors)
    return text
