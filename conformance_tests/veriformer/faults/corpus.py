"""The corpus: faults that people really made, each with what the catalogue has for it, or why it can have nothing.

``corpus.jsonl`` holds one of them on each line, with its source.
"""

import functools
import importlib.resources
import json
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One fault of the corpus.

    Attributes:
        id: its permanent name in the corpus.
        component: the part of a Transformer that it is in.
        fault: what was done.
        correct: what should have been done.
        source: where it was seen; ``experience`` where nobody wrote it down.
        expressed_by: the catalogued faults that express it, the nearest first.
        kind: where there are none, what kind of thing it is.
        reason: where there are none, why.
    """

    id: str
    component: str
    fault: str
    correct: str
    source: str
    expressed_by: tuple[str, ...] = ()
    kind: str = ""
    reason: str = ""


@functools.cache
def table() -> tuple[Seen, ...]:
    """The whole corpus, component by component."""
    text = importlib.resources.files("veriformer.faults").joinpath("corpus.jsonl").read_text(encoding="utf-8")
    lines = (json.loads(line) for line in text.splitlines())
    return tuple(Seen(**{**line, "expressed_by": tuple(line.get("expressed_by", ()))}) for line in lines)


def seen_as(fault: str) -> tuple[Seen, ...]:
    """What of the corpus the catalogued fault of that id expresses."""
    return tuple(each for each in table() if fault in each.expressed_by)
