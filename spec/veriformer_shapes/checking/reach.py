"""Which files can hold a finding: those that write shapes, or import from a file that does."""

from collections.abc import Mapping

from mypy.nodes import Import, ImportAll, ImportFrom, MypyFile

from .annotations import ANNOTATED


def concerns(tree: MypyFile, modules: Mapping[str, MypyFile]) -> bool:
    """Whether shapes can reach the code of a file; only then is it walked."""
    return writes_shapes(tree) or any(writes_shapes(modules[name]) for name in _imported(tree) if name in modules)


def writes_shapes(tree: MypyFile) -> bool:
    """Whether jaxtyping's names are among those of a file."""
    if tree.fullname.partition(".")[0] in ("jaxtyping", "typing", "torch"):
        return False
    for symbol in tree.names.values():
        fullname = symbol.fullname
        if fullname in ANNOTATED or fullname == "jaxtyping":
            return True
    return False


def _imported(tree: MypyFile) -> set[str]:
    """The modules that a file names, and those where the names it imports are defined."""
    found: set[str] = set()
    for statement in tree.imports:
        if isinstance(statement, Import):
            found.update(name for name, _ in statement.ids)
        elif isinstance(statement, ImportFrom):
            found.add(statement.id)
            found.update(f"{statement.id}.{name}" for name, _ in statement.names)
        elif isinstance(statement, ImportAll):
            found.add(statement.id)
    for symbol in tree.names.values():
        if symbol.fullname is not None:
            found.add(symbol.fullname)
            found.add(symbol.fullname.rpartition(".")[0])
    return found
