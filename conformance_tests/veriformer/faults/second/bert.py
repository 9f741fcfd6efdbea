"""A masked language model as BERT has it, with queries, keys and values of each head side by side, as in GPT-NeoX."""

# mypy: ignore-errors
# Other people's code, written the way they write it: without types.

import math

import torch
from torch import nn
from torch.nn import functional

from veriformer.faults.second.declaring import declare


class Layer(nn.Module):
    """Post-norm; the rows of the fused projection are: head by head, its query, its key, its value."""

    def __init__(self, config, fault=None):
        super().__init__()
        self.heads, self.fault = config.heads, fault
        self.query_key_value = nn.Linear(config.d_model, 3 * config.d_model)
        self.dense = nn.Linear(config.d_model, config.d_model)
        self.h_to_4h, self.back = nn.Linear(config.d_model, config.d_ff), nn.Linear(config.d_ff, config.d_model)
        self.attention_norm = nn.LayerNorm(config.d_model, eps=config.eps)
        self.output_norm = nn.LayerNorm(config.d_model, eps=config.eps)
        self.drop = nn.Dropout(config.dropout)

    def attend(self, x, mask):
        fused = self.query_key_value(x).unflatten(-1, (self.heads, -1))  # batch time heads 3·d_head
        query, key, value = fused.chunk(3, -1)
        scores = torch.einsum("bqhc,bkhc->bqkh", query, key) / math.sqrt(query.shape[-1])
        if mask is not None:
            mask = mask | ~mask.any(-1, keepdim=True)
        if mask is not None and self.fault == "mask-by-multiplication":
            scores = scores * mask[:, None, :, None]
        elif mask is not None and self.fault != "mask-after-softmax":
            scores = scores + (1.0 - mask[:, None, :, None].to(scores)) * torch.finfo(scores.dtype).min
        weights = scores.softmax(2)
        if mask is not None and self.fault == "mask-after-softmax":
            weights = weights * mask[:, None, :, None]
        found = torch.einsum("bqkh,bkhc->bqhc", weights, value)
        if self.fault == "merge-heads-without-transpose":
            found = found.transpose(1, 2)
        return self.dense(found.reshape(x.shape))

    def think(self, x):
        return self.back(functional.gelu(self.h_to_4h(x)))

    def forward(self, x, mask):
        if self.fault == "pre-norm-in-a-post-norm-model":
            x = x + self.drop(self.attend(self.attention_norm(x), mask))
            return x + self.drop(self.think(self.output_norm(x)))
        x = self.attention_norm(x + self.drop(self.attend(x, mask)))
        return self.output_norm(x + self.drop(self.think(x)))


class Bert(nn.Module):
    def __init__(self, config, fault=None):
        super().__init__()
        self.fault = fault
        self.words, self.places = (
            nn.Embedding(config.vocab, config.d_model),
            nn.Embedding(config.max_len, config.d_model),
        )
        self.kinds = nn.Embedding(config.segment_count, config.d_model) if config.segments else None
        self.entrance = nn.LayerNorm(config.d_model, eps=config.eps)
        self.layer = nn.ModuleList(Layer(config, fault) for _ in range(config.layers))
        self.transform = nn.Linear(config.d_model, config.d_model)
        self.transform_norm = nn.LayerNorm(config.d_model, eps=config.eps)
        self.decoder = nn.Linear(config.d_model, config.vocab)
        if config.tied or fault == "tied-without-a-claim":
            self.decoder.weight = self.words.weight

    def entered(self, ids, segments):
        x = self.words(ids)
        if self.kinds is not None:
            given = torch.zeros_like(ids) if segments is None or self.fault == "segments-lost-in-a-model" else segments
            if self.fault == "segment-of-the-first-token":
                given = given[:, :1].expand_as(given)
            x = x + self.kinds(given)
        rows = self.places.weight[: -1 if self.fault == "position-table-one-row-short" else None]
        where = rows[torch.arange(ids.shape[1], device=ids.device)]
        if self.fault == "positions-along-the-batch":
            return x + where[torch.arange(len(ids), device=ids.device) % len(where)][:, None]
        return x + where

    def forward(self, ids, mask=None, segments=None):
        if self.fault == "empty-sequence-invented" and not ids.shape[1]:
            ids, mask = torch.ones(len(ids), 1, dtype=ids.dtype), None
        if mask is not None and self.fault == "padding-counted-from-the-other-end":
            mask = mask.sort(-1).values
        x = self.entrance(self.entered(ids, segments))
        for layer in self.layer:
            x = layer(x, mask)
        logits = self.decoder(self.transform_norm(functional.gelu(self.transform(x))))
        if self.fault == "head-bias-added-twice":
            logits = logits + self.decoder.bias
        return logits.squeeze() if self.fault == "logits-squeezed" else logits


CLAIMS = {
    "positions": "learned",
    "embedding_norm": True,
    "head": "transform",
    "head_bias": True,
    "activation": "gelu",
    "eps": 1e-12,
}


def build_bert(fault=None, **claims):
    return declare("masked-lm", Bert, fault, **CLAIMS, **claims)


_FAULTS = (
    "head-bias-added-twice", "padding-counted-from-the-other-end", "positions-along-the-batch", "position-table-one-row-short",
    "logits-squeezed", "empty-sequence-invented", "mask-after-softmax", "mask-by-multiplication", "merge-heads-without-transpose",
    "pre-norm-in-a-post-norm-model",
)  # fmt: skip

SECOND = {
    **{fault: (build_bert(fault, tied=True),) for fault in _FAULTS},
    "segments-lost-in-a-model": (build_bert("segments-lost-in-a-model", tied=True, segments=True),),
    "segment-of-the-first-token": (build_bert("segment-of-the-first-token", tied=True, segments=True),),
    "tied-without-a-claim": (build_bert("tied-without-a-claim"),),
}

CORRECT = (build_bert(tied=True, segments=True), build_bert())
