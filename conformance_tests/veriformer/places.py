"""Where a subject is written: the file and the line, as an editor or a code scanner wants them."""

import ast
import functools
import inspect
from collections.abc import Iterator
from pathlib import Path
from types import CodeType
from typing import Any

from veriformer.verdict import Place

_WRAPPED = ("_orig_mod", "module")
"""Where torch.compile and the parallel wrappers keep what they wrap."""

_OWN = Path(__file__).resolve().parent


def places_of(build: Any, module: Any) -> list[Place]:
    """The class of what was built, and the build function, as far as either can be found; what is typed in a shell cannot.

    What lies below the folder of the run comes first: whoever judges ``torch.nn.LayerNorm`` through an adapter wrote the adapter. A build
    function of this package is told only where there is no class.

    Args:
        module: what ``build`` built; None where it built a bare function.
    """
    found: list[Place] = []
    with_module = [("class", type(_unwrapped(module)))] if module is not None else []
    for what, thing in (*with_module, ("build", build)):
        place = _place(what, thing)
        if found and place is not None and Path(place.file).resolve().is_relative_to(_OWN):
            continue
        if place is not None and all((each.file, each.line) != (place.file, place.line) for each in found):
            found.append(place)
    return sorted(found, key=lambda each: Path(each.file).is_absolute())


def _unwrapped(module: Any) -> Any:
    for name in _WRAPPED:
        inner = getattr(module, name, None)
        if inner is not None and hasattr(inner, "forward") and type(module).__module__.startswith("torch."):
            return inner
    return module


def _place(what: str, thing: Any) -> Place | None:
    while isinstance(thing, functools.partial):
        thing = thing.func
    name = str(getattr(thing, "__qualname__", getattr(thing, "__name__", what)))
    for code in _codes(thing):
        path = Path(code.co_filename)
        line = _line_of(path, name.rpartition(".")[2], code.co_firstlineno)
        if line:
            return Place(what=what, name=name, file=_shown(path), line=line)
    return None


def _codes(thing: Any) -> Iterator[CodeType]:
    """The code of a function, or of the methods that a class has of its own: one of those may be a decorator's, or made by another."""
    for value in vars(thing).values() if inspect.isclass(thing) else (thing,):
        function = inspect.unwrap(value) if inspect.isroutine(value) else value
        if inspect.isfunction(function):
            yield function.__code__


def _line_of(path: Path, name: str, inside: int) -> int:
    """The line of the ``class`` or ``def`` called ``name`` around line ``inside``, below its decorators; 0 where there is none."""
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return 0
    around = [
        each.lineno
        for each in ast.walk(tree)
        if isinstance(each, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and each.name == name
        and min([each.lineno, *(decorator.lineno for decorator in each.decorator_list)]) <= inside
        and inside <= (each.end_lineno or each.lineno)
    ]
    return max(around, default=0)


def _shown(path: Path) -> str:
    """From the folder of the run where it lies below it; in full elsewhere."""
    whole = path.resolve()
    try:
        return whole.relative_to(Path.cwd().resolve()).as_posix()
    except (ValueError, OSError):
        return whole.as_posix()
