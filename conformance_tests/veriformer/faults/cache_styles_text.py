"""Two more causal language models with a cache: one is given the whole text and slices inside, one keeps a rolling buffer.

Neither has the reference's code.
"""

# mypy: ignore-errors
# Other people's code, written the way they write it: without types.

import math

import torch
import torch.nn.functional as F
from torch import nn

import veriformer
from veriformer.faults.cache_styles import LLAMA, OBJECTS, ObjectModel


def alibi_slopes(heads):
    power = 2 ** math.floor(math.log2(heads))
    slopes = [2 ** (-8 * (head + 1) / power) for head in range(power)]
    return slopes + [2 ** (-4 * (2 * head + 1) / power) for head in range(heads - power)]


class TextAttention(nn.Module):
    """Attention with ALiBi over the distance in real tokens; keys and values are kept sequence last."""

    def __init__(self, config):
        super().__init__()
        self.heads = config.heads
        self.query_key_value = nn.Linear(config.d_model, 3 * config.d_model)
        self.dense = nn.Linear(config.d_model, config.d_model)
        self.register_buffer("slopes", torch.tensor(alibi_slopes(config.heads), dtype=torch.float64), persistent=False)

    def forward(self, x, places, allowed, past):
        query, key, value = self.query_key_value(x).unflatten(-1, (self.heads, 3, -1)).unbind(-2)
        key, value = key.permute(0, 2, 3, 1), value.permute(0, 2, 1, 3)
        if past is not None:
            key, value = torch.cat((past[0], key), -1), torch.cat((past[1], value), -2)
        scores = query.transpose(1, 2) @ key / math.sqrt(query.size(-1))
        apart = (places[:, -x.size(1) :, None] - places[:, None, :])[:, None]
        scores = scores - self.slopes[:, None, None] * apart
        weights = scores.masked_fill(~allowed[:, None], torch.finfo(scores.dtype).min).softmax(-1)
        return self.dense((weights @ value).transpose(1, 2).flatten(2)), (key, value)


class TextBlock(nn.Module):
    attention = TextAttention

    def __init__(self, config):
        super().__init__()
        self.input_layernorm = nn.LayerNorm(config.d_model, eps=config.eps)
        self.self_attention = self.attention(config)
        self.post_attention_layernorm = nn.LayerNorm(config.d_model, eps=config.eps)
        self.dense_h_to_4h = nn.Linear(config.d_model, config.d_ff)
        self.dense_4h_to_h = nn.Linear(config.d_ff, config.d_model)

    def forward(self, x, places, allowed, past):
        attended, present = self.self_attention(self.input_layernorm(x), places, allowed, past)
        x = x + attended
        return x + self.dense_4h_to_h(F.gelu(self.dense_h_to_4h(self.post_attention_layernorm(x)))), present


class TextModel(nn.Module):
    """The caller passes the whole text each time, and the past; what is in the past is cut off here."""

    block = TextBlock

    def __init__(self, config):
        super().__init__()
        self.word_embeddings = nn.Embedding(config.vocab, config.d_model)
        self.word_embeddings_layernorm = nn.LayerNorm(config.d_model, eps=config.eps)
        self.h = nn.ModuleList(self.block(config) for _ in range(config.layers))
        self.ln_f = nn.LayerNorm(config.d_model, eps=config.eps)
        self.lm_head = nn.Linear(config.d_model, config.vocab, bias=False)

    def cut(self, text, past):
        return text if past is None else text[:, past[0][0].size(-1) :]

    def forward(self, text, mask=None, past=None):
        ids = self.cut(text, past)
        real = torch.ones_like(text, dtype=torch.bool) if mask is None else mask
        places = real.long().cumsum(-1)
        triangle = torch.arange(text.size(1), device=text.device)
        allowed = (triangle[-ids.size(1) :, None] >= triangle) & real[:, None]
        x = self.word_embeddings_layernorm(self.word_embeddings(ids))
        presents = []
        for index, block in enumerate(self.h):
            x, present = block(x, places, allowed, past[index] if past else None)
            presents.append(present)
        return self.lm_head(self.ln_f(x)), presents


def step_with_the_text(module, ids, mask, state):
    text = ids if state["text"] is None else torch.cat((state["text"], ids), 1)
    logits, past = module(text, mask, state["past"])
    return logits, {"text": text, "past": past}


def reorder_with_the_text(module, state, rows):
    past = [tuple(each[rows] for each in layer) for layer in state["past"]]
    return {"text": state["text"][rows], "past": past}


BLOOM = {
    "norm": "pre", "activation": "gelu", "positions": "alibi", "embedding_norm": True, "cache": True,
    "padding_sides": ("right", "left", "interior"),
}  # fmt: skip

TEXT_STEPS = veriformer.Steps(
    start=lambda module, batch, longest: {"text": None, "past": None},
    step=step_with_the_text,
    reorder=reorder_with_the_text,
    copy=lambda module, state: dict(state),
)


class RollingCache:
    """The last ``window`` keys and values, each in slot ``position % window``."""

    def __init__(self, window):
        self.window, self.seen, self.layers = window, 0, {}

    def in_order(self, layer, seen):
        """What the buffer holds, oldest first."""
        held = self.layers[layer]
        if seen <= self.window:
            return tuple(each[:, :seen] for each in held)
        return tuple(torch.roll(each, -(seen % self.window), 1) for each in held)

    def write(self, layer, key, value, seen):
        last = slice(max(0, key.size(1) - self.window), None)
        slots = torch.arange(seen, seen + key.size(1), device=key.device)[last] % self.window
        if layer not in self.layers:
            empty = (key.size(0), self.window, *key.shape[2:])
            self.layers[layer] = (key.new_zeros(empty), value.new_zeros(empty))
        for held, new in zip(self.layers[layer], (key, value), strict=True):
            held[:, slots] = new[:, last]

    def update(self, layer, key, value):
        before = self.in_order(layer, self.seen) if layer in self.layers else (key[:, :0], value[:, :0])
        joined = tuple(torch.cat(each, 1) for each in zip(before, (key, value), strict=True))
        self.write(layer, key, value, self.seen)  # only now: what is in order may be a view of the buffer
        return joined

    def reorder(self, rows):
        self.layers = {layer: tuple(each[rows] for each in held) for layer, held in self.layers.items()}
        return self


class RollingModel(ObjectModel):
    """Mistral with its rolling buffer: no more than a window is kept."""

    def held(self, seen):
        return min(seen, self.window)

    def forward(self, ids, mask=None, cache=None):
        if cache is None:
            return super().forward(ids)
        new, seen = ids.size(1), cache.seen
        query = torch.arange(seen, seen + new, device=ids.device)
        key = torch.arange(seen - self.held(seen), seen + new, device=ids.device)
        allowed = (key <= query[:, None]) & (key > query[:, None] - self.window)
        x = self.embed_tokens(ids)
        for layer in self.layers:
            x = layer(x, query.expand(ids.shape), allowed.expand(ids.size(0), -1, -1), cache)
        cache.seen += new
        return self.lm_head(self.norm(x))


MISTRAL = LLAMA | {"sliding_window": True, "masks": ("none",), "padding_sides": ("right",)}

ROLLING_STEPS = veriformer.Steps(
    start=lambda module, batch, longest: RollingCache(module.window),
    step=OBJECTS.step,
    reorder=OBJECTS.reorder,
    copy=OBJECTS.copy,
)
