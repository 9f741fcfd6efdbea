"""Libraries by name: ``transformers:LlamaForCausalLM`` is a subject of one, ``transformers`` alone is all that are listed.

A library is imported only when it is asked for. Ours stand in a table here; any other package adds its own through the entry-point
group ``veriformer.subjects``: its name is the word before the colon, its object a mapping from names to subjects, or a function that
returns one. A subject is a build function under ``@veriformer.subject``, or a declaration.

The mapping may be open: what iteration gives is judged where the library alone is named, and ``mapping[name]`` may answer to more.
"""

import dataclasses
import importlib
import importlib.util
from collections.abc import Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from veriformer.declaration import ATTRIBUTE, Declaration
from veriformer.errors import CannotLoad, UsageError
from veriformer.request import nearest

GROUP = "veriformer.subjects"
"""The entry-point group of packages that bring subjects."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Library:
    """A library whose adapter comes with this package.

    Attributes:
        name: the word before the colon, and the extra that installs the library.
        package: what is imported.
        module: the adapter, a module of ``veriformer.adapters`` with a function ``subjects``.
        also: more modules of ``veriformer.adapters`` that belong to the adapter.
        distribution: what the installed version is asked of; empty where it bears the library's name.
    """

    name: str
    package: str
    module: str
    also: tuple[str, ...] = ()
    distribution: str = ""


LIBRARIES = (
    Library(
        name="transformers",
        package="transformers",
        module="transformers_models",
        also=("transformers_configs", "transformers_claims"),
    ),
    Library(name="x-transformers", package="x_transformers", module="x_transformers_models"),
    Library(name="torchtune", package="torchtune", module="torchtune_models"),
    Library(name="litgpt", package="litgpt", module="litgpt_models"),
    Library(name="labml-nn", package="labml_nn", module="labml_parts"),
    Library(name="keras", package="keras", module="keras_layers"),
    Library(name="attention-kernels", package="torch", module="kernels", distribution="torch"),
)
"""Every library whose adapter comes with this package."""


def names() -> Sequence[str]:
    """Every word that may stand before the colon."""
    return [*(each.name for each in LIBRARIES), *_foreign()]


def known(library: str) -> bool:
    """Whether ``library`` is one; a hyphen and an underscore are the same."""
    if "/" in library or library.endswith(".py"):  # a file: nobody's entry points need to be looked through
        return False
    return any(_normal(each.name) == _normal(library) for each in LIBRARIES) or _normal(library) in map(
        _normal, _foreign()
    )


def subjects_of(library: str, name: str = "") -> list[Declaration]:
    """The subject called ``name``, or all whose names go on after it; every listed one where no name is given.

    Raises:
        UsageError: the library is not installed, brings no mapping, or has nothing of that name.
        CannotLoad: it is installed and cannot be imported.
    """
    own = next((each for each in LIBRARIES if _normal(each.name) == _normal(library)), None)
    if own is not None:
        title, mapping = own.name, _own(own)
    else:
        title, entry = next((name, entry) for name, entry in _foreign().items() if _normal(name) == _normal(library))
        mapping = _brought(entry)
    if not name:
        return [_declaration(title, each, mapping[each]) for each in mapping]
    try:
        return [_declaration(title, name, mapping[name])]
    except KeyError:
        going_on = [each for each in mapping if each.startswith(f"{name} ")]
    if not going_on:
        listed = f"`veriformer check {title}` judges {', '.join(list(mapping)[:12])}"
        close = nearest(name, [*mapping, *getattr(mapping, "more", ())])
        raise UsageError(f"{title} has no subject {name!r}; {close if close.startswith('did you') else listed}")
    return [_declaration(title, each, mapping[each]) for each in going_on]


def _normal(name: str) -> str:
    return name.replace("_", "-").lower()


def _foreign() -> dict[str, EntryPoint]:
    return {each.name: each for each in entry_points(group=GROUP)}


def _own(library: Library) -> Mapping[str, Any]:
    try:
        missing = importlib.util.find_spec(library.package) is None
    except (ImportError, ValueError):
        missing = True
    if missing:
        raise UsageError(
            f"library {library.name!r} is not installed, and its subjects need it: "
            f"python -m pip install 'veriformer[{library.name}]'"
        )
    adapter = f"veriformer.adapters.{library.module}"
    mapping: Mapping[str, Any] = _loaded(adapter, lambda: importlib.import_module(adapter).subjects())
    return mapping


def _brought(entry: EntryPoint) -> Mapping[str, Any]:
    mapping = _loaded(f"entry point {entry.name} = {entry.value}", lambda: _called(entry.load()))
    if not isinstance(mapping, Mapping):
        raise UsageError(
            f"entry point {entry.name} = {entry.value} of group {GROUP} gives {type(mapping).__name__}: "
            "it must be a mapping from names to subjects, or a function that returns one"
        )
    return mapping


def _called(found: Any) -> Any:
    return found() if callable(found) and not isinstance(found, Mapping) else found


def _loaded(what: str, load: Any) -> Any:
    try:
        return load()
    except UsageError:
        raise
    except Exception as error:
        said = str(error).strip().split("\n")[0][:300]
        raise CannotLoad(f"{what} cannot be loaded: {type(error).__name__}: {said}") from error


def _declaration(library: str, name: str, build: Any) -> Declaration:
    declaration = build if isinstance(build, Declaration) else getattr(build, ATTRIBUTE, None)
    if declaration is None:
        raise UsageError(
            f"{library}:{name} says no role: decorate its build function with @veriformer.subject(role, ...)"
        )
    return dataclasses.replace(declaration, name=f"{library}:{name}")
