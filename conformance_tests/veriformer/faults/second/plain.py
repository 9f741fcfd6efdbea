"""Attention without weights, as a bare function: groups of query heads stand on an axis of their own."""

# mypy: ignore-errors
# Other people's code, written the way they write it: without types.

import math

import torch

from veriformer.faults.second.declaring import declare
from veriformer.faults.second.einsum import both, concealed, shares, triangle


def strongest_half(scores):
    """The softmax over the better half of the keys alone."""
    order = scores.sort(-1, descending=True).values
    return scores.masked_fill(scores < order[..., max(1, scores.shape[-1] // 2) - 1, None], -math.inf).softmax(-1)


def by_twos(scores):
    """Exponentials two keys at a time, each pair below a maximum of its own."""
    pieces = [scores[..., start : start + 2] for start in range(0, scores.shape[-1], 2)]
    up = torch.cat([torch.exp(each - each.max(-1, keepdim=True).values.clamp(min=-1e300)) for each in pieces], -1)
    return up / up.sum(-1, keepdim=True)


def weighed(scores, fault):
    """Shares of the keys, for scores of any number of leading axes with the heads at -3."""
    if fault == "top-k-attention":
        return strongest_half(scores)
    if fault == "chunks-not-rescaled":
        return by_twos(scores)
    if fault == "softmax-over-the-batch":
        return scores.softmax(0)
    return shares(scores, fault)


def capped(scores, limit, fault):
    if fault == "cap-unclaimed":
        limit = 5.0
    if limit is None or fault == "cap-claimed-only":
        return scores
    return (
        torch.clamp(scores, -limit, limit)
        if fault == "scores-clamped-at-the-cap"
        else limit * torch.tanh(scores / limit)
    )


def window_and_past(config, queries, keys, device, fault):
    """What a causal subject may see, by position."""
    start = config.alignment == "start"
    if start is not (fault == "queries-aligned-at-the-other-side"):
        seen = torch.ones(queries, keys, dtype=torch.bool, device=device).tril()
    else:
        seen = triangle(queries, keys, device, fault)
    width = {"window-one-too-wide": config.window + 1, "window-one-too-narrow": max(config.window - 1, 1)}
    wide = width.get(fault, config.window)
    return seen & seen.new_ones(seen.shape).triu(keys - queries - wide + 1) if config.sliding_window else seen


def factor_of(config, query, key, fault):
    size = query.shape[-1]
    if fault == "scale-by-key-length":
        return key.shape[-2] ** -0.5
    return {"scale-forgotten": 1.0, "scaled-twice": 1 / size}.get(fault, 1.0 if config.scale == "none" else size**-0.5)


def grouped_attention(config, fault=None):
    """A function of queries, keys, values and a mask."""

    def scores(query, key):
        if fault == "queries-centred-over-time":
            query = query - query.mean(-2, keepdim=True)
        heads, groups = query.shape[-3], key.shape[-3]
        sharing = (heads // groups, groups) if fault == "key-heads-tiled" else (groups, heads // groups)
        meet = "...rgqc,...gkc->...rgqk" if fault == "key-heads-tiled" else "...grqc,...gkc->...grqk"
        found = torch.einsum(meet, query.unflatten(-3, sharing), key) * factor_of(config, query, key, fault)
        found = capped(found.flatten(-4, -3), config.soft_cap, fault)
        if fault == "scores-clamped":
            return found.clamp(-1, 1)
        if fault == "recency-bias-left-in":
            return found + torch.arange(key.shape[-2]).to(found) / 10
        return (found + found.mean(-3, keepdim=True)) / 2 if fault == "scores-mixed-over-heads" else found

    def weights(found, mask):
        if mask is None:
            return weighed(found * (2 if fault == "another-path-without-a-mask" else 1), fault)
        mask = mask.expand(*torch.broadcast_shapes(mask.shape, found.shape[-2:]))
        if fault == "mask-after-softmax":
            return weighed(found, fault) * mask
        awake = mask.any(-1, keepdim=True)
        return weighed(concealed(found, mask | ~awake, fault), fault) * awake

    def attend(query, key, value, mask=None):
        value = key if fault == "key-for-value" else value
        if config.causal:
            mask = both(mask, window_and_past(config, query.shape[-2], key.shape[-2], query.device, fault), fault)
        part = weights(scores(query, key), mask)
        heads, groups = query.shape[-3], key.shape[-3]
        if fault == "key-heads-tiled":
            return torch.einsum(
                "...rgqk,...gkv->...rgqv", part.unflatten(-3, (heads // groups, groups)), value
            ).flatten(-4, -3)
        found = torch.einsum("...grqk,...gkv->...grqv", part.unflatten(-3, (groups, heads // groups)), value).flatten(
            -4, -3
        )
        return found.reshape(query.shape) if fault == "output-in-the-shape-of-the-query" else found

    return attend


def build_attention(fault=None, **claims):
    return declare("attention", grouped_attention, fault, module=None, **claims)


_ANYWHERE = (
    "scale-forgotten", "scaled-twice", "scale-by-key-length", "softmax-over-queries", "softmax-over-heads", "softmax-over-the-batch",
    "sum-in-place-of-average", "one-in-the-denominator", "small-weights-zeroed", "top-k-attention", "negative-weights",
    "scores-clamped", "recency-bias-left-in", "queries-centred-over-time", "scores-mixed-over-heads", "chunks-not-rescaled",
    "output-in-the-shape-of-the-query", "cap-unclaimed",
    "mask-after-softmax", "mask-by-multiplication", "mask-value-ten-thousand", "mask-value-ten", "boolean-mask-added", "mask-inverted",
    "mask-of-the-first-row", "mask-of-the-first-head", "mask-with-gradients-only", "another-path-without-a-mask",
    "heads-masks-merged-by-any", "heads-masks-merged-by-all",
)  # fmt: skip
_CAUSAL = (
    "causal-transposed", "causal-without-diagonal", "causal-one-too-many", "causal-window", "causal-dropped-under-a-mask",
    "mask-dropped-under-causality", "masks-combined-by-or",
)  # fmt: skip
_WINDOW = ("window-one-too-wide", "window-one-too-narrow")
_CAP = ("scores-clamped-at-the-cap", "cap-claimed-only")

SECOND = {
    **{fault: (build_attention(fault),) for fault in _ANYWHERE},
    **{fault: (build_attention(fault, causal=True),) for fault in _CAUSAL},
    **{fault: (build_attention(fault, causal=True, sliding_window=True),) for fault in _WINDOW},
    **{fault: (build_attention(fault, soft_cap=5.0),) for fault in _CAP},
    "queries-aligned-at-the-other-side": tuple(
        build_attention("queries-aligned-at-the-other-side", causal=True, alignment=side) for side in ("end", "start")
    ),
    "key-heads-tiled": (build_attention("key-heads-tiled", kv_heads="grouped"),),
    "key-for-value": (build_attention("key-for-value", value_size="key-size"),),
}

CORRECT = (
    build_attention(),
    build_attention(kv_heads="grouped", causal=True, sliding_window=True),
    build_attention(soft_cap=2.0, scale="none", causal=True, alignment="start"),
)
