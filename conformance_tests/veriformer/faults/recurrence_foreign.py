"""Additive attention and a recurrent translator as tutorials have them: faults written without the reference, and near-misses."""

# mypy: ignore-errors
# Other people's code, written the way they write it: without types.

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import veriformer
from veriformer.faults.fault import Fault, NearMiss
from veriformer_spec import recurrence


class BahdanauAttention(nn.Module):
    """As a Keras tutorial has it: W1, W2 and V are dense layers, biases and all; the context comes from a product and a sum."""

    def __init__(self, units, features=None):
        super().__init__()
        features = features or units
        self.W1, self.W2, self.V = nn.Linear(units, units), nn.Linear(features, units), nn.Linear(units, 1)

    def score(self, query, values):
        return self.V(torch.tanh(self.W1(query).unsqueeze(2) + self.W2(values).unsqueeze(1))).squeeze(-1)

    def weigh(self, score):
        return score.softmax(dim=-1)

    def hide(self, score, mask):
        return score if mask is None else score.masked_fill(~mask, float("-inf"))

    def forward(self, query, values, mask=None):
        mask = mask.squeeze(1) if mask is not None else None
        weights = self.weigh(self.hide(self.score(query, values), mask))
        return (weights.unsqueeze(-1) * values.unsqueeze(1)).sum(2)


class OverQueries(BahdanauAttention):
    def weigh(self, score):
        return score.softmax(dim=1)


class Multiplied(BahdanauAttention):
    """W1 query times W2 memory: another attention under the same name."""

    def score(self, query, values):
        return self.W1(query) @ self.W2(values).transpose(1, 2)


class Rectified(BahdanauAttention):
    def score(self, query, values):
        return self.V(torch.relu(self.W1(query).unsqueeze(2) + self.W2(values).unsqueeze(1))).squeeze(-1)


class Sigmoid(BahdanauAttention):
    def weigh(self, score):
        return torch.sigmoid(score)


class MaskedAfterwards(BahdanauAttention):
    """Weights of padding are set to zero after the softmax, and what is left is not made to sum to one."""

    def forward(self, query, values, mask=None):
        weights = self.weigh(self.score(query, values))
        if mask is not None:
            weights = weights * mask.squeeze(1)
        return weights @ values


class Floored(BahdanauAttention):
    def weigh(self, score):
        return score.softmax(-1).clamp(min=1e-4)


@veriformer.subject("additive-attention")
def softmax_over_queries(config):
    return OverQueries(config.d_model)


@veriformer.subject("additive-attention")
def scores_multiplied(config):
    return Multiplied(config.d_model)


@veriformer.subject("additive-attention")
def rectified_scores(config):
    return Rectified(config.d_model)


@veriformer.subject("additive-attention")
def sigmoid_weights(config):
    return Sigmoid(config.d_model)


@veriformer.subject("additive-attention")
def masked_after_the_softmax(config):
    return MaskedAfterwards(config.d_model)


@veriformer.subject("additive-attention")
def floored_weights(config):
    return Floored(config.d_model)


@veriformer.subject("additive-attention")
def tutorial_attention(config):
    return BahdanauAttention(config.d_model)


ADDITIVE_IN_NAME_ONLY = Fault(
    id="additive-attention-in-name-only",
    sentence="The score is a product, or a rectifier stands where tanh should, or the softmax runs over queries.",
    clauses=(recurrence.ADDITIVE_ATTENTION_EQUALS_ITS_EQUATION,),
    source="experience",
    written="weights = F.softmax(score, dim=1)",
    mend="v.tanh(W q + U h), and a softmax over the memory",
    builds=(softmax_over_queries, scores_multiplied, rectified_scores),
)
WEIGHTS_DO_NOT_SUM_TO_ONE = Fault(
    id="additive-weights-do-not-sum-to-one",
    sentence="A sigmoid in place of the softmax, a mask after it, or a floor under the weights.",
    clauses=(recurrence.WEIGHTS_ARE_EXACTLY_A_DISTRIBUTION,),
    source="experience",
    written="weights = weights * mask",
    mend="score.masked_fill(~mask, -inf).softmax(-1)",
    builds=(sigmoid_weights, masked_after_the_softmax, floored_weights),
)


class Translator(nn.Module):
    """A bidirectional GRU reads, a GRU cell writes; packed sequences keep padding out."""

    def __init__(self, config):
        super().__init__()
        size = config.d_model
        self.source, self.target = nn.Embedding(config.vocab, size), nn.Embedding(config.vocab, size)
        self.encoder = nn.GRU(size, size, bidirectional=True, batch_first=True)
        self.attention = BahdanauAttention(size, 2 * size)
        self.bridge, self.cell = nn.Linear(2 * size, size), nn.GRUCell(3 * size, size)
        self.out = nn.Linear(4 * size, config.vocab, bias=False)

    def read(self, source, mask):
        lengths = (torch.full((source.size(0),), source.size(1)) if mask is None else mask.sum(1)).cpu()
        packed = pack_padded_sequence(self.source(source), lengths, batch_first=True, enforce_sorted=False)
        memory, last = self.encoder(packed)
        memory, _ = pad_packed_sequence(memory, batch_first=True, total_length=source.size(1))
        return memory, torch.tanh(self.bridge(torch.cat((last[0], last[1]), -1)))

    def context(self, state, memory, mask):
        return self.attention(state[:, None], memory, None if mask is None else mask[:, None, None])[:, 0]

    def forward(self, source, target, source_mask=None, target_mask=None):
        memory, state = self.read(source, source_mask)
        logits = []
        for token in self.target(target).unbind(1):
            context = self.context(state, memory, source_mask)
            state = self.cell(torch.cat((token, context), -1), state)
            logits.append(self.out(torch.cat((state, context, token), -1)))
        return torch.stack(logits, 1)


class Normalised(Translator):
    """What is said passes a layer norm on its way out, as in later translators."""

    def __init__(self, config):
        super().__init__(config)
        self.squeezed, self.norm = nn.Linear(4 * config.d_model, config.d_model), nn.LayerNorm(config.d_model)
        self.words = nn.Linear(config.d_model, config.vocab, bias=False)
        self.out = nn.Sequential(self.squeezed, nn.GELU(), self.norm, self.words)


class NoContext(Translator):
    def context(self, state, memory, mask):
        return torch.zeros_like(memory[:, 0])


class LastState(Translator):
    """The context is the encoder's last output, at every step."""

    def context(self, state, memory, mask):
        return memory[:, -1]


class AskedOnce(Translator):
    def read(self, source, mask):
        memory, state = super().read(source, mask)
        self.first = state
        return memory, state

    def context(self, state, memory, mask):
        return super().context(self.first, memory, mask)


class TargetEncoded(Translator):
    """The decoder's tokens pass a bidirectional GRU first."""

    def __init__(self, config):
        super().__init__(config)
        self.looks_ahead = nn.GRU(config.d_model, config.d_model // 2, bidirectional=True, batch_first=True)

    def forward(self, source, target, source_mask=None, target_mask=None):
        ahead, _ = self.looks_ahead(self.target(target))
        memory, state = self.read(source, source_mask)
        logits = []
        for token in ahead.unbind(1):
            context = self.context(state, memory, source_mask)
            state = self.cell(torch.cat((token, context), -1), state)
            logits.append(self.out(torch.cat((state, context, token), -1)))
        return torch.stack(logits, 1)


class PaddingRead(Translator):
    """The source is not packed: the backward direction begins with padding."""

    def read(self, source, mask):
        return super().read(source, None)


@veriformer.subject("encoder-decoder", cell="gru")
def without_context(config):
    return NoContext(config)


@veriformer.subject("encoder-decoder", cell="gru", masks=("none",))
def last_state_as_context(config):
    return LastState(config)


@veriformer.subject("encoder-decoder", cell="gru")
def asked_once(config):
    return AskedOnce(config)


@veriformer.subject("encoder-decoder", cell="gru")
def target_looks_ahead(config):
    if config.d_model % 2:
        raise veriformer.Unsupported("two directions need an even d_model")
    return TargetEncoded(config)


@veriformer.subject("encoder-decoder", cell="gru")
def padding_read(config):
    return PaddingRead(config)


@veriformer.subject("encoder-decoder", cell="gru")
def packed_translator(config):
    return Translator(config)


@veriformer.subject("encoder-decoder", cell="gru", head="transform", activation="gelu")
def normalised_translator(config):
    return Normalised(config)


SOURCE_BY_ITS_LAST_STATE = Fault(
    id="source-by-its-last-state",
    sentence="The decoder has the encoder's last state, and no context of a step, though the claim is attention.",
    clauses=(recurrence.THE_CONTEXT_IS_OF_THE_STEP,),
    source="Sutskever et al. 2014 under another name",
    written="context = memory[:, -1]",
    mend="context = attention(state, memory), in the loop",
    builds=(without_context, last_state_as_context, asked_once),
)
CONTEXT_LEFT_OUT = Fault(
    id="context-left-out-or-padding-read",
    sentence="No context enters the decoder, or the encoder reads padding into its states.",
    clauses=(recurrence.THE_CONTEXT_FEEDS_THE_DECODER,),
    source="experience",
    written="memory, last = self.encoder(self.embedding(source))",
    mend="pack_padded_sequence; and the context in the cell's input",
    builds=(without_context, padding_read),
)
TARGET_LOOKS_AHEAD = Fault(
    id="target-read-both-ways",
    sentence="The target's tokens pass a bidirectional layer before the decoder steps over them.",
    clauses=(recurrence.TEACHER_FORCING_EQUALS_STEP_BY_STEP,),
    source="experience",
    written="nn.GRU(size, size, bidirectional=True)",
    mend="one direction in the decoder",
    builds=(target_looks_ahead,),
)
TUTORIAL_ATTENTION = NearMiss(
    id="additive-attention-with-biases",
    sentence="Dense layers with biases, which equation 6 does not have, and which say nothing about what the function can be.",
    clauses=(recurrence.ADDITIVE_ATTENTION_EQUALS_ITS_EQUATION, recurrence.WEIGHTS_ARE_EXACTLY_A_DISTRIBUTION),
    build=tutorial_attention,
)
PACKED_TRANSLATOR = NearMiss(
    id="packed-translator",
    sentence="Packed sequences, GRU cells, a first state from both directions, and a readout without a nonlinearity.",
    clauses=(
        recurrence.TEACHER_FORCING_EQUALS_STEP_BY_STEP,
        recurrence.THE_CONTEXT_FEEDS_THE_DECODER,
        recurrence.THE_CONTEXT_IS_OF_THE_STEP,
    ),
    build=packed_translator,
)
NORMALISED_TRANSLATOR = NearMiss(
    id="normalised-translator",
    sentence="A linear map, an activation and a layer norm before the logits, which leave each step two features less to vary in.",
    clauses=(recurrence.THE_CONTEXT_FEEDS_THE_DECODER, recurrence.THE_CONTEXT_IS_OF_THE_STEP),
    build=normalised_translator,
)
