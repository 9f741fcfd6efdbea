"""A child process that works and reports; the parent reads what it says, waits no longer than it will, and survives it.

Only a process of its own makes "the run goes on" true: an endless loop in C hears no alarm, and a segmentation fault or
``os._exit`` takes its process along.
"""

import contextlib
import ctypes
import faulthandler
import gc
import os
import select
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from typing import Self

import msgspec

from veriformer.events import Broke, Event

Emit = Callable[[Event], None]
_ENCODER = msgspec.json.Encoder()
_DECODER: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)
_LOOK = 0.2
"""Seconds between two looks at whether the child still lives: a grandchild may hold its end of the pipe open."""
_PR_SET_PDEATHSIG = 1


class Ended(Exception):  # how a child ended is no error of ours
    """The child said nothing more: it died, or was ended because it took too long."""


def why_no_child() -> str:
    """Why a child process cannot be had here; empty where it can."""
    import torch

    if not hasattr(os, "fork"):
        return "this system has no fork"
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]  # torch leaves it so
        return "CUDA is already in use in this process, and does not survive a fork"
    return ""


class Child:
    """A forked process that runs ``work``; used as a context, at whose end it is gone.

    Args:
        work: is given a function that sends an event to the parent.
        memory: GiB of address space that it may take beyond what it has; 0 sets no limit.
    """

    def __init__(self, work: Callable[[Emit], None], *, memory: float = 0.0) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        self._read, write = map(_out_of_the_way, os.pipe())
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", DeprecationWarning
            )  # "may deadlock": the child takes no lock that a thread could hold
            self.pid = os.fork()
        if self.pid == 0:
            os.close(self._read)
            _live(work, write, memory)
        os.close(write)
        self._pending = b""
        self._status: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def next_event(self, until: float) -> Event:
        """The next event.

        Args:
            until: a time by ``time.monotonic`` at which to lose patience.

        Raises:
            Ended: there will be none, because the child died.
            TimeoutError: it said nothing in time.
        """
        while b"\n" not in self._pending:
            left = until - time.monotonic()
            if left <= 0:
                raise TimeoutError
            if select.select([self._read], [], [], min(left, _LOOK))[0]:
                received = os.read(self._read, 1 << 16)
                self._pending += received
                if not received:
                    raise Ended(self._how_it_died())
            elif self._died():
                raise Ended(self._how_it_died())
        line, _, self._pending = self._pending.partition(b"\n")
        return _DECODER.decode(line)

    def end(self) -> None:
        """Kill the child and what it started, and wait until it is gone."""
        if self._status is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            self._status = os.waitpid(self.pid, 0)[1]
        if self._read >= 0:
            os.close(self._read)
            self._read = -1

    def _died(self) -> bool:
        if self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._status = status
        return self._status is not None and not select.select([self._read], [], [], 0)[0]

    def _how_it_died(self) -> str:
        for _ in range(20):  # the pipe closes a little before the process is gone
            if self._status is not None:
                break
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._status = status
            else:
                time.sleep(0.01)
        if self._status is None:
            return "the process closed its line to the suite"
        code = os.waitstatus_to_exitcode(self._status)
        if code < 0:
            return f"the process died ({signal.Signals(-code).name}, signal {-code})"
        return f"the process ended itself (os._exit({code}))"


def _out_of_the_way(descriptor: int) -> int:
    """The same end of a pipe, and not in the place of a standard stream that happened to be closed: the child silences those."""
    if descriptor > 2:
        return descriptor
    import fcntl  # where there is fork, there is this

    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 3)
    os.close(descriptor)
    return moved


def _live(work: Callable[[Emit], None], write: int, memory: float) -> None:
    """The child's whole life; it never returns."""

    def emit(event: Event) -> None:
        line = memoryview(_ENCODER.encode(event) + b"\n")
        while line:
            line = line[os.write(write, line) :]

    code = 1
    try:
        _settle(memory)
        work(emit)
        code = 0
    except BaseException as error:  # noqa: BLE001  # whatever it was, nobody above this line may see a second process
        with contextlib.suppress(BaseException):
            emit(Broke(told(error)))
    os._exit(code)


def told(error: BaseException) -> str:
    """An exception in one line, with the last line of code that it came through."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    said = (str(error).strip() or "no message").split("\n")[0][:300]
    return f"{type(error).__name__} at {last.filename.rpartition('/')[2]}:{last.lineno}: {said}"


def _settle(memory: float) -> None:
    """Be silent, be small, use one thread, and do not outlive the parent."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    import torch

    torch.set_num_threads(1)
    with contextlib.suppress(OSError):
        os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    faulthandler.disable()
    gc.freeze()  # torch's half a million objects never become garbage: collections need not walk over them
    silence = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(silence, stream)
    sys.stdin = open(os.devnull)  # noqa: SIM115, PTH123  # as long-lived as the process
    sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115, PTH123
    sys.__stdout__ = sys.__stderr__ = sys.stdout  # type: ignore[misc]  # a subject may write to these, too
    _limit_memory(memory)


def _limit_memory(gib: float) -> None:
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if gib <= 0:
            return
        pages = int(open("/proc/self/statm").read().split()[0])  # noqa: SIM115, PTH123  # one line of /proc
        limit = pages * resource.getpagesize() + int(gib * 2**30)
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        if hard == resource.RLIM_INFINITY or limit < hard:
            resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    except (ImportError, OSError, ValueError):
        return  # no limits here; everything else still holds
