"""Rotary positions, grouped heads, RMSNorm and a gate, as in Llama: no bias anywhere, one matrix for gate and value."""

# mypy: ignore-errors
# Other people's code, written the way they write it: without types.

import torch
from torch import nn
from torch.nn import functional

from veriformer.faults.second.declaring import declare
from veriformer.faults.second.einsum import triangle
from veriformer.faults.second.parts import RootMeanSquare, Thinking


def angles(places, size, config, fault=None):
    """What each pair turns by, ``... time pairs``, in radians."""
    base = 10000.0 if fault == "rotary-base-ignored" else config.rotary_base
    exponent = torch.linspace(0, 1, size // 2 + 1, dtype=torch.float64, device=places.device)[:-1]
    if fault == "rotary-exponent-without-the-two":
        exponent = exponent / 2
    stretch = 1 / config.rotary_scaling if fault == "rotary-scaling-multiplied" else config.rotary_scaling
    return places.double()[..., None] / stretch * base**-exponent


def complex_pairs(x, pairing):
    """Pairs of features as complex numbers."""
    pairs = x.unflatten(-1, (-1, 2)) if pairing == "adjacent" else x.unflatten(-1, (2, -1)).mT
    return torch.view_as_complex(pairs.contiguous())


def real_pairs(z, pairing):
    """The other way round."""
    pairs = torch.view_as_real(z)
    return (pairs if pairing == "adjacent" else pairs.mT).flatten(-2)


def turned(x, places, config, fault=None):
    """``x``, with heads before time, turned as far as ``places`` say: batch by time, or time alone."""
    if fault == "rotary-start-ignored":
        places = torch.arange(x.shape[-2], device=x.device)
    if fault == "rotary-positions-clamped":
        places = places.clamp(max=4)
    by = angles(places + (fault == "rotary-from-one"), x.shape[-1], config, fault)
    by = by[:, None] if by.dim() == 3 else by
    other = "halves" if config.rotary_pairing == "adjacent" else "adjacent"
    into = other if fault == "rotary-pairs-of-the-other-convention" else config.rotary_pairing
    back = other if fault == "rotary-pairs-joined-otherwise" else into
    if fault == "table-added-in-place-of-turning":
        return x + real_pairs(torch.complex(by.sin(), by.cos()), into).to(x)
    whole = x if x.dtype is torch.float64 else x.float()
    z = complex_pairs(whole, into)
    if fault == "rotary-sign-lost":
        cosine, sine = by.cos().to(whole), by.sin().to(whole)
        z = torch.complex(z.real * cosine + z.imag * sine, z.real * sine + z.imag * cosine)
    else:
        z = z * torch.polar(torch.ones_like(by), -by if fault == "turned-the-other-way" else by).to(z.dtype)
    return real_pairs(z, back).to(x.dtype)


class Grouped(nn.Module):
    """Attention in groups of heads that share keys; one matrix for all three projections, [q k v] by rows."""

    def __init__(self, config, fault=None):
        super().__init__()
        self.config, self.fault, self.size = config, fault, config.d_head
        self.many = (config.heads, config.kv_heads, config.kv_heads)
        self.wqkv = nn.Linear(config.d_model, sum(self.many) * config.d_head, bias=False)
        self.wo = nn.Linear(config.d_model, config.d_model, bias=False)

    def parted(self, x, memory):
        rows = self.wqkv.weight.split([each * self.size for each in self.many])
        inputs = (x, memory, memory)
        return (
            functional.linear(i, w).unflatten(-1, (-1, self.size)).transpose(1, 2)
            for i, w in zip(inputs, rows, strict=True)
        )

    def forward(self, x, memory=None, mask=None, places=None, past=None):
        memory = x if memory is None else memory
        q, k, v = self.parted(x, memory)
        here, there = (
            torch.arange(each.shape[1], device=x.device) if places is None else places for each in (x, memory)
        )
        q = turned(q, here, self.config, self.fault)
        if self.fault != "queries-turned-alone":
            k = turned(k, there[:, :1].expand_as(there) if self.late(past, there) else there, self.config, self.fault)
        if self.fault == "values-turned-with-the-keys":
            v = turned(v, there, self.config)
        if past is not None:
            k, v = torch.cat((past[0], k), 2), torch.cat((past[1], v), 2)
        copies = q.shape[1] // k.shape[1]
        keys, values = (each[:, :, None].expand(-1, -1, copies, -1, -1).flatten(1, 2) for each in (k, v))
        if self.config.causal:
            past_only = triangle(q.shape[2], k.shape[2], x.device)
            mask = past_only if mask is None else mask & past_only
        bias = None
        if mask is not None:
            bias = torch.zeros_like(mask, dtype=x.dtype).masked_fill(~mask, torch.finfo(x.dtype).min)
        y = functional.scaled_dot_product_attention(q, keys, values, attn_mask=bias)
        return self.wo(y.transpose(1, 2).flatten(2)), (k, v)

    def late(self, past, there):
        return (
            self.fault == "chunk-turned-by-one-angle" and past is not None and past[0].shape[2] and there.shape[1] > 1
        )


class Rotating(Grouped):
    """The attention alone."""

    def forward(self, query, memory=None, mask=None):
        return super().forward(query, query if self.config.memory == "query" else memory, mask)[0]


class LlamaLayer(nn.Module):
    def __init__(self, config, fault=None):
        super().__init__()
        self.fault = fault
        self.input_norm, self.post_norm = RootMeanSquare(config, fault), RootMeanSquare(config, fault)
        self.attention, self.mlp = Grouped(config, fault), Thinking(config, fault)
        self.drop = nn.Dropout(config.dropout)

    def go(self, x, mask=None, places=None, past=None):
        found, past = self.attention(self.input_norm(x), None, mask, places, past)
        x = x + self.drop(found)
        return x + self.drop(self.mlp(self.post_norm(x))), past

    def forward(self, x, mask=None):
        return self.go(x, mask)[0]


class Llama(nn.Module):
    """Positions count real tokens; the cache is a list of pairs, and the mask of what was read."""

    def __init__(self, config, fault=None):
        super().__init__()
        self.config, self.fault = config, fault
        self.embed = nn.Embedding(config.vocab, config.d_model)
        self.layers = nn.ModuleList(LlamaLayer(config, fault) for _ in range(config.layers))
        self.norm = RootMeanSquare(config, fault)
        self.lm_head = nn.Linear(config.d_model, config.vocab, bias=False)
        if config.tied:
            self.lm_head.weight = self.embed.weight

    def start(self, batch, _longest=0):
        empty = self.embed.weight.new_zeros(batch, self.config.kv_heads, 0, self.config.d_head)
        return [(empty, empty)] * len(self.layers), torch.ones(batch, 0, dtype=torch.bool, device=empty.device)

    def step(self, ids, mask, state):
        past, real = state
        time = ids.shape[1]
        new = torch.ones_like(ids, dtype=torch.bool)
        real = mask if mask is not None else torch.cat((real, new), 1)
        places = torch.where(real, real.cumsum(1) - 1, torch.arange(real.shape[1], device=ids.device))
        if self.fault == "cache-position-off-by-one" and places.shape[1] > time:
            places = (places - 1).clamp(min=0)
        places = (
            places[:, :time] if self.fault == "new-positions-counted-from-zero" else places[:, places.shape[1] - time :]
        )
        x, known = self.embed(ids), []
        for layer, own in zip(self.layers, past, strict=True):
            x, longer = layer.go(x, real[:, None, None], places, own)
            known.append(longer)
        return self.lm_head(x if self.fault == "final-norm-never-called" else self.norm(x)), (known, real)

    def forward(self, ids, mask=None):
        return self.step(ids, mask, self.start(len(ids)))[0]


def rotating(config, fault=None):
    """The turning alone, as a function."""
    return lambda x, start=0: turned(x, torch.arange(start, start + x.shape[-2], device=x.device), config, fault)


def steps():
    from veriformer import Steps

    return Steps(
        start=lambda module, batch, longest: module.start(batch, longest),
        step=lambda module, ids, mask, state: module.step(ids, mask, state),
        reorder=lambda module, state, rows: ([(k[rows], v[rows]) for k, v in state[0]], state[1][rows]),
    )


LAYER = {
    "norm": "pre",
    "normalization": "rms",
    "positions": "rotary",
    "activation": "swiglu",
    "bias": False,
    "kv_heads": "grouped",
}


def build_rotary(fault=None, **claims):
    return declare("rotary-encoding", rotating, fault, module=None, **claims)


def build_rotating(fault=None, **claims):
    return declare("multi-head-attention", Rotating, fault, positions="rotary", bias=False, **claims)


def build_llama_layer(fault=None, **claims):
    return declare("encoder-layer", LlamaLayer, fault, **{**LAYER, "causal": True, **claims})


def build_llama(fault=None, **claims):
    sides = ("right", "left", "interior")
    return declare(
        "causal-lm",
        Llama,
        fault,
        **{**LAYER, "cache": True, "steps": steps(), "padding_sides": sides, "eps": 1e-6, **claims},
    )


_TURNING = (
    "turned-the-other-way", "rotary-exponent-without-the-two", "rotary-from-one", "rotary-start-ignored", "rotary-sign-lost",
    "rotary-pairs-of-the-other-convention", "rotary-pairs-joined-otherwise", "table-added-in-place-of-turning",
    "rotary-positions-clamped",
)  # fmt: skip
_CACHED = ("new-positions-counted-from-zero", "cache-position-off-by-one", "chunk-turned-by-one-angle")

SECOND = {
    **{
        fault: (build_rotary(fault), build_rotary(fault, rotary_pairing="adjacent", rotary_base=500000.0))
        for fault in _TURNING
    },
    "rotary-base-ignored": (build_rotary("rotary-base-ignored", rotary_base=500000.0),),
    "rotary-scaling-multiplied": (build_rotary("rotary-scaling-multiplied", rotary_scaling=4.0),),
    "values-turned-with-the-keys": (build_rotating("values-turned-with-the-keys"),),
    "queries-turned-alone": (build_llama_layer("queries-turned-alone"),),
    **{fault: (build_llama(fault),) for fault in (*_CACHED, "final-norm-never-called")},
    "rms-subtracts-the-mean": (build_llama_layer("rms-subtracts-the-mean"),),
    "gate-dropped": (build_llama_layer("gate-dropped"),),
    "eps-outside-the-root": (build_llama_layer("eps-outside-the-root"),),
}

CORRECT = (
    build_rotary(),
    build_rotary(rotary_pairing="adjacent", rotary_base=500000.0, rotary_scaling=2.0),
    build_rotating(kv_heads="grouped", rotary_pairing="adjacent"),
    build_llama_layer(),
    build_llama(tied=True),
)
