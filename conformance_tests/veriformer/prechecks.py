"""What can be seen to be wrong with a target before anything slow is imported."""

from pathlib import Path

from veriformer.errors import CannotLoad, UsageError


def precheck(text: str) -> None:
    """Refuse at once, before anything slow is imported, what can be seen to be wrong.

    Raises:
        UsageError: the file is not there.
        CannotLoad: the file is no Python.
    """
    where, _, name = text.rpartition(":")
    if not where.endswith(".py"):
        return
    path = Path(where)
    if not name.isidentifier():
        raise UsageError(f"{text}: {name!r} is no name; a target reads file.py:name")
    if not path.is_file():
        raise UsageError(
            f"{where} does not exist; a target reads file.py:name, package.module:name, or is a built-in name"
        )
    try:
        compile(path.read_bytes(), str(path), "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        raise CannotLoad(
            f"{where}{f':{line}' if line else ''}: {type(error).__name__}: {getattr(error, 'msg', error)}"
        ) from None
