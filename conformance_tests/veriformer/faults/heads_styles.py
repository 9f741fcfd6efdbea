"""Two ways of writing multi-head attention that have nothing to do with the reference, for foreign faults and near-misses."""

# mypy: ignore-errors
# Other people's code, written the way they write it: without types.

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Tutorial(nn.Module):
    """As tutorials write it: four linear layers, views and transposes; each step can be replaced by a subclass."""

    def __init__(self, config):
        super().__init__()
        self.d_model, self.n_heads, self.d_k = config.d_model, config.heads, config.d_head
        self.causal = config.causal
        self.w_q = nn.Linear(config.d_model, config.d_model, bias=config.bias)
        self.w_k = nn.Linear(config.d_model, config.d_model, bias=config.bias)
        self.w_v = nn.Linear(config.d_model, config.d_model, bias=config.bias)
        self.w_o = nn.Linear(config.d_model, config.d_model, bias=config.bias)

    def split_heads(self, x: Tensor, like: Tensor) -> Tensor:
        return x.view(x.size(0), x.size(1), self.n_heads, self.d_k).transpose(1, 2)

    def combine_heads(self, x: Tensor) -> Tensor:
        return x.transpose(1, 2).contiguous().view(x.size(0), x.size(2), self.d_model)

    def mask_scores(self, scores: Tensor, mask: Tensor | None) -> Tensor:
        if self.causal:
            triangle = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
            mask = triangle if mask is None else mask & triangle
        return scores if mask is None else scores.masked_fill(mask == 0, float("-inf"))

    def weigh(self, scores: Tensor, mask: Tensor | None) -> Tensor:
        return F.softmax(self.mask_scores(scores, mask), dim=-1)

    def inputs(self, query: Tensor, memory: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return query, memory, memory

    def finish(self, x: Tensor, query: Tensor) -> Tensor:
        return self.w_o(x)

    def forward(self, query: Tensor, memory: Tensor, mask: Tensor | None = None) -> Tensor:
        q, k, v = self.inputs(query, memory)
        q, k, v = (self.split_heads(layer(x), query) for layer, x in ((self.w_q, q), (self.w_k, k), (self.w_v, v)))
        scores = torch.matmul(q, k.transpose(-2, -1)) / math.sqrt(self.d_k)
        return self.finish(self.combine_heads(self.weigh(scores, mask) @ v), query)


def tutorial_weights(module: nn.Module) -> dict[str, Tensor]:
    """The tutorial's names in the reference's words."""
    names = {"w_q": "query", "w_k": "key", "w_v": "value", "w_o": "output"}
    return {
        f"{names[owner]}.{kind}": parameter
        for name, parameter in module.named_parameters()
        for owner, _, kind in [name.rpartition(".")]
    }


class Block(nn.Module):
    """A post-norm encoder layer around any attention."""

    def __init__(self, config, attention=Tutorial):
        super().__init__()
        self.attention = attention(config)
        self.norms = nn.ModuleList(nn.LayerNorm(config.d_model) for _ in range(2))
        self.wide = nn.Linear(config.d_model, config.d_ff)
        self.narrow = nn.Linear(config.d_ff, config.d_model)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        x = self.norms[0](x + self.attention(x, x, mask))
        return self.norms[1](x + self.narrow(F.relu(self.wide(x))))


class Fused(nn.Module):
    """Queries, keys and values in one matrix, sequence first inside, einsum throughout; keys come from the same tokens."""

    def __init__(self, config):
        super().__init__()
        self.heads, self.size = config.heads, config.d_head
        self.qkv = nn.Parameter(torch.randn(3, config.heads, config.d_head, config.d_model) / math.sqrt(config.d_model))
        self.shift = nn.Parameter(torch.zeros(3, config.heads, config.d_head))
        self.out = nn.Parameter(torch.randn(config.heads, config.d_head, config.d_model) / math.sqrt(config.d_model))
        self.last = nn.Parameter(torch.zeros(config.d_model))

    def mix(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        scores = torch.einsum("ibhd,jbhd->bhij", q, k) / self.size**0.5
        if mask is not None:
            scores = scores + torch.zeros_like(scores).masked_fill(~mask, -torch.inf)
        return torch.einsum("bhij,jbhd->ibhd", scores.softmax(-1), v)

    def forward(self, x: Tensor, memory: Tensor, mask: Tensor | None = None) -> Tensor:
        q, k, v = torch.einsum("btm,chdm->ctbhd", x, self.qkv) + self.shift[:, None, None]
        return torch.einsum("tbhd,hdm->btm", self.mix(q, k, v, mask), self.out) + self.last


def fused_weights(module: nn.Module) -> dict[str, Tensor]:
    """The fused matrices, cut into the reference's, as views."""
    found = {"output.weight": module.out.flatten(0, 1).mT, "output.bias": module.last}
    for index, name in enumerate(("query", "key", "value")):
        found[f"{name}.weight"] = module.qkv[index].flatten(0, 1)
        found[f"{name}.bias"] = module.shift[index].flatten()
    return found
