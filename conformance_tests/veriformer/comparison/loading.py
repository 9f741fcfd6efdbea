"""What was typed, as the things themselves: two files of one name, with neighbours of one name, stay apart."""

import contextlib
import dataclasses
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

from veriformer import importing
from veriformer.adapters import libraries
from veriformer.declaration import ATTRIBUTE, Declaration
from veriformer.targets import Target

_MODULES: dict[str, Any] = {}
"""Files that were imported, by their full path, so that an example is looked for in the very module that OLD is from."""


def loaded(text: str) -> Any:
    """What ``file.py:name`` or ``package.module:name`` names; a built-in name and ``library:Name`` stand for their one subject.

    Raises:
        UsageError: it names nothing, or several subjects.
        CannotLoad: it cannot be imported.
    """
    where, _, name = text.rpartition(":")
    if not where or libraries.known(where):
        return Target(text=text).one("compare").declaration
    if not where.endswith(".py"):
        return importing.attribute(importing.by_name(where), name, where)
    key = str(Path(where).resolve())
    if key not in _MODULES:
        with _apart(Path(where).resolve().parent):
            _MODULES[key] = importing.from_file(Path(where))
    return importing.attribute(_MODULES[key], name, where)


def beside(target: str, name: str) -> Any:
    """What a name stands for: in the file of ``target``, or in a file of its own."""
    return loaded(name if ":" in name else f"{target.rpartition(':')[0]}:{name}")


@contextlib.contextmanager
def _apart(folder: Path) -> Iterator[None]:
    """Forget, afterwards, what was imported from ``folder``: NEW's neighbours may bear the names of OLD's."""
    modules, path = set(sys.modules), list(sys.path)
    try:
        yield
    finally:
        sys.path[:] = path
        for name in set(sys.modules) - modules:
            file = getattr(sys.modules[name], "__file__", None)
            if file is not None and folder in Path(file).resolve().parents:
                del sys.modules[name]


def compiled_self(thing: Any) -> Any:
    """The same declaration, class or instance, compiled by ``torch.compile`` as soon as it is built."""
    if isinstance(thing, nn.Module):
        return torch.compile(thing)
    declaration = thing if isinstance(thing, Declaration) else getattr(thing, ATTRIBUTE, None)
    build = declaration.build if declaration is not None else thing

    def built(*arguments: Any, **options: Any) -> Any:
        made = build(*arguments, **options)
        if isinstance(made, tuple):
            compiled = torch.compile(made[0])
            return compiled, made[1]
        return torch.compile(made)

    built.__signature__ = inspect.signature(build)  # type: ignore[attr-defined]  # it is called as the original is
    if declaration is None:
        return built
    return dataclasses.replace(declaration, build=built)
