"""Faults and near-misses: what the suite must find, and what it must leave alone."""

import contextlib
import dataclasses
import importlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from veriformer.adapters import reference
from veriformer.declaration import ATTRIBUTE, Build, Declaration
from veriformer_spec.clause import Clause
from veriformer_spec.role import Role

Patch = tuple[str, Callable[..., Any]]
"""A function of the reference, as ``chapter.function``, and what stands in its place."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Planted:
    """Where a patch is planted: the reference in one role, under these claims."""

    role: Role
    claims: Mapping[str, object] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fault:
    """A catalogued mistake, named for the tempting error.

    Written against the reference (``patches`` and ``planted``), or without it (``builds``, in another style), or both.

    Attributes:
        id: permanent slug.
        sentence: what is wrong, in one sentence.
        clauses: the clauses that must catch it, each one by itself, on each of its subjects to which the clause applies.
        source: where it was seen.
        written: how it usually gets written: a line or two of code.
        mend: how to mend it: a line or two of code.
        synonyms: other slugs of the same function, so that whoever knows one of them finds it.
        relabels: whether it is the right function with its weights in another order (heads, pairs of features, rows of a table): without
            the names of the weights nobody can call it wrong.
        same_as: what a build without the reference equals, by the build's name: the id of a planted fault, another claim's value as
            ``norm=pre``, or two of them, joined by ``and``. A build that is not named equals nothing else in the catalogue.
    """

    id: str
    sentence: str
    clauses: tuple[Clause, ...]
    source: str
    written: str
    mend: str
    patches: tuple[Patch, ...] = ()
    planted: tuple[Planted, ...] = ()
    builds: tuple[Build, ...] = ()
    synonyms: tuple[str, ...] = ()
    relabels: bool = False
    same_as: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def equals(self, build: str) -> frozenset[str]:
        """What a build without the reference equals: one entry, two at once, or none."""
        return frozenset(filter(None, self.same_as.get(build, "").split(" and ")))

    @property
    def foreign(self) -> bool:
        """Whether it was written without the reference alone, in another style."""
        return not self.patches

    def subjects(self) -> tuple[Declaration, ...]:
        """The faulty subjects: the reference with the fault planted in it, then those of another style."""
        return (*self.planted_subjects(), *self.foreign_subjects())

    def foreign_subjects(self) -> tuple[Declaration, ...]:
        """Those written without the reference."""
        return tuple(declared(build) for build in self.builds)

    def planted_subjects(self) -> tuple[Declaration, ...]:
        """The reference, in each role and under each claim in which the fault is planted."""
        return tuple(
            dataclasses.replace(
                reference.declaration(each.role, **each.claims),
                name=f"reference.{each.role} with {self.id}",
                during=lambda: patched(self.patches),
            )
            for each in self.planted
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class NearMiss:
    """A legal, unusual, correct subject: every clause must leave it alone.

    Attributes:
        id: permanent slug.
        sentence: what is unusual about it.
        clauses: the clauses that a careless property would fail it by.
        build: declared with ``veriformer.subject``, as an adapter would be.
    """

    id: str
    sentence: str
    clauses: tuple[Clause, ...]
    build: Build

    def subject(self) -> Declaration:
        """The near-miss as a subject."""
        return declared(self.build)


def declared(build: Build) -> Declaration:
    """The declaration that ``veriformer.subject`` left on ``build``."""
    declaration: Declaration = getattr(build, ATTRIBUTE)
    return declaration


@contextlib.contextmanager
def patched(patches: tuple[Patch, ...]) -> Iterator[None]:
    """Replace functions of the reference while the subject's own call runs; the oracle in the same process never sees it."""
    with reference.without_shape_checks(), contextlib.ExitStack() as undo:
        for target, replacement in patches:
            chapter, _, name = target.partition(".")
            module = importlib.import_module(f"veriformer_reference.{chapter}")
            undo.callback(setattr, module, name, getattr(module, name))
            setattr(module, name, replacement)
        yield
