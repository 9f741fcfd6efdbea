"""Signature: a guess from which clauses failed, where nothing can be compared."""

import functools
from collections.abc import Mapping, Sequence

from veriformer.diagnosis.naming import said
from veriformer.faults.catalogue import FAULTS
from veriformer.faults.kills import kills
from veriformer.subjects import Subject
from veriformer.verdict import Diagnosis, Finding, Status, Verdict

BASIS = "clauses that failed"
ALIKE = 0.7
"""How much of two sets of clauses must be common to both for a guess to be worth saying."""
MOST = 4
"""Names in one guess: of more, none is worth saying."""


def guessed(subject: Subject, verdicts: Sequence[Verdict], why: str) -> Diagnosis:
    """The faults whose clauses are most like those that failed, said to be a guess.

    Args:
        why: why nothing could be compared.
    """
    ran = {each.clause for each in verdicts if each.status in (Status.PASS, Status.FAIL, Status.ERROR)}
    failed = {each.clause for each in verdicts if each.status in (Status.FAIL, Status.ERROR)}
    if not failed:
        return said(BASIS, [], f"nothing to guess from: no clause failed ({why})")
    alike = {name: _alike(killed & ran, failed) for name, killed in killers(subject.role).items()}
    most = max(alike.values(), default=0.0)
    best = [name for name, each in alike.items() if each == most]
    if most < ALIKE or len(best) > MOST:
        return said(BASIS, [], f"the clauses that failed are like those of no single fault ({why})")
    sentence = f"a guess from the clauses that failed, as nothing could be compared ({why}): {' or '.join(best)}"
    return said(BASIS, [_guess(name) for name in best], sentence)


def _guess(name: str) -> Finding:
    fault = FAULTS[name]
    return Finding(
        faults=[name], exact=False, sentence=fault.sentence, written=fault.written, mend=fault.mend, source=fault.source
    )


def _alike(one: set[str], other: set[str]) -> float:
    """The share of common clauses."""
    return len(one & other) / max(len(one | other), 1)


@functools.cache
def killers(role: str) -> Mapping[str, set[str]]:
    """The clauses that are known to catch each fault in a role: from the kill matrix, or what the catalogue promises."""
    found: dict[str, set[str]] = {}
    for kill in kills():
        if kill.role == role and kill.fault in FAULTS and FAULTS[kill.fault].patches:
            found.setdefault(kill.fault, set()).update(kill.clauses)
    if found:
        return found
    return {
        name: {clause.id for clause in fault.clauses}
        for name, fault in FAULTS.items()
        if any(each.role == role for each in fault.planted)
    }
