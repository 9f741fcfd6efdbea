"""Faults of models over token ids, written without the reference: the head, the norms, the numbers."""

# mypy: ignore-errors
# Other people's code, written the way they write it: without types.

import torch
from torch import nn

import veriformer
from veriformer.faults.decoder_styles import TRANSLATOR, Translator, translator_names
from veriformer.faults.fault import Fault
from veriformer.faults.model_styles import (
    BERT,
    FUNCTIONAL,
    GPT,
    Block,
    Functional,
    ScratchGPT,
    TorchBert,
    functional_names,
    gpt_names,
)
from veriformer_spec import model


class WithoutLastNorm(ScratchGPT):
    def head(self, x):
        return self.lm_head(x)


class EncoderWithoutLastNorm(Translator):
    def __init__(self, config):
        super().__init__(config)
        self.encoder_last = nn.Identity()


@veriformer.subject("causal-lm", **GPT)
def without_last_norm(config):
    return WithoutLastNorm(config)


@veriformer.subject("encoder-decoder", norm="pre", **TRANSLATOR)
def encoder_without_last_norm(config):
    return EncoderWithoutLastNorm(config)


@veriformer.subject("causal-lm", final_norm=False, **GPT)
def norm_where_none_is_claimed(config):
    return ScratchGPT(config)


LAST_NORM_LEFT_OUT = Fault(
    id="last-norm-left-out",
    sentence="The norm at the end is not called, left out of the encoder, or there where none is claimed.",
    clauses=(model.FINAL_NORM_IS_AS_CLAIMED,),
    source="Radford et al. 2019, section 2.3",
    written="return self.lm_head(x)",
    mend="return self.lm_head(self.ln_f(x))",
    builds=(without_last_norm, encoder_without_last_norm, norm_where_none_is_claimed),
)


class NormalisedSkip(Block):
    def forward(self, x, allowed):
        x = self.ln_1(x)
        x = x + self.attend(x, allowed)
        return x + self.think(self.ln_2(x))


class OneNorm(Block):
    """Attention reads the stream as it is."""

    def forward(self, x, allowed):
        x = x + self.attend(x, allowed)
        return x + self.think(self.ln_2(x))


class NormAfter(Block):
    def forward(self, x, allowed):
        x = self.ln_1(x + self.attend(x, allowed))
        return self.ln_2(x + self.think(x))


class NormBeforeTheLastBlock(ScratchGPT):
    def run(self, x, allowed):
        for block in self.blocks[:-1]:
            x = block(x, allowed)
        return self.blocks[-1](self.ln_f(x), allowed)

    def head(self, x):
        return self.lm_head(x)


class NormInFront(Functional):
    """Pre-norm, where post-norm is claimed."""

    def layer(self, x, n, hidden):
        x = x + self.attend(self.norm(x, f"{n}_gain1"), n, hidden)
        return x + (self.norm(x, f"{n}_gain2") @ self.p[f"{n}_up"]).relu() @ self.p[f"{n}_down"]


def of_blocks(kind):
    """A ``ScratchGPT`` of another kind of block."""
    return type(f"Of{kind.__name__}", (ScratchGPT,), {"block": kind})


@veriformer.subject("causal-lm", **GPT)
def normalised_skip(config):
    return of_blocks(NormalisedSkip)(config)


@veriformer.subject("causal-lm", tied=True, **GPT)
def attention_without_norm(config):
    return of_blocks(OneNorm)(config)


@veriformer.subject("causal-lm", **GPT)
def norms_after_the_addition(config):
    return of_blocks(NormAfter)(config)


@veriformer.subject("causal-lm", tied=True, **GPT)
def norm_before_the_last_block(config):
    return NormBeforeTheLastBlock(config)


@veriformer.subject("causal-lm", **FUNCTIONAL)
def norms_before_the_sublayer(config):
    return NormInFront(config)


NORMS_ELSEWHERE = Fault(
    id="norms-elsewhere",
    sentence="A norm stands where it is not claimed: on the skip, after the addition, before the last layer, before the sublayer, or nowhere.",
    clauses=(model.NORMS_STAND_AS_CLAIMED,),
    source="https://github.com/harvardnlp/annotated-transformer/issues/1",
    written="x = norm(x); x = x + attend(x)",
    mend="x = x + attend(norm(x))",
    builds=(
        normalised_skip,
        attention_without_norm,
        norms_after_the_addition,
        norm_before_the_last_block,
        norms_before_the_sublayer,
    ),
)


class Probabilities(TorchBert):
    def decode(self, x):
        return super().decode(x).softmax(-1)


class Short(ScratchGPT):
    def head(self, x):
        return super().head(x)[..., 1:]


class Features(Translator):
    """The decoder's features come back, and the output projection is left to the caller."""

    def logits(self, x):
        return x


class Silenced(ScratchGPT):
    """The first word can never be told from nothing: its logit is zero everywhere."""

    def head(self, x):
        return torch.cat((torch.zeros_like(x[..., :1]), super().head(x)[..., 1:]), -1)


@veriformer.subject("masked-lm", **BERT)
def probabilities(config):
    return Probabilities(config)


@veriformer.subject("causal-lm", **GPT)
def one_logit_short(config):
    return Short(config)


@veriformer.subject("encoder-decoder", **TRANSLATOR)
def features_for_logits(config):
    return Features(config)


@veriformer.subject("causal-lm", **GPT)
def one_logit_silent(config):
    return Silenced(config)


NO_LOGITS = Fault(
    id="no-logits",
    sentence="Probabilities, features, or logits for all but one word come back in place of a logit for each.",
    clauses=(model.LOGITS_COVER_THE_VOCABULARY,),
    source="https://github.com/pytorch/examples/issues/1048",
    written="return self.decode(x).softmax(-1)",
    mend="return self.decode(x)",
    builds=(probabilities, one_logit_short, features_for_logits, one_logit_silent),
)


class LogProbabilities(Functional):
    def forward(self, ids, mask=None):
        return super().forward(ids, mask).log_softmax(-1)


class FromOne(ScratchGPT):
    def embed(self, ids):
        return self.wte(ids) + self.wpe(torch.arange(1, ids.shape[1] + 1))


class Unscaled(Translator):
    """Embeddings are scaled, and no one said so."""

    def embed(self, words, ids):
        return super().embed(words, ids) + words(ids) * (self.config.d_model**0.5 - 1)


class OneTable(Translator):
    """The target is looked up in the source's table."""

    def decode(self, target, memory, hidden, memory_hidden):
        x = self.embed(self.source_words, target)
        for layer in self.decoder:
            x = layer(x, memory, hidden, memory_hidden)
        return self.decoder_last(x)


@veriformer.subject("causal-lm", weights=functional_names, **FUNCTIONAL)
def log_probabilities(config):
    return LogProbabilities(config)


@veriformer.subject("causal-lm", weights=gpt_names, **GPT)
def positions_from_one(config):
    return FromOne(config)


@veriformer.subject("encoder-decoder", weights=translator_names, **TRANSLATOR)
def scale_not_claimed(config):
    return Unscaled(config)


@veriformer.subject("encoder-decoder", weights=translator_names, **TRANSLATOR)
def one_table_for_both(config):
    return OneTable(config)


RIGHT_MODEL_WRONG_NUMBERS = Fault(
    id="right-model-wrong-numbers",
    sentence="Everything is there, and one step is another than claimed, which the weights alone can tell.",
    clauses=(model.EQUALS_THE_REFERENCE,),
    source="experience",
    written="self.wpe(torch.arange(1, time + 1))",
    mend="self.wpe(torch.arange(time))",
    builds=(log_probabilities, positions_from_one, scale_not_claimed, one_table_for_both),
)
