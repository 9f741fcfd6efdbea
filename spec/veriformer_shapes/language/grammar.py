"""jaxtyping's shape strings, read as jaxtyping reads them.

``"*batch heads #q_len past+new d=64 _ ..."``: one item an axis, separated by blanks.
An item is a name, a number, or an expression; before it may stand ``*`` (any number
of axes), ``#`` (this size or 1), ``_`` (any size) and ``?`` (a size of its own in each
leaf of a tree); ``name=4`` is a documented 4; ``...`` is any number of axes.
"""

import ast
import enum
import functools
from dataclasses import dataclass


class AnnotationProblem(Exception):
    """The shape string cannot be read; the text says which item and why."""


class Kind(enum.Enum):
    """What an item of a shape string is."""

    NAME = "name"
    FIXED = "fixed"
    ANY = "any"
    EXPRESSION = "expression"
    SPREAD = "spread"


@dataclass(frozen=True, slots=True)
class Item:
    """One item of a shape string.

    Attributes:
        text: as it was written.
        name: of a NAME or SPREAD; empty for an anonymous spread.
        size: of a FIXED.
        expression: of an EXPRESSION, parsed; None if it has braces, which stand for
            values that only the run knows.
        broadcast: written with ``#``.
        per_leaf: written with ``?``.
    """

    kind: Kind
    text: str
    name: str = ""
    size: int = 0
    expression: ast.expr | None = None
    broadcast: bool = False
    per_leaf: bool = False


@functools.cache
def parse(text: str) -> tuple[Item, ...]:
    """Read a shape string.

    Raises:
        AnnotationProblem: the string is not one that jaxtyping accepts, or one of its
            expressions is not Python.
    """
    items = tuple(_item(word) for word in text.split())
    if sum(item.kind is Kind.SPREAD for item in items) > 1:
        raise AnnotationProblem("more than one axis stands for any number of axes (* or ...); keep one")
    return items


def _item(word: str) -> Item:
    if "," in word and "(" not in word:
        raise AnnotationProblem(f'"{word}" has a comma; separate axes with blanks')
    if word.endswith("#"):
        raise AnnotationProblem(f'"{word}" ends with #; write # in front of the axis')
    if "..." in word:
        if word != "...":
            raise AnnotationProblem(f'"{word}" contains "..."; "..." stands on its own')
        return Item(Kind.SPREAD, word)
    marks, rest = _marks(word)
    broadcast, spread, anonymous, per_leaf = (mark in marks for mark in "#*_?")
    if rest and not rest.isidentifier():
        return _sized(word, rest, marks)
    if anonymous and broadcast:
        raise AnnotationProblem(f'"{word}" is both anonymous (_) and broadcastable (#); keep one')
    if anonymous:
        return Item(Kind.SPREAD if spread else Kind.ANY, word)
    kind = Kind.SPREAD if spread else Kind.NAME
    return Item(kind, word, name=rest, broadcast=broadcast, per_leaf=per_leaf)


def _marks(word: str) -> tuple[set[str], str]:
    """Take the marks off the front of an item, and a ``label=`` wherever it stands."""
    marks: set[str] = set()
    rest = word
    while rest:
        if rest[0] in "#*_?":
            if rest[0] in marks:
                raise AnnotationProblem(f'"{word}" has {rest[0]} twice; write it once')
            marks.add(rest[0])
            rest = rest[1:]
        elif rest.count("=") == 1:
            rest = rest.split("=")[1]
        else:
            break
    return marks, rest


def _sized(word: str, rest: str, marks: set[str]) -> Item:
    """A number or an expression; neither goes with ``*``, ``_`` or ``?``."""
    try:
        size = int(rest)
    except ValueError:
        item = Item(Kind.EXPRESSION, word, expression=_expression(word, rest))
    else:
        item = Item(Kind.FIXED, word, size=size)
    for mark, rule in (("*", "any number of axes"), ("_", "any size"), ("?", "a size per leaf")):
        if mark in marks:
            raise AnnotationProblem(f'"{word}" has {mark} ({rule}) before a {item.kind.value} size; remove it')
    return Item(item.kind, word, "", item.size, item.expression, "#" in marks)


def _expression(word: str, rest: str) -> ast.expr | None:
    if "{" in rest:
        return None
    try:
        return ast.parse(rest, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise AnnotationProblem(f'"{word}" is neither a name, a number nor an expression of axis names') from None
