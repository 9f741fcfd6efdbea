"""Writing: the adapter as a file, with what was assumed above it and the open places marked."""

import os
import textwrap
from collections.abc import Sequence
from pathlib import Path

from veriformer.assumed.draft import Draft
from veriformer.verdict import Assumed

WIDTH = 116


def adapter(draft: Draft, target: str, *, file: Path, source: Path | None) -> str:
    """The whole file.

    Args:
        target: what was typed to name the class.
        file: where it will stand.
        source: the file that the class stands in; None where it is imported by name.
    """
    role = draft.role
    lines = [f'"""{draft.origin.name} as a Veriformer subject: written by `veriformer init {target} --as {role}`.', ""]
    if draft.assumed:
        lines += ["Nobody said the following; read it, and mend what is not meant.", ""]
        for each in draft.assumed:
            lines += textwrap.wrap(f"- {each.what}: {each.value} ({each.how})", WIDTH, subsequent_indent="  ")
    else:
        lines += ["Nothing was found out about it."]
    lines += ['"""', "", *_imports(draft, file=file, source=source), "", ""]
    return "\n".join(lines) + "\n" + draft.body()


def _imports(draft: Draft, *, file: Path, source: Path | None) -> list[str]:
    body = draft.body()
    standard = ["from types import SimpleNamespace"] if "SimpleNamespace" in body else []
    names = {draft.origin.importing: {draft.origin.name.partition(".")[0]}}
    for name, (where, _) in draft.neighbours.items():
        names.setdefault(where, set()).add(name)
    ours = ["import veriformer"]
    if "passing." in body:
        ours.append("from veriformer import passing")
    lines = []
    if source is not None:
        lines = _reaching(file, source)
    theirs = [f"from {where} import {', '.join(sorted(each))}" for where, each in names.items()]
    if source is not None and not draft.origin.importing.isidentifier():
        theirs = _by_path(file, source, sorted(names[draft.origin.importing]))
        standard = ["import importlib.util", *standard, "from pathlib import Path"]
    elif lines:
        standard = ["import sys", *standard, "from pathlib import Path"]
    return [*standard, *([""] if standard else []), *ours, "", *lines, *theirs]


def _reaching(file: Path, source: Path) -> list[str]:
    """How the class's file is found, where it does not stand beside the adapter."""
    here, there = file.resolve().parent, source.resolve().parent
    if here == there:
        return []
    return [f'sys.path.insert(0, str(Path(__file__).parent / "{os.path.relpath(there, here)}"))']


def _by_path(file: Path, source: Path, names: Sequence[str]) -> list[str]:
    """The import of a file whose name is no name in Python."""
    relative = os.path.relpath(source.resolve(), file.resolve().parent)
    return [
        f'specification = importlib.util.spec_from_file_location("subject", Path(__file__).parent / "{relative}")',
        "assert specification is not None and specification.loader is not None",
        "subject = importlib.util.module_from_spec(specification)",
        "specification.loader.exec_module(subject)",
        *(f"{name} = subject.{name}" for name in names),
    ]


def table(assumed: Sequence[Assumed]) -> list[str]:
    """What was assumed, a line each, for a terminal."""
    width = max((len(each.what) for each in assumed), default=0)
    return [f"{each.what:{width}}  {each.value}  [{each.how}]" for each in assumed]
