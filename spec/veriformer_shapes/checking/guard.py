"""A mistake of this plugin costs a finding, never the run."""

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from mypy.options import Options

failures: list[tuple[str, BaseException]] = []
"""What went wrong in this process, for the tests of the plugin itself."""


@contextmanager
def guarded(where: str, options: Options) -> Iterator[None]:
    """Give up on one function if the plugin fails on it; mypy's own check is not touched.

    With ``--show-traceback`` the failure is printed.
    """
    try:
        yield
    except Exception as failure:
        failures.append((where, failure))
        if options.show_traceback:
            print(f"veriformer_shapes failed on {where}:", file=sys.stderr)
            traceback.print_exc()
