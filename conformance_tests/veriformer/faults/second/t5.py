"""T5's encoder-decoder, with one table of biases for each stack; and biases for distance by themselves."""

# mypy: ignore-errors
# Other people's code, written the way they write it: without types.

import math

import torch
from torch import nn

from veriformer.faults.second.declaring import declare
from veriformer.faults.second.parts import RootMeanSquare


def bucket_of(apart, buckets, reach, *, both_ways, fault=None):
    """The row of the table for each ``apart``, key minus query."""
    if fault == "buckets-of-the-other-direction":
        both_ways = not both_ways
    first = torch.zeros_like(apart)
    if both_ways:
        buckets //= 2
        if fault != "buckets-sign-ignored":
            first = buckets * (apart > 0)
        apart = apart.abs()
    else:
        apart = (-apart).clamp(min=0)
    exact = buckets // 2
    ratio = torch.log(apart.clamp(min=1) / exact) / math.log(
        (reach + 8 * (fault == "buckets-max-distance-off-by-one")) / exact
    )
    shared = ratio * (buckets - exact)
    shared = shared.ceil() if fault == "buckets-rounded-up" else torch.floor(shared + 1e-9)
    return first + torch.where(apart < exact, apart, (exact + shared.long()).clamp(max=buckets - 1))


def slopes(heads, fault=None):
    """ALiBi's slopes, for any number of heads."""
    if fault == "alibi-exponents-from-zero":
        series = lambda many: [2 ** (-8 * i / many) for i in range(many)]  # noqa: E731  # as its authors wrote it
    else:
        series = lambda many: [2 ** (-8 * (i + 1) / many) for i in range(many)]  # noqa: E731
    below = 2 ** int(math.log2(heads))
    if fault == "alibi-one-series-for-every-count":
        below = heads
    found = series(below) + series(2 * below)[0::2][: heads - below]
    if fault == "alibi-slopes-in-reverse":
        return found[::-1]
    return found[:1] * heads if fault == "alibi-one-slope-for-all-heads" else found


def apart(queries, keys, fault=None):
    """Key position minus query position; the last query stands at the last key."""
    query = torch.arange(queries) + (0 if fault == "bias-queries-at-the-start" else keys - queries)
    key = torch.arange(keys)
    distance = key[None] - query[:, None]
    if fault == "distances-weighed-by-position":
        distance = distance * (1 + key)
    return -distance if fault == "buckets-sign-turned" else distance


class Distances(nn.Module):
    """A learned number for each head and bucket, heads first in the table."""

    def __init__(self, config, fault=None, *, both_ways):
        super().__init__()
        self.table = nn.Parameter(torch.randn(config.heads, config.buckets))
        self.buckets, self.reach, self.both_ways, self.fault = config.buckets, config.max_distance, both_ways, fault

    def forward(self, queries, keys):
        steps = apart(queries, keys, self.fault).to(self.table.device)
        row = bucket_of(steps, self.buckets, self.reach, both_ways=self.both_ways, fault=self.fault)
        if self.fault == "bias-reshaped-to-heads-first":
            return self.table.t()[row].reshape(-1, queries, keys)
        return self.table[:, row]


def distances_alone(config, fault=None):
    """The bias by itself: a module where it is learned, a function where it is computed."""
    if config.bias_kind == "relative":
        return Distances(config, fault, both_ways=config.direction == "bidirectional")

    def alibi(queries, keys):
        distance = apart(queries, keys, fault).double()
        if fault == "alibi-distance-squared":
            distance = distance.square()
        if fault == "alibi-future-rewarded":
            distance = -distance
        by = torch.tensor(slopes(config.heads, fault), dtype=torch.float64)[:, None, None]
        return (
            by * distance.abs()
            if fault == "alibi-sign-lost"
            else -by * (distance if fault == "alibi-future-rewarded" else distance.abs())
        )

    return alibi


class Relation(nn.Module):
    """Attention without scale or bias vectors, for tokens among themselves or onto a memory."""

    def __init__(self, config, fault=None):
        super().__init__()
        self.heads, self.fault = config.heads, fault
        self.q, self.k, self.v, self.o = (nn.Linear(config.d_model, config.d_model, bias=False) for _ in range(4))

    def forward(self, x, memory, mask, bias):
        q, k, v = (p(i).unflatten(-1, (self.heads, -1)) for p, i in ((self.q, x), (self.k, memory), (self.v, memory)))
        scores = torch.einsum("bqhc,bkhc->bhqk", q, k)
        if bias is not None and self.fault != "bias-never-added":
            scores = scores + bias
        if mask is not None:
            scores = scores.masked_fill(mask.logical_not(), torch.finfo(scores.dtype).min)
        return self.o(torch.einsum("bhqk,bkhc->bqhc", scores.softmax(-1), v).flatten(2))


class Layer(nn.Module):
    def __init__(self, config, fault=None, *, reads=False):
        super().__init__()
        self.fault = fault
        self.look, self.read = Relation(config, fault), Relation(config) if reads else None
        self.wi, self.wo = (
            nn.Linear(config.d_model, config.d_ff, bias=False),
            nn.Linear(config.d_ff, config.d_model, bias=False),
        )
        self.norms = nn.ModuleList(RootMeanSquare(config, fault) for _ in range(2 + reads))
        self.drop = nn.Dropout(config.dropout)

    def forward(self, x, mask, bias, memory=None, memory_mask=None):
        y = self.norms[0](x)
        x = x + self.drop(self.look(y, y, mask, bias))
        if self.read is not None:
            memory_mask = None if self.fault == "memory-mask-not-passed-on" else memory_mask
            x = x + self.drop(self.read(self.norms[1](x), memory, memory_mask, None))
        return x + self.drop(self.wo(self.wi(self.norms[-1](x)).relu()))


class Stack(nn.Module):
    """Layers that share one table of biases, and a norm at the end."""

    def __init__(self, config, fault=None, *, reads=False):
        super().__init__()
        self.causal = reads
        self.distances = Distances(config, fault, both_ways=not reads)
        self.block = nn.ModuleList(Layer(config, fault, reads=reads) for _ in range(config.layers))
        self.final = RootMeanSquare(config, fault)

    def forward(self, x, mask=None, memory=None, memory_mask=None):
        time = x.shape[1]
        if self.causal:
            past = torch.ones(time, time, dtype=torch.bool, device=x.device).tril()
            mask = past if mask is None else mask & past
        bias = self.distances(time, time)
        for block in self.block:
            x = block(x, mask, bias, memory, memory_mask)
        return self.final(x)


class T5(nn.Module):
    """One table for words in, words read and words out; the output is scaled down before it."""

    def __init__(self, config, fault=None):
        super().__init__()
        self.shared = nn.Embedding(config.vocab, config.d_model)
        self.encoder, self.decoder = Stack(config, fault), Stack(config, fault, reads=True)

    def forward(self, source, target, source_mask=None, target_mask=None):
        hidden, shown = (None if each is None else each[:, None, None, :] for each in (source_mask, target_mask))
        memory = self.encoder(self.shared(source), hidden)
        x = self.decoder(self.shared(target), shown, memory, hidden)
        return (x / math.sqrt(x.shape[-1])) @ self.shared.weight.t()


CLAIMS = {
    "norm": "pre",
    "normalization": "rms",
    "positions": "relative",
    "bias": False,
    "scale": "none",
    "tied": True,
    "head_scale": "inverse-root-d_model",
}
STACK = {name: CLAIMS[name] for name in ("norm", "normalization", "positions", "bias", "scale")}


def build_bias(fault=None, **claims):
    learned = claims.get("bias_kind") == "relative"
    return declare("attention-bias", distances_alone, fault, **({} if learned else {"module": None}), **claims)


def build_stack(fault=None):
    return declare("encoder", Stack, fault, **STACK)


def build_t5(fault=None):
    return declare("encoder-decoder", T5, fault, **CLAIMS)


_SLOPES = (
    "alibi-slopes-in-reverse", "alibi-one-series-for-every-count", "alibi-sign-lost", "alibi-one-slope-for-all-heads",
)  # fmt: skip
_BUCKETS = (
    "buckets-rounded-up", "buckets-max-distance-off-by-one", "buckets-of-the-other-direction",
    "bias-reshaped-to-heads-first",
)  # fmt: skip
BOTH_WAYS = {"bias_kind": "relative", "direction": "bidirectional"}

SECOND = {
    **{fault: (build_bias(fault), build_bias(fault, direction="bidirectional")) for fault in _SLOPES},
    **{fault: (build_bias(fault),) for fault in ("alibi-exponents-from-zero", "alibi-distance-squared")},
    "alibi-future-rewarded": (build_bias("alibi-future-rewarded", direction="bidirectional"),),
    **{fault: (build_bias(fault, bias_kind="relative"), build_bias(fault, **BOTH_WAYS)) for fault in _BUCKETS},
    # both ways, a turned sign exchanges the two halves of a table that is learned: a relabelling, and no fault without a mapping
    "buckets-sign-turned": (build_bias("buckets-sign-turned", bias_kind="relative"),),
    "buckets-sign-ignored": (build_bias("buckets-sign-ignored", **BOTH_WAYS),),
    "bias-queries-at-the-start": (
        build_bias("bias-queries-at-the-start"),
        build_bias("bias-queries-at-the-start", **BOTH_WAYS),
    ),
    "distances-weighed-by-position": (build_stack("distances-weighed-by-position"),),
    "bias-never-added": (build_stack("bias-never-added"),),
    "memory-mask-not-passed-on": (build_t5("memory-mask-not-passed-on"),),
}

CORRECT = (
    build_bias(),
    build_bias(direction="bidirectional"),
    build_bias(bias_kind="relative"),
    build_bias(**BOTH_WAYS),
    build_stack(),
    build_t5(),
)
