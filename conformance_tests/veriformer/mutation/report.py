"""Report: how many mutants die, by chapter and operator, and every survivor with its explanation."""

import math
import platform
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

import torch

from veriformer.mutation import operators
from veriformer.mutation.explained import EQUIVALENT, HOLES
from veriformer.mutation.judging import Outcome
from veriformer.mutation.mutants import Mutant, mutants
from veriformer.mutation.record import Results
from veriformer.mutation.subjects import subjects

Judged = Sequence[tuple[Mutant, Outcome]]


def fate(outcome: Outcome) -> str:
    """What became of a mutant, in one word."""
    if outcome.killed:
        return outcome.killed
    if outcome.never_run:
        return "never run"
    if outcome.id in EQUIVALENT:
        return "equivalent"
    return "hole" if outcome.id in HOLES else "unexplained"


FATES = ("failed", "raised", "hung", "equivalent", "never run", "hole", "unexplained")
_DEAD = ("failed", "raised", "hung")
_NO_MATTER = ("equivalent", "never run")


def judged(results: Results) -> Judged:
    """The mutants there are of which an outcome is known."""
    return [(mutant, results.known[mutant.id]) for mutant in mutants() if mutant.id in results.known]


def score(outcomes: Iterable[Outcome]) -> tuple[int, int]:
    """How many were killed, and out of how many that could be."""
    fates = Counter(map(fate, outcomes))
    killed = sum(fates[each] for each in _DEAD)
    return killed, sum(fates.values()) - sum(fates[each] for each in _NO_MATTER)


def summary(results: Results) -> str:
    """One line."""
    known = judged(results)
    fates = Counter(fate(outcome) for _, outcome in known)
    said = ", ".join(f"{fates[each]} {each}" for each in FATES if fates[each])
    killed, killable = score(outcome for _, outcome in known)
    return f"{len(known)} of {len(mutants())} mutants judged: {said}; score {_share(killed, killable)}\n"


def as_markdown(results: Results) -> str:
    """The whole report."""
    known = judged(results)
    outcomes = [outcome for _, outcome in known]
    killed, killable = score(outcomes)
    clauses = Counter(outcome.clause for outcome in outcomes if outcome.clause)
    return "\n".join([
        "# How strong is the suite? Mutants of the reference",
        "",
        "Written by `nox -s mutants`. Every function of the reference is changed by operators over its syntax tree, one change at a",
        "time; each mutant is planted while the subject's own call runs, and judged at budget quick by the clauses that run its line,",
        "until one kills it. Nobody chose these mistakes, so the figure is unbiased.",
        "",
        f"**{_share(killed, killable)} of the mutants that can be killed are killed** ({killed} of {killable}).",
        "",
        *_measured_on(known),
        "",
        *_table("chapter", known, lambda mutant: mutant.chapter),
        "",
        *_table("operator", known, lambda mutant: mutant.operator),
        "",
        "*failed*: a clause found another value. *raised*: the mutant's own error, or an answer that no property could read.",
        "*equivalent*: it survives, and computes the same, or what the specification leaves free. *never run*: no subject runs its",
        "line. *score*: killed, of all that are neither equivalent nor never run.",
        "",
        "## What kills",
        "",
        f"{len(clauses)} clauses were the first to kill a mutant; the ones that did most often:",
        "",
        *(f"- {clause}: {times}" for clause, times in clauses.most_common(15)),
        "",
        "## Survivors, one by one",
        *_explained("equivalent", EQUIVALENT, known),
        *_explained("hole", HOLES, known),
        *_unexplained(known),
        "",
        "## The operators",
        "",
        *(f"- **{name}**: {text}." for name, text in operators.OPERATORS.items()),
        "",
    ])  # fmt: skip


def _measured_on(known: Judged) -> Iterator[str]:
    everything = len(mutants())
    if len(known) < everything:
        killed, killable = score(outcome for _, outcome in known)
        low, high = _interval(killed, killable)
        yield f"- {len(known)} of all {everything} mutants, drawn at random: the whole has 95 % of its chance between {low:.1%} and {high:.1%};"
    else:
        yield f"- all {everything} mutants;"
    fates = Counter(fate(outcome) for _, outcome in known)
    failed, open_ = fates["failed"], fates["hole"] + fates["unexplained"]
    yield f"- leaving out those that raise, {_share(failed, failed + open_)} ({failed} of {failed + open_});"
    yield f"- on {len(subjects())} subjects: the reference in every role and profile, and under claims that none of them makes;"
    yield f"- torch {torch.__version__.partition('+')[0]}, Python {platform.python_version()}, CPU, float64."


def _table(heading: str, known: Judged, group: Callable[[Mutant], str]) -> Iterator[str]:
    yield f"| {heading} | mutants | judged | {' | '.join(FATES)} | score |"
    yield f"|---|{'--:|' * (len(FATES) + 3)}"
    all_of = Counter(map(group, mutants()))
    for name, count in all_of.items():
        outcomes = [outcome for mutant, outcome in known if group(mutant) == name]
        fates = Counter(map(fate, outcomes))
        cells = " | ".join(str(fates[each] or "") for each in FATES)
        yield f"| {name} | {count} | {len(outcomes)} | {cells} | {_share(*score(outcomes))} |"


def _explained(kind: str, reasons: dict[str, str], known: Judged) -> Iterator[str]:
    found = [mutant for mutant, outcome in known if fate(outcome) == kind]
    yield ""
    yield f"### {'Equivalent, or free' if kind == 'equivalent' else 'Holes'} ({len(found)})"
    for reason in dict.fromkeys(reasons.values()):
        of_reason = [mutant for mutant in found if reasons[mutant.id] == reason]
        if of_reason:
            yield ""
            yield f"{reason}:"
            yield ""
            yield from (f"- `{mutant.id}`" for mutant in of_reason)


def _unexplained(known: Judged) -> Iterator[str]:
    found = [(mutant, outcome) for mutant, outcome in known if fate(outcome) == "unexplained"]
    if found:
        yield ""
        yield f"### Unexplained ({len(found)})"
        yield ""
        for mutant, outcome in found:
            yield f"- `{mutant.id}` ({outcome.asked} of {outcome.pairs} pairs asked)"


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "-"


def _interval(killed: int, of: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share."""
    if not of:
        return 0.0, 1.0
    share, z = killed / of, 1.96
    middle = share + z * z / (2 * of)
    half = z * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    return (middle - half) / (1 + z * z / of), (middle + half) / (1 + z * z / of)
