"""Causal language models with a cache, each with another interface, none with the reference's code: faults override a step of one.

Three here: a cache returned with the logits, a cache passed and changed, buffers set up on the module with positions passed.
"""

# mypy: ignore-errors
# Other people's code, written the way they write it: without types.

import copy
import math

import torch
import torch.nn.functional as F
from torch import nn

import veriformer


class TupleAttention(nn.Module):
    """Attention that takes the past keys and values and returns the new ones with its output."""

    def __init__(self, config):
        super().__init__()
        self.heads = config.heads
        self.c_attn = nn.Linear(config.d_model, 3 * config.d_model)
        self.c_proj = nn.Linear(config.d_model, config.d_model)

    def join(self, past, key, value):
        return torch.cat((past[0], key), dim=-2), torch.cat((past[1], value), dim=-2)

    def forward(self, x, allowed, past=None):
        query, key, value = (
            each.unflatten(-1, (self.heads, -1)).transpose(1, 2) for each in self.c_attn(x).chunk(3, dim=-1)
        )
        if past is not None:
            key, value = self.join(past, key, value)
        scores = query @ key.transpose(-1, -2) / math.sqrt(query.size(-1))
        scores = scores.masked_fill(~allowed[:, None], torch.finfo(scores.dtype).min)
        out = scores.softmax(-1) @ value
        return self.c_proj(out.transpose(1, 2).flatten(2)), (key, value)


class TupleBlock(nn.Module):
    """One pre-norm layer."""

    attention = TupleAttention

    def __init__(self, config):
        super().__init__()
        self.ln_1 = nn.LayerNorm(config.d_model, eps=config.eps)
        self.ln_2 = nn.LayerNorm(config.d_model, eps=config.eps)
        self.attn = self.attention(config)
        self.c_fc = nn.Linear(config.d_model, config.d_ff)
        self.c_out = nn.Linear(config.d_ff, config.d_model)

    def forward(self, x, allowed, past):
        attended, present = self.attn(self.ln_1(x), allowed, past)
        x = x + attended
        return x + self.c_out(F.gelu(self.c_fc(self.ln_2(x)), approximate="tanh")), present


class TupleModel(nn.Module):
    """GPT-2 as its first port had it: ``forward(ids, mask, past)`` returns the logits and the presents."""

    block = TupleBlock

    def __init__(self, config):
        super().__init__()
        self.wte = nn.Embedding(config.vocab, config.d_model)
        self.wpe = nn.Embedding(config.max_len, config.d_model)
        self.h = nn.ModuleList(self.block(config) for _ in range(config.layers))
        self.ln_f = nn.LayerNorm(config.d_model, eps=config.eps)

    def seen(self, past):
        return 0 if past is None else past[0][0].size(-2)

    def places(self, real, new):
        """Positions count real tokens only."""
        return (real.long().cumsum(-1) - 1).clamp(min=0)[:, -new:]

    def allowed(self, real, new):
        time = real.size(1)
        return torch.ones(time, time, dtype=torch.bool, device=real.device).tril()[-new:] & real[:, None]

    def forward(self, ids, mask=None, past=None):
        new, old = ids.size(1), self.seen(past)
        real = mask if mask is not None else ids.new_ones(ids.size(0), old + new, dtype=torch.bool)
        x = self.wte(ids) + self.wpe(self.places(real, new))
        allowed, presents = self.allowed(real, new), []
        for index, block in enumerate(self.h):
            x, present = block(x, allowed, None if past is None else past[index])
            presents.append(present)
        return self.ln_f(x) @ self.wte.weight.T, tuple(presents)


GPT2 = {
    "norm": "pre", "activation": "gelu-tanh", "positions": "learned", "tied": True, "cache": True,
    "padding_sides": ("right", "left", "interior"),
}  # fmt: skip

TUPLES = veriformer.Steps(
    start=lambda module, batch, longest: None,
    step=lambda module, ids, mask, past: module(ids, mask, past),
    reorder=lambda module, past, rows: tuple((key[rows], value[rows]) for key, value in past),
    copy=lambda module, past: past,
)


def logits_first(module, ids, mask=None):
    return module(ids, mask)[0]


class Cache:
    """Keys and values of each layer, and which of the tokens are real."""

    def __init__(self):
        self.keys, self.values, self.real = {}, {}, None

    def update(self, layer, key, value):
        if layer in self.keys:
            key, value = torch.cat((self.keys[layer], key), 1), torch.cat((self.values[layer], value), 1)
        self.keys[layer], self.values[layer] = key, value
        return key, value

    def remember(self, real):
        self.real = real if self.real is None else torch.cat((self.real, real), 1)
        return self.real

    def reorder(self, rows):
        for held in (self.keys, self.values):
            for layer, tensor in held.items():
                held[layer] = tensor.index_select(0, rows)
        self.real = self.real[rows]
        return self


def turned(x, places, base):
    """Rotary positions, the halves paired; ``batch time heads d_head``."""
    rates = base ** (-torch.arange(0, x.size(-1), 2, dtype=x.dtype, device=x.device) / x.size(-1))
    angles = (places[..., None].to(x.dtype) * rates)[:, :, None]
    one, other = x.chunk(2, -1)
    return torch.cat((one * angles.cos() - other * angles.sin(), other * angles.cos() + one * angles.sin()), dim=-1)


class RootMeanSquare(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(config.d_model)), config.eps

    def forward(self, x):
        return self.weight * x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.eps)


class ObjectAttention(nn.Module):
    """Grouped queries, rotary positions, and a cache that is changed in place."""

    def __init__(self, config, layer):
        super().__init__()
        self.layer, self.base = layer, config.rotary_base
        self.heads, self.kv_heads, self.d_head = config.heads, config.kv_heads, config.d_head
        self.q_proj = nn.Linear(config.d_model, config.heads * config.d_head, bias=False)
        self.k_proj = nn.Linear(config.d_model, config.kv_heads * config.d_head, bias=False)
        self.v_proj = nn.Linear(config.d_model, config.kv_heads * config.d_head, bias=False)
        self.o_proj = nn.Linear(config.heads * config.d_head, config.d_model, bias=False)

    def turn(self, query, key, places):
        return turned(query, places, self.base), turned(key, places, self.base)

    def store(self, cache, key, value):
        return cache.update(self.layer, key, value)

    def forward(self, x, places, allowed, cache):
        query = self.q_proj(x).unflatten(-1, (self.heads, self.d_head))
        key = self.k_proj(x).unflatten(-1, (self.kv_heads, self.d_head))
        value = self.v_proj(x).unflatten(-1, (self.kv_heads, self.d_head))
        query, key = self.turn(query, key, places)
        if cache is not None:
            key, value = self.store(cache, key, value)
        key, value = (each.repeat_interleave(self.heads // self.kv_heads, 2) for each in (key, value))
        scores = torch.einsum("bqhd,bkhd->bhqk", query, key) * self.d_head**-0.5
        scores = torch.where(allowed[:, None], scores, torch.finfo(scores.dtype).min)
        return self.o_proj(torch.einsum("bhqk,bkhd->bqhd", scores.softmax(-1), value).flatten(2))


class ObjectBlock(nn.Module):
    attention = ObjectAttention

    def __init__(self, config, layer):
        super().__init__()
        self.input_layernorm, self.post_attention_layernorm = RootMeanSquare(config), RootMeanSquare(config)
        self.self_attn = self.attention(config, layer)
        self.gate_proj, self.up_proj = (nn.Linear(config.d_model, config.d_ff, bias=False) for _ in range(2))
        self.down_proj = nn.Linear(config.d_ff, config.d_model, bias=False)

    def forward(self, x, places, allowed, cache):
        x = x + self.self_attn(self.input_layernorm(x), places, allowed, cache)
        y = self.post_attention_layernorm(x)
        return x + self.down_proj(F.silu(self.gate_proj(y)) * self.up_proj(y))


class ObjectModel(nn.Module):
    """Llama with a cache object that the caller makes and the model changes."""

    block = ObjectBlock

    def __init__(self, config):
        super().__init__()
        self.embed_tokens = nn.Embedding(config.vocab, config.d_model)
        self.layers = nn.ModuleList(self.block(config, layer) for layer in range(config.layers))
        self.norm = RootMeanSquare(config)
        self.lm_head = nn.Linear(config.d_model, config.vocab, bias=False)
        self.window = config.window if config.sliding_window else None

    def real(self, ids, mask, cache):
        new = torch.ones_like(ids, dtype=torch.bool) if mask is None else mask[:, -ids.size(1) :]
        return new if cache is None else cache.remember(new)

    def places(self, real, new):
        return (real.long().cumsum(1) - 1)[:, -new:]

    def allowed(self, real, new):
        key = torch.arange(real.size(1), device=real.device)
        query = key[-new:, None]
        band = key <= query
        if self.window is not None:
            band = band & (key > query - self.window)
        return band & real[:, None]

    def forward(self, ids, mask=None, cache=None):
        real = self.real(ids, mask, cache)
        places, allowed = self.places(real, ids.size(1)), self.allowed(real, ids.size(1))
        x = self.embed_tokens(ids)
        for layer in self.layers:
            x = layer(x, places, allowed, cache)
        return self.lm_head(self.norm(x))


LLAMA = {
    "norm": "pre", "normalization": "rms", "activation": "swiglu", "bias": False, "eps": 1e-6, "positions": "rotary",
    "kv_heads": "grouped", "cache": True, "padding_sides": ("right", "left", "interior"),
}  # fmt: skip

OBJECTS = veriformer.Steps(
    start=lambda module, batch, longest: Cache(),
    step=lambda module, ids, mask, cache: (module(ids, mask, cache), cache),
    reorder=lambda module, cache, rows: cache.reorder(rows),
    copy=lambda module, cache: copy.deepcopy(cache),
)
