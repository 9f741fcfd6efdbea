"""A causal language model as GPT-2 has it: weights stored [in, out], one matrix for all three projections, learned positions, a cache."""

# mypy: ignore-errors
# Other people's code, written the way they write it: without types.

from typing import NamedTuple

import torch
from torch import nn

import veriformer
from veriformer.faults.second.declaring import declare
from veriformer.faults.second.einsum import triangle
from veriformer.faults.second.parts import Dense, bend


class Past(NamedTuple):
    """What was read: keys and values of each layer, ``batch heads time d_head``, and which tokens were real."""

    layers: tuple
    real: torch.Tensor


class Attention(nn.Module):
    def __init__(self, config, fault=None):
        super().__init__()
        self.heads, self.fault = config.heads, fault
        self.c_attn, self.c_proj = Dense(config.d_model, 3 * config.d_model), Dense(config.d_model, config.d_model)

    def joined(self, past, keys, values):
        """The past, and behind it what is new; None where the text is read as a whole."""
        if past is None:
            return keys, values
        old = past[0].shape[2]
        keys, values = torch.cat((past[0], keys), 2), torch.cat((past[1], values), 2)
        if self.fault == "new-keys-in-front":
            return keys.roll(-old, 2), values.roll(-old, 2)
        if self.fault == "cached-values-behind-another-key" and old:
            return keys, values.roll(1, 2)
        if self.fault == "cache-rounded-to-float32":
            return keys.float().to(keys.dtype), values.float().to(values.dtype)
        return keys, values

    def forward(self, x, past, real):
        batch, time, _ = x.shape
        query, key, value = self.c_attn(x).view(batch, time, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        key, value = self.joined(past, key, value)
        scores = query @ key.mT / key.shape[-1] ** 0.5
        causal = triangle(time, key.shape[2], x.device, self.fault)
        padded = real[:, None, None]
        if self.fault == "mask-dropped-under-causality":
            padded = torch.ones_like(padded)
        seen = padded & causal
        awake = seen.any(-1, keepdim=True)
        scores = scores.masked_fill(~(seen | ~awake), float("-inf"))
        return self.c_proj((scores.softmax(-1) * awake @ value).transpose(1, 2).reshape(x.shape)), (key, value)


class Block(nn.Module):
    def __init__(self, config, fault=None):
        super().__init__()
        self.fault, self.activation = fault, config.activation
        self.ln_1, self.ln_2 = (nn.LayerNorm(config.d_model, eps=config.eps) for _ in range(2))
        self.attn = Attention(config, fault)
        self.c_fc, self.c_proj = Dense(config.d_model, config.d_ff), Dense(config.d_ff, config.d_model)
        self.drop = nn.Dropout(config.dropout)

    def forward(self, x, past, real):
        normed = self.ln_1(x)
        found, past = self.attn(normed, past, real)
        x = (normed if self.fault == "residual-taken-after-the-norm" else x) + self.drop(found)
        normed = self.ln_2(x)
        found = self.c_proj(bend(self.activation, self.c_fc(normed)))
        return (normed if self.fault == "residual-taken-after-the-norm" else x) + self.drop(found), past


class GPT(nn.Module):
    """Tied, pre-norm; positions count real tokens."""

    def __init__(self, config, fault=None):
        super().__init__()
        self.fault, self.size = fault, config.d_model // config.heads
        self.heads = config.heads
        self.wte, self.wpe = nn.Embedding(config.vocab, config.d_model), nn.Embedding(config.max_len, config.d_model)
        self.h = nn.ModuleList(Block(config, fault) for _ in range(config.layers))
        self.ln_f = nn.LayerNorm(config.d_model, eps=config.eps)
        self.lm_head = None if config.tied else Dense(config.d_model, config.vocab, bias=False)

    def start(self, batch, _longest=0):
        like = self.wte.weight
        empty = like.new_zeros(batch, self.heads, 0, self.size)
        return Past(((empty, empty),) * len(self.h), torch.ones(batch, 0, dtype=torch.bool, device=like.device))

    def places(self, real, time):
        if self.fault == "positions-by-index-under-left-padding":
            real = torch.ones_like(real)
        place = torch.where(real, real.cumsum(1) - 1, torch.arange(real.shape[1], device=real.device))
        if self.fault == "new-positions-counted-from-zero":
            return place[:, :time]
        new = place[:, place.shape[1] - time :]
        if self.fault == "cache-position-off-by-one" and place.shape[1] > time:
            new = (new - 1).clamp(min=0)
        return new.clamp(max=self.wpe.num_embeddings - 1) if self.fault == "positions-clamped-in-a-model" else new

    def known(self, ids, mask, past):
        """Which tokens are real, of the past and of those that are new."""
        new = torch.ones_like(ids, dtype=torch.bool) if mask is None else mask[:, past.real.shape[1] :]
        old = torch.ones_like(past.real) if self.fault == "mask-for-new-tokens-only" else past.real
        if mask is not None and self.fault != "mask-for-new-tokens-only":
            old = mask[:, : past.real.shape[1]]
        real = torch.cat((old, new), 1)
        cached = past.layers[0] is not None
        return real[:1].expand_as(real) if cached and self.fault == "cached-mask-of-the-first-row" else real

    def shown(self, real):
        """Which tokens may be looked at."""
        if self.fault == "padding-counted-from-the-other-end":
            return torch.arange(real.shape[1], device=real.device) >= (~real).sum(1, keepdim=True)
        return real

    def step(self, ids, mask, past):
        real = self.known(ids, mask, past)
        rows = self.wpe.weight[:-1] if self.fault == "position-table-one-row-short" else self.wpe.weight
        where = rows[self.places(real, ids.shape[1])]
        if self.fault == "positions-for-the-first-token-only":
            where = where * (torch.arange(ids.shape[1], device=ids.device) == 0)[:, None]
        x, layers = self.wte(ids) + where, []
        for block, own in zip(self.h, past.layers, strict=True):
            x, known = block(x, own, self.shown(real))
            layers.append(known)
        if self.fault != "final-norm-never-called":
            x = self.ln_f(x)
        logits = x @ self.wte.weight.t() if self.lm_head is None else self.lm_head(x)
        if self.fault == "softmax-inside-the-model":
            logits = logits.softmax(-1)
        return logits[..., :-1] if self.fault == "logits-one-word-short" else logits, Past(tuple(layers), real)

    def forward(self, ids, mask=None):
        if self.fault == "empty-sequence-invented" and not ids.shape[1]:
            ids, mask = ids.new_ones(len(ids), 1), None
        nothing = Past((None,) * len(self.h), self.start(len(ids)).real)
        logits, _ = self.step(ids, mask, nothing)
        return logits.squeeze() if self.fault == "logits-squeezed" else logits

    def reorder(self, past, rows):
        if self.fault == "cache-reordered-by-the-inverse":
            rows = torch.argsort(rows, stable=True)
        values = slice(None) if self.fault == "keys-reordered-and-values-not" else rows
        return Past(tuple((key[rows], value[values]) for key, value in past.layers), past.real[rows])


def steps():
    """A cache that is returned with the logits."""
    return veriformer.Steps(
        start=lambda module, batch, longest: module.start(batch, longest),
        step=lambda module, ids, mask, past: module.step(ids, mask, past),
        reorder=lambda module, past, rows: module.reorder(past, rows),
        copy=lambda module, past: past,
    )


CLAIMS = {"norm": "pre", "positions": "learned", "activation": "gelu-tanh", "padding_sides": ("right", "left")}


def build_gpt(fault=None, **claims):
    return declare("causal-lm", GPT, fault, **{**CLAIMS, **claims})


def build_cached_gpt(fault=None, **claims):
    return build_gpt(fault, cache=True, steps=steps(), **claims)


_CACHED = (
    "new-positions-counted-from-zero", "cache-position-off-by-one", "new-keys-in-front", "cached-values-behind-another-key",
    "mask-for-new-tokens-only", "cached-mask-of-the-first-row", "cache-rounded-to-float32", "keys-reordered-and-values-not",
    "cache-reordered-by-the-inverse",
)  # fmt: skip
_WHOLE = (
    "causal-transposed", "causal-one-too-many", "causal-window", "mask-dropped-under-causality",
    "residual-taken-after-the-norm", "final-norm-never-called", "softmax-inside-the-model",
    "logits-one-word-short", "position-table-one-row-short", "positions-clamped-in-a-model", "logits-squeezed",
    "empty-sequence-invented", "positions-by-index-under-left-padding", "padding-counted-from-the-other-end",
    "positions-for-the-first-token-only",
)  # fmt: skip

SECOND = {
    **{fault: (build_cached_gpt(fault, tied=True),) for fault in _CACHED},
    **{fault: (build_gpt(fault, tied=True),) for fault in _WHOLE},
}

CORRECT = (build_cached_gpt(tied=True), build_gpt(activation="gelu"))
