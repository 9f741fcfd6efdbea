"""Who kills whom: the kill matrix as data, so that a run can say what it could have missed without loading the catalogue.

Written by ``python benchmarks/kills.py``: each fault with the clauses that must catch it, which ``veriformer faults --matrix`` proves.
"""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from veriformer_spec.config import CLAIMS
from veriformer_spec.role import Role

PATH = Path(__file__).parent / "kills.json"


class Kill(msgspec.Struct, frozen=True, kw_only=True):
    """One faulty subject, and clauses that are known to catch it.

    Attributes:
        fault: its id in the catalogue.
        claims: those that differ from the role's defaults.
    """

    fault: str
    role: str
    claims: dict[str, Any] = {}
    clauses: list[str]


@functools.cache
def kills() -> tuple[Kill, ...]:
    """Every faulty subject of the catalogue."""
    return tuple(msgspec.json.decode(PATH.read_bytes(), type=list[Kill])) if PATH.exists() else ()


def encoded(found: list[Kill]) -> bytes:
    """The file's content: one subject a line, in the catalogue's order."""
    lines = [msgspec.json.encode(each, order="deterministic") for each in found]
    return b"[\n" + b",\n".join(lines) + b"\n]\n"


def unusual(role: Role, claims: Mapping[str, Any]) -> dict[str, Any]:
    """The claims that differ from the role's defaults, as JSON can hold them."""
    said = {}
    for name, value in claims.items():
        default = CLAIMS[name].default_for(role)
        if name == "nothing_visible":
            default = {"grad": default, "no-grad": default}
        if value != default:
            said[name] = list(value) if isinstance(value, tuple) else value
    return said
