"""The preflight tells the adapter's mistakes from the model's, and says what the run assumes."""

# mypy: ignore-errors
# Subjects as users write them: without types.

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import veriformer
from veriformer.declaration import Declaration, Unsupported
from veriformer.faults import tutorial
from veriformer.faults.fault import declared
from veriformer.preflight import Prepared, prepared


def look(role: str, make, **claims) -> Prepared:
    def build(config):
        return make(config)

    declaration: Declaration = declared(veriformer.subject(role, **claims)(build))
    return prepared(declaration)


def only_note(result: Prepared) -> str:
    assert not result.blocked
    assert len(result.notes) == 1, result.notes
    return result.notes[0]


def test_a_correct_module_needs_no_note():
    result = look("encoder-layer", tutorial.Block)
    assert (result.notes, result.blocked, result.subject.rounds_to) == ([], "", torch.float64)


def test_a_tuple_blocks_and_says_what_to_do():
    result = look("multi-head-attention", lambda c: nn.MultiheadAttention(c.d_model, c.heads, batch_first=True))
    assert "call" in result.blocked
    result = look(
        "multi-head-attention",
        lambda c: (nn.MultiheadAttention(c.d_model, c.heads, batch_first=True), lambda m, q, k, mask=None: m(q, k, k)),
    )
    assert "a tuple of 2" in result.blocked
    assert "take the output out of it" in result.blocked
    assert result.subject.dtype is torch.float64


def test_a_sequence_first_module_is_noticed():
    result = look(
        "encoder-layer",
        lambda c: (nn.TransformerEncoderLayer(c.d_model, c.heads, c.d_ff, dropout=0.0), lambda m, x, mask=None: m(x)),
        masks="none",
    )
    assert "batch_first=True" in only_note(result)


def test_an_inverted_mask_is_noticed():
    def build(config):
        return tutorial.Attention(config), lambda m, q, k, mask=None: m(q, k, None if mask is None else ~mask)

    assert "points the other way" in only_note(look("multi-head-attention", build))


def test_an_ignored_mask_is_noticed():
    def build(config):
        return tutorial.Attention(config), lambda m, q, k, mask=None: m(q, k)

    assert "changes nothing" in only_note(look("multi-head-attention", build))


def test_dropout_left_on_is_noticed_and_neutralised():
    result = look(
        "feed-forward",
        lambda c: nn.Sequential(nn.Linear(c.d_model, c.d_ff), nn.ReLU(), nn.Dropout(0.1), nn.Linear(c.d_ff, c.d_model)),
    )
    assert "pass config.dropout on" in only_note(result)
    assert result.subject.neutralise_dropout


def test_noise_that_is_no_dropout_is_said():
    class Noisy(tutorial.FeedForward):
        def forward(self, x):
            return super().forward(x) + (torch.rand_like(x) if self.training else 0)

    notes = look("feed-forward", Noisy).notes
    assert "not by a dropout that can be replaced" in notes[-1]


def test_dropout_in_evaluation_is_noticed():
    class Dropping(tutorial.FeedForward):
        def forward(self, x):
            return F.dropout(super().forward(x), 0.1)

    notes = look("feed-forward", Dropping).notes
    assert any("evaluation mode" in note for note in notes)


def test_float64_unsupported_falls_back_to_float32():
    class Single(tutorial.FeedForward):
        def forward(self, x):
            if x.dtype is not torch.float32:
                raise TypeError("float32 only")
            return super().forward(x)

    result = look("feed-forward", Single)
    assert "judged in float32: in float64 the call raised TypeError" in only_note(result)
    assert result.subject.dtype is result.subject.rounds_to is torch.float32


def test_float32_inside_is_said():
    class Wide(nn.LayerNorm):
        def forward(self, x):
            return (
                super().forward(x.float()).to(x.dtype)
                if x.dtype is torch.bfloat16
                else F.normalize(x.float(), dim=-1).to(x)
            )

    result = look("layer-norm", lambda c: Wide(c.d_model))
    assert "computes in float32 inside (to_copy rounds to float32)" in only_note(result)
    assert result.subject.rounds_to is torch.float32


def test_refusals_are_met_with_other_sizes():
    def two_heads_only(config):
        if config.heads != 2:
            raise Unsupported("two heads only")
        return tutorial.Attention(config)

    assert not look("multi-head-attention", two_heads_only).blocked

    def never(config):
        raise Unsupported("not today")

    assert "refuses every configuration tried: not today" in look("multi-head-attention", never).blocked


@pytest.mark.filterwarnings("ignore")
def test_unpadding_code_is_told_to_say_so():
    def build(config):
        layer = nn.TransformerEncoderLayer(config.d_model, config.heads, config.d_ff, dropout=0.0, batch_first=True)
        stack = nn.TransformerEncoder(layer, config.layers)

        def call(stack, x, mask=None):
            out = stack(x, src_key_padding_mask=None if mask is None else ~mask[:, 0, 0])
            return F.pad(out, (0, 0, 0, x.shape[1] - out.shape[1]))

        return stack, call

    assert "padded_rows='unspecified'" in only_note(look("encoder", build, masks="padding"))
    assert look("encoder", build, masks="padding", padded_rows="unspecified").notes == []
