"""A process of one's own for what would leave traces in this one."""

import ctypes
import os
import pickle
import signal
import sys
import warnings
from collections.abc import Callable

from veriformer.declaration import Unsupported, UsageError
from veriformer.outcome import Evidence, Inconclusive, NotChecked, SubjectError, Vacuous, Violation

_OUTCOMES = (Violation, SubjectError, Vacuous, NotChecked, Inconclusive, Unsupported, UsageError)
_PR_SET_PDEATHSIG = 1


def apart(work: Callable[[], object]) -> None:
    """Run ``work`` in a forked process, and end here as it ended there.

    Raises:
        NotChecked: this system has no fork.
        Inconclusive: the process died, or raised something that is no outcome of a property.
    """
    if not hasattr(os, "fork"):
        raise NotChecked("this system has no fork, and a simulated device cannot be taken out of a process again")
    sys.stdout.flush()
    sys.stderr.flush()
    read, write = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", DeprecationWarning
        )  # "may deadlock": the child takes no lock that a thread could hold
        child = os.fork()
    if child == 0:
        os.close(read)
        _die_with_parent()
        with os.fdopen(write, "wb") as pipe:
            pipe.write(pickle.dumps(_outcome(work)))
        os._exit(0)
    os.close(write)
    try:
        with os.fdopen(read, "rb") as pipe:
            said = pipe.read()
    except BaseException:
        os.kill(child, signal.SIGKILL)
        raise
    finally:
        os.waitpid(child, 0)
    if not said:
        raise Inconclusive("the process with the simulated device died")
    _end_alike(*pickle.loads(said))  # noqa: S301  # written by the child above


def _outcome(work: Callable[[], object]) -> tuple[str, str, object]:
    try:
        work()
    except _OUTCOMES as outcome:
        more = outcome.evidence if isinstance(outcome, Violation) else getattr(outcome, "origin", None)
        return type(outcome).__name__, str(outcome), more
    except BaseException as error:  # noqa: BLE001  # whatever it is, the parent says it
        return "Inconclusive", f"the simulated device stopped with {type(error).__name__}: {error}", None
    return "", "", None


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
