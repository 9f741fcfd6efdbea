"""Record: what became of every mutant, kept from run to run as lines of JSON outside the repository."""

import dataclasses
import functools
import hashlib
import json
from pathlib import Path

import veriformer
import veriformer_reference
import veriformer_spec
from veriformer.mutation.explained import EQUIVALENT
from veriformer.mutation.judging import Outcome
from veriformer.mutation.mutants import Mutant


class Results:
    """Outcomes by the mutant's id; several processes may add to one file at a time.

    A kill of another state of the sources is no result any more, but says which clause to ask first.

    Args:
        trust: take results of other states of the sources for results.
    """

    def __init__(self, cache: Path, *, trust: bool = False) -> None:
        self._path, self._trust = cache / "results.jsonl", trust
        self.known: dict[str, Outcome] = {}
        if self._path.exists():
            for line in self._path.read_text().splitlines():
                outcome = Outcome(**json.loads(line))
                self.known[outcome.id] = outcome

    def stands(self, mutant: Mutant, *, again: bool = False) -> bool:
        """Whether a mutant needs no judging any more."""
        outcome = self.known.get(mutant.id)
        if outcome is None or not (self._trust or outcome.fingerprint == fingerprint()):
            return False
        return bool(outcome.killed) or not again or mutant.id in EQUIVALENT

    def add(self, outcome: Outcome) -> None:
        """Keep what became of a mutant."""
        outcome = dataclasses.replace(outcome, fingerprint=fingerprint())
        self.known[outcome.id] = outcome
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a") as lines:
            lines.write(json.dumps(dataclasses.asdict(outcome)) + "\n")


@functools.cache
def reference_fingerprint() -> str:
    """Eight digits that change with the reference."""
    return _digest(_home(veriformer_reference).glob("*.py"))


@functools.cache
def fingerprint() -> str:
    """Eight digits that change with the specification, the reference, the properties and what these use."""
    suite = _home(veriformer)
    return _digest(
        [
            *_home(veriformer_spec).glob("*.py"),
            *_home(veriformer_reference).glob("*.py"),
            *suite.glob("*.py"),
            *(suite / "suite").glob("*.py"),
        ]
    )


def _home(package: object) -> Path:
    return Path(str(getattr(package, "__file__", ""))).parent


def _digest(files: object) -> str:
    digest = hashlib.sha256()
    for file in sorted(files):  # type: ignore[call-overload]  # an iterable of paths
        digest.update(Path(file).read_bytes())
    return digest.hexdigest()[:8]
