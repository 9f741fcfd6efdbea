"""Says what was found, at the line where it was found and for the function it is in."""

from collections.abc import Iterator
from contextlib import contextmanager

from mypy.errors import Errors
from mypy.nodes import Context, FuncDef, MypyFile, TypeInfo
from mypy.options import Options
from mypy.scope import Scope

from .annotations import TENSOR_SHAPE


class Reporter:
    """Passes findings on to mypy.

    mypy's daemon forgets old messages function by function, so each message has to
    carry the function (its *target*) that it was found in.
    """

    def __init__(self, errors: Errors, tree: MypyFile, options: Options) -> None:
        self._errors = errors
        self._tree = tree
        self._options = options
        self._muted = 0
        self._noteless = 0
        self._inside: tuple[TypeInfo | None, FuncDef | None] = (None, None)

    @contextmanager
    def muted(self) -> Iterator[None]:
        """Say nothing for a while: the code is only walked to learn what it does."""
        self._muted += 1
        try:
            yield
        finally:
            self._muted -= 1

    @contextmanager
    def inside(self, info: TypeInfo | None, function: FuncDef | None) -> Iterator[None]:
        """What is reported meanwhile is of this function, and of its class where it has one."""
        before = self._inside
        self._inside = (info, function)
        try:
            yield
        finally:
            self._inside = before

    def fail(self, message: str, where: Context) -> None:
        """Report a misfit, as an error of the code `tensor-shape` at an expression or statement."""
        self._say(message, where, "error")

    @contextmanager
    def without_notes(self) -> Iterator[None]:
        """Only errors: the code was walked before, and has shown what it reveals."""
        self._noteless += 1
        try:
            yield
        finally:
            self._noteless -= 1

    def note(self, message: str, where: Context) -> None:
        """Show something that is no mistake, such as a revealed shape; not under `without_notes`."""
        if self._noteless:
            return
        self._say(message, where, "note")

    def _say(self, message: str, where: Context, severity: str) -> None:
        if self._muted:
            return
        errors = self._errors
        before = errors.file, errors.target_module, errors.options, errors.scope
        info, function = self._inside
        scope = Scope()
        with scope.saved_scope((self._tree.fullname, info, function)):
            errors.set_file(self._tree.path, self._tree.fullname, self._options, scope)
            try:
                errors.report(
                    where.line,
                    where.column,
                    message,
                    code=TENSOR_SHAPE,
                    severity=severity,
                    # A `type: ignore` on any line of the expression counts.
                    origin_span=range(where.line, max(where.line, where.end_line or 0) + 1),
                    end_line=where.end_line,
                    end_column=where.end_column,
                )
            finally:
                errors.set_file(*before)
