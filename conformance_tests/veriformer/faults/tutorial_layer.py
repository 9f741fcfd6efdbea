"""An encoder layer as tutorials write it, with none of the reference's code: foreign faults override a step of it."""

# mypy: ignore-errors
# Other people's code, written the way they write it: without types.

import torch
from torch import nn
from torch.nn import functional


class TutorialLayer(nn.Module):
    """Self-attention by einsum with one fused projection; masks are True where one may look."""

    def __init__(self, config):
        super().__init__()
        self.heads, self.norm_first = config.heads, config.norm == "pre"
        self.qkv = nn.Linear(config.d_model, 3 * config.d_model)
        self.proj = nn.Linear(config.d_model, config.d_model)
        self.fc1 = nn.Linear(config.d_model, config.d_ff)
        self.fc2 = nn.Linear(config.d_ff, config.d_model)
        self.ln1 = nn.LayerNorm(config.d_model, eps=config.eps)
        self.ln2 = nn.LayerNorm(config.d_model, eps=config.eps)
        self.drop = nn.Dropout(config.dropout)

    def attend(self, x, mask):
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).unbind(2)
        scores = torch.einsum("bqhd,bkhd->bhqk", q, k) / q.shape[-1] ** 0.5
        if mask is not None:
            scores = scores.masked_fill(~mask, float("-inf"))
        return self.proj(torch.einsum("bhqk,bkhd->bqhd", scores.softmax(-1), v).flatten(2))

    def think(self, x):
        return self.fc2(functional.relu(self.fc1(x)))

    def first(self, x, mask):
        if self.norm_first:
            return x + self.drop(self.attend(self.ln1(x), mask))
        return self.ln1(x + self.drop(self.attend(x, mask)))

    def second(self, x, before):
        if self.norm_first:
            return x + self.drop(self.think(self.ln2(x)))
        return self.ln2(x + self.drop(self.think(x)))

    def forward(self, x, mask=None):
        return self.second(self.first(x, mask), x)


def layer_names(module, prefix=""):
    """A tutorial layer's tensors by the reference's names; the fused projection as views."""
    named = {}
    for part, weight, bias in zip(
        ("query", "key", "value"), module.qkv.weight.chunk(3), module.qkv.bias.chunk(3), strict=True
    ):
        named[f"attention.{part}.weight"], named[f"attention.{part}.bias"] = weight, bias
    for name, linear in (
        ("attention.output", module.proj),
        ("feed_forward.hidden", module.fc1),
        ("feed_forward.output", module.fc2),
    ):
        named[f"{name}.weight"], named[f"{name}.bias"] = linear.weight, linear.bias
    for name, norm in (("attention_norm", module.ln1), ("feed_forward_norm", module.ln2)):
        named[f"{name}.gain"], named[f"{name}.shift"] = norm.weight, norm.bias
    return {prefix + name: tensor for name, tensor in named.items()}


class TutorialEncoder(nn.Module):
    """A list of tutorial layers, and a norm at the end of pre-norm ones."""

    layer = TutorialLayer

    def __init__(self, config):
        super().__init__()
        self.layers = nn.ModuleList(self.layer(config) for _ in range(config.layers))
        self.last = nn.LayerNorm(config.d_model, eps=config.eps) if config.norm == "pre" else nn.Identity()

    def forward(self, x, mask=None):
        for layer in self.layers:
            x = layer(x, mask)
        return self.last(x)


def encoder_names(module):
    """A tutorial encoder's tensors by the reference's names."""
    named = {}
    for index, layer in enumerate(module.layers):
        named |= layer_names(layer, f"layers.{index}.")
    if isinstance(module.last, nn.LayerNorm):
        named |= {"final_norm.gain": module.last.weight, "final_norm.shift": module.last.bias}
    return named
