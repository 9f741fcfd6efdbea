"""An encoder that works sequence first inside, with one fused projection whose parameters are its own, as torch.nn has it."""

# mypy: ignore-errors
# Other people's code, written the way they write it: without types.

import torch
from torch import nn
from torch.nn import functional

from veriformer.faults.second.declaring import declare
from veriformer.faults.second.parts import Places


class FusedAttention(nn.Module):
    """Time by batch by features; queries, keys and values in one matrix, heads folded into the batch."""

    def __init__(self, config, fault=None):
        super().__init__()
        self.heads, self.causal, self.fault = config.heads, config.causal, fault
        features = config.d_model
        self.in_proj_weight = nn.Parameter(torch.empty(3 * features, features))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * features)) if config.bias else None
        nn.init.xavier_uniform_(self.in_proj_weight)
        self.out_proj = nn.Linear(features, features, bias=config.bias)

    def folded(self, x):
        time, batch, features = x.shape
        size = features // self.heads
        if self.fault == "split-heads-without-transpose":
            return x.transpose(0, 1).reshape(batch * self.heads, time, size)
        if self.fault == "heads-tied":
            x = x[..., :size].repeat(1, 1, self.heads)
        return x.reshape(time, batch * self.heads, size).transpose(0, 1)

    def unfolded(self, x, batch):
        many, time, size = x.shape
        if self.fault == "merge-heads-without-transpose":
            return x.reshape(batch, time, self.heads * size).transpose(0, 1)
        return x.transpose(0, 1).reshape(time, batch, many // batch * size)

    def nothing(self, time, device):
        return torch.zeros(1, 1, time, time, dtype=torch.bool, device=device)

    def hidden(self, mask, batch, time, device):
        hidden = self.nothing(time, device) if mask is None else ~mask
        if self.causal:
            hidden = hidden | torch.triu(~self.nothing(time, device), 1)
        return hidden.expand(batch, self.heads, time, time).reshape(-1, time, time)

    def forward(self, x, mask=None):
        time, batch, features = x.shape
        packed = functional.linear(x, self.in_proj_weight, self.in_proj_bias)
        query, key, value = (self.folded(each) for each in packed.split(features, -1))
        scores = torch.bmm(query / query.shape[-1] ** 0.5, key.transpose(1, 2))
        if mask is not None or self.causal:
            scores.masked_fill_(self.hidden(mask, batch, time, x.device), torch.finfo(scores.dtype).min)
        weights = functional.softmax(scores, -1)
        if self.fault == "attention-weights-detached":
            weights = weights.detach()
        return self.out_proj(self.unfolded(torch.bmm(weights, value), batch))


class RMSNorm(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.scale, self.eps = nn.Parameter(torch.ones(config.d_model)), config.eps

    def forward(self, x):
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.eps) * self.scale


def norm_of(config):
    """The norm that is claimed."""
    if config.normalization == "rms":
        return RMSNorm(config)
    return nn.LayerNorm(config.d_model, eps=config.eps, bias=config.norm_bias)


class FusedLayer(nn.Module):
    """One layer, time first."""

    def __init__(self, config, fault=None):
        super().__init__()
        self.fault, self.pre, self.rate = fault, config.norm == "pre", config.dropout
        self.self_attn = FusedAttention(config, fault)
        self.linear1 = nn.Linear(config.d_model, config.d_ff, bias=config.bias)
        self.linear2 = nn.Linear(config.d_ff, config.d_model, bias=config.bias)
        self.norm1, self.norm2 = norm_of(config), norm_of(config)
        self.activation = {"relu": functional.relu, "gelu": functional.gelu, "silu": functional.silu}[config.activation]

    def think(self, x):
        if self.fault == "fast-path-without-bias" and not torch.is_grad_enabled():
            hidden = functional.linear(x, self.linear1.weight)
        else:
            hidden = self.linear1(x)
        return self.linear2(hidden if self.fault == "activation-missing" else self.activation(hidden))

    def drop(self, x):
        return functional.dropout(x, self.rate, self.training)

    def sum(self, skip, found):
        factor = {"skip-missing": 0.0, "skip-added-twice": 2.0, "skip-scaled": 0.5}.get(self.fault)
        if factor is not None:
            return found + factor * skip
        if self.fault == "batch-mean-added":
            return skip + found + 1e-3 * found.mean(1, keepdim=True)
        return skip + found

    def around(self, x, step, norm):
        """The sublayer ``step`` with its skip and its norm."""
        pre = self.pre is not (self.fault == "pre-norm-and-post-norm-swapped")
        if self.fault == "norm-on-the-branch":
            return self.sum(x, norm(self.drop(step(x))))
        if pre:
            normed = norm(x)
            if self.fault == "skip-taken-after-the-norm":
                x = normed
            return self.sum(x, self.drop(step(normed)))
        if self.fault == "skip-aliased-in-place":
            residual = x
            x += self.drop(step(x))
            return norm(residual + x)
        if self.fault == "in-place-activation-on-the-skip":
            found = step(x)
            return norm(x.relu_() + self.drop(found))
        return norm(self.sum(x, self.drop(step(x))))

    def forward(self, x, mask=None):
        look, think = (lambda y: self.self_attn(y, mask)), self.think
        if self.fault == "feed-forward-before-attention":
            return self.around(self.around(x, think, self.norm2), look, self.norm1)
        if self.fault == "first-norm-for-both-sublayers":
            return self.around(self.around(x, look, self.norm1), think, self.norm1)
        y = self.around(x, look, self.norm1)
        if self.fault == "second-skip-from-the-first-input":
            return x + think(self.norm2(y)) if self.pre else self.norm2(x + think(y))
        return self.around(y, think, self.norm2)


class FusedEncoderLayer(FusedLayer):
    """The same, batch first outside."""

    def forward(self, x, mask=None):
        return super().forward(x.transpose(0, 1), mask).transpose(0, 1)


class FusedEncoder(nn.Module):
    """A stack of them, with positions and a final norm where claimed."""

    def __init__(self, config, fault=None):
        super().__init__()
        self.fault = fault
        self.blocks = nn.ModuleList(FusedLayer(config, fault) for _ in range(config.layers))
        self.places = Places(config, fault) if config.positions != "none" else nn.Identity()
        self.last = norm_of(config) if config.ends_in_norm else nn.Identity()

    def run(self, x, mask):
        blocks = list(self.blocks)
        if self.fault == "last-layer-skipped":
            blocks = blocks[:-1] or blocks
        if self.fault == "first-layer-over-and-over":
            blocks = blocks[:1] * len(blocks)
        first, given = x, mask
        for block in blocks:
            x = block(first if self.fault == "first-input-to-every-layer" else x, given)
            given = None if self.fault == "mask-lost-after-the-first-layer" else mask
        return x

    def forward(self, x, mask=None):
        x = self.run(self.places(x).transpose(0, 1).contiguous(), mask)
        if self.fault == "final-norm-after-post-norm":
            x = functional.layer_norm(x, x.shape[-1:], eps=self.blocks[0].norm1.eps)
        return (x if self.fault == "final-norm-forgotten" else self.last(x)).transpose(0, 1)


def build_fused_layer(fault=None, **claims):
    return declare("encoder-layer", FusedEncoderLayer, fault, **claims)


def build_fused_encoder(fault=None, **claims):
    return declare("encoder", FusedEncoder, fault, **claims)


_BOTH_PLACEMENTS = (
    "skip-missing", "skip-added-twice", "skip-scaled", "second-skip-from-the-first-input", "pre-norm-and-post-norm-swapped",
    "feed-forward-before-attention", "first-norm-for-both-sublayers",
)  # fmt: skip
_ANY_LAYER = (
    "merge-heads-without-transpose", "split-heads-without-transpose", "fast-path-without-bias", "batch-mean-added",
)  # fmt: skip
_POST_LAYER = ("skip-aliased-in-place", "in-place-activation-on-the-skip", "norm-on-the-branch", "activation-missing")
_STACK = (
    "first-input-to-every-layer", "last-layer-skipped", "mask-lost-after-the-first-layer", "first-layer-over-and-over",
)  # fmt: skip
_TABLE = (
    "table-added-twice", "table-multiplied", "exponent-without-the-two", "positions-never-added", "positions-for-the-first-token-only",
    "positions-along-the-batch",
)  # fmt: skip

SECOND = {
    **{fault: (build_fused_layer(fault), build_fused_layer(fault, norm="pre")) for fault in _BOTH_PLACEMENTS},
    **{
        fault: (build_fused_layer(fault), build_fused_encoder(fault, norm="pre", activation="gelu"))
        for fault in _ANY_LAYER
    },
    **{fault: (build_fused_layer(fault),) for fault in _POST_LAYER},
    "skip-taken-after-the-norm": (build_fused_layer("skip-taken-after-the-norm", norm="pre", normalization="rms"),),
    **{fault: (build_fused_encoder(fault), build_fused_encoder(fault, norm="pre")) for fault in _STACK},
    "heads-tied": (build_fused_layer("heads-tied"),),
    "attention-weights-detached": (build_fused_encoder("attention-weights-detached"),),
    "final-norm-forgotten": (build_fused_encoder("final-norm-forgotten", norm="pre"),),
    "final-norm-after-post-norm": (build_fused_encoder("final-norm-after-post-norm"),),
    **{fault: (build_fused_encoder(fault, positions="sinusoidal"),) for fault in _TABLE},
}

CORRECT = (
    build_fused_layer(),
    build_fused_layer(norm="pre", normalization="rms", bias=False, activation="silu"),
    build_fused_encoder(),
    build_fused_encoder(norm="pre", positions="learned", causal=True, activation="gelu"),
    build_fused_encoder(positions="sinusoidal", final_norm=True, norm_bias=False),
)
