"""An encoder layer as in a tutorial of a hundred lines, and its successor that translates: from their descriptions, anew."""

# mypy: ignore-errors
# Other people's code, written the way they write it: without types.

import math

import torch
from torch import nn


def scaled_dot_product(q, k, v, mask=None):
    scaled = torch.matmul(q, k.transpose(-1, -2)) / math.sqrt(q.size(-1))
    if mask is not None:
        scaled = scaled.masked_fill(mask == 0, torch.finfo(scaled.dtype).min)
    return torch.matmul(torch.softmax(scaled, dim=-1), v)


class HundredLinesAttention(nn.Module):
    """One projection to 3 * d_model, reshaped to heads x 3 * d_head, permuted and chunked."""

    def __init__(self, config, *, permutes_back):
        super().__init__()
        self.num_heads, self.head_dim, self.permutes_back = config.heads, config.d_head, permutes_back
        self.qkv_layer = nn.Linear(config.d_model, 3 * config.d_model)
        self.linear_layer = nn.Linear(config.d_model, config.d_model)

    def forward(self, x, mask=None):
        batch_size, sequence_length, d_model = x.size()
        qkv = self.qkv_layer(x)
        qkv = qkv.reshape(batch_size, sequence_length, self.num_heads, 3 * self.head_dim)
        qkv = qkv.permute(0, 2, 1, 3)
        q, k, v = qkv.chunk(3, dim=-1)
        values = scaled_dot_product(q, k, v, mask)
        if self.permutes_back:
            values = values.permute(0, 2, 1, 3)
        return self.linear_layer(values.reshape(batch_size, sequence_length, d_model))


class HundredLinesNorm(nn.Module):
    """Layer normalisation by hand."""

    def __init__(self, size, eps=1e-5):
        super().__init__()
        self.eps = eps
        self.gamma, self.beta = nn.Parameter(torch.ones(size)), nn.Parameter(torch.zeros(size))

    def forward(self, inputs):
        mean = inputs.mean(dim=-1, keepdim=True)
        var = ((inputs - mean) ** 2).mean(dim=-1, keepdim=True)
        return self.gamma * (inputs - mean) / (var + self.eps).sqrt() + self.beta


class HundredLines(nn.Module):
    """The encoder layer: attention, dropout, norm; two linear layers, dropout, norm."""

    def __init__(self, config, *, permutes_back=True):
        super().__init__()
        self.attention = HundredLinesAttention(config, permutes_back=permutes_back)
        self.norm1, self.norm2 = HundredLinesNorm(config.d_model), HundredLinesNorm(config.d_model)
        self.dropout1, self.dropout2 = nn.Dropout(p=config.dropout), nn.Dropout(p=config.dropout)
        self.linear1, self.linear2 = nn.Linear(config.d_model, config.d_ff), nn.Linear(config.d_ff, config.d_model)

    def ffn(self, x):
        return self.linear2(torch.relu(self.linear1(x)))

    def forward(self, x, mask=None):
        x = self.norm1(x + self.dropout1(self.attention(x, mask)))
        return self.norm2(x + self.dropout2(self.ffn(x)))


class HundredLinesCrossAttention(nn.Module):
    """Keys and values of the memory, queries of the target; lengths as ``length_of`` says."""

    def __init__(self, config, *, source_length):
        super().__init__()
        self.num_heads, self.head_dim, self.source_length = config.heads, config.d_head, source_length
        self.kv_layer = nn.Linear(config.d_model, 2 * config.d_model)
        self.q_layer = nn.Linear(config.d_model, config.d_model)
        self.linear_layer = nn.Linear(config.d_model, config.d_model)

    def forward(self, memory, x, mask=None):
        batch_size, sequence_length, d_model = memory.size()
        length = sequence_length if self.source_length else x.size(1)
        kv = self.kv_layer(memory).reshape(batch_size, sequence_length, self.num_heads, 2 * self.head_dim)
        q = self.q_layer(x).reshape(batch_size, length, self.num_heads, self.head_dim).permute(0, 2, 1, 3)
        k, v = kv.permute(0, 2, 1, 3).chunk(2, dim=-1)
        values = scaled_dot_product(q, k, v, mask).permute(0, 2, 1, 3)
        return self.linear_layer(values.reshape(batch_size, length, d_model))


class HundredLinesDecoderLayer(HundredLines):
    """The encoder layer, with a cross-attention between."""

    def __init__(self, config, *, source_length):
        super().__init__(config)
        self.cross = HundredLinesCrossAttention(config, source_length=source_length)
        self.norm_cross, self.dropout_cross = HundredLinesNorm(config.d_model), nn.Dropout(p=config.dropout)

    def forward(self, memory, x, mask=None, cross_mask=None):
        x = self.norm1(x + self.dropout1(self.attention(x, mask)))
        x = self.norm_cross(x + self.dropout_cross(self.cross(memory, x, cross_mask)))
        return self.norm2(x + self.dropout2(self.ffn(x)))


class HundredLinesTranslator(nn.Module):
    """Encoder and decoder over ids; positions of sines and cosines."""

    def __init__(self, config, *, source_length=True):
        super().__init__()
        self.d_model = config.d_model
        self.source, self.target = (nn.Embedding(config.vocab, config.d_model) for _ in range(2))
        self.encoder = nn.ModuleList(HundredLines(config) for _ in range(config.layers))
        self.decoder = nn.ModuleList(
            HundredLinesDecoderLayer(config, source_length=source_length) for _ in range(config.layers)
        )
        self.linear = nn.Linear(config.d_model, config.vocab, bias=False)

    def positions(self, time, like):
        even = torch.arange(0, self.d_model, 2).to(like)
        position = torch.arange(time).to(like).reshape(time, 1)
        angles = position / torch.pow(10000, even / self.d_model)
        return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)[:, : self.d_model]

    def embed(self, table, ids):
        x = table(ids)
        return x + self.positions(ids.size(1), x)

    def forward(self, source, target, source_mask=None, target_mask=None):
        padding = None if source_mask is None else source_mask[:, None, None, :]
        x = self.embed(self.source, source)
        for layer in self.encoder:
            x = layer(x, padding)
        past = torch.ones(target.size(1), target.size(1), device=target.device).tril() > 0
        past = past if target_mask is None else past & target_mask[:, None, None, :]
        y = self.embed(self.target, target)
        for layer in self.decoder:
            y = layer(x, y, past, padding)
        return self.linear(y)
