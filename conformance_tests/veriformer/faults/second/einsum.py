"""Attention by einsum, with a matrix for each head; and an encoder layer around it."""

# mypy: ignore-errors
# Other people's code, written the way they write it: without types.

import math

import torch
from torch import nn

from veriformer.faults.second.declaring import declare
from veriformer.faults.second.parts import Norm, Thinking

MINUS_INFINITY = float("-inf")


def triangle(queries, keys, device, fault=None):
    """Who sees whom without a view of the future; the last query stands beside the last key."""
    column = torch.arange(keys, device=device)[None]
    row = column[:, keys - queries :].mT
    if fault == "causal-transposed":
        return row <= column
    if fault == "causal-without-diagonal":
        return column < row
    if fault == "causal-one-too-many":
        return column <= row + 1
    return (column <= row) & (column >= row - 1) if fault == "causal-window" else column <= row


def both(mask, past, fault=None):
    """A key is seen where the caller's mask and the triangle let it be seen."""
    if mask is None or fault == "mask-dropped-under-causality":
        return past
    if fault == "causal-dropped-under-a-mask":
        return mask
    return torch.logical_or(mask, past) if fault == "masks-combined-by-or" else torch.logical_and(mask, past)


def shares(scores, fault=None):
    """How much of each value a query takes."""
    if fault == "softmax-over-queries":
        return scores.softmax(2)
    if fault == "softmax-over-heads":
        return scores.softmax(1)
    if fault == "one-in-the-denominator":
        return scores.exp() / (scores.exp().sum(-1, keepdim=True) + 1)
    top = scores.max(-1, keepdim=True).values
    if fault == "sum-in-place-of-average":
        return torch.exp(scores - top)
    part = torch.exp(scores - torch.logsumexp(scores, -1, keepdim=True))
    if fault == "small-weights-zeroed":
        return part.masked_fill(part < part.max(-1, keepdim=True).values / 2, 0)
    return part + (part - 1 / part.shape[-1]) / 2 if fault == "negative-weights" else part


def concealed(scores, open_, fault=None):
    """The scores, with those that are not open taken out of the race."""
    if fault == "mask-by-multiplication":
        return scores * open_
    if fault == "mask-value-ten":
        return torch.where(open_, scores, scores - 10)
    if fault == "mask-value-ten-thousand":
        return torch.where(open_, scores, -1e4)
    if fault == "boolean-mask-added":
        return scores + 1.0 * open_
    if fault == "mask-inverted":
        return torch.where(open_, MINUS_INFINITY, scores)
    if fault == "mask-of-the-first-row":
        open_ = open_[0][None]
    if fault == "mask-of-the-first-head":
        open_ = open_[:, 0][:, None]
    if fault == "heads-masks-merged-by-any":
        open_ = open_.any(1)[:, None]
    if fault == "heads-masks-merged-by-all":
        open_ = open_.all(1)[:, None]
    if fault == "padding-on-the-query-axis":
        open_ = open_.swapaxes(2, 3)
    if fault == "mask-with-gradients-only" and not torch.is_grad_enabled():
        return scores
    return torch.where(open_, scores, MINUS_INFINITY)


class EinsumAttention(nn.Module):
    """Multi-head attention; weights are [head, in, out], one matrix for each head."""

    def __init__(self, config, fault=None):
        super().__init__()
        self.fault, self.causal, self.one_input = fault, config.causal, config.memory == "query"
        heads, groups, features, size = config.heads, config.kv_heads, config.d_model, config.d_head
        self.to_query = nn.Parameter(torch.randn(heads, features, size) / features**0.5)
        self.to_key = nn.Parameter(torch.randn(groups, features, size) / features**0.5)
        self.to_value = nn.Parameter(torch.randn(groups, features, size) / features**0.5)
        self.back = nn.Parameter(torch.randn(heads, size, features) / features**0.5)
        self.offsets = (
            nn.ParameterList(torch.zeros(many, size) for many in (heads, groups, groups)) if config.bias else None
        )
        self.end = nn.Parameter(torch.zeros(features)) if config.bias else None

    def projected(self, x, weights, which):
        y = torch.einsum("btf,hfc->bhtc", x, weights)
        return y if self.offsets is None else y + self.offsets[which][:, None]

    def scores(self, query, key):
        size, many = query.shape[-1], key.shape[2]
        factor = {"scaled-twice": 1 / size, "scale-forgotten": 1, "scale-by-key-length": 1 / math.sqrt(many)}
        if self.fault == "queries-centred-over-time":
            query = query - query.mean(2, keepdim=True)
        scores = torch.einsum("bhqc,bhkc->bhqk", query * factor.get(self.fault, 1 / math.sqrt(size)), key)
        if self.fault == "scores-clamped":
            return torch.clamp(scores, -1, 1)
        if self.fault == "cap-unclaimed":
            return torch.tanh(scores / 5) * 5
        if self.fault == "recency-bias-left-in":
            return scores + torch.arange(many).to(scores) / 10
        return (scores + scores.mean(1, keepdim=True)) / 2 if self.fault == "scores-mixed-over-heads" else scores

    def weights(self, scores, mask):
        if mask is None:
            return shares(scores * (2 if self.fault == "another-path-without-a-mask" else 1), self.fault)
        mask = mask.expand(*torch.broadcast_shapes(mask.shape, scores.shape[-2:]))
        if self.fault == "mask-after-softmax":
            return shares(scores) * mask
        awake = mask.any(-1, keepdim=True)
        return shares(concealed(scores, mask | ~awake, self.fault), self.fault) * awake

    def forward(self, query, memory=None, mask=None):
        memory = query if memory is None or self.one_input or self.fault == "memory-ignored" else memory
        q, k, v = (
            self.projected(*each)
            for each in ((query, self.to_query, 0), (memory, self.to_key, 1), (memory, self.to_value, 2))
        )
        if self.fault in ("query-key-norm-unclaimed", "queries-normalised-alone"):
            q = q / (q.pow(2).mean(-1, keepdim=True) + 1e-5).sqrt()
        if self.fault == "query-key-norm-unclaimed":
            k = k / (k.pow(2).mean(-1, keepdim=True) + 1e-5).sqrt()
        k, v = (each.repeat_interleave(q.shape[1] // each.shape[1], 1) for each in (k, v))
        if self.causal:
            mask = both(mask, triangle(q.shape[2], k.shape[2], q.device, self.fault), self.fault)
        found = torch.einsum(
            "bhqk,bhkc->bhqc", self.weights(self.scores(q, k), mask), k if self.fault == "key-for-value" else v
        )
        if self.fault == "one-effective-head":
            found = found[:, [0] * found.shape[1]]
        if self.fault == "output-projection-missing":
            return found.transpose(1, 2).flatten(2)
        y = torch.einsum("bhqc,hcf->bqf", found, self.back)
        return y if self.end is None or self.fault == "output-bias-missing" else y + self.end


class EinsumLayer(nn.Module):
    """An encoder layer around einsum attention."""

    def __init__(self, config, fault=None):
        super().__init__()
        self.fault, self.before, self.rate = fault, config.norm == "pre", config.dropout
        self.attention, self.thinking = EinsumAttention(config, fault), Thinking(config, fault)
        self.norms = nn.ModuleList(Norm(config, fault, rms=config.normalization == "rms") for _ in range(2))

    def forward(self, x, mask=None):
        for norm, step in zip(self.norms, (lambda y: self.attention(y, y, mask), self.thinking), strict=True):
            kept = nn.functional.dropout(step(norm(x) if self.before else x), self.rate, self.training)
            x = x + kept if self.before else norm(x + kept)
        return x


def build_einsum_attention(fault=None, **claims):
    return declare("multi-head-attention", EinsumAttention, fault, **claims)


def build_einsum_layer(fault=None, **claims):
    return declare("encoder-layer", EinsumLayer, fault, **claims)


_SCORES = (
    "scale-forgotten", "scaled-twice", "scale-by-key-length", "recency-bias-left-in", "scores-mixed-over-heads",
    "queries-centred-over-time", "scores-clamped", "cap-unclaimed", "query-key-norm-unclaimed", "softmax-over-queries",
    "softmax-over-heads", "sum-in-place-of-average", "one-in-the-denominator", "negative-weights", "small-weights-zeroed",
    "key-for-value", "memory-ignored", "one-effective-head", "output-projection-missing", "output-bias-missing",
)  # fmt: skip
_MASKS = (
    "mask-after-softmax", "mask-by-multiplication", "mask-value-ten", "boolean-mask-added", "mask-inverted",
    "mask-of-the-first-row", "mask-of-the-first-head", "mask-with-gradients-only", "another-path-without-a-mask",
)  # fmt: skip
_CAUSAL = (
    "causal-transposed", "causal-without-diagonal", "causal-one-too-many", "causal-window", "causal-dropped-under-a-mask",
    "mask-dropped-under-causality", "masks-combined-by-or",
)  # fmt: skip
_IN_A_LAYER = (
    "eps-outside-the-root", "unbiased-variance", "mean-not-subtracted", "gain-never-applied", "eps-far-too-large", "activation-missing",
)  # fmt: skip

SECOND = {
    **{fault: (build_einsum_attention(fault),) for fault in _SCORES},
    **{fault: (build_einsum_attention(fault), build_einsum_layer(fault)) for fault in _MASKS},
    "heads-masks-merged-by-any": (build_einsum_attention("heads-masks-merged-by-any"),),
    "heads-masks-merged-by-all": (build_einsum_attention("heads-masks-merged-by-all"),),
    "padding-on-the-query-axis": (build_einsum_layer("padding-on-the-query-axis"),),
    "mask-value-ten-thousand": (build_einsum_layer("mask-value-ten-thousand", norm="pre"),),
    **{
        fault: (build_einsum_attention(fault, causal=True), build_einsum_layer(fault, causal=True, norm="pre"))
        for fault in _CAUSAL
    },
    **{fault: (build_einsum_layer(fault),) for fault in _IN_A_LAYER},
}

CORRECT = (
    build_einsum_attention(),
    build_einsum_attention(kv_heads="grouped", bias=False),
    build_einsum_attention(causal=True, memory="query"),
    build_einsum_layer(),
    build_einsum_layer(norm="pre", activation="geglu", causal=True),
    build_einsum_layer(normalization="rms", bias=False, activation="gelu"),
)
