"""A process of one's own for what would leave traces in this one."""

import contextlib
import ctypes
import os
import pickle
import select
import signal
import sys
import time
import warnings
from collections.abc import Callable
from typing import TypeVar

from veriformer.declaration import Unsupported
from veriformer.errors import CannotLoad, UsageError
from veriformer.outcome import Evidence, Inconclusive, NotChecked, SubjectError, Vacuous, Violation

_OUTCOMES = (Violation, SubjectError, Vacuous, NotChecked, Inconclusive, Unsupported, UsageError, CannotLoad)
_PR_SET_PDEATHSIG = 1
Answer = TypeVar("Answer")


def apart(work: Callable[[], object]) -> None:
    """Run ``work`` in a forked process, and end here as it ended there.

    Raises:
        NotChecked: this system has no fork.
        Inconclusive: the process died, or raised something that is no outcome of a property.
    """
    if not hasattr(os, "fork"):
        raise NotChecked("this system has no fork, and a simulated device cannot be taken out of a process again")

    def done() -> None:
        work()  # what it returns may be tied to that process

    try:
        answer(done)
    except ProcessLookupError:
        raise Inconclusive("the process with the simulated device died") from None


def answer(work: Callable[[], Answer], *, within: float | None = None) -> Answer:
    """What ``work`` returns in a forked process; what it raises there is raised here.

    Args:
        within: seconds after which the process is ended.

    Raises:
        ProcessLookupError: it died without an answer.
        TimeoutError: it gave none in time.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    read, write = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", DeprecationWarning
        )  # "may deadlock": the child takes no lock that a thread could hold
        child = os.fork()
    if child == 0:
        try:
            os.close(read)
            os.setpgid(0, 0)  # what it starts ends with it
            _die_with_parent()
            with os.fdopen(write, "wb") as pipe:
                pipe.write(pickle.dumps(_outcome(work)))
        finally:
            os._exit(0)  # whatever goes wrong here: the caller's code must not go on twice
    os.close(write)
    try:
        said = _read_all(read, within)
    finally:
        os.close(read)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    if not said:
        raise ProcessLookupError("the process died without an answer")
    kind, message, more = pickle.loads(said)  # noqa: S301  # written by the child above
    _end_alike(kind, message, more)
    returned: Answer = more
    return returned


def _read_all(pipe: int, within: float | None) -> bytes:
    """Everything until the other end is closed."""
    until = None if within is None else time.monotonic() + within
    said = b""
    while True:
        left = None if until is None else max(until - time.monotonic(), 0.0)
        if not select.select([pipe], [], [], left)[0]:
            raise TimeoutError(f"no answer within {within:g} s")
        received = os.read(pipe, 1 << 16)
        if not received:
            return said
        said += received


def _outcome(work: Callable[[], object]) -> tuple[str, str, object]:
    try:
        answered = work()
    except _OUTCOMES as outcome:
        more = outcome.evidence if isinstance(outcome, Violation) else getattr(outcome, "origin", None)
        kind = next(each for each in (type(outcome), *_OUTCOMES) if each in _OUTCOMES and isinstance(outcome, each))
        return kind.__name__, str(outcome), more
    except BaseException as error:  # noqa: BLE001  # whatever it is, the parent says it
        return "Inconclusive", f"it stopped with {type(error).__name__}: {error}", None
    return "", "", answered


def _end_alike(kind: str, message: str, more: object) -> None:
    if not kind:
        return
    if kind == "Violation" and isinstance(more, Evidence):
        violation = Violation(message)
        violation.evidence = more
        raise violation
    if kind == "SubjectError":
        raise SubjectError(message, origin=str(more))
    raise next(each for each in _OUTCOMES if each.__name__ == kind)(message)  # type: ignore[call-arg]  # the two above take more


def _die_with_parent() -> None:
    """Where the system can: a parent that is ended for its time limit takes this process along."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
