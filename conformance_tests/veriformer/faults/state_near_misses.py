"""Correct subjects that a careless check of state would fail."""

# mypy: ignore-errors
# Other people's code, written the way they write it: without types.

import warnings

import torch
import torch.nn.functional as F
from torch import nn

import veriformer
from veriformer.faults import tutorial
from veriformer.faults.fault import NearMiss
from veriformer_spec import state


@veriformer.subject("multi-head-attention")
def strided_output(config):
    class Strided(tutorial.Attention):
        def forward(self, query, memory, mask=None):
            out = super().forward(query, memory, mask)
            return out.transpose(0, 1).contiguous().transpose(0, 1)

    return Strided(config)


OUTPUT_IN_ANOTHER_LAYOUT = NearMiss(
    id="output-in-another-layout",
    sentence="the output is a view of a sequence-first tensor: right shape and values, other strides",
    clauses=(state.OUTPUT_HAS_THE_PROMISED_SHAPE, state.OUTPUT_IS_A_NEW_TENSOR, state.LAYOUT_DOES_NOT_MATTER),
    build=strided_output,
)


@veriformer.subject("feed-forward", activation="silu")
def overflowing_harmlessly(config):
    class Harmless(tutorial.FeedForward):
        def forward(self, x):
            h = self.inner(x)
            return self.outer(
                h / (1 + torch.exp(-h))
            )  # exp may be infinite: then the quotient is zero, as it should be

    return Harmless(config)


SIGMOID_THAT_OVERFLOWS_HARMLESSLY = NearMiss(
    id="sigmoid-that-overflows-harmlessly",
    sentence="exp(-x) is infinite for large negative x, and the quotient zero: no number that comes back is infinite",
    clauses=(state.FINITE_INPUTS_GIVE_FINITE_OUTPUTS,),
    build=overflowing_harmlessly,
)


@veriformer.subject("encoder-layer")
def in_place_on_its_own(config):
    class InPlace(tutorial.Block):
        def forward(self, x, mask=None):
            seen = self.attention(x, x, mask)
            seen += x
            thought = self.mlp(seen := self.norm1(seen))
            thought += seen
            return self.norm2(thought)

    return InPlace(config)


IN_PLACE_ON_ITS_OWN = NearMiss(
    id="in-place-on-its-own",
    sentence="residuals are added in place, to what the sublayer returned",
    clauses=(state.INPUTS_ARE_NOT_MODIFIED, state.CALLS_ARE_INDEPENDENT),
    build=in_place_on_its_own,
)


@veriformer.subject("encoder-layer")
def dropout_by_hand(config):
    class Dropping(nn.Module):
        def forward(self, x):
            if not self.training or config.dropout == 0:
                return x
            return x * (torch.rand_like(x) >= config.dropout) / (1 - config.dropout)

    block = tutorial.Block(config)
    block.drop = Dropping()
    return block


DROPOUT_BY_HAND = NearMiss(
    id="dropout-by-hand",
    sentence="dropout draws uniform numbers and compares them, in training only",
    clauses=(state.EVALUATION_IS_DETERMINISTIC, state.ONE_FUNCTION_IN_EVERY_MODE, state.CALLER_STATE_IS_RESTORED),
    build=dropout_by_hand,
)


@veriformer.subject("encoder-layer", activation="gelu", norm="pre")
def library_layer(config):
    layer = nn.TransformerEncoderLayer(
        config.d_model, config.heads, config.d_ff, activation="gelu", batch_first=True, norm_first=True
    )

    def call(layer, x, mask=None):
        return layer(x, None if mask is None else ~mask.expand(len(x), config.heads, x.shape[1], -1).flatten(0, 1))

    return layer, call


DROPOUT_NOT_PASSED_ON = NearMiss(
    id="library-layer-with-its-own-dropout",
    sentence="torch's layer keeps its default dropout of 0.1 and takes another path without gradients",
    clauses=(state.ONE_FUNCTION_IN_EVERY_MODE, state.BATCH_ROWS_ARE_INDEPENDENT, state.EVERY_PARAMETER_IS_REGISTERED),
    build=library_layer,
)


@veriformer.subject("positional-encoding")
def cached_tables(config):
    class Cached(nn.Module):
        def __init__(self):
            super().__init__()
            self.tables = {}

        def forward(self, x):
            if x.shape[-1] != config.d_model:
                raise ValueError(f"{x.shape[-1]} features must be {config.d_model}")
            key = x.shape[1], x.dtype, x.device
            if key not in self.tables:
                self.tables[key] = tutorial.sinusoids(x.shape[1], config.d_model, dtype=x.dtype, device=x.device)
            return x + self.tables[key]

    return Cached()


TABLES_CACHED_BY_LENGTH_AND_DTYPE = NearMiss(
    id="tables-cached-by-length-and-dtype",
    sentence="tables are kept from call to call, one for each length, dtype and device",
    clauses=(state.CALLS_ARE_INDEPENDENT, state.STATE_DICT_HOLDS_THE_WHOLE_FUNCTION, state.A_BAD_SHAPE_RAISES),
    build=cached_tables,
)


@veriformer.subject("feed-forward")
def routed(config):
    class Routed(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("router", torch.randn(config.d_model, 3))
            self.experts = nn.ModuleList(tutorial.FeedForward(config) for _ in range(3))

        def forward(self, x):
            tokens = x.flatten(0, 1)
            chosen = (tokens @ self.router).argmax(-1)
            out = torch.zeros_like(tokens)
            for index, expert in enumerate(self.experts):
                rows = (chosen == index).nonzero().squeeze(-1)
                if rows.numel():
                    out = out.index_copy(0, rows, expert(tokens[rows]))
            return out.unflatten(0, x.shape[:2])

    return Routed()


TOKENS_SENT_TO_EXPERTS = NearMiss(
    id="tokens-sent-to-experts",
    sentence="tokens of all rows are dealt to experts, so that the sizes of the products depend on the other rows",
    clauses=(state.BATCH_ROWS_ARE_INDEPENDENT, state.ONE_TOKEN_AND_ONE_ROW_WORK),
    build=routed,
)


@veriformer.subject("positional-encoding")
def moves_by_itself(config):
    class Moving(nn.Module):
        def __init__(self):
            super().__init__()
            self.tables = [tutorial.sinusoids(config.max_len, config.d_model)]

        def _apply(self, fn, recurse=True):  # noqa: FBT002  # torch's signature
            self.tables = [fn(each) for each in self.tables]
            return super()._apply(fn, recurse)

        def forward(self, x):
            return x + self.tables[0][: x.shape[1]].expand_as(x)

    return Moving()


TABLE_MOVED_BY_ITS_OWN_HAND = NearMiss(
    id="table-moved-by-its-own-hand",
    sentence="a table in a plain list follows .to(), because the module moves it itself",
    clauses=(state.EVERY_PARAMETER_IS_REGISTERED,),
    build=moves_by_itself,
)


@veriformer.subject("feed-forward")
def warning_once(config):
    class Warning_(tutorial.FeedForward):
        def forward(self, x):
            warnings.warn("this layer is deprecated", FutureWarning, stacklevel=2)
            return super().forward(x)

    return Warning_(config)


WARNS_AND_DOES_NOT_PRINT = NearMiss(
    id="warns-and-does-not-print",
    sentence="each call warns, which is not printing: the caller decides what becomes of it",
    clauses=(state.CALLS_ARE_SILENT,),
    build=warning_once,
)


@veriformer.subject("attention", module=None)
def fused_kernel(config):
    return lambda query, key, value, mask=None: F.scaled_dot_product_attention(query, key, value, attn_mask=mask)


FUSED_KERNEL = NearMiss(
    id="fused-kernel-in-every-layout",
    sentence="torch's fused attention: other kernels for other layouts, sizes and modes",
    clauses=(state.LAYOUT_DOES_NOT_MATTER, state.ONE_FUNCTION_IN_EVERY_MODE),
    build=fused_kernel,
)
