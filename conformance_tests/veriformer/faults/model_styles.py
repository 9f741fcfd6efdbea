"""Models over token ids as other people write them, correct: faults and near-misses override a step of one.

Three hands: a decoder-only model with one fused projection and torch's fused attention; a functional one over a dictionary of
parameters, time first inside; and torch's own encoder over ids.
"""

# mypy: ignore-errors
# Other people's code, written the way they write it: without types.

import math

import torch
from torch import nn
from torch.nn import functional


class Block(nn.Module):
    """Pre-norm, one projection for query, key and value; ``allowed`` is True where one may look, None means the past."""

    def __init__(self, config):
        super().__init__()
        d = config.d_model
        self.heads = config.heads
        self.ln_1, self.ln_2 = nn.LayerNorm(d, eps=config.eps), nn.LayerNorm(d, eps=config.eps)
        self.c_attn, self.c_proj = nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.c_fc, self.c_out = nn.Linear(d, config.d_ff), nn.Linear(config.d_ff, d)

    def attend(self, x, allowed):
        q, k, v = (each.unflatten(-1, (self.heads, -1)).transpose(1, 2) for each in self.c_attn(x).chunk(3, -1))
        seen = functional.scaled_dot_product_attention(q, k, v, attn_mask=allowed, is_causal=allowed is None)
        return self.c_proj(seen.transpose(1, 2).flatten(2))

    def think(self, x):
        return self.c_out(functional.gelu(self.c_fc(x), approximate="tanh"))

    def forward(self, x, allowed):
        x = x + self.attend(self.ln_1(x), allowed)
        return x + self.think(self.ln_2(x))


class ScratchGPT(nn.Module):
    """Decoder-only, over learned positions, ending in a norm; claims norm=pre, activation=gelu-tanh, positions=learned."""

    block = Block

    def __init__(self, config):
        super().__init__()
        self.wte = nn.Embedding(config.vocab, config.d_model)
        self.wpe = nn.Embedding(config.max_len, config.d_model)
        self.blocks = nn.ModuleList(self.block(config) for _ in range(config.layers))
        self.ln_f = nn.LayerNorm(config.d_model, eps=config.eps)
        self.lm_head = nn.Linear(config.d_model, config.vocab, bias=False)
        if config.tied:
            self.lm_head.weight = self.wte.weight

    def allowed(self, ids, mask):
        if mask is None:
            return None
        time = ids.shape[1]
        past = torch.ones(time, time, dtype=torch.bool, device=ids.device).tril()
        return past & mask[:, None, None, :]

    def embed(self, ids):
        return self.wte(ids) + self.wpe(torch.arange(ids.shape[1], device=ids.device))

    def run(self, x, allowed):
        for block in self.blocks:
            x = block(x, allowed)
        return x

    def head(self, x):
        return self.lm_head(self.ln_f(x))

    def forward(self, ids, mask=None):
        return self.head(self.run(self.embed(ids), self.allowed(ids, mask)))


GPT = {"norm": "pre", "activation": "gelu-tanh", "positions": "learned"}
"""What ``ScratchGPT`` claims."""


def gpt_names(module):
    """A ``ScratchGPT``'s tensors by the reference's names; the fused projection as views."""
    named = {
        "embedding.table": module.wte.weight,
        "stack.positions.table": module.wpe.weight,
        "stack.final_norm.gain": module.ln_f.weight,
        "stack.final_norm.shift": module.ln_f.bias,
    }
    if module.lm_head.weight is not module.wte.weight:
        named["head.output.weight"] = module.lm_head.weight
    for index, block in enumerate(module.blocks):
        named |= {f"stack.layers.{index}.{name}": each for name, each in block_names(block).items()}
    return named


def block_names(block):
    """A ``Block``'s tensors by the reference's names."""
    named = {}
    weights, biases = block.c_attn.weight.chunk(3), block.c_attn.bias.chunk(3)
    for part, weight, bias in zip(("query", "key", "value"), weights, biases, strict=True):
        named[f"attention.{part}.weight"], named[f"attention.{part}.bias"] = weight, bias
    for name, linear in (
        ("attention.output", block.c_proj), ("feed_forward.hidden", block.c_fc), ("feed_forward.output", block.c_out),
    ):  # fmt: skip
        named[f"{name}.weight"], named[f"{name}.bias"] = linear.weight, linear.bias
    for name, norm in (("attention_norm", block.ln_1), ("feed_forward_norm", block.ln_2)):
        named[f"{name}.gain"], named[f"{name}.shift"] = norm.weight, norm.bias
    return named


class Functional(nn.Module):
    """Decoder-only and post-norm, functions over one dictionary of parameters, time first inside; sinusoidal positions.

    Claims positions=sinusoidal, norm_bias=False, bias=False.
    """

    def __init__(self, config):
        super().__init__()
        d, inner, self.config = config.d_model, config.d_ff, config
        shapes = {"tokens": (config.vocab, d), "logits": (d, config.vocab)}
        for n in range(config.layers):
            shapes |= {f"{n}_qkv": (3, d, d), f"{n}_o": (d, d), f"{n}_up": (d, inner), f"{n}_down": (inner, d)}
        drawn = {name: nn.Parameter(torch.randn(shape) / math.sqrt(shape[-2])) for name, shape in shapes.items()}
        gains = {f"{n}_gain{which}": nn.Parameter(torch.ones(d)) for n in range(config.layers) for which in (1, 2)}
        self.p = nn.ParameterDict(drawn | gains)

    def norm(self, x, name):
        return functional.layer_norm(x, x.shape[-1:], self.p[name], None, self.config.eps)

    def table(self, time, like):
        position = torch.arange(time, dtype=like.dtype, device=like.device)[:, None]
        even = torch.arange(0, self.config.d_model, 2, dtype=like.dtype, device=like.device)
        angles = position * torch.exp(even * (-math.log(10000.0) / self.config.d_model))
        both = torch.stack((angles.sin(), angles.cos()), -1).flatten(1)
        return both[:, : self.config.d_model]

    def place(self, x):
        return x + self.table(x.shape[0], x)[:, None, :]

    def attend(self, x, n, hidden):
        q, k, v = torch.einsum("tbd,cde->ctbe", x, self.p[f"{n}_qkv"]).unflatten(-1, (self.config.heads, -1))
        scores = torch.einsum("qbhe,kbhe->bhqk", q, k) / math.sqrt(q.shape[-1])
        weights = scores.masked_fill(hidden, torch.finfo(scores.dtype).min).softmax(-1)
        return torch.einsum("bhqk,kbhe->qbhe", weights, v).flatten(2) @ self.p[f"{n}_o"]

    def layer(self, x, n, hidden):
        x = self.norm(x + self.attend(x, n, hidden), f"{n}_gain1")
        return self.norm(x + (x @ self.p[f"{n}_up"]).relu() @ self.p[f"{n}_down"], f"{n}_gain2")

    def hidden(self, ids, mask):
        time = ids.shape[1]
        future = torch.ones(time, time, dtype=torch.bool, device=ids.device).triu(1)
        return future if mask is None else future | ~mask[:, None, None, :]

    def look_up(self, ids):
        return self.p["tokens"][self.checked(ids)]

    def checked(self, ids):
        if ids.numel() and (int(ids.min()) < 0 or int(ids.max()) >= self.config.vocab):
            raise IndexError(f"ids must lie in [0, {self.config.vocab})")
        return ids

    def forward(self, ids, mask=None):
        hidden = self.hidden(ids, mask)
        x = self.place(self.look_up(ids).transpose(0, 1))
        for n in range(self.config.layers):
            x = self.layer(x, n, hidden)
        return (x @ self.p["logits"]).transpose(0, 1)


def functional_names(module):
    """A ``Functional``'s tensors by the reference's names; its matrices are stored inputs by outputs."""
    named = {"embedding.table": module.p["tokens"], "head.output.weight": module.p["logits"].T}
    for n in range(module.config.layers):
        for part, weight in zip(("query", "key", "value"), module.p[f"{n}_qkv"], strict=True):
            named[f"stack.layers.{n}.attention.{part}.weight"] = weight.T
        for name, short in (("attention.output", "o"), ("feed_forward.hidden", "up"), ("feed_forward.output", "down")):
            named[f"stack.layers.{n}.{name}.weight"] = module.p[f"{n}_{short}"].T
        for which, name in ((1, "attention_norm"), (2, "feed_forward_norm")):
            named[f"stack.layers.{n}.{name}.gain"] = module.p[f"{n}_gain{which}"]
    return named


FUNCTIONAL = {"positions": "sinusoidal", "bias": False, "norm_bias": False}
"""What ``Functional`` claims."""


class TorchBert(nn.Module):
    """torch's encoder over embeddings that are normalised, with the head of BERT; claims what ``BERT`` says."""

    def __init__(self, config):
        super().__init__()
        d = config.d_model
        self.word, self.place = nn.Embedding(config.vocab, d), nn.Embedding(config.max_len, d)
        self.norm = nn.LayerNorm(d, eps=config.eps)
        layer = nn.TransformerEncoderLayer(
            d, config.heads, config.d_ff, config.dropout, "gelu", layer_norm_eps=config.eps, batch_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, config.layers, enable_nested_tensor=False)
        self.dense, self.dense_norm = nn.Linear(d, d), nn.LayerNorm(d, eps=config.eps)
        self.bias = nn.Parameter(torch.zeros(config.vocab))

    def embed(self, ids):
        return self.norm(self.word(ids) + self.place.weight[: ids.shape[1]])

    def encode(self, x, mask):
        return self.encoder(x, src_key_padding_mask=None if mask is None else ~mask)

    def decode(self, x):
        return functional.linear(self.dense_norm(functional.gelu(self.dense(x))), self.word.weight, self.bias)

    def forward(self, ids, mask=None):
        if ids.shape[1] > self.place.num_embeddings:
            raise ValueError(f"{ids.shape[1]} tokens, but there are {self.place.num_embeddings} positions")
        return self.decode(self.encode(self.embed(ids), mask))


def bert_names(module):
    """A ``TorchBert``'s tensors by the reference's names."""
    named = {
        "embedding.table": module.word.weight, "stack.positions.table": module.place.weight,
        "stack.embedding_norm.gain": module.norm.weight, "stack.embedding_norm.shift": module.norm.bias,
        "head.transform.weight": module.dense.weight, "head.transform.bias": module.dense.bias,
        "head.norm.gain": module.dense_norm.weight, "head.norm.shift": module.dense_norm.bias, "head.bias": module.bias,
    }  # fmt: skip
    for index, layer in enumerate(module.encoder.layers):
        at = f"stack.layers.{index}."
        attention = layer.self_attn
        weights, biases = attention.in_proj_weight.chunk(3), attention.in_proj_bias.chunk(3)
        for part, weight, bias in zip(("query", "key", "value"), weights, biases, strict=True):
            named |= {f"{at}attention.{part}.weight": weight, f"{at}attention.{part}.bias": bias}
        for name, linear in (
            ("attention.output", attention.out_proj), ("feed_forward.hidden", layer.linear1), ("feed_forward.output", layer.linear2),
        ):  # fmt: skip
            named |= {f"{at}{name}.weight": linear.weight, f"{at}{name}.bias": linear.bias}
        for name, norm in (("attention_norm", layer.norm1), ("feed_forward_norm", layer.norm2)):
            named |= {f"{at}{name}.gain": norm.weight, f"{at}{name}.shift": norm.bias}
    return named


BERT = {
    "activation": "gelu", "positions": "learned", "embedding_norm": True, "tied": True, "head": "transform", "head_bias": True,
}  # fmt: skip
"""What ``TorchBert`` claims."""
