"""The second family: each switch is the fault that the catalogue plants in the reference, and without one it is the reference."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from self_tests.second_family_weights import ported
from veriformer.adapters import reference as adapter
from veriformer.declaration import Build, Declaration
from veriformer.faults.catalogue import FAULTS, SYNONYMS
from veriformer.faults.fault import declared
from veriformer.faults.second import CORRECT, SECOND
from veriformer.inputs import generator
from veriformer.variants import Variant
from veriformer.weights import randomise
from veriformer_spec.config import FIELDS, Config
from veriformer_spec.role import MODELS, Role

PAIRS = [(slug, build) for slug, builds in SECOND.items() for build in builds]
NAMES = [f"{slug}-{number}-{declared(build).role}" for number, (slug, build) in enumerate(PAIRS)]
GRADIENTS_ALONE = {"attention-weights-detached", "table-detached"}
"""Faults that no output shows."""
SMALL = {
    "skip-aliased-in-place": 1e-12, "cache-rounded-to-float32": 1e-12, "eps-outside-the-root": 1e-9, "batch-mean-added": 1e-6,
    "mask-value-ten-thousand": -1, "empty-sequence-invented": -1, "tied-without-a-claim": -1,
}  # fmt: skip
"""Least differences to the correct reference, where they are small; -1 where these probes show none."""


def _config(declaration: Declaration) -> Config:
    claimed = {name: value for name, value in declaration.claims.items() if name in FIELDS}
    grouped = claimed.pop("kv_heads", "equal") == "grouped"
    claimed.pop("dropout", None)
    if declaration.role is Role.ATTENTION_BIAS:
        return Config(heads=6, kv_heads=6, d_head=4, **claimed)
    return Config(kv_heads=2 if grouped else 4, vocab=31, max_len=17, **claimed)


def _normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64)


def _random_mask(seed: int, *shape: int) -> Tensor:
    mask = torch.rand(*shape, generator=generator(seed)) < 0.6
    mask[..., 0] = True
    return mask


def _padding(batch: int, time: int, *, left: bool = False) -> Tensor:
    lengths = torch.tensor([time, max(1, time - 2), max(1, time - 3)])[:batch, None]
    real = torch.arange(time)[None] < lengths
    return real.flip(1) if left else real


def _masks(declaration: Declaration, batch: int, heads: int, queries: int, keys: int) -> Iterator[Tensor | None]:
    yield None
    yield _padding(batch, keys)[:, None, None]
    yield _random_mask(1, batch, heads, queries, keys)
    yield _random_mask(2, heads, 1, queries, keys)


def _attention(declaration: Declaration, config: Config) -> Iterator[tuple[Any, ...]]:
    lengths = ((5, 5), (3, 7)) if declaration.claims["alignment"] != "equal-lengths" or not config.causal else ((5, 5),)
    for queries, keys in lengths:
        for mask in _masks(declaration, 4, 4, queries, keys):
            size = 6 if declaration.claims["value_size"] == "key-size" else 5
            parts = (
                _normal(1, 4, 4, queries, 6),
                _normal(2, 4, config.kv_heads, keys, 6),
                _normal(3, 4, config.kv_heads, keys, size),
            )
            yield (*(3 * each for each in parts[:2]), parts[2], mask)


def _heads(declaration: Declaration, config: Config) -> Iterator[tuple[Any, ...]]:
    same = config.causal or config.memory == "query" or config.positions != "none"
    for queries, keys in ((5, 5),) if same else ((5, 5), (3, 7)):
        for mask in _masks(declaration, 3, 4, queries, keys):
            yield (2 * _normal(1, 3, queries, 24), 2 * _normal(2, 3, keys, 24), mask)


def _additive(declaration: Declaration, config: Config) -> Iterator[tuple[Any, ...]]:
    for queries, keys in ((5, 5), (3, 7)):
        parts = _normal(1, 3, queries, 24), _normal(2, 3, keys, 24)
        yield parts
        yield (*parts, _padding(3, keys)[:, None, None])


def _layers(declaration: Declaration, config: Config) -> Iterator[tuple[Any, ...]]:
    for mask in _masks(declaration, 3, 4, 5, 5):
        yield (_normal(1, 3, 5, 24) + 0.5, mask)
    yield (_normal(1, 1, 1, 24),)


def _decoders(declaration: Declaration, config: Config) -> Iterator[tuple[Any, ...]]:
    for keys in (5, 7, 3):
        x, memory = _normal(1, 3, 5, 24), _normal(2, 3, keys, 24)
        yield (x, memory)
        yield (x, memory, _padding(3, 5)[:, None, None], _padding(3, keys)[:, None, None])
        yield (x, memory, _random_mask(3, 3, 4, 5, 5), _random_mask(4, 3, 4, 5, keys))


def _ids(seed: int, batch: int, time: int) -> Tensor:
    return torch.randint(0, 31, (batch, time), generator=generator(seed))


def _language(declaration: Declaration, config: Config) -> Iterator[tuple[Any, ...]]:
    for batch, time in ((3, 6), (1, 1), (2, 17), (2, 19), (1, 0)):
        yield (_ids(time, batch, time),)
        if time > 1 and batch == 3:
            yield (_ids(time, batch, time), _padding(batch, time))
        if time > 1 and "left" in declaration.claims["padding_sides"]:
            yield (_ids(time, batch, time), _padding(batch, time, left=True))
        if declaration.claims.get("segments") and time > 1:
            yield (_ids(time, batch, time), None, _ids(1, batch, time) % 2)


def _translation(declaration: Declaration, config: Config) -> Iterator[tuple[Any, ...]]:
    for source, target in ((5, 5), (7, 4), (3, 6)):
        yield (_ids(1, 3, source), _ids(2, 3, target))
        yield (_ids(1, 3, source), _ids(2, 3, target), _padding(3, source), _padding(3, target))


def _tokens(declaration: Declaration, config: Config) -> Iterator[tuple[Any, ...]]:
    for size in (1.0, 1e-3, 30.0):
        yield (size * _normal(1, 2, 5, 24) + size,)
    yield (torch.ones(1, 2, 24, dtype=torch.float64),)


def _tables(declaration: Declaration, config: Config) -> Iterator[tuple[Any, ...]]:
    for time in (1, 5, 17, 19):
        yield (_normal(1, 2, time, 24),)


def _words(declaration: Declaration, config: Config) -> Iterator[tuple[Any, ...]]:
    ids = torch.arange(31).flip(0)[None].repeat(2, 1)
    yield (ids,)
    yield (ids + 20,)
    if declaration.claims["segments"]:
        yield (ids, ids % 2)


def _turning(declaration: Declaration, config: Config) -> Iterator[tuple[Any, ...]]:
    for start in (0, 3):
        yield (_normal(1, 2, 4, 9, 6), start)


def _distances(declaration: Declaration, config: Config) -> Iterator[tuple[Any, ...]]:
    yield from ((4, 4), (2, 7), (40, 40))


PROBES: dict[Role, Callable[[Declaration, Config], Iterator[tuple[Any, ...]]]] = {
    Role.ATTENTION: _attention, Role.ADDITIVE_ATTENTION: _additive, Role.MULTI_HEAD_ATTENTION: _heads, Role.ENCODER_LAYER: _layers, Role.ENCODER: _layers,
    Role.DECODER_LAYER: _decoders, Role.DECODER: _decoders, Role.CAUSAL_LM: _language, Role.MASKED_LM: _language,
    Role.ENCODER_DECODER: _translation, Role.LAYER_NORM: _tokens, Role.RMS_NORM: _tokens, Role.FEED_FORWARD: _tokens,
    Role.POSITIONAL_ENCODING: _tables, Role.TOKEN_EMBEDDING: _words, Role.ROTARY_ENCODING: _turning,
    Role.ATTENTION_BIAS: _distances,
}  # fmt: skip


def _outcome(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Tensor | None:
    """What comes back, in float64; None where it raises."""
    copies = [each.clone() if isinstance(each, Tensor) else each for each in arguments]
    try:
        with torch.no_grad():
            result: Tensor = function(*copies).double()
    except (ValueError, RuntimeError, IndexError):
        return None
    return result


def _specified(role: Role, arguments: tuple[Any, ...], output: Tensor | None) -> Tensor | None:
    """Without rows of padding, where a model may return anything."""
    index = 3 if role is Role.ENCODER_DECODER else 1
    tokens = arguments[index] if role in MODELS and len(arguments) > index else None
    return output if output is None or tokens is None or output.dim() != 3 else output[tokens]


def _bias_below_the_diagonal(declaration: Declaration, output: Tensor | None) -> Tensor | None:
    """What a causal bias says of the future is free, and so is a number for each row: subtract the query's own."""
    if declaration.role is not Role.ATTENTION_BIAS or output is None:
        return output
    queries, keys = output.shape[-2:]
    own = output.diagonal(keys - queries, -2, -1)[..., None]
    return (output - own).tril(keys - queries) if declaration.claims["direction"] == "causal" else output - own


def _built(build: Build, config: Config) -> Any:
    torch.manual_seed(1)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        made = declared(build).build(config)
    finally:
        torch.set_default_dtype(before)
    if isinstance(made, nn.Module):
        made.double().eval()
        randomise(made, 2)
    return made


def _with_weights(variant: Variant, made: Any) -> Any:
    with variant.running():  # some patches are asked while the model is built
        twin = variant.built()
    if isinstance(made, nn.Module) and isinstance(twin, nn.Module):
        named = ported(made, variant.config)
        wanted = dict(twin.named_parameters())
        assert wanted.keys() <= named.keys(), sorted(wanted.keys() - named.keys())
        with torch.no_grad():
            for name, parameter in wanted.items():
                parameter.copy_(named[name])
    return twin


def _differences(declaration: Declaration, made: Any, variant: Variant) -> list[float]:
    """The largest difference on each probe; infinite where one raises or is NaN and the other is not."""
    twin, found = _with_weights(variant, made), []
    for arguments in PROBES[declaration.role](declaration, variant.config):
        got = _specified(declaration.role, arguments, _outcome(made, arguments))
        with variant.running():
            expected = _specified(declaration.role, arguments, _outcome(twin, arguments))
        got, expected = (_bias_below_the_diagonal(declaration, each) for each in (got, expected))
        if (got is None) is not (expected is None) and arguments[0].numel() == 0:
            continue  # a sequence of no tokens may raise
        if got is None or expected is None or got.shape != expected.shape:
            found.append(0.0 if got is expected else float("inf"))
            continue
        same = got.isnan() & expected.isnan()
        apart = torch.where(same, 0.0, (got - expected).abs() / (1 + expected.abs()))
        found.append(float(apart.nan_to_num(nan=float("inf")).max()) if apart.numel() else 0.0)
    if declaration.claims.get("cache"):
        found.append(_difference_step_by_step(declaration, made, variant, twin))
    return found


def _difference_step_by_step(declaration: Declaration, made: Any, variant: Variant, twin: Any) -> float:
    """The same, when the text is read in pieces, with left padding, and the rows change places on the way."""
    ids, mask = _ids(5, 3, 7), _padding(3, 7, left=True)
    theirs = adapter.declaration(declaration.role, **declaration.claims).steps
    ours = declaration.steps
    assert ours is not None
    assert theirs is not None
    worst = 0.0
    with torch.no_grad(), variant.running():
        states = [ours.start(made, 3, 17), theirs.start(twin, 3, 17)]
        for start, end in ((0, 3), (3, 5), (5, 6), (6, 7)):
            logits = []
            for which, (steps, module) in enumerate(((ours, made), (theirs, twin))):
                one, states[which] = steps.step(module, ids[:, start:end], mask[:, :end], states[which])
                logits.append(one[mask[:, start:end]])
                if end == 5 and ours.reorder and theirs.reorder:
                    assert steps.reorder is not None
                    states[which] = steps.reorder(module, states[which], torch.tensor([2, 0, 1]))
            if end == 5:
                ids, mask = ids[[2, 0, 1]], mask[[2, 0, 1]]
            worst = max(worst, float((logits[0] - logits[1]).abs().max()))
    return worst


@pytest.mark.parametrize(("slug", "build"), PAIRS, ids=NAMES)
def test_a_switch_is_the_planted_fault(slug: str, build: Build) -> None:
    """With the same weights it computes what the reference does with the patches in, and not what the reference does."""
    declaration = declared(build)
    config = _config(declaration)
    made = _built(build, config)
    role = declaration.role
    differences = _differences(
        declaration, made, Variant(role=role, config=config, faults=(FAULTS[SYNONYMS.get(slug, slug)],))
    )
    assert max(differences) < 1e-9, differences
    if slug in GRADIENTS_ALONE:
        return
    apart = _differences(declaration, made, Variant(role=role, config=config))
    assert max(apart) > SMALL.get(slug, 1e-4), apart


@pytest.mark.parametrize("build", CORRECT, ids=lambda each: declared(each).name)
def test_without_a_fault_it_is_the_reference(build: Build) -> None:
    """With the same weights, on every probe."""
    declaration = declared(build)
    config = _config(declaration)
    differences = _differences(declaration, _built(build, config), Variant(role=declaration.role, config=config))
    assert max(differences) < 1e-9, differences


def test_detached_weights_stop_the_gradient() -> None:
    """No output shows it."""
    for slug in GRADIENTS_ALONE:
        declaration = declared(SECOND[slug][0])
        made = _built(SECOND[slug][0], _config(declaration))
        output = made(_normal(1, 2, 5, 24)).square().sum()
        if output.requires_grad:
            output.backward()
        assert any(each.grad is None or bool((each.grad == 0).all(-1).any()) for each in made.parameters()), slug


def test_it_is_broad() -> None:
    """At least forty catalogued faults, in at least eight styles; ids that exist."""
    assert len(SECOND) >= 40
    assert {SYNONYMS.get(slug, slug) for slug in SECOND} <= FAULTS.keys()
    assert len({type(_built(build, _config(declared(build)))).__module__ for build in CORRECT}) >= 8
