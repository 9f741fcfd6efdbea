"""The pytest plugin: ``pytest --pyargs veriformer.suite --veriformer-subject TARGET`` judges a subject, an item for each clause.

pytest imports this file in every run on a machine where Veriformer is installed. It imports nothing of Veriformer until a property
is collected, and torch with it.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from veriformer.run import Session
    from veriformer.worker import Found

_PROPERTY = "__veriformer_property__"
"""Where ``veriformer.property.checks`` leaves its mark; spelled out, because importing it would import torch."""

HOW = "say what to judge: pytest --pyargs veriformer.suite --veriformer-subject mymodel.py:build (or torch.nn, reference, ...)"

_OPTIONS: Sequence[tuple[str, dict[str, Any]]] = (
    (
        "subject",
        {
            "action": "append",
            "default": [],
            "metavar": "TARGET",
            "help": "file.py:name, package.module:name or a built-in name",
        },
    ),
    ("budget", {"default": "standard", "help": "quick, standard or deep: 5, 25 or 400 cases for each property"}),
    ("device", {"default": "cpu", "help": "cpu, cuda, cuda:1"}),
    ("dtype", {"default": "float64", "help": "what the subject is built and called in"}),
    ("seed", {"type": int, "default": 0, "help": "0 draws the same cases each time; another number hunts"}),
    ("only", {"action": "append", "default": [], "metavar": "CLAUSE", "help": "a clause's id or a chapter"}),
    ("skip", {"action": "append", "default": [], "metavar": "CLAUSE", "help": "likewise, left out"}),
    ("expect-failures", {"metavar": "FILE", "help": "failures that are known (TOML)"}),
    ("time-limit", {"type": float, "default": 60.0, "metavar": "SECONDS", "help": "for one clause"}),
    ("no-isolate", {"action": "store_true", "help": "judge inside this process: for debugging"}),
)

_SESSIONS = pytest.StashKey["list[Session]"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of our own, with a prefix: a plain ``--device`` would break other people's runs."""
    group = parser.getgroup("veriformer", "Veriformer: judge a Transformer implementation by the suite's clauses")
    for name, settings in _OPTIONS:
        group.addoption(f"--veriformer-{name}", **settings)


def pytest_collection(session: pytest.Session) -> None:
    """Load what is to be judged before anything is collected: what is wrong with it is said once."""
    if session.config.getoption("--veriformer-subject"):
        _sessions(session.config)


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(
    collector: pytest.Module | pytest.Class,
    obj: object,
) -> "list[pytest.Item] | None":
    """Turn a property into one item for each subject; a clause with several properties is one item, at the first of them."""
    declared = getattr(obj, _PROPERTY, None)
    if declared is None or not isinstance(collector, pytest.Module):
        return None
    if getattr(obj, "__module__", None) != collector.obj.__name__:
        return []  # imported from the suite into somebody's tests, to be used and not to be collected
    if not collector.config.getoption("--veriformer-subject"):
        return list(_how_to(collector))
    from veriformer.worker import every_property

    clause = declared.clause.id
    if every_property()[clause][0].name != declared.name:
        return []
    return [
        ClauseItem.from_parent(
            collector, name=f"{clause}[{session.subject.declaration.name}]", clause=clause, judged_in=session
        )
        for session in _sessions(collector.config)
        if clause in session.clauses
    ]


def _how_to(collector: pytest.Module) -> Iterator[pytest.Item]:
    """One item in the whole run that says what is missing."""
    if not getattr(collector.session, "_veriformer_said_how", False):
        collector.session._veriformer_said_how = True  # type: ignore[attr-defined]  # noqa: SLF001  # lives as long as the run
        yield HowToItem.from_parent(collector, name="veriformer")


def _sessions(config: pytest.Config) -> "list[Session]":
    """The subjects that were asked for, loaded once."""
    if _SESSIONS not in config.stash:
        config.stash[_SESSIONS] = _loaded(config)
    return config.stash[_SESSIONS]


def _loaded(config: pytest.Config) -> "list[Session]":
    from veriformer.errors import CannotLoad, UsageError
    from veriformer.expectations import read
    from veriformer.prechecks import precheck
    from veriformer.request import Request
    from veriformer.run import Session
    from veriformer.targets import Target
    from veriformer_spec.config import ClaimError

    def option(name: str) -> Any:
        return config.getoption(f"--veriformer-{name}")

    try:
        expected = option("expect-failures")
        request = Request(
            budget=option("budget"),
            device=option("device"),
            dtype=option("dtype"),
            seed=option("seed"),
            only=tuple(option("only")),
            skip=tuple(option("skip")),
            expected=read(expected) if expected else (),
            isolate=not option("no-isolate"),
            time_limit=option("time-limit"),
        )
        found: list[Found] = []
        for text in option("subject"):
            precheck(text)
            found += Target(text=text).load()
    except (UsageError, ClaimError, CannotLoad) as refused:
        raise pytest.UsageError(f"veriformer: {refused}") from None
    return [Session(each, request) for each in found]


class ClauseItem(pytest.Item):
    """One clause on one subject."""

    def __init__(self, *, clause: str, judged_in: "Session", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.clause = clause
        self.judged_in = judged_in

    def runtest(self) -> None:
        """Judge."""
        from veriformer.testing import require

        require(self.judged_in, self.clause)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Where it stands, for the report."""
        return self.path, None, self.name


class HowToItem(pytest.Item):
    """Skips, and says how the suite is meant to be run."""

    def runtest(self) -> None:
        """Say it."""
        pytest.skip(HOW)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Where it stands, for the report."""
        return self.path, None, "veriformer"
