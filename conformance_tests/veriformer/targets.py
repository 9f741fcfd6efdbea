"""Targets: what may be typed or passed to name a subject, and how each becomes a declaration."""

import copy
import dataclasses
import inspect
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from torch import nn

from veriformer import importing
from veriformer.adapters import libraries
from veriformer.declaration import ATTRIBUTE, Declaration, Fixed, Weights, require_steps, role_named
from veriformer.errors import UsageError
from veriformer.request import nearest
from veriformer.steps import Steps
from veriformer.worker import Found
from veriformer_spec.config import Config, validated
from veriformer_spec.role import Role

if TYPE_CHECKING:
    from veriformer.assumed import Draft, Origin


def declared(
    build: Any,
    *,
    role: str | None = None,
    weights: Weights | None = None,
    sizes: Fixed | None = None,
    steps: Steps | None = None,
    claims: Mapping[str, object],
    module: ModuleType | None = None,
) -> Declaration:
    """What ``build`` declares, with what is said beside it: role, claims, weights, steps and sizes given here go before its own.

    Args:
        module: that a class stands in, where it is not the one that ``sys.modules`` has under that name.

    Raises:
        UsageError: it is no build function, module or declaration; or says no role, and none is given.
    """
    own = build if isinstance(build, Declaration) else getattr(build, ATTRIBUTE, None)
    if own is None:
        own = _undeclared(build, role, sizes, claims, module)
    known = own.role if role is None else role_named(role)
    # claims that mean nothing for another role do not follow into it; those of the same role do
    kept = own.claims if known is own.role else {}
    checked = validated(known, {**kept, **_without_module(claims)})
    require_steps(checked, steps or own.steps)
    return dataclasses.replace(
        own,
        role=known,
        claims=checked,
        weights=weights or own.weights,
        steps=steps or own.steps,
        sizes=sizes.sizes if sizes is not None and not own.assumed else own.sizes,
        has_module=own.has_module and claims.get("module", ...) is not None,
    )


def _without_module(claims: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in claims.items() if name != "module"}


def _undeclared(
    build: Any, role: str | None, sizes: Fixed | None, claims: Mapping[str, object], module: ModuleType | None
) -> Declaration:
    name = getattr(build, "__name__", type(build).__name__)
    if not callable(build):
        raise UsageError(f"{name} cannot be called: a target is a build function, which takes a config, or a module")
    if role is None:
        raise UsageError(
            f"{name} says no role: decorate it with @veriformer.subject(role, ...), or give role= (on the command line: --as ROLE)"
        )
    known = role_named(role)
    if isinstance(build, type) and issubclass(build, nn.Module):
        said = validated(known, _without_module(claims))  # refused before anything is tried
        origin = _origin(build, build.__qualname__, module or sys.modules.get(build.__module__), build.__module__)
        return _assumed(origin, known, {name: said[name] for name in claims if name in said}, sizes)
    if isinstance(build, nn.Module):
        if sizes is None:
            raise UsageError(
                f"{name} is a module with sizes of its own: give them, as in sizes=veriformer.Fixed(d_model=768, heads=12)"
            )
        return Declaration(name=name, role=known, build=Copies(build), claims=validated(known, {}))
    return Declaration(name=name, role=known, build=build, claims=validated(known, {}))


def _origin(made: type[nn.Module], name: str, module: ModuleType | None, home: str) -> "Origin":
    from veriformer.assumed import Origin

    return Origin(made=made, module=module or ModuleType(home), importing=home, name=name)


def _assumed(origin: "Origin", role: Role, claims: Mapping[str, object], sizes: Fixed | None) -> Declaration:
    """What is found out of a class that no adapter presents."""
    from veriformer.assumed import assume

    return assume(origin, role, claims, sizes.sizes if sizes else {}).declaration()


@dataclasses.dataclass(frozen=True)
class Copies:
    """A build function that hands out copies of one module: the module itself keeps its bits, its mode and its dtype."""

    module: nn.Module

    def __call__(self, config: Config) -> nn.Module:  # noqa: ARG002  # its sizes are its own
        """Another copy."""
        return copy.deepcopy(self.module)


def found(
    build: Any,
    *,
    role: str | None = None,
    weights: Weights | None = None,
    sizes: Fixed | None = None,
    steps: Steps | None = None,
    claims: Mapping[str, object],
    target: str | None = None,
    module: ModuleType | None = None,
) -> Found:
    """A subject, and what to type to judge it again where that can be typed.

    Args:
        module: as in ``declared``.
        target: what was typed; None asks for it to be found out.
    """
    declaration = declared(build, role=role, weights=weights, sizes=sizes, steps=steps, claims=claims, module=module)
    own = build if isinstance(build, Declaration) else getattr(build, ATTRIBUTE, None)
    if target is None:
        target = "" if weights is not None or steps is not None else _typed(declaration.build)
    options: list[str] = []
    if role is not None:
        options += ["--as", str(declaration.role)]
    for name, value in declaration.claims.items():
        if name in claims and (own is None or own.claims.get(name) != value):
            options += ["--set", f"{name}={value}"]
    typed = (
        declaration.sizes if not declaration.assumed else sizes.sizes if sizes else {}
    )  # what was assumed is found again
    for name, size in typed.items():
        if own is None or own.sizes.get(name) != size:
            options += ["--size", f"{name}={size}"]
    return Found(declaration=declaration, target=target, options=tuple(options))


def _typed(build: Any) -> str:
    """``file.py:name`` for a function at the top of a module; empty for anything else."""
    name = getattr(build, "__qualname__", "<")
    module = sys.modules.get(getattr(build, "__module__", ""))
    if "<" in name or "." in name or module is None or getattr(module, name, None) is not build:
        return ""
    source = inspect.getsourcefile(module)
    if source is None:
        return ""
    shown = os.path.relpath(source)
    return f"{source if shown.startswith('..') else shown}:{name}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Target:
    """What was typed, looked at but not imported yet.

    Attributes:
        role: given with ``--as``.
        claims: given with ``--set``.
        sizes: given with ``--size``.
    """

    text: str
    role: str | None = None
    claims: Mapping[str, object] = dataclasses.field(default_factory=dict)
    sizes: Mapping[str, int] = dataclasses.field(default_factory=dict)

    def load(self) -> Sequence[Found]:
        """The subjects that it names; files and modules are imported now.

        Raises:
            UsageError: it names nothing, or what it names is no subject.
            CannotLoad: it cannot be imported.
        """
        library, _, subject_name = self.text.partition(":")
        if libraries.known(library):
            return [self._found(each, each.name) for each in libraries.subjects_of(library, subject_name.strip())]
        if ":" not in self.text:
            return [self._found(each, each.name) for each in _built_in(self.text)]
        module, name, where = self._place()
        subject = self._found(importing.attribute(module, name, where), self.text, module)
        return [dataclasses.replace(subject, declaration=dataclasses.replace(subject.declaration, name=name))]

    def one(self, wanted_by: str) -> Found:
        """The one subject that it names.

        Raises:
            UsageError: it names several; or as ``load``.
            CannotLoad: it cannot be imported.
        """
        subjects = self.load()
        if len(subjects) != 1:
            listed = ", ".join(repr(each.declaration.name) for each in subjects[:6])
            raise UsageError(
                f"{self.text} names {len(subjects)} subjects: {wanted_by} takes one; say which, such as {listed}"
            )
        return subjects[0]

    def _place(self) -> tuple[ModuleType, str, str]:
        """The module, the name in it, and where the module was looked for."""
        where, _, name = self.text.rpartition(":")
        module = importing.from_file(Path(where)) if where.endswith(".py") else importing.by_name(where)
        return module, name, where

    def draft(self, origin: "Origin") -> "Draft":
        """What is assumed of the class; where no role was said, of the role that it seems to have.

        Raises:
            Undecided: something cannot be found out.
        """
        from veriformer.assumed import assume
        from veriformer.assumed.guess import role_of

        role = role_named(self.role) if self.role is not None else role_of(origin.made)
        said = validated(role, _without_module(self.claims))
        claims = {name: said[name] for name in self.claims if name in said}
        return assume(origin, role, claims, Fixed(**self.sizes).sizes if self.sizes else {})

    def _found(self, build: Any, target: str, module: ModuleType | None = None) -> Found:
        sizes = Fixed(**self.sizes) if self.sizes else None
        return found(build, role=self.role, sizes=sizes, claims=self.claims, target=target, module=module)


def origin_of(target: Target) -> "tuple[Origin, Path | None]":
    """The class that a target names, and its file where one was named.

    Raises:
        UsageError: it names no class of modules.
        CannotLoad: it cannot be imported.
    """
    if ":" not in target.text:
        raise UsageError(
            f"{target.text}: an adapter is written for a class, as in file.py:Class or package.module:Class"
        )
    module, name, where = target._place()  # noqa: SLF001  # as load does it
    made = importing.attribute(module, name, where)
    if not (isinstance(made, type) and issubclass(made, nn.Module)):
        raise UsageError(
            f"{target.text} is no class of modules; an adapter is written for a subclass of torch.nn.Module"
        )
    if getattr(made, ATTRIBUTE, None) is not None:
        raise UsageError(f"{target.text} is declared already")
    source = Path(where) if where.endswith(".py") else None
    return _origin(made, name, module, source.stem if source is not None else where), source


def _built_in(name: str) -> Sequence[Declaration]:
    try:
        from veriformer.adapters import builtin
    except ImportError as error:
        raise UsageError(f"{name!r}: the built-in subjects are not there: {error}") from None
    declarations = builtin.subjects_named(name)
    if not declarations:
        if name.endswith(".py") or Path(name).exists():
            raise UsageError(f"{name}: say which function builds the subject, as in {name}:build")
        close = nearest(name, [*builtin.names(), *libraries.names()])
        hint = (
            close
            if close.startswith("did you")
            else "a target reads file.py:name, package.module:name, library:Name, or is one of reference, torch.nn, "
            + ", ".join(libraries.names())
        )
        raise UsageError(f"{name!r} is no built-in subject; {hint}")
    return declarations
