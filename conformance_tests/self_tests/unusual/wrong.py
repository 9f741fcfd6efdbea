"""Modules with a fault that the catalogue does not have: they must be found, and none of them may be given a name with certainty."""

# mypy: ignore-errors
# Other people's code, written the way they write it: without types.

import torch
from torch.nn import functional

import veriformer
from veriformer.faults.second.einsum import EinsumAttention
from veriformer.faults.second.gpt import CLAIMS as GPT_CLAIMS
from veriformer.faults.second.gpt import GPT
from veriformer.faults.second.llama import Rotating, turned
from veriformer.faults.second.parts import Norm, Places, RootMeanSquare, Thinking, Words
from veriformer.faults.second.translator import DecoderLayer
from veriformer.faults.tutorial_layer import TutorialEncoder, TutorialLayer


class Layer(TutorialLayer):
    """A tutorial layer in steps, each of which may go wrong."""

    def score(self, q, k):
        return q @ k.mT / q.shape[-1] ** 0.5

    def hide(self, scores, mask):
        return scores.masked_fill(~mask, torch.finfo(scores.dtype).min)

    def weigh(self, scores):
        return scores.softmax(-1)

    def attend(self, x, mask):
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        scores = self.score(q, k)
        if mask is not None:
            scores = self.hide(scores, mask)
        return self.proj((self.weigh(scores) @ v).transpose(1, 2).flatten(2))


class ScaleOfOneMore(Layer):
    def score(self, q, k):
        return q @ k.mT / (q.shape[-1] + 1) ** 0.5


class PowersOfTwo(Layer):
    def weigh(self, scores):
        up = torch.exp2(scores - scores.max(-1, keepdim=True).values)
        return up / up.sum(-1, keepdim=True)


class Sigmoids(Layer):
    """Sigmoids divided by their sum."""

    def weigh(self, scores):
        return scores.sigmoid() / scores.sigmoid().sum(-1, keepdim=True).clamp(min=1e-30)


class LastHeadSharper(Layer):
    def weigh(self, scores):
        return torch.cat((scores[:, :-1].softmax(-1), (1.5 * scores[:, -1:]).softmax(-1)), 1)


class MaskOfThree(Layer):
    """Three is taken off, and hidden keys stay a little visible."""

    def hide(self, scores, mask):
        return scores - 3.0 * (~mask)


class OneKeyMore(Layer):
    """Whoever may see a key may see the one before it as well."""

    def hide(self, scores, mask):
        return super().hide(scores, mask | functional.pad(mask[..., 1:], (0, 1)))


class LeakyNetwork(Layer):
    def think(self, x):
        return self.fc2(functional.leaky_relu(self.fc1(x), 0.1))


class HalfActivated(Layer):
    """Only the first half of the hidden features passes the activation."""

    def think(self, x):
        first, second = self.fc1(x).chunk(2, -1)
        return self.fc2(torch.cat((first.relu(), second), -1))


class DampedInEvaluation(Layer):
    def first(self, x, mask):
        found = self.attend(x, mask) * (1.0 if self.training else 0.9)
        return self.ln1(x + self.drop(found))


class ValueBiasLeftOut(Layer):
    def attend(self, x, mask):
        q, k, v = (
            self.qkv(x)
            .sub(functional.pad(self.qkv.bias[2 * x.shape[-1] :], (2 * x.shape[-1], 0)))
            .unflatten(-1, (3, self.heads, -1))
            .permute(2, 0, 3, 1, 4)
        )
        scores = self.score(q, k)
        if mask is not None:
            scores = self.hide(scores, mask)
        return self.proj((self.weigh(scores) @ v).transpose(1, 2).flatten(2))


class SecondLayerDamped(TutorialEncoder):
    """The skip of the second layer is multiplied by 0.9."""

    class layer(Layer):  # as TutorialEncoder names it
        kept = 1.0

        def second(self, x, before):
            return self.kept * x + self.drop(self.think(self.ln2(x)))

    def __init__(self, config):
        super().__init__(config)
        for block in self.layers[1:2]:
            block.kept = 0.9


class NormTwiceAtTheEnd(TutorialEncoder):
    def forward(self, x, mask=None):
        return self.last(super().forward(x, mask))


class EpsTwice(Norm):
    """In the root, and outside it."""

    def normed(self, x):
        centred = x - x.mean(-1, keepdim=True)
        spread = centred.square().mean(-1, keepdim=True)
        return centred / ((spread + self.eps).sqrt() + 10 * self.eps) * self.stretch + self.moved


class VarianceClamped(Norm):
    """Small variances are lifted to a floor."""

    def normed(self, x):
        centred = x - x.mean(-1, keepdim=True)
        spread = centred.square().mean(-1, keepdim=True).clamp(min=0.05)
        return centred / (spread + self.eps).sqrt() * self.stretch + self.moved


class MeanOfSizes(RootMeanSquare):
    """Divided by the mean of the absolute values."""

    def normed(self, x):
        return x / (x.abs().mean(-1, keepdim=True) + self.eps) * self.stretch


class QuickGelu(Thinking):
    def bent(self, hidden):
        return hidden * torch.sigmoid(1.702 * hidden)


class GatedBeforeTheActivation(Thinking):
    def forward(self, x):
        gate, value = self.wide(x).chunk(2, -1)
        return self.narrow(self.bent(gate * value))


class OffBeyondSome(Places):
    """Positions skip one after the fourth."""

    def table(self, length):
        table = super().table(length + 1)
        return torch.cat((table[: min(length, 4)], table[5 : length + 1]))


class OnHalfOfTheHead(Rotating):
    """The first half of a head's features is turned, the rest is not."""

    def forward(self, query, memory=None, mask=None):
        q, k, v = self.parted(query, memory)
        place = torch.arange(query.shape[1], device=query.device)
        half = 2 * (self.size // 4)
        q, k = (torch.cat((turned(each[..., :half], place, self.config), each[..., half:]), -1) for each in (q, k))
        if mask is not None:
            mask = torch.zeros_like(mask, dtype=q.dtype).masked_fill(~mask, torch.finfo(q.dtype).min)
        return self.wo(functional.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).flatten(2))


class CappedLogits(GPT):
    """Logits are bent to stay below five."""

    def step(self, ids, mask, past):
        logits, past = super().step(ids, mask, past)
        return 5 * torch.tanh(logits / 5), past


class WordsOfUnitLength(Words):
    def looked_up(self, ids):
        return functional.normalize(super().looked_up(ids), dim=-1)


class MemoryCentred(DecoderLayer):
    """The memory's mean over time is taken off it."""

    def forward(self, x, memory, mask=None, memory_mask=None):
        return super().forward(x, memory - memory.mean(1, keepdim=True), mask, memory_mask)


class KeysOfUnitLength(EinsumAttention):
    """Keys are normalised to a length of one, queries are not."""

    def scores(self, query, key):
        return super().scores(query, functional.normalize(key, dim=-1))


def _declared(role, make, **claims):
    def build(config):
        return make(config)

    build.__name__ = make.__name__
    return veriformer.subject(role, **claims)(build)


WRONG = {
    "scale-of-one-more": _declared("encoder-layer", ScaleOfOneMore),
    "powers-of-two": _declared("encoder-layer", PowersOfTwo),
    "sigmoids-divided-by-their-sum": _declared("encoder-layer", Sigmoids),
    "last-head-sharper": _declared("encoder-layer", LastHeadSharper),
    "mask-of-three": _declared("encoder-layer", MaskOfThree),
    "one-key-more": _declared("encoder-layer", OneKeyMore),
    "leaky-network": _declared("encoder-layer", LeakyNetwork),
    "half-activated": _declared("encoder-layer", HalfActivated),
    "damped-in-evaluation": _declared("encoder-layer", DampedInEvaluation),
    "value-bias-left-out": _declared("encoder-layer", ValueBiasLeftOut),
    "second-layer-damped": _declared("encoder", SecondLayerDamped, norm="pre"),
    "norm-twice-at-the-end": _declared("encoder", NormTwiceAtTheEnd, norm="pre"),
    "eps-in-and-outside-the-root": _declared("layer-norm", EpsTwice),
    "variance-clamped": _declared("layer-norm", VarianceClamped),
    "mean-of-sizes": _declared("rms-norm", MeanOfSizes),
    "quick-gelu": _declared("feed-forward", QuickGelu, activation="gelu"),
    "gated-before-the-activation": _declared("feed-forward", GatedBeforeTheActivation, activation="swiglu"),
    "positions-skip-one": _declared("positional-encoding", OffBeyondSome),
    "half-of-the-head-turned": _declared("multi-head-attention", OnHalfOfTheHead, positions="rotary", bias=False),
    "logits-capped": _declared("causal-lm", CappedLogits, **GPT_CLAIMS, tied=True),
    "words-of-unit-length": _declared("token-embedding", WordsOfUnitLength),
    "memory-centred": _declared("decoder-layer", MemoryCentred),
    "keys-of-unit-length": _declared("multi-head-attention", KeysOfUnitLength),
}
"""Each by what is wrong with it. The first two differ from the claim by the number that scales the scores."""
