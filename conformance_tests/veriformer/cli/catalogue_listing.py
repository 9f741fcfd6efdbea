"""What ``veriformer faults`` lists: the catalogue, filtered and searched, and the corpus that it answers to."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

import click

from veriformer.cli.refusal import Refusal

if TYPE_CHECKING:
    from veriformer.faults.fault import Fault, NearMiss

KINDS = ("planted", "foreign")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Filter:
    """What is asked for; what is empty is not asked.

    Attributes:
        kind: ``planted`` in the reference, or ``foreign``: written without it, alone or as well.
        words: each must stand somewhere in what is written of the fault.
    """

    roles: tuple[str, ...] = ()
    chapters: tuple[str, ...] = ()
    clause: str = ""
    kind: str = ""
    words: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return any(dataclasses.astuple(self))

    def require_known(self) -> None:
        """Refuse a role, chapter or clause that does not exist.

        Raises:
            Refusal: with the nearest name.
        """
        from veriformer.request import nearest
        from veriformer_spec.chapters import CLAUSES
        from veriformer_spec.role import Role

        known: Mapping[str, tuple[Iterable[str], Iterable[str]]] = {
            "role": (self.roles, Role),
            "chapter": (self.chapters, dict.fromkeys(clause.chapter for clause in CLAUSES.values())),
            "clause": (filter(None, [self.clause]), CLAUSES),
        }
        for name, (asked, values) in known.items():
            listed = [str(each) for each in values]
            for one in asked:
                if one not in listed:
                    hint = nearest(one, listed)
                    raise Refusal(f"no {name} is called {one!r}; {hint}", 2)

    def lets_through(self, entry: "Fault | NearMiss") -> bool:
        """Whether the fault or near-miss is what is asked for."""
        from veriformer.faults.fault import Fault

        clauses = entry.clauses
        if self.clause and self.clause not in {each.id for each in clauses}:
            return False
        if self.chapters and not {each.chapter for each in clauses} & set(self.chapters):
            return False
        if self.roles and not roles_of(entry).keys() & set(self.roles):
            return False
        if self.kind and not (isinstance(entry, Fault) and (entry.patches if self.kind == "planted" else entry.builds)):
            return False
        text = _everything(entry).casefold()
        return all(word.casefold() in text for word in self.words)


def roles_of(entry: "Fault | NearMiss") -> dict[str, int]:
    """The roles that it is written in, and in how many subjects."""
    from veriformer.faults.fault import Fault

    declarations = entry.subjects() if isinstance(entry, Fault) else (entry.subject(),)
    found: dict[str, int] = {}
    for each in declarations:
        found[str(each.role)] = found.get(str(each.role), 0) + 1
    return found


def _everything(entry: "Fault | NearMiss") -> str:
    """All that is written of it."""
    from veriformer.faults.corpus import seen_as
    from veriformer.faults.fault import Fault

    parts = [entry.id, entry.sentence]
    if isinstance(entry, Fault):
        parts += [entry.written, entry.mend, entry.source, *entry.synonyms]
        parts += [part for each in seen_as(entry.id) for part in (each.id, each.fault, each.source)]
    return "\n".join(parts)


def style_of(fault: "Fault") -> str:
    """Where it is written, in a word or two."""
    if fault.patches and fault.builds:
        return "planted, and in another style"
    return "planted" if fault.patches else "in another style"


def list_catalogue(ids: Iterable[str], asked: Filter) -> int:
    """Print what is asked for, chapter by chapter, and how much it is; 1 where it is nothing."""
    from veriformer.faults.catalogue import FAULTS, NEAR_MISSES, resolved
    from veriformer_spec.chapters import CLAUSES

    asked.require_known()
    named = [resolved(name) for name in ids] or [*FAULTS, *NEAR_MISSES]
    entries: list[Fault | NearMiss] = [FAULTS.get(name) or NEAR_MISSES[name] for name in named]
    entries = [each for each in entries if asked.lets_through(each)]
    for chapter in dict.fromkeys(clause.chapter for clause in CLAUSES.values()):
        here = [each for each in entries if each.clauses[0].chapter == chapter]
        if here:
            click.secho(f"\n{chapter}", bold=True)
        for each in here:
            for line in _lines(each):
                click.echo(line)
    click.echo(f"\n{_counted(entries)}")
    return 0 if entries else 1


def _lines(entry: "Fault | NearMiss") -> Iterator[str]:
    from veriformer.faults.fault import Fault

    kind = style_of(entry) if isinstance(entry, Fault) else "near-miss"
    also = f"; also called {', '.join(entry.synonyms)}" if isinstance(entry, Fault) and entry.synonyms else ""
    yield f"{entry.id}  ({kind}{also})"
    yield f"    {entry.sentence}"
    yield f"    {', '.join(clause.id for clause in entry.clauses)}"


def _counted(entries: Iterable["Fault | NearMiss"]) -> str:
    from veriformer.faults.fault import Fault

    entries = list(entries)
    faults = [each for each in entries if isinstance(each, Fault)]
    planted = sum(bool(each.patches) for each in faults)
    foreign = sum(bool(each.builds) for each in faults)
    both = planted + foreign - len(faults)
    return (
        f"{len(faults)} faults ({planted} planted in the reference, {foreign} written without it, {both} of them both ways), "
        f"{len(entries) - len(faults)} near-misses"
    )


def list_corpus() -> int:
    """Print each fault of the corpus with the catalogued faults that express it, or why none can, and how many there are of each."""
    from veriformer.faults.corpus import table

    component = ""
    for each in table():
        if each.component != component:
            component = each.component
            click.secho(f"\n{component}", bold=True)
        click.echo(f"{each.id}: {each.fault}")
        answer = ", ".join(each.expressed_by) if each.expressed_by else f"not expressed ({each.kind}): {each.reason}"
        click.echo(f"    {answer}\n    {each.source}")
    kinds: dict[str, int] = {}
    for each in table():
        if not each.expressed_by:
            kinds[each.kind] = kinds.get(each.kind, 0) + 1
    expressed = {name for each in table() for name in each.expressed_by}
    listed = ", ".join(f"{number} {kind}" for kind, number in sorted(kinds.items(), key=lambda item: -item[1]))
    click.echo(
        f"\n{len(table())} faults in the corpus: {len(table()) - sum(kinds.values())} expressed, by {len(expressed)} catalogued faults · "
        f"{sum(kinds.values())} not: {listed}"
    )
    return 0
