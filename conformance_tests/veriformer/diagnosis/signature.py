"""Signature: a guess from which clauses failed, where nothing can be compared."""

import functools
import json
from collections.abc import Mapping, Sequence
from importlib import resources

from veriformer.diagnosis.naming import said
from veriformer.faults.catalogue import FAULTS
from veriformer.subjects import Subject
from veriformer.verdict import Diagnosis, Finding, Status, Verdict

BASIS = "clauses that failed"
ALIKE = 0.7
"""How much of two sets of clauses must be common to both for a guess to be worth saying."""


def guessed(subject: Subject, verdicts: Sequence[Verdict], why: str) -> Diagnosis:
    """The faults whose clauses are most like those that failed, said to be a guess.

    Args:
        why: why nothing could be compared.
    """
    ran = {each.clause for each in verdicts if each.status in (Status.PASS, Status.FAIL, Status.ERROR)}
    failed = {each.clause for each in verdicts if each.status in (Status.FAIL, Status.ERROR)}
    if not failed:
        return said(BASIS, [], f"nothing to guess from: no clause failed ({why})")
    likely = sorted(((_alike(killed & ran, failed), name) for name, killed in killers(subject.role).items()), reverse=True)
    best = [name for alike, name in likely if likely[0][0] >= ALIKE and alike == likely[0][0]]
    if not best or len(best) > 5:
        return said(BASIS, [], f"the clauses that failed are like those of no single fault ({why})")
    findings = [_guess(name) for name in best]
    return said(BASIS, findings, f"a guess from the clauses that failed, as nothing could be compared ({why}): {' or '.join(best)}")


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
    found = resources.files("veriformer.faults").joinpath("kills.json")
    if found.is_file():
        matrix = json.loads(found.read_text())
        return {name: set(roles[role]) for name, roles in matrix.items() if name in FAULTS and role in roles}
    return {
        name: {clause.id for clause in fault.clauses}
        for name, fault in FAULTS.items()
        if any(each.role == role for each in fault.planted)
    }
