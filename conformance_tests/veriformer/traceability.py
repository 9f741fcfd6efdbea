"""Traceability: clause -> properties -> faults, and what has no thread to follow."""

import dataclasses
from collections.abc import Iterator

from veriformer.faults.catalogue import FAULTS, NEAR_MISSES
from veriformer.property import properties
from veriformer_spec.chapters import CLAUSES
from veriformer_spec.clause import Clause


@dataclasses.dataclass(frozen=True)
class Thread:
    """One clause and everything that hangs on it.

    Attributes:
        properties: names of the functions that can fail it.
        faults: faults that must die by it.
        foreign: those among them that were written without the reference, alone or as well.
        near_misses: correct subjects that a careless property would fail by it.
    """

    clause: Clause
    properties: tuple[str, ...]
    faults: tuple[str, ...]
    foreign: tuple[str, ...]
    near_misses: tuple[str, ...]


def table() -> tuple[Thread, ...]:
    """Every clause, in the specification's order."""
    known = properties()
    return tuple(
        Thread(
            clause=clause,
            properties=tuple(each.name for each in known[clause.id]),
            faults=tuple(fault.id for fault in FAULTS.values() if clause in fault.clauses),
            foreign=tuple(fault.id for fault in FAULTS.values() if clause in fault.clauses and fault.builds),
            near_misses=tuple(each.id for each in NEAR_MISSES.values() if clause in each.clauses),
        )
        for clause in CLAUSES.values()
    )


def problems() -> Iterator[str]:
    """What is broken, a sentence each: an orphan clause, fault or near-miss, or a sentence that changed under its property."""
    for thread in table():
        name = thread.clause.id
        if not thread.properties:
            yield f"{name}: no property can fail it"
        if not thread.faults:
            yield f"{name}: no fault must die by it"
        elif not thread.foreign and name not in WITHOUT_A_FOREIGN_FAULT:
            yield f"{name}: every fault that must die by it was written against the reference"
        if not thread.near_misses:
            yield f"{name}: no near-miss must pass it"
    for declared in (each for group in properties().values() for each in group):
        if declared.sentence != declared.clause.sentence_hash:
            yield (
                f"{declared.name}: the sentence of {declared.clause.id} has changed: look again whether the property still tests it, "
                f"then store sentence={declared.clause.sentence_hash!r}"
            )
    for fault in FAULTS.values():
        if not fault.clauses:
            yield f"fault {fault.id}: dies by no clause"
        if not fault.patches and not fault.builds:
            yield f"fault {fault.id}: has neither patches nor builds"
        if bool(fault.patches) != bool(fault.planted):
            yield f"fault {fault.id}: has patches and is planted nowhere, or the other way round"
        subjects = fault.subjects()
        for clause in fault.clauses:
            if not any(clause.selected_by(each.role, each.claims) for each in subjects):
                yield f"fault {fault.id}: {clause.id} is asked of none of its subjects"
    for near_miss in NEAR_MISSES.values():
        if not near_miss.clauses:
            yield f"near-miss {near_miss.id}: is near no clause"


WITHOUT_A_FOREIGN_FAULT: dict[str, str] = {}
"""Clauses whose faults are all written against the reference, with the reason."""


def as_markdown() -> str:
    """The specification and the matrix, as one document."""
    lines = [
        "# The specification, and what tests it",
        "",
        "Written by `veriformer clauses --markdown docs/clauses.md`. Each clause: its sentence, where it comes from, what usually breaks",
        "it, the properties that can fail it, and the catalogued faults that must die by it (*italic*: written without the reference).",
    ]
    chapter = ""
    for thread in table():
        clause = thread.clause
        if clause.chapter != chapter:
            chapter = clause.chapter
            lines += ["", f"## {chapter}"]
        faults = ", ".join(f"*{each}*" if each in thread.foreign else each for each in thread.faults)
        lines += [
            "",
            f"### {clause.id}",
            "",
            f"**{clause.level}**: {clause.text}.",
            "",
            f"- asked of: {', '.join(clause.roles)}{_selection(clause)}",
            f"- source: {clause.source}",
            f"- what usually breaks it: {clause.breaks}",
            f"- properties: {', '.join(f'`{each}`' for each in thread.properties)}",
            f"- faults: {faults}",
            f"- near-misses: {', '.join(thread.near_misses)}",
        ]
    return "\n".join(lines) + "\n"


def _selection(clause: Clause) -> str:
    parts = [
        f"{name} = {' or '.join(each.__name__ if isinstance(each, type) else str(each) for each in values)}"
        for name, values in clause.when.items()
    ]
    if clause.needs_masks:
        parts.append(f"a {' or '.join(clause.needs_masks)} mask is accepted")
    return f", where {', and '.join(parts)}" if parts else ""
