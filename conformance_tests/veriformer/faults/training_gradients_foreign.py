"""Faults of gradients and of dropout inside models, written without the reference, and near-misses."""

# mypy: ignore-errors
# Other people's code, written the way they write it: without types.

import torch
import torch.nn.functional as F
from torch import nn

import veriformer
from veriformer.faults import cache_styles as styles
from veriformer.faults.fault import Fault, NearMiss
from veriformer.faults.tutorial_layer import TutorialEncoder, TutorialLayer, encoder_names, layer_names
from veriformer_spec import training

CAUSAL = {name: value for name, value in styles.GPT2.items() if name not in ("cache", "padding_sides")}


class Halved(TutorialLayer):
    """A hook from an experiment halves one gradient."""

    def __init__(self, config):
        super().__init__(config)
        self.fc1.weight.register_hook(lambda gradient: gradient / 2)


class KeysDetached(TutorialLayer):
    def attend(self, x, mask):
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).unbind(2)
        scores = torch.einsum("bqhd,bkhd->bhqk", q, k.detach()) / q.shape[-1] ** 0.5
        if mask is not None:
            scores = scores.masked_fill(~mask, float("-inf"))
        return self.proj(torch.einsum("bhqk,bkhd->bqhd", scores.softmax(-1), v).flatten(2))


@veriformer.subject("encoder-layer", weights=layer_names)
def gradient_halved(config):
    return Halved(config)


@veriformer.subject("encoder-layer", weights=layer_names)
def keys_detached(config):
    return KeysDetached(config)


GRADIENT_NOT_THE_REFERENCES = Fault(
    id="gradient-hooked-or-detached",
    sentence="The output is right, and a weight's gradient is halved by a hook, or the keys get none.",
    clauses=(training.GRADIENTS_EQUAL_THE_REFERENCE,),
    source="experience",
    written="self.fc1.weight.register_hook(lambda g: g / 2)",
    mend="take the hook away; detach only what is plotted",
    builds=(gradient_halved, keys_detached),
)


class Leaky(torch.autograd.Function):
    """masked_fill with a backward pass that forgets the mask."""

    @staticmethod
    def forward(ctx, scores, hidden):
        return scores.masked_fill(hidden, torch.finfo(scores.dtype).min)

    @staticmethod
    def backward(ctx, gradient):
        return gradient + gradient.mean(-1, keepdim=True) + 1e-3, None


class LeakyLayer(TutorialLayer):
    def attend(self, x, mask):
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).unbind(2)
        scores = torch.einsum("bqhd,bkhd->bhqk", q, k) / q.shape[-1] ** 0.5
        if mask is not None:
            scores = Leaky.apply(scores, ~mask)
        return self.proj(torch.einsum("bhqk,bkhd->bqhd", scores.softmax(-1), v).flatten(2))


class LeakyAttention(styles.TupleAttention):
    def forward(self, x, allowed, past=None):
        query, key, value = (
            each.unflatten(-1, (self.heads, -1)).transpose(1, 2) for each in self.c_attn(x).chunk(3, dim=-1)
        )
        scores = Leaky.apply(query @ key.mT / query.size(-1) ** 0.5, ~allowed[:, None])
        return self.c_proj((scores.softmax(-1) @ value).transpose(1, 2).flatten(2)), (key, value)


class LeakyBlock(styles.TupleBlock):
    attention = LeakyAttention


class LeakyModel(styles.TupleModel):
    block = LeakyBlock


@veriformer.subject("encoder-layer")
def leaky_layer(config):
    return LeakyLayer(config)


@veriformer.subject("causal-lm", **CAUSAL)
def leaky_model(config):
    return LeakyModel(config), styles.logits_first


BACKWARD_FORGETS_THE_MASK = Fault(
    id="backward-forgets-the-mask",
    sentence="A mask with a backward pass of its own sends gradients where it hides.",
    clauses=(training.GRADIENTS_RESPECT_THE_MASK,),
    source="experience",
    written="def backward(ctx, gradient): return gradient, None",
    mend="return gradient.masked_fill(hidden, 0), None",
    builds=(leaky_layer, leaky_model),
)


class AlwaysOn(TutorialLayer):
    def __init__(self, config):
        super().__init__(config)
        self.p = config.dropout

    def think(self, x):
        return F.dropout(super().think(x), self.p)


class ScaledByKeep(nn.Module):
    """Dropout as the paper first has it, on top of the inverted one."""

    def __init__(self, p):
        super().__init__()
        self.inner, self.p = nn.Dropout(p), p

    def forward(self, x):
        return self.inner(x) if self.training else x * (1 - self.p)


class ScaledEncoder(TutorialEncoder):
    def __init__(self, config):
        super().__init__(config)
        for layer in self.layers:
            layer.drop = ScaledByKeep(config.dropout)


@veriformer.subject("encoder-layer")
def dropout_always_on(config):
    return AlwaysOn(config)


@veriformer.subject("encoder", norm="pre")
def scaled_by_what_is_kept(config):
    return ScaledEncoder(config)


RATE_SHOWS_IN_EVALUATION = Fault(
    id="rate-shows-in-evaluation",
    sentence="Evaluation drops, or scales by the share that training keeps.",
    clauses=(training.EVALUATION_IGNORES_THE_RATE,),
    source="https://github.com/pytorch/pytorch/issues/5379",
    written="F.dropout(x, self.p)",
    mend="nn.Dropout, which knows its mode",
    builds=(dropout_always_on, scaled_by_what_is_kept),
)


class DrawnOnce(nn.Module):
    """Draws at the first call, and keeps what it drew."""

    def __init__(self, p):
        super().__init__()
        self.p, self.kept = p, None

    def forward(self, x):
        if not self.training or not self.p:
            return x
        if self.kept is None or self.kept.shape != x.shape:
            self.kept = torch.rand_like(x) >= self.p
        return x * self.kept / (1 - self.p)


class DrawnForFeatures(nn.Module):
    """One draw for each feature, and for nothing else."""

    def __init__(self, p):
        super().__init__()
        self.p = p

    def forward(self, x):
        if not self.training or not self.p:
            return x
        return x * (torch.rand(x.shape[-1], device=x.device) >= self.p) / (1 - self.p)


class OtherDropout(TutorialEncoder):
    kind = DrawnOnce

    def __init__(self, config):
        super().__init__(config)
        for layer in self.layers:
            layer.drop = self.kind(config.dropout)


class OneForAllRows(OtherDropout):
    kind = DrawnForFeatures


@veriformer.subject("encoder", dropout="on")
def mask_drawn_once(config):
    return OtherDropout(config)


@veriformer.subject("encoder", norm="pre", dropout="on")
def mask_for_all_rows(config):
    return OneForAllRows(config)


DROPOUT_NOT_DRAWN_ANEW = Fault(
    id="dropout-not-drawn-anew",
    sentence="The mask is drawn once and kept, or drawn for the features and shared by all rows.",
    clauses=(training.DROPOUT_DIFFERS_IN_EACH_CALL_AND_ROW,),
    source="experience",
    written="self.mask = self.mask or draw()",
    mend="F.dropout(x, p, self.training)",
    builds=(mask_drawn_once, mask_for_all_rows),
)


class Alone(styles.TupleModel):
    def allowed(self, real, new):
        seen = super().allowed(real, new)
        return seen & torch.eye(real.size(1), dtype=torch.bool, device=real.device)[-new:]


@veriformer.subject("causal-lm", **CAUSAL)
def every_token_alone(config):
    return Alone(config), styles.logits_first


@veriformer.subject("causal-lm", **CAUSAL)
def small_gpt(config):
    return styles.TupleModel(config), styles.logits_first


CANNOT_LEARN_TO_COPY = Fault(
    id="every-token-alone",
    sentence="Every token sees itself and nothing else, so that a copy cannot be learnt.",
    clauses=(training.LEARNS_TO_COPY,),
    source="experience",
    written="mask = torch.eye(time).bool()",
    mend="mask = torch.ones(time, time).tril().bool()",
    builds=(every_token_alone,),
)
SMALL_GPT = NearMiss(
    id="small-gpt-learns",
    sentence="A tied GPT-2 of two layers, whose padding rows are computed with a finite mask value.",
    clauses=(training.LEARNS_TO_COPY, training.GRADIENTS_RESPECT_THE_MASK),
    build=small_gpt,
)


@veriformer.subject("encoder", norm="pre", weights=encoder_names, dropout="on")
def rightly_dropping(config):
    return TutorialEncoder(config)


class ByHand(nn.Module):
    """Dropout by a Bernoulli draw of the shape of what is dropped."""

    def __init__(self, p):
        super().__init__()
        self.p = p

    def forward(self, x):
        if not self.training or not self.p:
            return x
        return x * torch.empty_like(x).bernoulli_(1 - self.p) / (1 - self.p)


class DroppingByHand(OtherDropout):
    kind = ByHand


@veriformer.subject("encoder", dropout="on")
def dropping_by_hand(config):
    return DroppingByHand(config)


FUSED_NAMES = NearMiss(
    id="gradients-through-a-fused-projection",
    sentence="Query, key and value are views of one parameter, whose gradient is put together from three.",
    clauses=(training.GRADIENTS_EQUAL_THE_REFERENCE, training.EVALUATION_IGNORES_THE_RATE),
    build=rightly_dropping,
)
DROPPED_BY_HAND = NearMiss(
    id="dropout-in-a-stack-by-hand",
    sentence="Dropout is written by hand, with a Bernoulli draw of the input's shape.",
    clauses=(training.DROPOUT_DIFFERS_IN_EACH_CALL_AND_ROW, training.EVALUATION_IGNORES_THE_RATE),
    build=dropping_by_hand,
)
