"""Legal, unusual, correct models over token ids."""

# mypy: ignore-errors
# Other people's code, written the way they write it: without types.

import math

import torch
from torch import nn
from torch.nn import functional

import veriformer
from veriformer.faults.decoder_styles import TRANSLATOR, Translator, translator_names
from veriformer.faults.fault import NearMiss
from veriformer.faults.model_styles import (
    BERT,
    FUNCTIONAL,
    GPT,
    Block,
    Functional,
    ScratchGPT,
    TorchBert,
    bert_names,
    functional_names,
    gpt_names,
)
from veriformer_spec import model, residual, stack, state


@veriformer.subject("causal-lm", tied=True, weights=gpt_names, **GPT)
def tied_gpt(config):
    return ScratchGPT(config)


@veriformer.subject("causal-lm", weights=functional_names, **FUNCTIONAL)
def functional_lm(config):
    return Functional(config)


@veriformer.subject("masked-lm", weights=bert_names, **BERT)
def torch_bert(config):
    return TorchBert(config)


@veriformer.subject("encoder-decoder", norm="pre", weights=translator_names, dropout="on", **TRANSLATOR)
def pre_norm_translator(config):
    return Translator(config)


@veriformer.subject("encoder-decoder", norm="post", weights=translator_names, final_norm=True, **TRANSLATOR)
def post_norm_translator_with_a_last_norm(config):
    return Translator(config)


TIED_MODEL = NearMiss(
    id="tied-model",
    sentence="Input and output share one table, so that a larger table makes larger logits whatever norm stands between.",
    clauses=(model.FINAL_NORM_IS_AS_CLAIMED, model.NORMS_STAND_AS_CLAIMED, model.EQUALS_THE_REFERENCE),
    build=tied_gpt,
)
FUNCTIONAL_MODEL = NearMiss(
    id="model-of-functions",
    sentence="Functions over one dictionary of parameters, matrices stored inputs by outputs, time first inside.",
    clauses=(
        model.EQUALS_THE_REFERENCE, model.ONE_TOKEN_AND_THE_LONGEST_LENGTH, model.NORMS_STAND_AS_CLAIMED,
        model.AN_EMPTY_SEQUENCE_IS_TOLD, model.AN_ALL_PADDED_SOURCE_STAYS_IN_ITS_ROW, state.CALLS_ARE_INDEPENDENT,
    ),
    build=functional_lm,
)  # fmt: skip
MODEL_OVER_TORCH = NearMiss(
    id="model-over-torch-layers",
    sentence="torch's encoder, which runs other code without gradients, between embeddings that are normalised and the head of BERT.",
    clauses=(
        model.EQUALS_THE_REFERENCE, model.BEYOND_THE_MAXIMUM_IS_TOLD, model.LOGITS_COVER_THE_VOCABULARY,
        model.AN_ALL_PADDED_SOURCE_STAYS_IN_ITS_ROW, stack.MASK_REACHES_EVERY_LAYER,
    ),
    build=torch_bert,
)  # fmt: skip
PRE_NORM_PAIR = NearMiss(
    id="pre-norm-encoder-decoder",
    sentence="A pre-norm encoder-decoder of fused projections, whose masks say what is hidden by a large negative number.",
    clauses=(
        model.EQUALS_THE_REFERENCE, model.THE_ENCODER_NEVER_SEES_THE_TARGET, model.FINAL_NORM_IS_AS_CLAIMED,
        stack.EVERY_LAYER_RUNS, stack.MASK_REACHES_EVERY_LAYER, residual.DROPOUT_IS_AS_CLAIMED,
    ),
    build=pre_norm_translator,
)  # fmt: skip
NORM_AFTER_POST_NORM = NearMiss(
    id="last-norm-after-post-norm",
    sentence="A post-norm encoder-decoder that normalises its outputs once more, as it claims.",
    clauses=(model.EQUALS_THE_REFERENCE, model.NORMS_STAND_AS_CLAIMED),
    build=post_norm_translator_with_a_last_norm,
)


class WithoutLastNorm(ScratchGPT):
    def __init__(self, config):
        super().__init__(config)
        del self.ln_f

    def head(self, x):
        return self.lm_head(x)


class Parallel(Block):
    """Attention and feed-forward network side by side, as in GPT-J: no reference has it, and its norms stand as claimed."""

    def forward(self, x, allowed):
        return x + self.attend(self.ln_1(x), allowed) + self.think(self.ln_2(x))


class Sandwich(Block):
    """A norm before each sublayer and one after it, off the skip."""

    def __init__(self, config):
        super().__init__(config)
        self.ln_3, self.ln_4 = nn.LayerNorm(config.d_model), nn.LayerNorm(config.d_model)

    def forward(self, x, allowed):
        x = x + self.ln_3(self.attend(self.ln_1(x), allowed))
        return x + self.ln_4(self.think(self.ln_2(x)))


class ParallelGPT(ScratchGPT):
    block = Parallel


class SandwichGPT(ScratchGPT):
    block = Sandwich


class LogProbabilities(Functional):
    def forward(self, ids, mask=None):
        return super().forward(ids, mask).log_softmax(-1)


class Albert(nn.Module):
    """One block many times, words in a table of half the width that is projected up, torch's layer inside."""

    def __init__(self, config):
        super().__init__()
        d, small = config.d_model, max(2, config.d_model // 2)
        self.words, self.up = nn.Embedding(config.vocab, small), nn.Linear(small, d)
        self.places = nn.Parameter(torch.randn(config.max_len, d) / math.sqrt(d))
        self.layer = nn.TransformerEncoderLayer(
            d, config.heads, config.d_ff, config.dropout, "gelu", layer_norm_eps=config.eps, batch_first=True
        )
        self.times, self.down = config.layers, nn.Linear(d, small)
        self.logits = nn.Linear(small, config.vocab, bias=False)

    def forward(self, ids, mask=None):
        if ids.shape[1] > len(self.places):
            raise ValueError("too long")
        x = self.up(self.words(ids)) + self.places[: ids.shape[1]]
        for _ in range(self.times):
            x = self.layer(x, src_key_padding_mask=None if mask is None else ~mask)
        return self.logits(self.down(x))


class OneHot(Functional):
    """Words are one-hot vectors times a matrix, stored features by words."""

    def __init__(self, config):
        super().__init__(config)
        self.p["tokens"] = nn.Parameter(self.p["tokens"].detach().T.contiguous())

    def look_up(self, ids):
        hot = functional.one_hot(self.checked(ids), self.config.vocab).to(self.p["tokens"])
        return hot @ self.p["tokens"].T


class Unpadded(TorchBert):
    """Each row runs alone, cut to its real tokens; what stands at padding is left at zero."""

    def forward(self, ids, mask=None):
        if mask is None:
            return super().forward(ids)
        rows = []
        for row, real in zip(ids, mask, strict=True):
            out = torch.zeros(len(row), self.bias.numel(), dtype=self.bias.dtype, device=ids.device)
            kept = real.nonzero()[:, 0]
            if len(kept):
                out = out.index_put((kept,), super().forward(row[None, kept])[0])
            rows.append(out)
        return torch.stack(rows)


@veriformer.subject("causal-lm", final_norm=False, **GPT)
def without_last_norm_as_claimed(config):
    return WithoutLastNorm(config)


@veriformer.subject("causal-lm", **GPT)
def parallel_sublayers(config):
    return ParallelGPT(config)


@veriformer.subject("causal-lm", tied=True, **GPT)
def sandwich_norms(config):
    return SandwichGPT(config)


@veriformer.subject("causal-lm", **FUNCTIONAL)
def log_probabilities(config):
    return LogProbabilities(config)


@veriformer.subject("masked-lm", layer_parameters="shared", positions="learned", activation="gelu")
def albert(config):
    return Albert(config)


@veriformer.subject("causal-lm", **FUNCTIONAL)
def one_hot_words(config):
    return OneHot(config)


@veriformer.subject("masked-lm", **BERT)
def unpadded(config):
    return Unpadded(config)


NO_LAST_NORM_CLAIMED = NearMiss(
    id="no-last-norm-as-claimed",
    sentence="Pre-norm layers without a norm at the end, as claimed.",
    clauses=(model.FINAL_NORM_IS_AS_CLAIMED,),
    build=without_last_norm_as_claimed,
)
PARALLEL_SUBLAYERS = NearMiss(
    id="parallel-sublayers",
    sentence="Attention and the feed-forward network stand side by side between one pair of skips.",
    clauses=(model.NORMS_STAND_AS_CLAIMED, stack.EVERY_LAYER_RUNS),
    build=parallel_sublayers,
)
SANDWICH_NORMS = NearMiss(
    id="sandwich-norms",
    sentence="A norm stands before each sublayer and another after it, both off the skip.",
    clauses=(model.NORMS_STAND_AS_CLAIMED, model.FINAL_NORM_IS_AS_CLAIMED),
    build=sandwich_norms,
)
LOG_PROBABILITIES = NearMiss(
    id="log-probabilities-for-logits",
    sentence="Log-probabilities come back: logits like any others, of which the softmax is the same.",
    clauses=(model.LOGITS_COVER_THE_VOCABULARY,),
    build=log_probabilities,
)
SHARED_LAYER_MODEL = NearMiss(
    id="model-of-one-shared-layer",
    sentence="One layer runs many times, as claimed, over words in a narrow table that is projected up and, at the end, down.",
    clauses=(
        stack.LAYERS_OWN_THEIR_PARAMETERS, stack.EVERY_LAYER_RUNS, model.NORMS_STAND_AS_CLAIMED, model.BEYOND_THE_MAXIMUM_IS_TOLD,
    ),
    build=albert,
)  # fmt: skip
ONE_HOT_WORDS = NearMiss(
    id="one-hot-words",
    sentence="Words are one-hot vectors times a matrix that is stored features by words.",
    clauses=(model.NORMS_STAND_AS_CLAIMED, model.LOGITS_COVER_THE_VOCABULARY),
    build=one_hot_words,
)
ROWS_WITHOUT_THEIR_PADDING = NearMiss(
    id="rows-without-their-padding",
    sentence="Each row is cut to its real tokens and run alone; a row of padding is never run.",
    clauses=(model.AN_ALL_PADDED_SOURCE_STAYS_IN_ITS_ROW, state.BATCH_ROWS_ARE_INDEPENDENT),
    build=unpadded,
)
