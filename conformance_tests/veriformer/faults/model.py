"""Faults of models over token ids, planted in the reference."""

# mypy: ignore-errors
# Patches stand in for the reference's functions, and are written as briefly as the mistakes are.

import torch

from veriformer.faults.fault import Fault, Planted
from veriformer_reference import masking as masks
from veriformer_reference import model as reference
from veriformer_reference import position as places
from veriformer_spec import model
from veriformer_spec.role import Role

GPT = Planted(role=Role.CAUSAL_LM, claims={"norm": "pre", "positions": "learned", "activation": "gelu-tanh"})
BERT = Planted(role=Role.MASKED_LM, claims={"positions": "learned", "embedding_norm": True, "head": "transform"})
ORIGINAL = Planted(role=Role.ENCODER_DECODER, claims={"positions": "sinusoidal"})
PRE_PAIR = Planted(role=Role.ENCODER_DECODER, claims={"norm": "pre", "normalization": "rms"})
LLAMA = Planted(
    role=Role.CAUSAL_LM, claims={"norm": "pre", "normalization": "rms", "positions": "rotary", "tied": True}
)

SOFTMAX_INSIDE = Fault(
    id="softmax-inside-the-model",
    sentence="The model ends in a softmax, and the loss applies another.",
    clauses=(model.LOGITS_COVER_THE_VOCABULARY, model.EQUALS_THE_REFERENCE),
    source="https://github.com/pytorch/examples/issues/1048",
    written="return self.output(x).softmax(-1)",
    mend="return self.output(x)",
    patches=(("model.project", lambda x, weight, bias: (x @ weight.mT).softmax(-1)),),
    planted=(GPT, ORIGINAL),
)

ONE_WORD_TOO_FEW = Fault(
    id="logits-one-word-short",
    sentence="The output projection has no logit for the last word.",
    clauses=(model.LOGITS_COVER_THE_VOCABULARY,),
    source="arXiv 2604.28118 (DEFault++), DEForm operator OOD",
    written="nn.Linear(d_model, vocab - 1)",
    mend="nn.Linear(d_model, vocab)",
    patches=(("model.project", lambda x, weight, bias: (x @ weight.mT)[..., :-1]),),
    planted=(GPT,),
)

ANOTHER_BIAS = Fault(
    id="head-bias-added-twice",
    sentence="The bias of the output projection is added by the projection and once more after it.",
    clauses=(model.EQUALS_THE_REFERENCE,),
    source="experience",
    written="self.decoder(x) + self.bias, where self.decoder.bias is self.bias",
    mend="self.decoder(x)",
    patches=(("model.project", lambda x, weight, bias: x @ weight.mT if bias is None else x @ weight.mT + 2 * bias),),
    planted=(Planted(role=Role.MASKED_LM, claims={**BERT.claims, "head_bias": True, "tied": True}),),
)


def one_row_short(table, length):
    return table[: len(table) - 1][places.positions(length, table.device)]


TABLE_ONE_ROW_SHORT = Fault(
    id="position-table-one-row-short",
    sentence="The table of positions has no row for the last one.",
    clauses=(model.ONE_TOKEN_AND_THE_LONGEST_LENGTH,),
    source="experience",
    written="nn.Embedding(max_len - 1, d_model)",
    mend="nn.Embedding(max_len, d_model)",
    patches=(("position.look_up", one_row_short),),
    planted=(GPT, BERT),
)


def squeezed(ids, mask, segments, own, config):
    return _LANGUAGE_MODEL(ids, mask, segments, own, config).squeeze()


_LANGUAGE_MODEL = reference.language_model

SQUEEZED = Fault(
    id="logits-squeezed",
    sentence="A squeeze takes away the batch, the time or the vocabulary where there is one of it.",
    clauses=(model.ONE_TOKEN_AND_THE_LONGEST_LENGTH, model.LOGITS_COVER_THE_VOCABULARY),
    source="experience",
    written="return logits.squeeze()",
    mend="return logits",
    patches=(("model.language_model", squeezed),),
    planted=(GPT, BERT),
)


def reads_the_target(source, target, source_mask, target_mask, own, config):
    memory = own.encoder(own.embedding(target), masks.for_every_query(target_mask))
    tokens = own.target_tokens(target)
    states = own.decoder(tokens, memory, masks.for_every_query(target_mask), None)
    return reference.logits(states, own.target_tokens, own.head, config)


ENCODER_READS_THE_TARGET = Fault(
    id="encoder-reads-the-target",
    sentence="The target is passed to the encoder: the decoder finds in the memory what it should predict.",
    clauses=(model.THE_ENCODER_NEVER_SEES_THE_TARGET, model.EQUALS_THE_REFERENCE),
    source="experience",
    written="memory = self.encoder(target)",
    mend="memory = self.encoder(source)",
    patches=(("model.encoder_decoder", reads_the_target),),
    planted=(ORIGINAL, PRE_PAIR),
)

EMPTY_ROWS_STAY_EMPTY = Fault(
    id="padding-row-poisons-the-gradient",
    sentence="A row that sees nothing becomes NaN, and the loss of the other rows gets a NaN in the gradient of every shared weight.",
    clauses=(model.AN_ALL_PADDED_SOURCE_STAYS_IN_ITS_ROW,),
    source="pytorch/pytorch#42323",
    written="scores.masked_fill(~mask, -inf).softmax(-1)",
    mend="show everything to a row that sees nothing, before the softmax",
    patches=(
        ("masking.open_empty_rows", lambda mask: mask),
        ("masking.empty_empty_rows", lambda weights, mask: weights),
    ),
    planted=(BERT, ORIGINAL),
)


def begins_by_itself(ids, mask, segments, own, config):
    if not ids.shape[1]:
        ids, mask = torch.ones(len(ids), 1, dtype=torch.long), None
    return _LANGUAGE_MODEL(ids, mask, segments, own, config)


EMPTY_SEQUENCE_INVENTED = Fault(
    id="empty-sequence-invented",
    sentence="A sequence of no tokens is answered as if it held a start token.",
    clauses=(model.AN_EMPTY_SEQUENCE_IS_TOLD,),
    source="https://github.com/pytorch/pytorch/pull/75809",
    written="if ids.shape[1] == 0: ids = start.expand(len(ids), 1)",
    mend="return logits for no positions, or raise",
    patches=(("model.language_model", begins_by_itself),),
    planted=(GPT, BERT),
)
