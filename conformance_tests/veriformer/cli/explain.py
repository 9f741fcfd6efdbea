"""``veriformer explain``: everything known about one clause, fault or near-miss."""

from typing import TYPE_CHECKING

import click

from veriformer.cli.refusal import Refusal

if TYPE_CHECKING:
    from veriformer.faults.fault import Fault, NearMiss
    from veriformer.traceability import Thread


@click.command(name="explain")
@click.argument("name", metavar="CLAUSE|FAULT")
def command(name: str) -> int:
    """Explain a clause, a catalogued fault or a near-miss."""
    from veriformer.faults.catalogue import FAULTS, NEAR_MISSES, SYNONYMS
    from veriformer.request import nearest
    from veriformer.traceability import table
    from veriformer_spec.chapters import CLAUSES

    if name in CLAUSES:
        _clause(next(thread for thread in table() if thread.clause.id == name))
    elif name in FAULTS or name in SYNONYMS:
        _fault(FAULTS[SYNONYMS.get(name, name)])
    elif name in NEAR_MISSES:
        _near_miss(NEAR_MISSES[name])
    else:
        raise Refusal(
            f"no clause, fault or near-miss is called {name!r}; {nearest(name, [*CLAUSES, *FAULTS, *NEAR_MISSES])}", 2
        )
    return 0


def _clause(thread: "Thread") -> None:
    clause = thread.clause
    click.secho(f"{clause.id} ({clause.level})", bold=True)
    asked_of = ", ".join(clause.roles)
    if clause.when:
        said = (f"{claim} is {' or '.join(_value(each) for each in values)}" for claim, values in clause.when.items())
        asked_of = f"{asked_of}, where {' and '.join(said)}"
    _rows(
        ("", clause.text),
        ("source", clause.source),
        ("usually broken by", clause.breaks),
        ("asked of", asked_of),
        ("masks needed", " or ".join(clause.needs_masks)),
        ("tested by", ", ".join(thread.properties)),
        ("faults that die by it", ", ".join(thread.faults)),
        ("near-misses that live", ", ".join(thread.near_misses)),
    )


def _value(value: object) -> str:
    return f"any {value.__name__}" if isinstance(value, type) else str(value)


def _fault(fault: "Fault") -> None:
    from veriformer.cli.catalogue_listing import roles_of, style_of
    from veriformer.faults.corpus import seen_as

    click.secho(f"{fault.id} (fault, {style_of(fault)})", bold=True)
    roles = roles_of(fault)
    _rows(
        ("", fault.sentence),
        ("also called", ", ".join(fault.synonyms)),
        ("source", fault.source),
        ("in the corpus", "\n".join(f"{each.id}: {each.fault} ({each.source})" for each in seen_as(fault.id))),
        ("usually written", fault.written),
        ("mend", fault.mend),
        ("dies by", ", ".join(clause.id for clause in fault.clauses)),
        ("in the roles", ", ".join(f"{role} ({number})" if number > 1 else role for role, number in roles.items())),
        ("planted in", ", ".join(each.name.removesuffix(f" with {fault.id}") for each in fault.planted_subjects())),
        ("written as", ", ".join(each.name for each in fault.foreign_subjects())),
        ("equals", ", ".join(f"{build}: {equal}" for build, equal in fault.same_as.items())),
        ("equalled by", ", ".join(_equalled_by(fault.id))),
    )


def _equalled_by(name: str) -> list[str]:
    """Builds of other faults that are this one, written without the reference."""
    from veriformer.faults.catalogue import FAULTS

    return [
        f"{build} of {fault.id}" for fault in FAULTS.values() for build in fault.same_as if name in fault.equals(build)
    ]


def _near_miss(near_miss: "NearMiss") -> None:
    click.secho(f"{near_miss.id} (near-miss: legal, unusual, correct)", bold=True)
    _rows(("", near_miss.sentence), ("lives in spite of", ", ".join(clause.id for clause in near_miss.clauses)))


def _rows(*rows: tuple[str, str]) -> None:
    for label, said in rows:
        if said:
            lines = said.split("\n")
            click.echo(f"  {f'{label}: ' if label else ''}{lines[0]}")
            for line in lines[1:]:
                click.echo(f"      {line}")
