"""Decoders and encoder-decoders as pure functions over dicts of tensors, with weights stored [in, out]."""

# mypy: ignore-errors
# Other people's code, written the way they write it: without types.

import torch
from torch import nn
from torch.nn import functional

from veriformer.faults.second.declaring import declare
from veriformer.faults.second.parts import waves


def matrix(into, out):
    return nn.Parameter(torch.randn(into, out) / into**0.5)


def vector(features, value):
    return nn.Parameter(torch.full((features,), float(value)))


def attention_weights(features):
    """``wq`` turns features into queries; keys and values come out of one product."""
    return nn.ParameterDict(
        {
            "wq": matrix(features, features),
            "bq": vector(features, 0),
            "wkv": matrix(features, 2 * features),
            "bkv": vector(2 * features, 0),
            "wo": matrix(features, features),
            "bo": vector(features, 0),
        }
    )


def layer_weights(config, *, reads):
    parts = {"look": attention_weights(config.d_model)}
    if reads:
        parts["read"] = attention_weights(config.d_model)
    parts["think"] = nn.ParameterDict(
        {
            "w1": matrix(config.d_model, config.d_ff),
            "b1": vector(config.d_ff, 0),
            "w2": matrix(config.d_ff, config.d_model),
            "b2": vector(config.d_model, 0),
        }
    )
    for name in tuple(parts):
        parts[f"{name}_norm"] = nn.ParameterDict({"g": vector(config.d_model, 1), "b": vector(config.d_model, 0)})
    return nn.ModuleDict(parts)


def stack_weights(config, *, reads):
    layers = nn.ModuleList(layer_weights(config, reads=reads) for _ in range(config.layers))
    last = nn.ParameterDict(
        {"g": vector(config.d_model, 1), "b": vector(config.d_model, 0)} if config.ends_in_norm else {}
    )
    return nn.ModuleDict({"layers": layers, "last": last})


def norm(p, x, eps):
    return functional.layer_norm(x, x.shape[-1:], p["g"], p["b"], eps)


def attend(p, x, memory, mask, heads, *, causal=False, fault=None):
    """Queries from ``x``; keys and values from ``memory``; heads by reshaping to five axes at most."""
    batch, time, features = x.shape
    many = memory.shape[1]
    query = (x @ p["wq"] + p["bq"]).view(batch, time, heads, -1).permute(0, 2, 1, 3)
    key, value = (memory @ p["wkv"] + p["bkv"]).view(batch, many, 2, heads, -1).permute(2, 0, 3, 1, 4)
    if fault == "values-from-the-decoder" and many == time:
        value = (x @ p["wkv"] + p["bkv"]).view(batch, time, 2, heads, -1)[:, :, 1].permute(0, 2, 1, 3)
    scores = torch.matmul(query, key.permute(0, 1, 3, 2)) * (features // heads) ** -0.5
    seen = torch.ones(1, 1, time, many, dtype=torch.bool, device=x.device) if mask is None else mask
    if causal:
        seen = seen & torch.ones_like(scores[0, 0], dtype=torch.bool).tril(many - time)
    scores = scores + torch.zeros_like(seen, dtype=scores.dtype).masked_fill(~seen, -1e30)
    weights = scores.softmax(-1) * seen.any(-1, keepdim=True)
    return torch.matmul(weights, value).permute(0, 2, 1, 3).reshape(x.shape) @ p["wo"] + p["bo"]


def think(p, x):
    return torch.relu(x @ p["w1"] + p["b1"]) @ p["w2"] + p["b2"]


def wrap(p, x, step, config, fault=None):
    """One step of a layer, with its skip and its norm."""
    if config.norm == "pre":
        y = step(norm(p, x, config.eps))
        return y if fault == "cross-attention-without-a-skip" else x + y
    y = step(x)
    return norm(p, y if fault == "cross-attention-without-a-skip" else x + y, config.eps)


def encode(p, x, mask, config, drop):
    for layer in p["layers"]:
        x = wrap(
            layer["look_norm"], x, lambda y, own=layer: drop(attend(own["look"], y, y, mask, config.heads)), config
        )
        x = wrap(layer["think_norm"], x, lambda y, own=layer: drop(think(own["think"], y)), config)
    return norm(p["last"], x, config.eps) if config.ends_in_norm else x


def memory_for(x, memory, fault):
    """What the second attention of a decoder layer is given to read."""
    if fault == "cross-attention-onto-the-target":
        return x
    return memory[:, : x.shape[1]] if fault == "memory-cut-to-the-target" else memory


def decode_layer(p, x, memory, mask, memory_mask, config, drop, fault=None):
    if fault == "memory-mask-not-passed-on":
        memory_mask = None
    if fault == "memory-normalised-with-the-target":
        memory = norm(p["read_norm"], memory, config.eps)

    def read(y):
        hides = config.causal and fault == "cross-attention-as-self-attention"
        return drop(
            attend(p["read"], y, memory_for(y, memory, fault), memory_mask, config.heads, causal=hides, fault=fault)
        )

    steps = {
        "look": lambda y: drop(attend(p["look"], y, y, mask, config.heads, causal=config.causal)),
        "read": read,
        "think": lambda y: drop(think(p["think"], y)),
    }
    order = ("look", "read", "think")
    if fault == "cross-attention-before-self-attention":
        order = ("read", "look", "think")
    if fault == "feed-forward-before-cross-attention":
        order = ("look", "think", "read")
    first = x
    for name in order:
        if name == "read" and fault == "cross-attention-without-a-norm":
            x = x + read(x)
        elif name == "read" and fault == "cross-attention-skip-from-the-layers-input":
            pre = config.norm == "pre"
            found = read(norm(p["read_norm"], x, config.eps) if pre else x)
            x = first + found if pre else norm(p["read_norm"], first + found, config.eps)
        else:
            x = wrap(p[f"{name}_norm"], x, steps[name], config, fault if name == "read" else None)
    return x


def decode(p, x, memory, mask, memory_mask, config, drop, fault=None):
    layers = list(p["layers"])
    if fault == "last-decoder-layer-only":
        layers = layers[-1:]
    for index, layer in enumerate(layers):
        if index and fault == "memory-for-the-first-layer-only":
            x = decode_layer(layer, x, x, mask, mask, config, drop)
        elif index and fault == "memory-mask-for-the-first-layer-only":
            x = decode_layer(layer, x, memory, mask, None, config, drop)
        else:
            x = decode_layer(layer, x, memory, mask, memory_mask, config, drop, fault)
    return norm(p["last"], x, config.eps) if config.ends_in_norm and fault != "decoder-final-norm-forgotten" else x


class Functional(nn.Module):
    """Holds the dicts, and remembers the configuration."""

    def __init__(self, config, fault=None):
        super().__init__()
        self.config, self.fault = config, fault

    def drop(self, x):
        return functional.dropout(x, self.config.dropout, self.training)


class DecoderLayer(Functional):
    def __init__(self, config, fault=None):
        super().__init__(config, fault)
        self.p = layer_weights(config, reads=True)

    def forward(self, x, memory, mask=None, memory_mask=None):
        return decode_layer(self.p, x, memory, mask, memory_mask, self.config, self.drop, self.fault)


class Decoder(Functional):
    def __init__(self, config, fault=None):
        super().__init__(config, fault)
        self.p = stack_weights(config, reads=True)

    def forward(self, x, memory, mask=None, memory_mask=None):
        return decode(self.p, x, memory, mask, memory_mask, self.config, self.drop, self.fault)


class Translator(Functional):
    """The model of 2017: one table for source, target and output where tied."""

    def __init__(self, config, fault=None):
        super().__init__(config, fault)
        self.words = nn.Parameter(torch.randn(config.vocab, config.d_model) / config.d_model**0.5)
        self.others = None if config.tied else nn.Parameter(torch.randn(config.vocab, config.d_model))
        self.out = None if config.tied else matrix(config.d_model, config.vocab)
        self.encoder, self.decoder = stack_weights(config, reads=False), stack_weights(config, reads=True)

    def entered(self, ids, table):
        x = functional.embedding(ids, table) * (
            self.config.d_model**0.5 if self.config.embedding_scale == "root-d_model" else 1.0
        )
        return x + waves(ids.shape[1], self.config.d_model).to(x) if self.config.positions == "sinusoidal" else x

    def forward(self, source, target, source_mask=None, target_mask=None):
        if self.fault == "encoder-reads-the-target":
            source, source_mask = target, target_mask
        elsewhere = self.words if self.others is None else self.others
        hidden, shown = (None if each is None else each[:, None, None] for each in (source_mask, target_mask))
        memory = encode(self.encoder, self.entered(source, self.words), hidden, self.config, self.drop)
        beyond = None if self.fault == "encoder-reads-the-target" else hidden
        x = decode(
            self.decoder, self.entered(target, elsewhere), memory, shown, beyond, self.config, self.drop, self.fault
        )
        logits = x @ (self.words.t() if self.out is None else self.out)
        return logits.softmax(-1) if self.fault == "softmax-inside-the-model" else logits


def build_decoder_layer(fault=None, **claims):
    return declare("decoder-layer", DecoderLayer, fault, **claims)


def build_decoder(fault=None, **claims):
    return declare("decoder", Decoder, fault, **claims)


def build_translator(fault=None, **claims):
    return declare("encoder-decoder", Translator, fault, **claims)


ORIGINAL = {"positions": "sinusoidal", "tied": True, "embedding_scale": "root-d_model"}
_READING = ("cross-attention-onto-the-target", "values-from-the-decoder", "memory-cut-to-the-target")
_ORDER = (
    "cross-attention-before-self-attention", "feed-forward-before-cross-attention", "memory-normalised-with-the-target",
    "cross-attention-without-a-skip", "cross-attention-skip-from-the-layers-input",
)  # fmt: skip
_STACKED = ("memory-for-the-first-layer-only", "memory-mask-for-the-first-layer-only", "last-decoder-layer-only")

SECOND = {
    **{fault: (build_decoder_layer(fault), build_translator(fault, **ORIGINAL)) for fault in _READING},
    "cross-attention-as-self-attention": (build_decoder("cross-attention-as-self-attention", causal=True, norm="pre"),),
    "memory-mask-not-passed-on": (
        build_decoder_layer("memory-mask-not-passed-on"),
        build_translator("memory-mask-not-passed-on", norm="pre"),
    ),
    **{fault: (build_decoder_layer(fault), build_decoder_layer(fault, norm="pre")) for fault in _ORDER},
    "cross-attention-without-a-norm": (build_decoder_layer("cross-attention-without-a-norm"),),
    **{fault: (build_decoder(fault), build_decoder(fault, norm="pre", causal=True)) for fault in _STACKED},
    "decoder-final-norm-forgotten": (build_decoder("decoder-final-norm-forgotten", norm="pre", causal=True),),
    "encoder-reads-the-target": (build_translator("encoder-reads-the-target", **ORIGINAL),),
    "softmax-inside-the-model": (build_translator("softmax-inside-the-model", **ORIGINAL),),
}

CORRECT = (
    build_decoder_layer(),
    build_decoder_layer(norm="pre", causal=True),
    build_decoder(),
    build_decoder(norm="pre", causal=True),
    build_translator(**ORIGINAL),
    build_translator(norm="pre"),
)
