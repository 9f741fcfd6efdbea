"""The claim matrix: a subject built with one value and claimed with another fails a named clause, or the cell says why not."""

import dataclasses
import itertools
from collections.abc import Iterator

import pytest
import torch

from veriformer.adapters import reference, torch_nn
from veriformer.declaration import Declaration
from veriformer.faults.matrix import KILLED, verdicts_in_turn
from veriformer.judge import Effort
from veriformer.steps import Steps
from veriformer_spec.chapters import CLAUSES
from veriformer_spec.config import CLAIMS, FIELDS, ClaimError, Config, validated
from veriformer_spec.role import Role

VALUES: dict[str, tuple[object, ...]] = {
    **{name: claim.values for name, claim in CLAIMS.items() if claim.values},
    "scale": ("inverse-root", "none", 0.3),
    "eps": (1e-5, 1e-6, 1e-3),
    "soft_cap": (None, 1.5, 3.0),
    "rotary_base": (10000.0, 100.0),
    "rotary_scaling": (1.0, 2.0),
}
"""The values tried for each claim."""

OWN_TESTS = (
    "masks",
    "nothing_visible",
    "value_size",
    "kv_heads",
    "memory",
    "padded_rows",
    "padding_sides",
    "cache",
    "strategies",
    "cell",
)
"""Claims whose values are no field of a configuration: each has a test of its own below."""

NEEDED: dict[str, dict[str, object]] = {
    "alignment": {"causal": True},
    "sliding_window": {"causal": True},
    "rotary_pairing": {"positions": "rotary"},
    "rotary_base": {"positions": "rotary"},
    "rotary_scaling": {"positions": "rotary"},
    "direction": {"bias_kind": "relative"},
}
"""What else must be claimed for a claim to mean anything, where the role has that claim."""

INDISTINGUISHABLE: dict[tuple[str, object, object], str] = {
    ("alignment", "end", "equal-lengths"): "equal-lengths claims that fewer queries are never passed: nothing is asked",
    (
        "alignment",
        "start",
        "equal-lengths",
    ): "equal-lengths claims that fewer queries are never passed: nothing is asked",
    (
        "alignment",
        "equal-lengths",
        "end",
    ): "the reference that claims equal lengths aligns at the end where it is asked all the same",
    ("computes_in", "float32", "input"): "computing in float32 is legal: a SHOULD reports it, and no MUST fails",
    ("dropout", "unspecified", "on"): "unspecified claims nothing",
    ("dropout", "none", "unspecified"): "unspecified claims nothing",
    ("dropout", "on", "unspecified"): "unspecified claims nothing",
    ("final_norm", "as-placed", False): "as-placed means no final norm after post-norm layers, which is what these are",
    ("final_norm", False, "as-placed"): "as-placed means no final norm after post-norm layers, which is what these are",
    ("smoothing", "all-classes", "none"): "where none is claimed, the suite never asks for smoothing",
    ("smoothing", "other-classes", "none"): "where none is claimed, the suite never asks for smoothing",
}
"""(claim, built, claimed) -> why no clause can tell."""


def context(role: Role, name: str) -> dict[str, object]:
    """The other claims that ``name`` needs, in ``role``."""
    needed = NEEDED.get(name, {})
    return {
        other: value
        for other, value in needed.items()
        if role in CLAIMS[other].roles and role not in CLAIMS[other].defaults
    }


def values_for(role: Role, name: str) -> tuple[object, ...]:
    """The values of a claim that may be claimed of ``role``."""

    def accepted(value: object) -> bool:
        try:
            validated(role, {**context(role, name), name: value})
        except ClaimError:
            return False
        return True

    return tuple(filter(accepted, VALUES[name]))


def cells() -> Iterator[tuple[Role, str, object, object]]:
    """Every claim's value against every other in the first role that has it; in every further role, the default against the others."""
    for name in VALUES:
        if name in OWN_TESTS:
            continue
        for position, role in enumerate(CLAIMS[name].roles):
            default = CLAIMS[name].default_for(role)
            for built, claimed in itertools.permutations(values_for(role, name), 2):
                if position == 0 or default in (built, claimed):
                    yield role, name, built, claimed


def built_otherwise(role: Role, claims: dict[str, object], changes: dict[str, object]) -> Declaration:
    """The reference that claims ``claims`` and is built with ``changes``."""
    honest = reference.declaration(role, **claims)

    def build(config: Config) -> object:
        return honest.build(dataclasses.replace(config, **changes))  # type: ignore[arg-type]

    return dataclasses.replace(honest, build=build)


def failing(declaration: Declaration, *, first_only: bool, chapters: tuple[str, ...] = ()) -> list[str]:
    """The clauses that do not hold, SHOULDs included; one is enough where ``first_only``; of ``chapters`` alone where any is named."""
    late = ("state", "training", "numerics", "device")  # these seldom tell claims apart, and take longest
    asked = [each for each in CLAUSES.values() if not chapters or each.chapter in chapters]
    clauses = sorted(asked, key=lambda each: (each.chapter in late, "equal" not in each.id))
    verdicts = verdicts_in_turn(declaration, clauses, Effort(examples=5, shrink=False))
    found = (each.clause for each in verdicts if each.status in KILLED)
    return list(itertools.islice(found, 1) if first_only else found)


@pytest.mark.parametrize(("role", "name", "built", "claimed"), list(cells()), ids=str)
def test_a_false_claim_fails_a_named_clause(role: Role, name: str, built: object, claimed: object) -> None:
    """Whatever an adapter claims and is not so, some clause says so."""
    changes: dict[str, object] = {name: built} if name in FIELDS and name != "dropout" else {}
    if name == "dropout":
        changes = {"dropout": 0.0} if built == "none" else {}
    if name == "smoothing" and built == "none":
        changes = {"label_smoothing": 0.0}
    same = (name, built, claimed) in INDISTINGUISHABLE
    claims = {**context(role, name), name: claimed}
    found = failing(built_otherwise(role, claims, changes), first_only=not same)
    if same:
        musts = [each for each in found if CLAUSES[each].level == "MUST"]
        assert not musts, f"{name}={built!r} claimed as {claimed!r} is listed as indistinguishable, but fails {musts}"
    else:
        assert found, f"a {role} built with {name}={built!r} and claimed as {claimed!r} passes every clause"


def fails(declaration: Declaration, *, chapters: tuple[str, ...] = (), **claims: object) -> list[str]:
    """The clauses that do not hold when ``declaration`` makes these claims on top of its own."""
    claimed = validated(declaration.role, {**declaration.claims, **claims})
    return failing(dataclasses.replace(declaration, claims=claimed), first_only=False, chapters=chapters)


@pytest.mark.parametrize("claimed", ["nan", "error", {"grad": "zeros", "no-grad": "nan"}], ids=str)
def test_a_false_claim_about_rows_with_nothing_visible(claimed: object) -> None:
    """The reference returns zeros on both paths, and no other claim about it holds."""
    found = fails(reference.declaration(Role.ATTENTION), nothing_visible=claimed)
    assert found == ["masking.a-row-with-nothing-visible-is-as-claimed"]


def test_a_mask_that_is_claimed_and_ignored() -> None:
    """A subject that takes causal masks only, and says it takes all."""
    honest = reference.declaration(Role.ENCODER_LAYER)

    def build(config: Config) -> object:
        module = honest.build(config)

        def call(module: torch.nn.Module, x: torch.Tensor, mask: torch.Tensor | None = None) -> object:
            time = x.shape[1]
            return module(
                x, None if mask is None else torch.ones(1, 1, time, time, dtype=torch.bool, device=x.device).tril()
            )

        return module, call

    causal_only = dataclasses.replace(honest, build=build)
    assert "masking.masked-keys-are-invisible" in fails(causal_only)
    assert fails(causal_only, masks="causal") == []


def test_a_value_size_that_is_claimed_and_refused() -> None:
    """A subject whose values must be as long as its keys, and that says they need not."""
    honest = reference.declaration(Role.ATTENTION)

    def build(config: Config) -> object:
        attend = honest.build(config)

        def call(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *mask: torch.Tensor) -> object:
            return attend(query, key, value, *mask).reshape(query.shape)

        return call

    narrow = dataclasses.replace(honest, build=build)
    assert "attention.value-size-may-differ-from-key-size" in fails(narrow)
    assert fails(narrow, value_size="key-size") == []


def test_grouped_heads_that_are_claimed_and_not_there() -> None:
    """Every query head has a key/value head of its own, whatever the configuration says."""
    honest = reference.declaration(Role.MULTI_HEAD_ATTENTION, kv_heads="grouped")

    def build(config: Config) -> object:
        return honest.build(dataclasses.replace(config, kv_heads=config.heads))

    assert fails(dataclasses.replace(honest, build=build))


def test_a_memory_that_is_claimed_and_ignored() -> None:
    """Keys and values come from the query input, whatever the memory holds."""
    honest = reference.declaration(Role.MULTI_HEAD_ATTENTION)
    alone = built_otherwise(Role.MULTI_HEAD_ATTENTION, {}, {"memory": "query"})
    assert fails(honest) == []
    assert "heads.queries-come-from-the-queries-input-keys-and-values-from-the-memory" in fails(alone)


def test_padded_rows_that_are_claimed_and_not_computed() -> None:
    """In torch, nested tensors leave padding out, and a claim that they compute it fails."""
    unpadding = next(each for each in torch_nn.declarations() if each.name.endswith("key padding"))
    assert fails(unpadding, padded_rows="computed")


def never_told_of_padding() -> Declaration:
    """A causal language model that never gets the mask: padding on the right is the future, which no real token sees anyway."""
    honest = reference.declaration(Role.CAUSAL_LM, norm="pre")

    def build(config: Config) -> object:
        module = honest.build(config)
        assert isinstance(module, torch.nn.Module)

        def call(module: torch.nn.Module, ids: torch.Tensor, mask: torch.Tensor | None = None) -> object:
            return module(ids)

        return module, call

    return dataclasses.replace(honest, build=build)


def test_padding_on_a_side_that_is_claimed_and_not_hidden() -> None:
    """Padding on the left is the past, which every token sees."""
    assert fails(never_told_of_padding(), chapters=("masking", "model"), padding_sides="right") == []
    found = fails(never_told_of_padding(), chapters=("masking",), padding_sides=("right", "left"))
    assert "masking.padding-may-stand-where-claimed" in found


def test_a_cache_that_is_claimed_and_forgets() -> None:
    """Each step reads its own ids alone, as if nothing had come before."""
    honest = reference.declaration(Role.CAUSAL_LM, norm="pre", positions="alibi", cache=True)

    def step(
        module: torch.nn.Module, ids: torch.Tensor, mask: torch.Tensor | None, state: object
    ) -> tuple[torch.Tensor, object]:
        logits: torch.Tensor = module(ids)
        return logits, state

    forgetful = Steps(start=lambda module, batch, longest: None, step=step)
    found = fails(dataclasses.replace(honest, steps=forgetful), chapters=("cache",))
    assert "cache.one-by-one-equals-the-full-pass" in found
    assert fails(honest, chapters=("cache",)) == []


@pytest.mark.parametrize(
    ("claimed", "clause"),
    [
        ("beam", "generation.a-beam-that-drops-nothing-finds-the-best"),
        ("sample", "generation.temperature-divides-the-logits"),
    ],
)
def test_a_strategy_that_is_claimed_and_not_followed(claimed: str, clause: str) -> None:
    """Whatever is asked for, the largest logit is taken."""
    honest = reference.declaration(Role.GENERATION)

    def build(config: Config) -> object:
        generate = honest.build(config)
        assert callable(generate)

        def call(*given: object, **asked: object) -> object:
            return generate(*given, **{**asked, "strategy": "greedy"})

        return call

    greedy = dataclasses.replace(honest, build=build)
    assert clause in fails(greedy, strategies=("greedy", claimed))
    assert fails(greedy, strategies="greedy") == [], "what is not claimed is not asked"


def test_a_recurrent_cell_that_is_claimed_to_be_attention() -> None:
    """Named without any weights mapping, by a clause of stacks: nothing in it comes once with every layer."""
    declaration = built_otherwise(Role.ENCODER_DECODER, {"cell": "attention"}, {"cell": "gru"})
    found = failing(dataclasses.replace(declaration, weights=None), first_only=False, chapters=("stack",))
    assert "stack.layers-own-their-parameters" in found


def test_an_attention_cell_that_is_claimed_to_be_recurrent() -> None:
    """By its weights alone, whose names are no recurrent model's: each step of attention has its own context, as it must."""
    declaration = built_otherwise(Role.ENCODER_DECODER, {"cell": "gru"}, {"cell": "attention"})
    found = failing(declaration, first_only=False, chapters=("model",))
    assert "model.equals-the-reference" in found
