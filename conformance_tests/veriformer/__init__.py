"""Veriformer: is this Transformer implementation right?

Three doors, one engine: ``veriformer.check(build)`` returns a result, ``veriformer.conformance(build)`` makes tests for a suite of
one's own, and the command ``veriformer check TARGET`` does the same from a shell.

The names below are loaded when they are first used (PEP 562): pytest imports this package to load its plugin, and runs that have
nothing to do with Transformers must not pay for importing torch. No submodule bears one of these names: importing it would put the
module in the function's place.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from veriformer.comparison import Comparison, compare
    from veriformer.declaration import Fixed, subject
    from veriformer.errors import Unsupported
    from veriformer.result import Result
    from veriformer.run import check
    from veriformer.steps import Steps
    from veriformer.testing import conformance
    from veriformer_spec.config import Config

__version__ = "0.1.0"
__all__ = [
    "Comparison",
    "Config",
    "Fixed",
    "Result",
    "Steps",
    "Unsupported",
    "check",
    "compare",
    "conformance",
    "subject",
]

_HOME = {
    "check": "veriformer.run",
    "compare": "veriformer.comparison",
    "Comparison": "veriformer.comparison",
    "conformance": "veriformer.testing",
    "subject": "veriformer.declaration",
    "Config": "veriformer_spec.config",
    "Fixed": "veriformer.declaration",
    "Steps": "veriformer.steps",
    "Unsupported": "veriformer.errors",
    "Result": "veriformer.result",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"veriformer has no {name}; it has {', '.join(__all__)}")
    import importlib

    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
