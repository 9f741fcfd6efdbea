"""More causal language models with a cache, each with another interface, none with the reference's code.

Here: buffers set up on the module with positions passed, a dictionary of incremental state, and the whole text with the slicing done inside.
"""

# mypy: ignore-errors
# Other people's code, written the way they write it: without types.

import copy
import math

import torch
import torch.nn.functional as F
from torch import nn

import veriformer


class Buffers(nn.Module):
    """Keys and values of one layer, in buffers of the longest length; the next free slot is known here."""

    def __init__(self, shape, like):
        super().__init__()
        self.register_buffer("keys", torch.zeros(shape, dtype=like.dtype, device=like.device), persistent=False)
        self.register_buffer("values", torch.zeros_like(self.keys), persistent=False)
        self.filled = 0

    def update(self, key, value):
        slots = slice(self.filled, self.filled + key.size(2))
        self.keys[:, :, slots], self.values[:, :, slots] = key, value
        self.filled += key.size(2)
        return self.keys, self.values


class BufferAttention(nn.Module):
    """Several queries share a key; rotary positions, neighbours paired; ``input_pos`` says where the tokens stand."""

    def __init__(self, config):
        super().__init__()
        self.heads, self.kv_heads, self.d_head = config.heads, config.kv_heads, config.d_head
        self.wqkv = nn.Linear(config.d_model, (config.heads + 2 * config.kv_heads) * config.d_head, bias=False)
        self.wo = nn.Linear(config.heads * config.d_head, config.d_model, bias=False)
        self.base, self.cache = config.rotary_base, None

    def setup_cache(self, batch, longest):
        self.cache = Buffers((batch, self.kv_heads, longest, self.d_head), self.wo.weight)

    def turn(self, x, places):
        rates = self.base ** (-torch.arange(0, self.d_head, 2, device=x.device).to(x.dtype) / self.d_head)
        angles = places[:, None, :, None].to(x.dtype) * rates
        real, imaginary = x.unflatten(-1, (-1, 2)).unbind(-1)
        cos, sin = angles.cos(), angles.sin()
        return torch.stack((real * cos - imaginary * sin, imaginary * cos + real * sin), dim=-1).flatten(-2)

    def forward(self, x, mask, places, cached):
        sizes = [each * self.d_head for each in (self.heads, self.kv_heads, self.kv_heads)]
        query, key, value = (
            each.unflatten(-1, (-1, self.d_head)).transpose(1, 2) for each in self.wqkv(x).split(sizes, dim=-1)
        )
        query, key = self.turn(query, places), self.turn(key, places)
        if cached:
            key, value = self.cache.update(key, value)
        query = query.unflatten(1, (self.kv_heads, -1))
        scores = query @ key[:, :, None].transpose(-1, -2) / math.sqrt(self.d_head)
        scores = scores.masked_fill(mask[:, None, None].logical_not(), torch.finfo(scores.dtype).min)
        out = scores.softmax(-1) @ value[:, :, None]
        return self.wo(out.flatten(1, 2).transpose(1, 2).flatten(2))


class BufferBlock(nn.Module):
    attention = BufferAttention

    def __init__(self, config):
        super().__init__()
        self.attention_norm = nn.RMSNorm(config.d_model, eps=config.eps)
        self.ffn_norm = nn.RMSNorm(config.d_model, eps=config.eps)
        self.attn = self.attention(config)
        self.w1, self.w3 = (nn.Linear(config.d_model, config.d_ff, bias=False) for _ in range(2))
        self.w2 = nn.Linear(config.d_ff, config.d_model, bias=False)

    def forward(self, x, mask, places, cached):
        x = x + self.attn(self.attention_norm(x), mask, places, cached)
        y = self.ffn_norm(x)
        return x + self.w2(F.silu(self.w1(y)) * self.w3(y))


class BufferModel(nn.Module):
    """``setup_caches(batch, longest)`` once, then ``forward(ids, mask_rows, input_pos)``; without positions nothing is cached."""

    block = BufferBlock

    def __init__(self, config):
        super().__init__()
        self.tok_embeddings = nn.Embedding(config.vocab, config.d_model)
        self.layers = nn.ModuleList(self.block(config) for _ in range(config.layers))
        self.norm = nn.RMSNorm(config.d_model, eps=config.eps)
        self.output = nn.Linear(config.d_model, config.vocab, bias=False)

    def setup_caches(self, batch, longest):
        for layer in self.layers:
            layer.attn.setup_cache(batch, longest)

    def forward(self, ids, mask=None, input_pos=None):
        if mask is None:
            time = ids.size(1)
            mask = torch.ones(time, time, dtype=torch.bool, device=ids.device).tril().expand(ids.size(0), -1, -1)
        cached = input_pos is not None
        places = input_pos if cached else torch.arange(ids.size(1), device=ids.device).expand(ids.shape)
        x = self.tok_embeddings(ids)
        for layer in self.layers:
            x = layer(x, mask, places, cached)
        return self.output(self.norm(x))


def triangle_and(real):
    time = real.size(1)
    return torch.ones(time, time, dtype=torch.bool, device=real.device).tril() & real[:, None]


def whole_with_rows(module, ids, mask=None):
    """The full pass: rows of the mask are made here; positions stay the index, which is right for padding at the end."""
    return module(ids, None if mask is None else triangle_and(mask))


def start_buffers(module, batch, longest):
    module.setup_caches(batch, longest)
    return 0, longest


def step_buffers(module, ids, mask, state):
    seen, longest = state
    new = ids.size(1)
    real = ids.new_ones(ids.size(0), seen + new, dtype=torch.bool) if mask is None else mask
    rows = F.pad(triangle_and(real)[:, seen:], (0, longest - seen - new))
    places = torch.arange(seen, seen + new, device=ids.device).expand(ids.shape)
    return module(ids, rows, places), (seen + new, longest)


def reorder_buffers(module, state, rows):
    for layer in module.layers:
        layer.attn.cache.keys.copy_(layer.attn.cache.keys[rows])
        layer.attn.cache.values.copy_(layer.attn.cache.values[rows])
    return state


BUFFERED = {
    "norm": "pre", "normalization": "rms", "activation": "swiglu", "bias": False, "eps": 1e-6, "positions": "rotary",
    "rotary_pairing": "adjacent", "kv_heads": "grouped", "cache": True,
}  # fmt: skip

BUFFER_STEPS = veriformer.Steps(start=start_buffers, step=step_buffers, reorder=reorder_buffers)


class IncrementalAttention(nn.Module):
    """Attention that looks up what it has seen in a dictionary, under a name of its own."""

    def __init__(self, config, name):
        super().__init__()
        self.heads, self.name = config.heads, name
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (
            nn.Linear(config.d_model, config.d_model) for _ in range(4)
        )

    def remember(self, state, key, value, padding):
        if self.name in state:
            old = state[self.name]
            key, value = torch.cat((old["prev_key"], key), 1), torch.cat((old["prev_value"], value), 1)
            padding = torch.cat((old["prev_key_padding_mask"], padding), 1)
        state[self.name] = {"prev_key": key, "prev_value": value, "prev_key_padding_mask": padding}
        return key, value, padding

    def forward(self, x, padding, future, state=None):
        query, key, value = self.q_proj(x), self.k_proj(x), self.v_proj(x)
        if state is not None:
            key, value, padding = self.remember(state, key, value, padding)
        query, key, value = (each.unflatten(-1, (self.heads, -1)).transpose(1, 2) for each in (query, key, value))
        scores = query * query.size(-1) ** -0.5 @ key.mT
        if future is not None:
            scores = scores + future
        scores = scores.masked_fill(padding[:, None, None], -1e30)
        return self.out_proj((scores.softmax(-1) @ value).transpose(1, 2).flatten(2))


class IncrementalLayer(nn.Module):
    attention = IncrementalAttention

    def __init__(self, config, name):
        super().__init__()
        self.self_attn = self.attention(config, name)
        self.self_attn_layer_norm = nn.LayerNorm(config.d_model, eps=config.eps)
        self.fc1, self.fc2 = nn.Linear(config.d_model, config.d_ff), nn.Linear(config.d_ff, config.d_model)
        self.final_layer_norm = nn.LayerNorm(config.d_model, eps=config.eps)

    def forward(self, x, padding, future, state):
        x = self.self_attn_layer_norm(x + self.self_attn(x, padding, future, state))
        return self.final_layer_norm(x + self.fc2(F.relu(self.fc1(x))))


class IncrementalModel(nn.Module):
    """A decoder as in fairseq: all ids are passed, padding is an id, and with a state only the last token is computed."""

    layer = IncrementalLayer

    def __init__(self, config):
        super().__init__()
        self.pad = config.pad_id
        self.embed_tokens = nn.Embedding(config.vocab, config.d_model)
        self.layers = nn.ModuleList(self.layer(config, f"layers.{index}.attn_state") for index in range(config.layers))
        self.output_projection = nn.Linear(config.d_model, config.vocab, bias=False)

    def sinusoids(self, places, like):
        feature = torch.arange(like.size(-1), device=like.device)
        angle = places[..., None].to(like.dtype) / 10000.0 ** ((feature - feature % 2).to(like.dtype) / like.size(-1))
        return torch.where(feature % 2 == 0, angle.sin(), angle.cos())

    def places(self, padding):
        return ((~padding).cumsum(1) - 1).clamp(min=0)

    def forward(self, prev_output_tokens, incremental_state=None):
        padding = prev_output_tokens.eq(self.pad)
        places = self.places(padding)
        future = None
        if incremental_state is not None:
            prev_output_tokens, places, padding = prev_output_tokens[:, -1:], places[:, -1:], padding[:, -1:]
        else:
            time = prev_output_tokens.size(1)
            future = torch.full((time, time), -math.inf).to(self.embed_tokens.weight).triu(1)
        x = self.embed_tokens(prev_output_tokens)
        x = x + self.sinusoids(places, x)
        for layer in self.layers:
            x = layer(x, padding, future, incremental_state)
        return self.output_projection(x)


def padded(module, ids, mask):
    return ids if mask is None else ids.masked_fill(~mask, module.pad)


def whole_with_padding_ids(module, ids, mask=None):
    return module(padded(module, ids, mask))


def step_incrementally(module, ids, mask, state):
    """Tokens one by one, which is all that the model can do."""
    text = padded(module, torch.cat((state["ids"], ids), 1), mask)
    ends = range(state["ids"].size(1) + 1, text.size(1) + 1)
    logits = [module(text[:, :end], state["incremental"]) for end in ends]
    return torch.cat(logits, 1), {"ids": text, "incremental": state["incremental"]}


def reorder_incrementally(module, state, rows):
    for saved in state["incremental"].values():
        for name in saved:
            saved[name] = saved[name].index_select(0, rows)
    return {"ids": state["ids"][rows], "incremental": state["incremental"]}


INCREMENTAL = {
    "positions": "sinusoidal", "cache": True, "padding_sides": ("right", "left", "interior"),
}  # fmt: skip

INCREMENTAL_STEPS = veriformer.Steps(
    start=lambda module, batch, longest: {
        "ids": torch.zeros(batch, 0, dtype=torch.long, device=module.embed_tokens.weight.device),
        "incremental": {},
    },
    step=step_incrementally,
    reorder=reorder_incrementally,
    copy=lambda module, state: copy.deepcopy(state),
)
