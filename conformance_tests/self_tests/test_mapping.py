"""The mapping: modules of many layouts are understood without a name, at other sizes too; what is not understood is refused."""

# mypy: allow-untyped-calls
# The modules that are understood here have no types.

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import veriformer
from self_tests import mapping_modules as modules
from veriformer.declaration import ATTRIBUTE, Declaration
from veriformer.mapping import Layout, LayoutError, NotUnderstood, Understood, automatic
from veriformer.preflight import prepared
from veriformer.subjects import Subject
from veriformer.variants import Variant, called
from veriformer_spec.config import Config

Build = Callable[[Config], Any]


def declared(role: str, build: Build, **claims: Any) -> Declaration:
    """A subject of that role."""
    made = veriformer.subject(role, **claims)(build)
    declaration: Declaration = getattr(made, ATTRIBUTE)
    return declaration


def self_attention(module: nn.Module) -> tuple[nn.Module, Callable[..., Any]]:
    """Called as multi-head attention is."""
    return module, lambda module, query, memory, mask=None: module(query)


def plain(module: nn.Module) -> tuple[nn.Module, Callable[..., Any]]:
    """Called as an encoder layer is."""
    return module, lambda module, x, mask=None: module(x)


def torch_attention(config: Config, **options: Any) -> tuple[nn.Module, Callable[..., Any]]:
    """``torch.nn.MultiheadAttention``."""
    made = nn.MultiheadAttention(config.d_model, config.heads, batch_first=True, **options)
    return made, lambda module, query, memory, mask=None: module(query, memory, memory, need_weights=False)[0]


def layer(config: Config, **options: Any) -> nn.Module:
    """A layer with a fused, interleaved attention."""
    return modules.Layer(config.d_model, config.d_ff, modules.Fused(config.d_model, config.heads, "hcr"), **options)


def fused(order: str) -> Build:
    """Self-attention with one projection, its rows in that order."""
    return lambda c: self_attention(modules.Fused(c.d_model, c.heads, order))


def bare(config: Config, *, axes: bool) -> nn.Module:
    """A whole model that nothing but its shapes tells anything about."""
    sizes = config.d_model, config.heads, config.d_ff, config.layers, config.vocab, config.max_len
    return modules.Bare(*sizes, axes=axes)


GROUPED: dict[str, object] = {
    "norm": "pre", "normalization": "rms", "activation": "swiglu", "bias": False, "eps": 1e-6, "kv_heads": "grouped",
}  # fmt: skip
QUERY: dict[str, object] = {"memory": "query"}
UNDERSTOOD: dict[str, tuple[str, Build, dict[str, object]]] = {
    **{
        f"fused {order}": (
            "multi-head-attention",
            fused(order),
            QUERY,
        )
        for order in ("chr", "hcr", "hrc", "crh")
    },
    "per head": ("multi-head-attention", lambda c: self_attention(modules.PerHead(c.d_model, c.heads)), QUERY),
    "cubes": (
        "multi-head-attention",
        lambda c: self_attention(modules.Cubes(c.d_model, c.heads)),
        QUERY | {"bias": False},
    ),
    "torch, fused": ("multi-head-attention", torch_attention, {}),
    "torch, no bias": ("multi-head-attention", lambda c: torch_attention(c, bias=False), {"bias": False}),
    "grouped": (
        "encoder-layer",
        lambda c: plain(modules.Grouped(c.d_model, c.heads, c.kv_heads, c.d_ff)),
        GROUPED,
    ),
    "post-norm layer": ("encoder-layer", lambda c: plain(layer(c)), {}),
    "pre-norm layer": ("encoder-layer", lambda c: plain(layer(c, pre=True)), {"norm": "pre"}),
    "without gradients": (
        "encoder-layer",
        lambda c: plain(modules.Served(c.d_model, c.d_ff, modules.Fused(c.d_model, c.heads))),
        {},
    ),
    "torch decoder layer": (
        "decoder-layer",
        lambda c: (
            nn.TransformerDecoderLayer(c.d_model, c.heads, c.d_ff, 0.0, batch_first=True),
            lambda module, x, memory, mask=None, memory_mask=None: module(x, memory),
        ),
        {},
    ),
    **{
        f"bare tensors, {'with axes for parts and heads' if axes else 'flat'}": (
            "causal-lm",
            functools.partial(bare, axes=axes),
            {"norm": "pre", "positions": "learned", "tied": True},
        )
        for axes in (False, True)
    },
    "torch encoder": (
        "encoder",
        lambda c: plain(
            nn.TransformerEncoder(
                nn.TransformerEncoderLayer(c.d_model, c.heads, c.d_ff, 0.0, batch_first=True),
                c.layers,
                enable_nested_tensor=False,
            )
        ),
        {},
    ),
}


def understood(name: str) -> tuple[Subject, Understood]:
    """One of them, found."""
    role, build, claims = UNDERSTOOD[name]
    subject = prepared(declared(role, build, **claims)).subject
    found = automatic(subject)
    assert isinstance(found, Understood), found
    return subject, found


def difference_elsewhere(subject: Subject, found: Understood, weights: Callable[[nn.Module, Config], Any]) -> float:
    """How far the reference with the weights that were found is from the subject, at sizes that were not tried."""
    from veriformer.preflight import probe_case

    case = probe_case(subject, head_sizes=(2, 8))
    layers = 3 if subject.role in ("encoder", "decoder", "causal-lm") else 1
    case = dataclasses.replace(case, d_ff=14, layers=layers, kv_heads=1 if case.kv_heads < case.heads else 2)
    instance, inputs = subject.instance(case), subject.inputs(case)
    variant = Variant(role=subject.role, config=instance.config)
    reference = variant.built()
    assert isinstance(reference, nn.Module)
    tensors = weights(instance.module_or_not_checked(), instance.config)
    with torch.no_grad(), variant.running():
        for name, parameter in reference.named_parameters():
            parameter.copy_(tensors[name])
        return float((called(reference, inputs) - instance(inputs)).abs().max())


@pytest.mark.parametrize("name", UNDERSTOOD)
def test_every_layout_is_understood_and_holds_at_other_sizes(name: str) -> None:
    """As claimed, by a recipe; and both the layout and the adapter that it prints are right where nothing was tried."""
    subject, found = understood(name)
    assert found.variant.name == "CORRECT"
    assert found.layout.generic
    assert difference_elsewhere(subject, found, found.layout.weights) < 1e-9
    space: dict[str, Any] = {}
    exec(found.layout.adapter(), space)  # the text is ours, and to be run is what it is for
    assert difference_elsewhere(subject, found, lambda module, _: space["weights"](module)) < 1e-9


def test_gradients_flow_back_through_a_layout() -> None:
    """What is found are views: a loss on the reference's names reaches the subject's own parameters."""
    _, found = understood("fused hcr")
    module = modules.Fused(24, 4, "hcr").double()
    tensors = found.layout.weights(module, found.config)
    total: Any = sum(each.sum() for each in tensors.values())
    total.backward()
    assert all(each.grad is not None and bool((each.grad == 1).all()) for each in module.parameters())


REFUSED: dict[str, tuple[Build, str]] = {
    "hidden positions": (
        lambda c: plain(modules.Biased(c.d_model, c.d_ff, modules.Fused(c.d_model, c.heads))),
        "outputs differ",
    ),
    "one more number": (
        lambda c: plain(modules.Scaled(c.d_model, c.d_ff, modules.Fused(c.d_model, c.heads))),
        "no place in the claimed function",
    ),
    "computed weights": (
        lambda c: plain(modules.Normed(c.d_model, c.d_ff, modules.Fused(c.d_model, c.heads))),
        "where those of the claimed function hold",
    ),
    "one projection for two": (
        lambda c: plain(modules.Layer(c.d_model, c.d_ff, modules.Tied(c.d_model, c.heads))),
        "",
    ),
    "another number of heads": (
        lambda c: plain(modules.Layer(c.d_model, c.d_ff, modules.Fused(c.d_model, 2 * c.heads))),
        "outputs differ",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_understood_is_refused_with_its_reason(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No wrong mapping, and no name of a fault."""
    build, reason = REFUSED[name]
    monkeypatch.setattr("veriformer.mapping.tries.faults", lambda *_: iter(()))
    found = automatic(prepared(declared("encoder-layer", build)).subject)
    assert isinstance(found, NotUnderstood), found.variant.name
    assert reason in found.reason


def test_another_legal_claim_is_called_a_claim() -> None:
    """A pre-norm layer that claims to be post-norm is understood as what it is, and no fault is named."""
    found = automatic(prepared(declared("encoder-layer", lambda c: plain(layer(c, pre=True)))).subject)
    assert isinstance(found, Understood)
    assert found.variant.claims == (("norm", "pre"),)
    assert not found.variant.faults


def test_a_number_that_is_claimed_wrongly_is_found() -> None:
    """A scale that nobody lists is looked for along a line."""

    class Soft(modules.Fused):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            q, k, v = (each.unflatten(-1, (self.h, -1)).transpose(1, 2) for each in self.a(x).chunk(3, -1))
            seen: torch.Tensor = self.z((torch.softmax(q @ k.mT * 0.3, -1) @ v).transpose(1, 2).flatten(2))
            return seen

    build = declared("multi-head-attention", lambda c: self_attention(Soft(c.d_model, c.heads)), memory="query")
    found = automatic(prepared(build).subject)
    assert isinstance(found, Understood)
    ((name, value),) = found.variant.claims
    assert name == "scale"
    assert isinstance(value, float)
    assert abs(value - 0.3) < 1e-8


@pytest.mark.parametrize("raises", [False, True])
def test_trained_weights_keep_their_bits(*, raises: bool) -> None:
    """Also where the subject raises half way; nothing else of it changes either."""
    module = layer(Config())
    with torch.no_grad():
        for each in module.parameters():
            each.add_(torch.randn_like(each))
    module.register_buffer("seen", torch.arange(3.0))
    module.double()
    before = {name: each.clone() for name, each in module.state_dict().items()}
    calls = 0

    def call(module: nn.Module, x: torch.Tensor, mask: object = None) -> Any:  # as the role calls it
        nonlocal calls
        calls += 1
        if raises and calls > 4:
            raise RuntimeError("half way")
        return module(x)

    declaration = declared("encoder-layer", lambda _: (module, call))
    found = automatic(Subject(dataclasses.replace(declaration, sizes={"d_model": 24, "heads": 4, "d_ff": 40})))
    assert isinstance(found, NotUnderstood if raises else Understood)
    after = module.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert all(each.grad is None and each.requires_grad for each in module.parameters())


def test_a_layout_refuses_another_module() -> None:
    """Missing tensors and other shapes are told, not guessed."""
    _, found = understood("post-norm layer")
    with pytest.raises(LayoutError, match="no parameter"):
        found.layout.weights(nn.Linear(24, 24), found.config)
    with pytest.raises(LayoutError):
        found.layout.weights(layer(Config(d_model=48)), found.config)
    assert isinstance(found.layout, Layout)


def test_a_deep_stack_is_understood() -> None:
    """Twelve layers: of many rows with small gradients each finds its own, however many others are near."""
    sizes = veriformer.Fixed(d_model=48, heads=4, kv_heads=4, d_ff=192, layers=12)

    def build(config: Config) -> tuple[nn.Module, Callable[..., Any]]:
        single = nn.TransformerEncoderLayer(config.d_model, config.heads, config.d_ff, batch_first=True, dropout=0.0)
        return plain(nn.TransformerEncoder(single, config.layers, enable_nested_tensor=False))

    found = automatic(prepared(declared("encoder", build, masks=["none"], sizes=sizes)).subject)
    assert isinstance(found, Understood), found.reason
