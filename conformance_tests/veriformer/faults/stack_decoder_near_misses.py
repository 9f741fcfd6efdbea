"""Legal, unusual, correct decoders."""

# mypy: ignore-errors
# Other people's code, written the way they write it: without types.

import torch
from torch import nn
from torch.nn import functional

import veriformer
from veriformer.faults.decoder_styles import OneLayer, Reader, reader_names, reading_names
from veriformer.faults.fault import NearMiss
from veriformer_spec import residual, stack


@veriformer.subject("decoder", norm="pre", causal=True, weights=reader_names, dropout="on")
def pre_norm_reader(config):
    return Reader(config)


@veriformer.subject("decoder", weights=reader_names)
def post_norm_reader(config):
    return Reader(config)


@veriformer.subject("decoder-layer", norm="pre", weights=lambda module: reading_names(module.inner), dropout="on")
def pre_norm_layer(config):
    return OneLayer(config)


PRE_NORM_DECODER = NearMiss(
    id="pre-norm-causal-decoder",
    sentence="A causal pre-norm decoder with keys and values of each attention in one projection.",
    clauses=(
        stack.EQUALS_THE_REFERENCE, stack.MEMORY_REACHES_EVERY_LAYER, residual.A_PRE_NORM_STACK_ENDS_IN_A_NORM,
        residual.DROPOUT_IS_AS_CLAIMED,
    ),
    build=pre_norm_reader,
)  # fmt: skip
POST_NORM_DECODER = NearMiss(
    id="post-norm-decoder",
    sentence="A post-norm decoder that hides by a large negative number, and gets its causal mask from outside.",
    clauses=(stack.EQUALS_THE_REFERENCE, stack.EVERY_LAYER_RUNS, stack.MASK_REACHES_EVERY_LAYER),
    build=post_norm_reader,
)
PRE_NORM_DECODER_LAYER = NearMiss(
    id="pre-norm-decoder-layer",
    sentence="A pre-norm decoder layer of fused projections.",
    clauses=(
        stack.DECODER_SUBLAYERS_STAND_IN_ORDER, residual.THE_SKIP_ADDS_THE_INPUT_ONCE,
        residual.THE_SKIP_HOLDS_THE_VALUE_BEFORE_THE_SUBLAYER, residual.NORM_PLACEMENT_IS_AS_CLAIMED,
        residual.DROPOUT_FALLS_ON_THE_SUBLAYER,
    ),
    build=pre_norm_layer,
)  # fmt: skip


class TimeFirst(nn.Module):
    """Time first inside, all of a layer's matrices in two stacks, torch's fused attention; one set for all layers."""

    def __init__(self, config):
        super().__init__()
        d, self.heads, self.times, self.eps = config.d_model, config.heads, config.layers, config.eps
        self.square = nn.Parameter(torch.randn(8, d, d) / d**0.5)
        self.biases = nn.Parameter(torch.zeros(8, d))
        self.up, self.down = nn.Linear(d, config.d_ff), nn.Linear(config.d_ff, d)
        self.gains, self.shifts = nn.Parameter(torch.ones(3, d)), nn.Parameter(torch.zeros(3, d))

    def look(self, x, memory, mask, at):
        sources = (x, memory, memory)
        q, k, v = (
            functional.linear(each, self.square[at + n], self.biases[at + n])
            .unflatten(-1, (self.heads, -1))
            .permute(1, 2, 0, 3)
            for n, each in enumerate(sources)
        )
        seen = functional.scaled_dot_product_attention(q, k, v, mask)
        return functional.linear(seen.permute(2, 0, 1, 3).flatten(2), self.square[at + 3], self.biases[at + 3])

    def norm(self, x, which):
        return functional.layer_norm(x, x.shape[-1:], self.gains[which], self.shifts[which], self.eps)

    def forward(self, x, memory, mask=None, memory_mask=None):
        x, memory = x.transpose(0, 1), memory.transpose(0, 1)
        for _ in range(self.times):
            x = self.norm(x + self.look(x, x, mask, 0), 0)
            x = self.norm(x + self.look(x, memory, memory_mask, 4), 1)
            x = self.norm(x + self.down(self.up(x).relu()), 2)
        return x.transpose(0, 1)


@veriformer.subject("decoder", layer_parameters="shared")
def time_first_shared_layers(config):
    return TimeFirst(config)


SHARED_DECODER_LAYERS = NearMiss(
    id="shared-decoder-layers-claimed",
    sentence="One set of parameters, in two stacks, serves every layer, as claimed; time comes first inside.",
    clauses=(stack.LAYERS_OWN_THEIR_PARAMETERS, stack.EVERY_LAYER_RUNS, stack.MEMORY_REACHES_EVERY_LAYER),
    build=time_first_shared_layers,
)
