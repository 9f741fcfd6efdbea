"""Properties: plain functions that can fail one clause on one subject."""

import dataclasses
import functools
import importlib
import pkgutil
from collections.abc import Callable, Mapping
from typing import TypeVar

from hypothesis.strategies import SearchStrategy

from veriformer.case import Case
from veriformer.subjects import Subject
from veriformer_spec.chapters import CLAUSES
from veriformer_spec.clause import Clause

Check = Callable[[Subject, Case], None]
Cases = Callable[[Subject], SearchStrategy[Case]]
_Check = TypeVar("_Check", bound=Check)

ATTRIBUTE = "__veriformer_property__"
FLOOR = 3
"""Non-vacuous cases below which a verdict is inconclusive, unless a property says otherwise."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Property:
    """A function that can fail one clause, and what drawing its cases needs.

    Attributes:
        name: the function's name.
        clause: what it tests.
        sentence: the hash of the clause's sentence when the author last looked.
        check: returns when the case passes, raises one of ``outcome`` otherwise.
        cases: makes the strategy; called with the subject, whose claims and sizes bound it.
        most: cases at budget standard where each costs many calls; larger budgets raise it in proportion. None: the budget alone
            decides.
        floor: non-vacuous cases below which the verdict is inconclusive.
        needs_weights: compares with the reference, so that it needs a weights mapping.
        deep: takes so long that it runs at budget deep only, and ``most`` times there.
    """

    name: str
    clause: Clause
    sentence: str
    check: Check
    cases: Cases
    most: int | None
    floor: int
    needs_weights: bool
    deep: bool = False


def checks(
    clause: Clause,
    *,
    sentence: str,
    cases: Cases,
    most: int | None = None,
    floor: int = FLOOR,
    needs_weights: bool = False,
    deep: bool = False,
) -> Callable[[_Check], _Check]:
    """Say that the function below can fail ``clause``; see ``Property`` for the arguments."""

    def declare(check: _Check) -> _Check:
        setattr(
            check,
            ATTRIBUTE,
            Property(
                name=getattr(check, "__name__", "?"),
                clause=clause,
                sentence=sentence,
                check=check,
                cases=cases,
                most=most,
                floor=floor,
                needs_weights=needs_weights,
                deep=deep,
            ),
        )
        return check

    return declare


@functools.cache
def properties() -> Mapping[str, tuple[Property, ...]]:
    """Every property of the suite by its clause's id, in the specification's order."""
    import veriformer.suite

    found: dict[str, list[Property]] = {clause: [] for clause in CLAUSES}
    for chapter in pkgutil.iter_modules(veriformer.suite.__path__):
        module = importlib.import_module(f"veriformer.suite.{chapter.name}")
        for value in vars(module).values():
            declared = getattr(value, ATTRIBUTE, None)
            if isinstance(declared, Property):
                found[declared.clause.id].append(declared)
    return {clause: tuple(each) for clause, each in found.items()}
