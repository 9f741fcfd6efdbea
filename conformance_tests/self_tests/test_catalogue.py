"""The catalogue: every fault of the corpus is answered for, and every entry says what a diagnosis and a reader need."""

import dataclasses
import itertools
from collections import Counter

import pytest

from veriformer import equivalence
from veriformer.cli import catalogue_listing, run
from veriformer.cli.catalogue_listing import Filter
from veriformer.faults import corpus
from veriformer.faults.catalogue import FAULTS, NEAR_MISSES, SYNONYMS, resolved
from veriformer.faults.fault import Fault
from veriformer_spec.config import CLAIMS
from veriformer_spec.role import Role


@pytest.mark.parametrize("seen", corpus.table(), ids=lambda seen: seen.id)
def test_every_fault_of_the_corpus_is_answered_for(seen: corpus.Seen) -> None:
    """Planted here, under the slugs that it names, or a kind and a reason why not."""
    assert bool(seen.expressed_by) != bool(seen.reason and seen.kind)
    unknown = [name for name in seen.expressed_by if name not in FAULTS]
    assert not unknown
    assert not seen.expressed_by or FAULTS[seen.expressed_by[0]].patches, "the first slug is one of the reference"


def test_the_corpus_is_whole() -> None:
    """No line is lost and none stands twice."""
    table = corpus.table()
    assert len(table) == 174
    assert len({each.id for each in table}) == 174


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_every_fault_says_what_it_is(fault: Fault) -> None:
    """Its sentence, how it is written, how it is mended, where it was seen; and its builds have names of their own."""
    assert all((fault.sentence, fault.written, fault.mend, fault.source, fault.clauses))
    assert fault.written != fault.mend
    builds = [each.name for each in fault.foreign_subjects()]
    assert set(fault.same_as) <= set(builds)
    for equal in itertools.chain.from_iterable(map(fault.equals, fault.same_as)):
        name, is_claim, _ = equal.partition("=")
        assert name in CLAIMS if is_claim else FAULTS[equal].patches


def test_no_two_faults_say_the_same() -> None:
    """Nor is one name another's synonym."""
    said = Counter(fault.sentence.casefold().rstrip(".") for fault in FAULTS.values())
    assert [sentence for sentence, times in said.items() if times > 1] == []
    assert not set(SYNONYMS) & {*FAULTS, *NEAR_MISSES}
    assert len(SYNONYMS) == sum(len(fault.synonyms) for fault in FAULTS.values())


def test_a_synonym_leads_to_its_entry(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """In the listing and in the explanation."""
    known = next(iter(FAULTS))
    monkeypatch.setitem(SYNONYMS, "called-otherwise", known)
    monkeypatch.setitem(FAULTS, known, dataclasses.replace(FAULTS[known], synonyms=("called-otherwise",)))
    assert resolved("called-otherwise") == known
    for asked in (["explain", "called-otherwise"], ["faults", "called-otherwise"]):
        assert run(asked) == 0
        said = capsys.readouterr().out
        assert known in said
        assert "called-otherwise" in said


@pytest.mark.parametrize(
    "asked",
    [
        Filter(roles=("loss",)),
        Filter(chapters=("masking",), kind="planted"),
        Filter(clause="heads.time-stays-time", kind="foreign"),
        Filter(words=("annotated-transformer", "STANDARD")),
    ],
    ids=str,
)
def test_filters(asked: Filter) -> None:
    """Each lets something through, and not everything."""
    kept = [each for each in FAULTS.values() if asked.lets_through(each)]
    assert 0 < len(kept) < len(FAULTS)
    assert all(not asked.clause or asked.clause in {clause.id for clause in each.clauses} for each in kept)
    assert all(asked.kind != "planted" or each.patches for each in kept)
    assert all(asked.kind != "foreign" or each.builds for each in kept)
    assert all(not asked.roles or {*asked.roles} & {*catalogue_listing.roles_of(each)} for each in kept)


def test_the_listing(capsys: pytest.CaptureFixture[str]) -> None:
    """Grouped by chapter; searched in everything that is written; refused where nothing has the name."""
    assert run(["faults", "--search", "transpose merge"]) == 0
    said = capsys.readouterr().out
    assert "\nheads\n" in said
    assert "merge-heads-without-transpose  (planted" in said
    assert run(["faults", "--search", "no fault says this"]) == 1
    assert "0 faults" in capsys.readouterr().out
    for wrong in (["--role", "encodr"], ["--chapter", "maths"], ["--clause", "masking.no-such-clause"]):
        assert run(["faults", *wrong]) == 2


def test_the_corpus_is_listed_with_reasons_and_counts(capsys: pytest.CaptureFixture[str]) -> None:
    """Every id, with the slugs or the reason."""
    assert run(["faults", "--corpus"]) == 0
    said = capsys.readouterr().out
    assert all(f"{each.id}: " in said for each in corpus.table())
    assert "not expressed (initialisation)" in said
    assert "174 faults in the corpus" in said


def test_an_explanation_says_everything(capsys: pytest.CaptureFixture[str]) -> None:
    """How it is usually written, its mend, its source, its clauses, what of the corpus it is, and its roles."""
    assert run(["explain", "merge-heads-without-transpose"]) == 0
    said = capsys.readouterr().out
    for label in ("source", "in the corpus", "usually written", "mend", "dies by", "in the roles", "planted in"):
        assert f"  {label}: " in said


CHEAP = (
    Role.SELF_ATTENTION, Role.LAYER_NORM, Role.RMS_NORM, Role.FEED_FORWARD, Role.POSITIONAL_ENCODING, Role.ROTARY_ENCODING,
    Role.ATTENTION_BIAS, Role.TOKEN_EMBEDDING, Role.LOSS, Role.LEARNING_RATE_SCHEDULE,
)  # fmt: skip
"""Roles that are asked within seconds; ``python -m veriformer.equivalence`` asks all of them."""


@pytest.mark.parametrize("role", CHEAP)
def test_no_two_faults_are_one_function(role: Role) -> None:
    """Whatever the probes leave together everywhere in a role is one entry, or two for a reason that is written down."""
    alike = [each for place in equivalence.places(role) for each in equivalence.classes_at(place)]
    suspects = equivalence.synonyms(alike)
    assert {tuple(sorted(two)): places for two, places in suspects} == {}


def test_synonyms_are_found() -> None:
    """Two that are together wherever both are asked, unless a reason keeps them apart."""
    one, two, reason = frozenset({"a", "b"}), frozenset({"b", "c"}), next(iter(equivalence.KEPT_APART))
    alike = [
        equivalence.Alike("here", one, frozenset("abc")),
        equivalence.Alike("beside", reason, reason),
        equivalence.Alike("there", two, frozenset("abc")),
        equivalence.Alike("elsewhere", frozenset(), frozenset("bc")),
    ]
    assert [
        found for found, _ in equivalence.synonyms([*alike, equivalence.Alike("there", one, frozenset("abc"))])
    ] == [one]
    assert list(equivalence.synonyms(alike)) == []
