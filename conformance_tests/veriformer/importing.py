"""Importing: what was typed, as a module and a name in it; whatever an import does, it is told in one line."""

import functools
import importlib
import importlib.util
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from veriformer.errors import CannotLoad, UsageError
from veriformer.request import nearest
from veriformer_spec.config import ClaimError


def from_file(path: Path) -> ModuleType:
    """The module in a file, imported now.

    Raises:
        UsageError: an adapter in it is used wrongly.
        CannotLoad: it cannot be imported.
    """
    name = path.stem
    sys.path.insert(0, str(path.resolve().parent))  # as Python itself does for a script: its neighbours can be imported
    specification = importlib.util.spec_from_file_location(name, path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    known = sys.modules.get(name)
    if known is None:  # a file called torch.py must not become torch
        sys.modules[name] = module
    return _imported(str(path), functools.partial(specification.loader.exec_module, module), module)


def by_name(name: str) -> ModuleType:
    """A module, looked for in the current folder too.

    Raises:
        UsageError: it cannot be found, or an adapter in it is used wrongly.
        CannotLoad: it cannot be imported.
    """
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        missing = importlib.util.find_spec(name) is None
    except (ImportError, ValueError, AttributeError):
        missing = True
    if missing:
        raise UsageError(
            f"module {name!r} cannot be found; a target reads file.py:name, package.module:name, or is a built-in name"
        )
    return _imported(name, functools.partial(importlib.import_module, name), None)


def _imported(name: str, run: Any, module: ModuleType | None) -> ModuleType:
    before = torch.get_num_threads()
    try:
        result = run()
    except KeyboardInterrupt:
        raise
    except SystemExit as exit_:
        raise CannotLoad(f"importing {name} called sys.exit({exit_.code!r})") from None
    except (UsageError, ClaimError) as mistake:
        raise UsageError(f"{_line_that_called(mistake)}{mistake}") from None
    except BaseException as error:  # noqa: BLE001  # whatever it was, it is told as the reason
        frames = [each for each in traceback.extract_tb(error.__traceback__) if not each.filename.startswith("<frozen")]
        line = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}: " if frames else ""
        said = str(error).strip().split("\n")[0][:300]
        raise CannotLoad(f"importing {name}: {line}{type(error).__name__}: {said}") from None
    finally:
        torch.set_num_threads(before)
    return module or result


def _line_that_called(mistake: BaseException) -> str:
    """``file:line: `` of the adapter's own line: the last one outside this package."""
    own = Path(__file__).parent
    frames = traceback.extract_tb(mistake.__traceback__)
    outside = [
        each for each in frames if own not in Path(each.filename).parents and "veriformer_spec" not in each.filename
    ]
    outside = [each for each in outside if not each.filename.startswith("<frozen")]
    return f"{Path(outside[-1].filename).name}:{outside[-1].lineno}: " if outside else ""


def attribute(module: ModuleType, name: str, where: str) -> Any:
    """What ``name`` stands for in a module that was looked for at ``where``.

    Raises:
        UsageError: it has nothing of that name.
    """
    try:
        return functools.reduce(getattr, name.split("."), module)
    except AttributeError:
        known = [each for each in vars(module) if not each.startswith("_")]
        close = nearest(name, known)
        hint = close if close.startswith("did you") else f"it has {', '.join(known[:20])}"
        raise UsageError(f"{where} has no {name}; {hint}") from None
