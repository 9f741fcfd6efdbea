"""What is written to standard output and standard error while a subject runs, by Python or below it."""

import contextlib
import io
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator


class Captured:
    """What was written, once the capture is over."""

    text = ""


@contextlib.contextmanager
def captured() -> Iterator[Captured]:
    """Catch what Python prints and what compiled code writes to the two file descriptors; warnings are no prints."""
    printed = io.StringIO()
    result = Captured()
    with contextlib.ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        stack.enter_context(_no_last_resort())
        files = [stack.enter_context(_redirected(descriptor)) for descriptor in (1, 2)]
        stack.enter_context(contextlib.redirect_stdout(printed))
        stack.enter_context(contextlib.redirect_stderr(printed))
        yield result
        below = b""
        for file in files:
            file.seek(0)
            below += file.read()
    result.text = printed.getvalue() + below.decode(errors="replace")


@contextlib.contextmanager
def _redirected(descriptor: int) -> Iterator[io.BufferedRandom]:
    """Let a file descriptor point to a file; what was buffered before is written where it belongs first."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    kept = os.dup(descriptor)
    try:
        with tempfile.TemporaryFile() as file:
            os.dup2(file.fileno(), descriptor)
            try:
                yield file
            finally:
                os.dup2(kept, descriptor)
    finally:
        os.close(kept)


@contextlib.contextmanager
def _no_last_resort() -> Iterator[None]:
    """A log record without a handler is written to standard error by Python, not by the subject."""
    before, logging.lastResort = logging.lastResort, None
    try:
        yield
    finally:
        logging.lastResort = before
