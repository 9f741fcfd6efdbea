"""Decoders, and an encoder-decoder over token ids, as other people write them, correct: by einsum, with masks that say what is hidden."""

# mypy: ignore-errors
# Other people's code, written the way they write it: without types.

import torch
from torch import nn


class Look(nn.Module):
    """Attention by einsum: one map for queries, one for keys and values together."""

    def __init__(self, config):
        super().__init__()
        self.heads = config.heads
        self.ask = nn.Linear(config.d_model, config.d_model)
        self.tell = nn.Linear(config.d_model, 2 * config.d_model)
        self.out = nn.Linear(config.d_model, config.d_model)

    def forward(self, x, memory, hidden=None):
        q = self.ask(x).unflatten(-1, (self.heads, -1))
        k, v = self.tell(memory).unflatten(-1, (2, self.heads, -1)).unbind(2)
        scores = torch.einsum("bqhe,bkhe->bhqk", q, k) / q.shape[-1] ** 0.5
        if hidden is not None:
            scores = scores.masked_fill(hidden, torch.finfo(scores.dtype).min)
        return self.out(torch.einsum("bhqk,bkhe->bqhe", scores.softmax(-1), v).flatten(2))


class ReadingLayer(nn.Module):
    """A layer that reads itself and, where it is told to, a memory; post-norm, or pre-norm where config.norm says so."""

    def __init__(self, config, *, reads_memory):
        super().__init__()
        d, self.pre, self.reads_memory = config.d_model, config.norm == "pre", reads_memory
        self.own = Look(config)
        self.other = Look(config) if reads_memory else None
        self.up, self.down = nn.Linear(d, config.d_ff), nn.Linear(config.d_ff, d)
        self.norms = nn.ModuleList(nn.LayerNorm(d, eps=config.eps) for _ in range(2 + reads_memory))
        self.drop = nn.Dropout(config.dropout)

    def step(self, x, which, sublayer):
        norm = self.norms[which]
        return x + self.drop(sublayer(norm(x))) if self.pre else norm(x + self.drop(sublayer(x)))

    def think(self, x):
        return self.down(self.up(x).relu())

    def forward(self, x, memory=None, hidden=None, memory_hidden=None):
        x = self.step(x, 0, lambda y: self.own(y, y, hidden))
        if self.reads_memory:
            x = self.step(x, 1, lambda y: self.other(y, memory, memory_hidden))
        return self.step(x, len(self.norms) - 1, self.think)


class Reader(nn.Module):
    """A decoder over features: reading layers, and a norm at the end of pre-norm ones; masks are True where one may look."""

    layer = ReadingLayer

    def __init__(self, config):
        super().__init__()
        self.causal = config.causal
        self.layers = nn.ModuleList(self.layer(config, reads_memory=True) for _ in range(config.layers))
        self.last = nn.LayerNorm(config.d_model, eps=config.eps) if config.ends_in_norm else nn.Identity()

    def hidden(self, x, mask):
        hidden = None if mask is None else ~mask
        if self.causal:
            future = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool, device=x.device).triu(1)
            hidden = future if hidden is None else hidden | future
        return hidden

    def run(self, x, memory, hidden, memory_hidden):
        for layer in self.layers:
            x = layer(x, memory, hidden, memory_hidden)
        return x

    def forward(self, x, memory, mask=None, memory_mask=None):
        memory_hidden = None if memory_mask is None else ~memory_mask
        return self.last(self.run(x, memory, self.hidden(x, mask), memory_hidden))


class OneLayer(nn.Module):
    """A decoder layer as a subject: masks are True where one may look."""

    layer = ReadingLayer

    def __init__(self, config):
        super().__init__()
        self.causal, self.inner = config.causal, self.layer(config, reads_memory=True)

    hidden = Reader.hidden

    def forward(self, x, memory, mask=None, memory_mask=None):
        return self.inner(x, memory, self.hidden(x, mask), None if memory_mask is None else ~memory_mask)


def reading_names(layer, prefix=""):
    """A reading layer's tensors by the reference's names; fused projections as views."""
    named = {}
    looks = (("attention", layer.own),) + ((("cross_attention", layer.other),) if layer.reads_memory else ())
    for name, look in looks:
        (key, value), (key_bias, value_bias) = look.tell.weight.chunk(2), look.tell.bias.chunk(2)
        named |= {f"{name}.query.weight": look.ask.weight, f"{name}.query.bias": look.ask.bias}
        named |= {f"{name}.key.weight": key, f"{name}.key.bias": key_bias}
        named |= {f"{name}.value.weight": value, f"{name}.value.bias": value_bias}
        named |= {f"{name}.output.weight": look.out.weight, f"{name}.output.bias": look.out.bias}
    named |= {"feed_forward.hidden.weight": layer.up.weight, "feed_forward.hidden.bias": layer.up.bias}
    named |= {"feed_forward.output.weight": layer.down.weight, "feed_forward.output.bias": layer.down.bias}
    parts = ("attention_norm", *(("cross_attention_norm",) if layer.reads_memory else ()), "feed_forward_norm")
    for name, norm in zip(parts, layer.norms, strict=True):
        named |= {f"{name}.gain": norm.weight, f"{name}.shift": norm.bias}
    return {prefix + name: tensor for name, tensor in named.items()}


def reader_names(module, prefix=""):
    """A ``Reader``'s tensors by the reference's names."""
    named = {}
    for index, layer in enumerate(module.layers):
        named |= reading_names(layer, f"{prefix}layers.{index}.")
    if isinstance(module.last, nn.LayerNorm):
        named |= {f"{prefix}final_norm.gain": module.last.weight, f"{prefix}final_norm.shift": module.last.bias}
    return named


class Translator(nn.Module):
    """Encoder and decoder over ids, sinusoidal positions, three separate tables; masks are True at real tokens."""

    layer = ReadingLayer

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.source_words = nn.Embedding(config.vocab, config.d_model)
        self.target_words = nn.Embedding(config.vocab, config.d_model)
        self.encoder = nn.ModuleList(self.layer(config, reads_memory=False) for _ in range(config.layers))
        self.decoder = nn.ModuleList(self.layer(config, reads_memory=True) for _ in range(config.layers))
        last = config.ends_in_norm
        self.encoder_last = nn.LayerNorm(config.d_model, eps=config.eps) if last else nn.Identity()
        self.decoder_last = nn.LayerNorm(config.d_model, eps=config.eps) if last else nn.Identity()
        self.generator = nn.Linear(config.d_model, config.vocab, bias=False)

    def table(self, time, like):
        half = torch.arange(self.config.d_model, device=like.device, dtype=like.dtype) // 2
        angle = torch.arange(time, device=like.device, dtype=like.dtype)[:, None] / 10000 ** (
            2 * half / self.config.d_model
        )
        return torch.where(torch.arange(self.config.d_model, device=like.device) % 2 == 0, angle.sin(), angle.cos())

    def embed(self, words, ids):
        x = words(ids)
        return x + self.table(ids.shape[1], x)

    def encode(self, source, hidden):
        x = self.embed(self.source_words, source)
        for layer in self.encoder:
            x = layer(x, None, hidden)
        return self.encoder_last(x)

    def decode(self, target, memory, hidden, memory_hidden):
        x = self.embed(self.target_words, target)
        for layer in self.decoder:
            x = layer(x, memory, hidden, memory_hidden)
        return self.decoder_last(x)

    def future(self, ids, mask):
        hidden = torch.ones(ids.shape[1], ids.shape[1], dtype=torch.bool, device=ids.device).triu(1)
        return hidden if mask is None else hidden | ~mask[:, None, None, :]

    def logits(self, x):
        return self.generator(x)

    def forward(self, source, target, source_mask=None, target_mask=None):
        padding = None if source_mask is None else ~source_mask[:, None, None, :]
        memory = self.encode(source, padding)
        return self.logits(self.decode(target, memory, self.future(target, target_mask), padding))


def translator_names(module):
    """A ``Translator``'s tensors by the reference's names."""
    named = {
        "embedding.table": module.source_words.weight, "target_embedding.table": module.target_words.weight,
        "head.output.weight": module.generator.weight,
    }  # fmt: skip
    for name, layers, last in (
        ("encoder", module.encoder, module.encoder_last), ("decoder", module.decoder, module.decoder_last),
    ):  # fmt: skip
        for index, layer in enumerate(layers):
            named |= reading_names(layer, f"{name}.layers.{index}.")
        if isinstance(last, nn.LayerNorm):
            named |= {f"{name}.final_norm.gain": last.weight, f"{name}.final_norm.shift": last.bias}
    return named


TRANSLATOR = {"positions": "sinusoidal"}
"""What ``Translator`` claims."""
