"""Correct modules that are unusual: whatever the suite, the mapping and the diagnosis say of them, it must be nothing."""

# mypy: ignore-errors
# Other people's code, written the way they write it: without types.

import math

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrizations

import veriformer
from veriformer.faults.catalogue import NEAR_MISSES
from veriformer.faults.tutorial_layer import TutorialEncoder, TutorialLayer


class FoldedHeads(nn.Module):
    """The scale is multiplied into the query's weights when they are made, and never again."""

    def __init__(self, config):
        super().__init__()
        self.heads = config.heads
        self.query, self.key, self.value, self.back = (nn.Linear(config.d_model, config.d_model) for _ in range(4))
        with torch.no_grad():
            self.query.weight.div_(math.sqrt(config.d_head))
            self.query.bias.div_(math.sqrt(config.d_head))

    def parts(self, x, memory):
        return (
            (p(i).unflatten(-1, (self.heads, -1)).transpose(1, 2))
            for p, i in ((self.query, x), (self.key, memory), (self.value, memory))
        )

    def forward(self, query, memory, mask=None):
        q, k, v = self.parts(query, memory)
        scores = q @ k.mT
        if mask is not None:
            scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
        return self.back((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))


@veriformer.subject("multi-head-attention", scale="folded")
def scale_folded_into_the_weights(config):
    return FoldedHeads(config)


class Normed(TutorialLayer):
    """Every matrix is a direction times a length."""

    def __init__(self, config):
        super().__init__(config)
        for linear in (self.qkv, self.proj, self.fc1, self.fc2):
            parametrizations.weight_norm(linear)


@veriformer.subject("encoder-layer")
def weight_norm(config):
    return Normed(config)


class Orthogonal(TutorialLayer):
    """The output projection is orthogonal, whatever its parameters are."""

    def __init__(self, config):
        super().__init__(config)
        parametrizations.orthogonal(self.proj, orthogonal_map="cayley", use_trivialization=False)


@veriformer.subject("encoder-layer", norm="pre")
def orthogonal_projection(config):
    return Orthogonal(config)


class OnePlus(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.w, self.eps = nn.Parameter(torch.zeros(config.d_model)), config.eps

    def forward(self, x):
        return x / torch.sqrt(x.square().mean(-1, keepdim=True) + self.eps) * (1 + self.w)


class OnePlusLayer(TutorialLayer):
    def __init__(self, config):
        super().__init__(config)
        self.ln1, self.ln2 = OnePlus(config), OnePlus(config)


@veriformer.subject("encoder-layer", norm="pre", normalization="rms", gain="one-plus-weight")
def gain_one_plus_w(config):
    return OnePlusLayer(config)


class Function(nn.Module):
    """A norm as a function of parameters in another order: shift first."""

    def __init__(self, config):
        super().__init__()
        self.shift, self.gain = nn.Parameter(torch.zeros(config.d_model)), nn.Parameter(torch.ones(config.d_model))
        self.eps = config.eps

    def forward(self, x):
        return functional.layer_norm(x, x.shape[-1:], self.gain, self.shift, self.eps)


class Reordered(TutorialLayer):
    """Norms as functions; modules registered from the last used to the first."""

    def __init__(self, config):
        super().__init__(config)
        del self.ln1, self.ln2
        self.ln2, self.ln1 = Function(config), Function(config)
        for name in ("fc2", "fc1", "proj", "qkv"):
            self.add_module(name, self._modules.pop(name))


@veriformer.subject("encoder-layer")
def parameters_in_another_order(config):
    return Reordered(config)


class Head(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(config.d_model, config.d_head) for _ in range(3))
        self.o = nn.Linear(config.d_head, config.d_model, bias=False)

    def forward(self, x, memory, mask):
        scores = self.q(x) @ self.k(memory).mT / math.sqrt(self.q.out_features)
        if mask is not None:
            scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
        return self.o(scores.softmax(-1) @ self.v(memory))


class ListOfHeads(nn.Module):
    """Each head is a module, projects back by itself, and the heads are summed."""

    def __init__(self, config):
        super().__init__()
        self.all = nn.ModuleList(Head(config) for _ in range(config.heads))
        self.bias = nn.Parameter(torch.zeros(config.d_model))

    def forward(self, query, memory, mask=None):
        masks = [None] * len(self.all) if mask is None else mask.expand(-1, len(self.all), -1, -1).unbind(1)
        return sum(head(query, memory, own) for head, own in zip(self.all, masks, strict=True)) + self.bias


@veriformer.subject("multi-head-attention")
def heads_as_a_module_list(config):
    return ListOfHeads(config)


class Bilinear(nn.Module):
    """Each head multiplies its two matrices into one form before it meets a token; values likewise into one map."""

    def __init__(self, config):
        super().__init__()
        self.size = config.d_head
        self.a, self.b, self.c, self.d = (
            nn.Parameter(torch.randn(config.heads, config.d_model, config.d_head) / config.d_model**0.5)
            for _ in range(4)
        )

    def forward(self, query, memory, mask=None):
        scores = torch.einsum("bqf,hfg,bkg->bhqk", query, self.a @ self.b.mT / math.sqrt(self.size), memory)
        if mask is not None:
            scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
        return torch.einsum("bhqk,bkf,hfg->bqg", scores.softmax(-1), memory, self.c @ self.d.mT)


@veriformer.subject("multi-head-attention", bias=False)
def one_bilinear_form_for_each_head(config):
    return Bilinear(config)


class WithOnes(nn.Module):
    """The bias is one more column of the weight, and every token has one more feature, which is one."""

    def __init__(self, into, out):
        super().__init__()
        self.weight = nn.Parameter(torch.cat((torch.randn(out, into) / into**0.5, torch.zeros(out, 1)), 1))

    def forward(self, x):
        return functional.pad(x, (0, 1), value=1.0) @ self.weight.mT


@veriformer.subject("feed-forward", activation="gelu")
def bias_as_one_more_column(config):
    return nn.Sequential(WithOnes(config.d_model, config.d_ff), nn.GELU(), WithOnes(config.d_ff, config.d_model))


class Halves(nn.Module):
    """Two networks of half the width, which are summed."""

    def __init__(self, config):
        super().__init__()
        half = config.d_ff // 2
        self.up = nn.ModuleList(nn.Linear(config.d_model, size) for size in (half, config.d_ff - half))
        self.down = nn.ModuleList(nn.Linear(each.out_features, config.d_model, bias=False) for each in self.up)
        self.end = nn.Parameter(torch.zeros(config.d_model))

    def forward(self, x):
        return sum(down(up(x).relu()) for up, down in zip(self.up, self.down, strict=True)) + self.end


@veriformer.subject("feed-forward")
def two_networks_of_half_the_width(config):
    return Halves(config)


class InChunks(TutorialLayer):
    """Two queries at a time, then two tokens at a time."""

    def attend(self, x, mask):
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        found = []
        for start in range(0, x.shape[1], 2):
            scores = q[:, :, start : start + 2] @ k.mT / q.shape[-1] ** 0.5
            if mask is not None:
                rows = mask if mask.shape[2] == 1 else mask[:, :, start : start + 2]
                scores = scores.masked_fill(~rows, torch.finfo(scores.dtype).min)
            found.append(scores.softmax(-1) @ v)
        return self.proj(torch.cat(found, 2).transpose(1, 2).flatten(2))

    def think(self, x):
        return torch.cat([super(InChunks, self).think(each) for each in x.split(2, 1)], 1)


@veriformer.subject("encoder-layer", norm="pre")
def in_chunks(config):
    return InChunks(config)


class InFloat32(TutorialLayer):
    """Scores, softmax and norms are computed in float32, whatever comes in."""

    def attend(self, x, mask):
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        scores = q.float() @ k.float().mT / q.shape[-1] ** 0.5
        if mask is not None:
            scores = scores.masked_fill(~mask, torch.finfo(torch.float32).min)
        return self.proj((scores.softmax(-1).to(v) @ v).transpose(1, 2).flatten(2))


@veriformer.subject("encoder-layer", computes_in="float32")
def float32_inside(config):
    return InFloat32(config)


class Alibi(TutorialEncoder):
    """One bias for all layers, made once for the longest sequence, passed down inside an additive mask."""

    def __init__(self, config):
        super().__init__(config)
        heads = config.heads
        below = 2 ** int(math.log2(heads))
        slopes = [2 ** (-8 * (i + 1) / below) for i in range(below)]
        slopes += [2 ** (-4 * (2 * i + 1) / below) for i in range(heads - below)]
        place = torch.arange(config.max_len)
        bias = -torch.tensor(slopes, dtype=torch.float64)[:, None, None] * (place[None] - place[:, None]).abs()
        self.register_buffer("bias", bias, persistent=False)

    class layer(TutorialLayer):  # as TutorialEncoder names it
        def attend(self, x, mask):
            q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
            y = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
            return self.proj(y.transpose(1, 2).flatten(2))

    def forward(self, x, mask=None):
        time = x.shape[1]
        bias = self.bias[None, :, :time, :time].to(x)
        if mask is not None:
            bias = bias.masked_fill(~mask, torch.finfo(x.dtype).min / 2)
        return super().forward(x, bias.expand(len(x), -1, -1, -1).contiguous())


@veriformer.subject("encoder", positions="alibi")
def one_bias_for_all_layers(config):
    return Alibi(config)


class PaddedVocabulary(nn.Module):
    """The table has rows for words that do not exist, up to a multiple of eight; their logits are cut off."""

    def __init__(self, config):
        super().__init__()
        self.real = config.vocab
        self.words = nn.Embedding(-(-config.vocab // 8) * 8, config.d_model)
        self.body = TutorialEncoder(config)

    def forward(self, ids, mask=None):
        if bool(((ids < 0) | (ids >= self.real)).any()):
            raise IndexError(f"ids must be below {self.real}")
        time = ids.shape[1]
        seen = torch.ones(1, 1, time, time, dtype=torch.bool, device=ids.device).tril()
        if mask is not None:
            seen = seen & mask[:, None, None]
            seen = seen | ~seen.any(-1, keepdim=True)
        return (self.body(self.words(ids), seen) @ self.words.weight.mT)[..., : self.real]


@veriformer.subject("causal-lm", norm="pre", tied=True)
def padded_vocabulary(config):
    return PaddedVocabulary(config)


class StackedNorms(nn.Module):
    """Gain and shift are the two rows of one parameter."""

    def __init__(self, config):
        super().__init__()
        self.rows = nn.Parameter(torch.stack((torch.ones(config.d_model), torch.zeros(config.d_model))))
        self.eps = config.eps

    def forward(self, x):
        return functional.layer_norm(x, x.shape[-1:], self.rows[0], self.rows[1], self.eps)


class StackedNormLayer(TutorialLayer):
    def __init__(self, config):
        super().__init__(config)
        self.ln1, self.ln2 = StackedNorms(config), StackedNorms(config)


@veriformer.subject("encoder-layer")
def gain_and_shift_in_one_parameter(config):
    return StackedNormLayer(config)


REUSED = (
    "layers-with-experts", "shared-layers-claimed", "unpadded", "fused-attention-in-a-layer", "rotary-by-complex-numbers",
    "low-rank-projections", "online-softmax", "embedding-with-a-padded-table",
)  # fmt: skip
"""Near-misses of the catalogue, by id."""

CORRECT = {
    **{
        build.__name__: build
        for build in (
            scale_folded_into_the_weights, weight_norm, orthogonal_projection, gain_one_plus_w, parameters_in_another_order,
            heads_as_a_module_list, one_bilinear_form_for_each_head, bias_as_one_more_column, two_networks_of_half_the_width,
            in_chunks, float32_inside, one_bias_for_all_layers, padded_vocabulary, gain_and_shift_in_one_parameter,
        )
    },
    **{name: NEAR_MISSES[name].build for name in REUSED},
}  # fmt: skip
