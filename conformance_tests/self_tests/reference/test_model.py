"""What no second witness reaches: heads, ties, shared positions, windows over padding, and the sides of an encoder-decoder."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from veriformer_reference import decoder, heads, model, position, stack
from veriformer_reference.build import build
from veriformer_spec.config import Config
from veriformer_spec.role import Role

Agree = Callable[[Tensor, Tensor], None]
Draw = Callable[..., Tensor]
IDS = torch.tensor([[1, 2, 3, 4, 5], [6, 7, 8, 9, 10]])


def lm(**claims: Any) -> model.CausalLM:
    """A causal language model in float64 and evaluation."""
    return model.CausalLM(Config(**claims)).double().eval()


@pytest.mark.parametrize("norm", ["post", "pre"])
@pytest.mark.parametrize("sliding_window", [False, True])
@pytest.mark.parametrize("positions", ["none", "sinusoidal", "learned", "rotary", "alibi", "relative"])
@pytest.mark.parametrize("marks", ["xxx..", "..xxx", "x.x.x"])
def test_padding_anywhere(assert_agree: Agree, norm: str, sliding_window: bool, positions: str, marks: str) -> None:
    """Real tokens get what they get without the padding: wherever it stands, and over a window of two."""
    own = lm(norm=norm, positions=positions, sliding_window=sliding_window, window=2)
    real = torch.tensor([[mark == "x" for mark in marks], [True] * 5])
    got = own(torch.where(real, IDS, 0), real)
    assert_agree(got[:1, real[0]], own(IDS[:1, real[0]]))
    assert_agree(got[1:], own(IDS[1:]))


def test_positions_count_real_tokens() -> None:
    """Padding keeps its index, so that nothing changes where it stands right."""
    real = torch.tensor([[True, True, False, False], [False, True, False, True]])
    assert position.real_positions(real).tolist() == [[0, 1, 2, 3], [0, 0, 2, 1]]


def test_the_table_ends(assert_agree: Agree) -> None:
    """The longest length works, with and without a mask, and one more raises."""
    own = lm(positions="learned", max_len=5)
    assert_agree(own(IDS), own(IDS, torch.ones_like(IDS, dtype=torch.bool)))
    longer = torch.ones(1, 6, dtype=torch.long)
    with pytest.raises(ValueError, match="max_len"):
        own(longer)
    with pytest.raises(ValueError, match="max_len"):
        own(longer, longer.bool())


@pytest.mark.parametrize("activation", ["gelu", "swiglu"])
@pytest.mark.parametrize("head_bias", [False, True])
@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("head_scale", ["none", "inverse-root-d_model"])
def test_head(draw: Draw, assert_agree: Agree, activation: str, head_bias: bool, tied: bool, head_scale: str) -> None:
    """Scale, linear map, ungated activation, norm, output; each where it is claimed."""
    own = lm(activation=activation, head_bias=head_bias, tied=tied, head_scale=head_scale, head="transform")
    head = own.head
    assert head.transform is not None
    assert head.norm is not None
    x = draw(2, 5, 24)
    scaled = x / 24**0.5 if head_scale == "inverse-root-d_model" else x
    mapped = functional.linear(scaled, head.transform.weight, head.transform.bias)
    activated = functional.gelu(mapped) if activation == "gelu" else functional.silu(mapped)
    weight = own.embedding.table if tied else own.head.get_parameter("output.weight")
    normal: Any = head.norm
    expected = functional.linear(normal(activated), weight, head.bias)
    assert_agree(model.logits(x, own.embedding, head, own.config), expected)
    plain = lm()
    assert_agree(model.transform(x, plain.head, plain.config), x)


def test_a_tie_survives_a_copy(assert_agree: Agree) -> None:
    """There is one tensor, so nothing can come apart; an encoder-decoder has one for all three."""
    own = copy.deepcopy(build(Role.ENCODER_DECODER, Config(tied=True)))
    assert isinstance(own, model.EncoderDecoder)
    own.double()
    assert [name for name, each in own.named_parameters() if 11 in each.shape] == ["embedding.table"]
    assert own.target_tokens is own.embedding
    apart = model.EncoderDecoder(Config())
    assert apart.target_tokens is apart.target_embedding is not None


def test_biases_are_shared_by_all_layers() -> None:
    """One table for each stack, and none in cross-attention."""
    own = model.EncoderDecoder(Config(positions="relative", layers=3))
    tables = [name for name, _ in own.named_parameters() if "relative" in name]
    assert tables == ["encoder.relative.table", "decoder.relative.table"]


def test_the_sides_of_an_encoder_decoder() -> None:
    """The encoder sees everything, the decoder the past, cross-attention has no order."""
    config = Config(causal=True, sliding_window=True, positions="alibi", memory="query")
    own = model.EncoderDecoder(config)
    assert not own.encoder.config.causal
    assert own.decoder.config.causal
    layer = own.decoder.layers[0]
    assert isinstance(layer, decoder.DecoderLayer)
    assert layer.cross_attention.config == decoder.across(config)
    assert decoder.across(config).positions == "none"
    assert decoder.across(config).memory == "separate"


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("positions", ["none", "sinusoidal"])
def test_dropout_falls_on_the_sum_of_embeddings_and_positions(draw: Draw, training: bool, positions: str) -> None:
    """In models always, in a stack of features where it adds positions (section 5.4); in training only."""
    x = draw(2, 5, 24)
    for drops, own in (
        (positions != "none", stack.Encoder(Config(positions=positions, dropout=0.5))),
        (True, model.CausalLM(Config(positions=positions, dropout=0.5)).stack),
        (True, model.EncoderDecoder(Config(positions=positions, dropout=0.5)).decoder),
    ):
        own.double().train(training)
        zeros = (stack.bottom(x, own, own.config) == 0).sum()
        assert (zeros > 50) == (drops and training)


def test_a_row_of_padding_is_finite_and_alone(assert_agree: Agree) -> None:
    """Heads return zeros where nothing is visible, and the other row does not notice."""
    own = model.EncoderDecoder(Config()).double().eval()
    source_real = torch.tensor([[True] * 5, [False] * 5])
    got = own(IDS, IDS, source_real)
    assert got.isfinite().all()
    assert_agree(got[:1], own(IDS[:1], IDS[:1]))
    got.sum().backward()
    assert all(each.grad is not None and each.grad.isfinite().all() for each in own.parameters())


def test_layers_pass_positions_on(draw: Draw, assert_agree: Agree) -> None:
    """A layer told its positions turns by them; told none, by the index."""
    config = Config(positions="rotary")
    layer = stack.EncoderLayer(config).double()
    own = heads.MultiHeadAttention(config).double()
    x = draw(2, 5, 24)
    index = torch.arange(5)[None]
    assert_agree(layer(x, None, index), layer(x))
    assert_agree(layer(x, None, index + 3), layer(x))
    assert_agree(own(x, x, None, index), own(x, x))
    assert not torch.allclose(layer(x, None, 2 * index), layer(x))
