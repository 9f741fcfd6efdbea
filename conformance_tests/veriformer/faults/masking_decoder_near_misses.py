"""Masks inside decoders, unusual and right."""

# mypy: ignore-errors
# Other people's code, written the way they write it: without types.

from torch import nn

import veriformer
from veriformer.faults import tutorial
from veriformer.faults.fault import NearMiss
from veriformer_spec import masking


@veriformer.subject("decoder-layer")
def minus_infinity_throughout(config):
    class Layer(nn.Module):
        def __init__(self):
            super().__init__()
            self.own, self.cross = tutorial.Attention(config), tutorial.Attention(config)
            self.mlp = tutorial.FeedForward(config)
            self.norms = nn.ModuleList(nn.LayerNorm(config.d_model) for _ in range(3))

        def forward(self, x, memory, mask=None, memory_mask=None):
            first, second, third = self.norms
            x = first(x + self.own(x, x, mask))
            x = second(x + self.cross(x, memory, memory_mask))
            return third(x + self.mlp(x))

    return Layer()


DECODER_OF_MINUS_INFINITY = NearMiss(
    id="decoder-of-minus-infinity",
    sentence="scores are filled with minus infinity: a query that sees nothing is NaN, and so is what its gradient passes through",
    clauses=(masking.A_ROW_WITH_NOTHING_VISIBLE_TOUCHES_NO_OTHER, masking.SOURCE_PADDING_IS_INVISIBLE),
    build=minus_infinity_throughout,
)
