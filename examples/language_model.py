"""A small decoder-only language model with a cache, as one writes it, and the few lines that let Veriformer judge it.

``build`` holds a mistake that trains well and writes badly: a chunk that is read from the cache counts its positions from zero again.
``build_mended`` counts on.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import veriformer

Past = list[tuple[Tensor, Tensor]]


class Block(nn.Module):
    """Pre-norm self-attention and feed-forward network."""

    def __init__(self, d_model: int, heads: int, d_ff: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(d_model), nn.LayerNorm(d_model)
        self.qkv, self.out = nn.Linear(d_model, 3 * d_model), nn.Linear(d_model, d_model)
        self.mlp = nn.Sequential(nn.Linear(d_model, d_ff), nn.GELU(), nn.Linear(d_ff, d_model))

    def forward(
        self, x: Tensor, visible: Tensor, past: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """The new tokens, and the keys and values of all tokens so far."""
        qkv = self.qkv(self.norm1(x)).unflatten(-1, (3, self.heads, -1))
        query, key, value = (each.transpose(1, 2) for each in qkv.unbind(2))
        if past is not None:
            key, value = torch.cat((past[0], key), dim=2), torch.cat((past[1], value), dim=2)
        seen = F.scaled_dot_product_attention(query, key, value, attn_mask=visible)
        x = x + self.out(seen.transpose(1, 2).flatten(2))
        return x + self.mlp(self.norm2(x)), (key, value)


class LanguageModel(nn.Module):
    """Token and position embeddings, blocks, a final norm, logits."""

    counts_on = False

    def __init__(self, config: veriformer.Config) -> None:
        super().__init__()
        self.tokens = nn.Embedding(config.vocab, config.d_model)
        self.places = nn.Embedding(config.max_len, config.d_model)
        self.blocks = nn.ModuleList(Block(config.d_model, config.heads, config.d_ff) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.d_model)
        self.logits = nn.Linear(config.d_model, config.vocab, bias=False)

    def forward(self, ids: Tensor, mask: Tensor | None = None, past: Past | None = None) -> tuple[Tensor, Past]:
        """``mask`` is True at real tokens, past and new."""
        length = past[0][0].shape[2] if past else 0
        new, total = ids.shape[1], length + ids.shape[1]
        visible = torch.ones(new, total, dtype=torch.bool, device=ids.device).tril(length)
        if mask is not None:
            visible = visible & mask[:, None, None, :]
        start = length if self.counts_on else 0
        x = self.tokens(ids) + self.places(torch.arange(start, start + new, device=ids.device))
        kept: Past = []
        for index, block in enumerate(self.blocks):
            x, state = block(x, visible, past[index] if past else None)
            kept.append(state)
        return self.logits(self.norm(x)), kept


def full_pass(model: LanguageModel, ids: Tensor, mask: Tensor | None = None) -> Tensor:
    """The role's call returns logits; this model returns its cache beside them."""
    return model(ids, mask)[0]


steps = veriformer.Steps(
    start=lambda model, batch, longest: None,
    step=lambda model, ids, mask, past: model(ids, mask, past),
    reorder=lambda model, past, rows: [(key[rows], value[rows]) for key, value in past],
    copy=lambda model, past: past,  # no tensor of it is ever changed in place
)


@veriformer.subject(
    "causal-lm",
    norm="pre",
    activation="gelu",
    positions="learned",
    nothing_visible="unspecified",
    cache=True,
    steps=steps,
)
def build(config: veriformer.Config) -> tuple[nn.Module, object]:
    """The model with the mistake."""
    return LanguageModel(config), full_pass


class Mended(LanguageModel):
    """Counts positions on from the cache."""

    counts_on = True


@veriformer.subject(
    "causal-lm",
    norm="pre",
    activation="gelu",
    positions="learned",
    nothing_visible="unspecified",
    cache=True,
    steps=steps,
)
def build_mended(config: veriformer.Config) -> tuple[nn.Module, object]:
    """The model without it."""
    return Mended(config), full_pass
