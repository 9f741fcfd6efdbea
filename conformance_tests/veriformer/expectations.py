"""Failures that are known: by clause, with a reason and a link; strict, so that the list cannot go stale."""

import tomllib
from collections.abc import Sequence
from pathlib import Path

import msgspec

from veriformer.errors import UsageError
from veriformer.verdict import Status, Verdict
from veriformer_spec.chapters import CLAUSES


class Expected(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One failure that is known.

    Attributes:
        reason: why it is accepted for now.
        link: where it is discussed; entries of a file must give one.
        subject: the subject's name; empty means any subject.
        case: a case that fails, replayed before any other, so that the failure is found whatever is drawn.
    """

    clause: str
    reason: str
    link: str = ""
    subject: str = ""
    case: str = ""


class _File(msgspec.Struct, forbid_unknown_fields=True):
    expected: list[Expected] = []


def read(path: str | Path) -> tuple[Expected, ...]:
    """The entries of a TOML file: ``[[expected]]`` with clause, reason, link, and perhaps subject and case.

    Raises:
        UsageError: the file is not there, is no such TOML, or names a clause that does not exist.
    """
    try:
        content = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        entries = msgspec.convert(content, type=_File).expected
    except OSError as error:
        raise UsageError(f"expected failures: {path} cannot be read: {error.strerror or error}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise UsageError(f"expected failures: {path}: {error}") from None
    for entry in entries:
        if not entry.link.strip() or not entry.reason.strip():
            raise UsageError(
                f"expected failures: {path}: {entry.clause} must give a reason and a link, or nobody can tell when it ends"
            )
    return checked(entries, where=str(path))


def checked(entries: Sequence[Expected], *, where: str) -> tuple[Expected, ...]:
    """``entries``, if every clause in them exists.

    Raises:
        UsageError: one does not.
    """
    from veriformer.request import nearest

    for entry in entries:
        if entry.clause not in CLAUSES:
            raise UsageError(
                f"expected failures: {where}: clause {entry.clause!r} does not exist; {nearest(entry.clause, list(CLAUSES))}"
            )
    return tuple(entries)


def entry_for(entries: Sequence[Expected], clause: str, subject: str) -> Expected | None:
    """The entry that expects ``clause`` to fail on ``subject``."""
    return next((each for each in entries if each.clause == clause and each.subject in ("", subject)), None)


def amended(verdict: Verdict, expected: Expected | None) -> Verdict:
    """``verdict``, seen with what was expected: a failure is an expected failure, a pass an unexpected one."""
    if expected is None:
        return verdict
    said = f"{expected.reason} [{expected.link}]" if expected.link else expected.reason
    if verdict.status in (Status.FAIL, Status.ERROR):
        if verdict.reason:
            said = f"{said}; {verdict.reason}"
        return msgspec.structs.replace(verdict, status=Status.EXPECTED_FAILURE, reason=said)
    if verdict.status is Status.PASS:
        return msgspec.structs.replace(
            verdict, status=Status.UNEXPECTED_PASS, reason=f"it was expected to fail ({said}): take it out of the list"
        )
    return verdict
