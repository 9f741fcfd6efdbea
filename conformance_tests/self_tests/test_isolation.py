"""The child process: it says what happens, dies alone, and leaves nothing behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from veriformer.events import Begin, Broke, CaseSeen, Finished
from veriformer.isolation import Child, Emit, Ended, why_no_child


def soon(seconds: float = 20.0) -> float:
    return time.monotonic() + seconds


def test_events_arrive_in_order_and_whole() -> None:
    """Also those that are longer than a pipe holds."""

    def work(emit: Emit) -> None:
        for index in range(50):
            emit(CaseSeen(f"{index} " * 5000))
        emit(Finished())

    with Child(work) as child:
        seen = [child.next_event(soon()) for _ in range(51)]
        assert seen[:-1] == [CaseSeen(f"{index} " * 5000) for index in range(50)]
        assert seen[-1] == Finished()
        with pytest.raises(Ended, match=r"os._exit\(0\)"):
            child.next_event(soon())


def test_a_child_that_says_nothing_is_waited_for_no_longer_than_is_said() -> None:
    """Then it is killed, with what it started."""
    with Child(lambda emit: time.sleep(60)) as child, pytest.raises(TimeoutError):
        child.next_event(soon(0.1))
    with pytest.raises(ProcessLookupError):
        os.kill(child.pid, 0)


def test_how_a_child_died() -> None:
    """By a signal, by its own exit, or by a mistake of the suite's, which it tells."""
    with (
        Child(lambda emit: os.kill(os.getpid(), signal.SIGKILL)) as child,
        pytest.raises(Ended, match="SIGKILL, signal 9"),
    ):
        child.next_event(soon())
    with Child(lambda emit: os._exit(7)) as child, pytest.raises(Ended, match=r"os._exit\(7\)"):
        child.next_event(soon())

    def breaks(emit: Emit) -> None:
        raise LookupError("oh")

    with Child(breaks) as child:
        event = child.next_event(soon())
        assert isinstance(event, Broke)
        assert "LookupError at test_isolation.py" in event.why


def test_a_grandchild_that_holds_the_line_does_not_hold_up_the_parent() -> None:
    """The child is gone although its end of the pipe is still open."""

    def work(emit: Emit) -> None:
        emit(Begin(0, "clause"))
        if os.fork() == 0:
            time.sleep(60)
        os._exit(3)

    started = time.monotonic()
    with Child(work) as child:
        assert child.next_event(soon()) == Begin(0, "clause")
        with pytest.raises(Ended, match=r"os._exit\(3\)"):
            child.next_event(soon())
    assert time.monotonic() - started < 15


def test_a_child_that_closes_its_line() -> None:
    """It may still live; nothing more will come from it, so it is ended."""

    def work(emit: Emit) -> None:
        os.closerange(3, 256)
        time.sleep(60)

    with Child(work) as child, pytest.raises(Ended, match="closed its line"):
        child.next_event(soon())


def answer(question: Callable[[], object]) -> str:
    """What ``question`` finds in a child."""

    def work(emit: Emit) -> None:
        emit(CaseSeen(str(question())))

    with Child(work, memory=1.0) as child:
        event = child.next_event(soon())
        assert isinstance(event, CaseSeen), event
        return event.case


def test_a_child_is_quiet_small_and_uses_one_thread() -> None:
    """Nothing it writes is seen; its memory is limited; torch uses one thread; the terminal's Ctrl-C is not for it."""
    import resource

    import torch

    assert answer(torch.get_num_threads) == "1"
    assert answer(lambda: f"{sys.stdin.read()}") == ""
    assert answer(lambda: os.getsid(0) == os.getpid()) == "True"
    assert int(answer(lambda: resource.getrlimit(resource.RLIMIT_AS)[0])) > 0

    def greedy() -> str:
        try:
            torch.ones(2**32, dtype=torch.uint8)
        except RuntimeError as error:
            return str(error)
        return "there was enough"

    assert "memory" in answer(greedy)


def test_where_there_is_no_fork(monkeypatch: pytest.MonkeyPatch) -> None:
    """The run goes on inside the process, and says so."""
    import torch
    from torch import nn

    import veriformer

    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    assert "CUDA" in why_no_child()
    monkeypatch.delattr(os, "fork")
    assert "no fork" in why_no_child()
    result = veriformer.check(
        lambda config: nn.LayerNorm(config.d_model),
        role="layer-norm",
        only="state.inputs-are-not-modified",
        budget="quick",
    )
    assert result.conformant
    assert any("judged inside this process" in note for note in result.notes)


def test_a_child_does_not_outlive_a_parent_that_is_killed() -> None:
    """Linux ends it."""
    if sys.platform != "linux":
        pytest.skip("only Linux can promise that")
    code = (
        "import time, os\n"
        "from veriformer.isolation import Child\n"
        "child = Child(lambda emit: time.sleep(60))\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        time.sleep(1)
        parent.kill()
    for _ in range(100):
        try:
            if Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z":
                return
        except FileNotFoundError:
            return
        time.sleep(0.05)
    pytest.fail("the child lives")


def test_a_parent_whose_standard_streams_are_closed() -> None:
    """The pipe must not take their place: the child silences them."""
    code = (
        "import os, time\n"
        "os.close(0); os.close(1); os.close(2)\n"
        "from veriformer.events import Finished\n"
        "from veriformer.isolation import Child\n"
        "with Child(lambda emit: emit(Finished())) as child:\n"
        "    os._exit(0 if child.next_event(time.monotonic() + 30) == Finished() else 1)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
