"""Recurrence has witnesses of its own: torch.nn.GRU with the same weights, and numbers by hand."""

import dataclasses
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from veriformer_reference import recurrence
from veriformer_reference.build import build
from veriformer_spec.config import Config
from veriformer_spec.role import Role

CONFIG = Config(cell="gru", d_model=6, heads=1, vocab=11)
SOURCE = torch.tensor([[3, 4, 5, 6], [7, 8, 9, 10]])
TARGET = torch.tensor([[1, 2, 3], [4, 5, 6]])


@pytest.fixture
def model() -> recurrence.RecurrentEncoderDecoder:
    """The whole network, in float64."""
    torch.manual_seed(5)
    built = build(Role.ENCODER_DECODER, CONFIG)
    assert isinstance(built, recurrence.RecurrentEncoderDecoder)
    return built.double()


def ported(own: recurrence.GatedRecurrentUnit, inputs: int, *, bias: bool, reverse: bool = False) -> dict[str, Tensor]:
    """Our weights under the names of torch.nn.GRU, which stacks reset, update and candidate in this order."""
    gates = (own.reset, own.update, own.candidate)
    suffix = "_l0_reverse" if reverse else "_l0"
    named = {
        f"weight_ih{suffix}": torch.cat([gate.input.weight for gate in gates]),
        f"weight_hh{suffix}": torch.cat([gate.state.weight for gate in gates]),
    }
    if bias:
        named[f"bias_ih{suffix}"] = torch.cat([gate.input.bias for gate in gates if gate.input.bias is not None])
        named[f"bias_hh{suffix}"] = torch.cat([gate.state.bias for gate in gates if gate.state.bias is not None])
    assert named[f"weight_ih{suffix}"].shape[1] == inputs
    return {name: tensor.detach() for name, tensor in named.items()}


@pytest.mark.parametrize("bias", [True, False])
def test_reading_equals_torch_gru(
    draw: Callable[..., Tensor], assert_agree: Callable[[Tensor, Tensor], None], bias: bool
) -> None:
    """With the same weights the states of both directions are those of ``torch.nn.GRU(bidirectional=True)``."""
    ours = [recurrence.GatedRecurrentUnit(5, 4, bias=bias).double() for _ in range(2)]
    theirs = nn.GRU(5, 4, bias=bias, batch_first=True, bidirectional=True).double()
    theirs.load_state_dict(ported(ours[0], 5, bias=bias) | ported(ours[1], 5, bias=bias, reverse=True))
    tokens = draw(3, 7, 5)
    assert_agree(recurrence.both_ways(tokens, torch.ones(3, 7, dtype=torch.bool), *ours), theirs(tokens)[0])


def test_padded_reading_equals_torch_on_the_real_tokens(
    draw: Callable[..., Tensor], assert_agree: Callable[[Tensor, Tensor], None]
) -> None:
    """Wherever padding stands, each real token has the states of the sequence without it."""
    ours = [recurrence.GatedRecurrentUnit(5, 4, bias=True).double() for _ in range(2)]
    theirs = nn.GRU(5, 4, batch_first=True, bidirectional=True).double()
    theirs.load_state_dict(ported(ours[0], 5, bias=True) | ported(ours[1], 5, bias=True, reverse=True))
    tokens = draw(1, 6, 5)
    for mask in ([1, 1, 1, 0, 0, 0], [0, 0, 1, 1, 1, 1], [1, 0, 1, 0, 0, 1]):
        real = torch.tensor([mask], dtype=torch.bool)
        got = recurrence.both_ways(tokens, real, *ours)
        assert_agree(got[real], theirs(tokens[:, real[0]])[0][0])


def test_additive_attention_by_hand() -> None:
    """With everything 1, v tanh(W q + U m) gives the scores tanh(1) and tanh(3), so that weights and context follow."""
    own = recurrence.AdditiveAttention(1, 1, 1).double()
    for parameter in own.parameters():
        nn.init.ones_(parameter)
    query, memory = torch.tensor([[[1.0]]]).double(), torch.tensor([[[0.0], [2.0]]]).double()
    scores = torch.tanh(torch.tensor([1.0, 3.0], dtype=torch.float64))
    assert torch.allclose(recurrence.additive_scores(query, memory, own)[0, 0], scores)
    assert torch.allclose(own(query, memory)[0, 0, 0], 2 * torch.softmax(scores, 0)[1])


def test_additive_attention_hides_and_returns_zeros() -> None:
    """Of one visible key the value comes back; of none, zeros."""
    own = build(Role.ADDITIVE_ATTENTION, CONFIG)
    query, memory = torch.randn(2, 3, 6), torch.randn(2, 4, 6)
    mask = torch.zeros(2, 1, 1, 4, dtype=torch.bool)
    mask[0, 0, 0, 2] = True
    context = own(query, memory, mask)
    assert torch.equal(context[0], memory[0, 2].expand(3, 6))
    assert not context[1].any()


def test_teacher_forced_equals_step_by_step(
    model: recurrence.RecurrentEncoderDecoder, assert_agree: Callable[[Tensor, Tensor], None]
) -> None:
    """Cutting the target changes nothing before the cut."""
    whole = model(SOURCE, TARGET)
    assert whole.shape == (2, 3, 11)
    assert model(SOURCE, TARGET[:, :0]).shape == (2, 0, 11)
    for length in (1, 2):
        assert_agree(model(SOURCE, TARGET[:, :length]), whole[:, :length])


@pytest.mark.parametrize("side", ["left", "right", "interior"])
def test_padding_changes_nothing(
    model: recurrence.RecurrentEncoderDecoder, assert_agree: Callable[[Tensor, Tensor], None], side: str
) -> None:
    """Padding in the source and in the target leaves the logits at real tokens as they are."""
    real = {"left": [0, 0, 1, 1, 1, 1], "right": [1, 1, 1, 1, 0, 0], "interior": [1, 0, 1, 1, 0, 1]}[side]
    source_mask = torch.tensor([real, real], dtype=torch.bool)
    target_mask = source_mask[:, :5]
    source, target = torch.zeros(2, 6, dtype=torch.long), torch.zeros(2, 5, dtype=torch.long)
    source[source_mask] = SOURCE.flatten()
    words = torch.tensor([[1, 2, 3, 4], [4, 5, 6, 7]])[:, : int(target_mask[0].sum())]
    target[target_mask] = words.flatten()
    padded = model(source, target, source_mask, target_mask)
    assert_agree(padded[target_mask].reshape(2, -1, 11), model(SOURCE, words))


def test_tied_tables_are_one() -> None:
    """Where it is claimed, source, target and output have one table."""
    tied = build(Role.ENCODER_DECODER, dataclasses.replace(CONFIG, tied=True))
    assert isinstance(tied, nn.Module)
    tables = [name for name, each in tied.named_parameters() if each.shape == (11, 6)]
    assert tables == ["embedding.table"]
    assert tied(SOURCE, TARGET).shape == (2, 3, 11)


def test_a_source_of_padding_is_finite(model: recurrence.RecurrentEncoderDecoder) -> None:
    """Nothing to look at gives a context of zeros, and no NaN in any gradient."""
    mask = torch.tensor([[False] * 4, [True] * 4])
    logits = model(SOURCE, TARGET, mask)
    logits.sum().backward()
    assert logits.isfinite().all()
    assert all(each.grad is not None and each.grad.isfinite().all() for each in model.parameters())


def test_every_parameter_gets_a_gradient(model: recurrence.RecurrentEncoderDecoder) -> None:
    """And every step looks at the source with a state of its own."""
    (model(SOURCE, TARGET) ** 2).sum().backward()
    assert all(each.grad is not None and each.grad.any() for each in model.parameters())
    swapped = SOURCE[:, [1, 0, 2, 3]]
    difference = (model(swapped, TARGET) - model(SOURCE, TARGET)).norm(dim=-1)
    assert (difference > 1e-6).all()


def test_an_id_out_of_the_vocabulary_raises(model: recurrence.RecurrentEncoderDecoder) -> None:
    """Neither wrapped from the end of the table nor clamped."""
    with pytest.raises((IndexError, ValueError)):
        model(torch.tensor([[-1]]), torch.tensor([[1]]))
    with pytest.raises((IndexError, ValueError)):
        model(torch.tensor([[1]]), torch.tensor([[11]]))
