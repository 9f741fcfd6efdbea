"""Faults in embedding, planted in the reference."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from veriformer.faults.fault import Fault, Planted
from veriformer_reference import embedding as reference
from veriformer_spec import embedding, model
from veriformer_spec.role import Role

PLAIN = Planted(role=Role.TOKEN_EMBEDDING)
SCALED = Planted(role=Role.TOKEN_EMBEDDING, claims={"embedding_scale": "root-d_model"})
FROZEN = Planted(role=Role.TOKEN_EMBEDDING, claims={"padding_row": "frozen"})
BERT = Planted(role=Role.TOKEN_EMBEDDING, claims={"segments": True})
BERT_SCALED = Planted(role=Role.TOKEN_EMBEDDING, claims={"segments": True, "embedding_scale": "root-d_model"})
LANGUAGE_MODEL = Planted(role=Role.CAUSAL_LM)
WINDOWS = Planted(role=Role.ENCODER, claims={"entrance": "projection"})

look_up, freeze, add_segments, enter = reference.look_up, reference.freeze, reference.add_segments, reference.enter


def modulo(table: Tensor, ids: Tensor) -> Tensor:
    return functional.embedding(ids % (len(table) - 1), table)


TABLE_ONE_ROW_SHORT = Fault(
    id="ids-modulo-one-row-short",
    sentence="Ids are taken modulo a table that is one row short: the last word has the first one's row.",
    clauses=(embedding.EVERY_ID_HAS_ITS_ROW, embedding.AN_ID_OUT_OF_RANGE_RAISES),
    source="experience: padding forgotten in the size of the vocabulary",
    written="table[ids % (vocab - 1)]",
    mend="table[ids]",
    patches=(("embedding.look_up", modulo),),
    planted=(PLAIN,),
)
ROW_BY_POSITION = Fault(
    id="row-looked-up-by-position",
    sentence="The row is looked up by where the token stands as well.",
    clauses=(embedding.EVERY_ID_HAS_ITS_ROW,),
    source="experience: position ids passed for token ids",
    written="table[ids + torch.arange(time)]",
    mend="table[ids]",
    patches=(
        ("embedding.look_up", lambda table, ids: look_up(table, (ids + torch.arange(ids.shape[1])) % len(table))),
    ),
    planted=(PLAIN,),
)
SCALE_FORGOTTEN = Fault(
    id="embedding-scale-forgotten",
    sentence="The factor sqrt(d_model) is claimed and forgotten.",
    clauses=(embedding.SCALE_IS_AS_CLAIMED,),
    source="experience",
    written="return self.table[ids]",
    mend="return self.table[ids] * math.sqrt(d_model)",
    patches=(("embedding.scale", lambda vectors, claimed: vectors),),
    planted=(SCALED,),
)
SCALE_TWICE = Fault(
    id="embedding-scale-twice",
    sentence="Rows are multiplied by d_model: the factor is applied twice.",
    clauses=(embedding.SCALE_IS_AS_CLAIMED, embedding.SYMMETRIC_WEIGHTS_GIVE_THE_KNOWN_OUTPUT),
    source="experience: once in the embedding and once in the model",
    written="self.embed(ids) * math.sqrt(d_model)  # the embedding does it, too",
    mend="self.embed(ids)",
    patches=(("embedding.scale", lambda vectors, claimed: vectors * vectors.shape[-1]),),
    planted=(SCALED,),
)
SCALE_INVERTED = Fault(
    id="embedding-scale-inverted",
    sentence="Rows are divided by sqrt(d_model), as scores are.",
    clauses=(embedding.SCALE_IS_AS_CLAIMED,),
    source="experience",
    written="self.table[ids] / math.sqrt(d_model)",
    mend="self.table[ids] * math.sqrt(d_model)",
    patches=(("embedding.scale", lambda vectors, claimed: vectors / math.sqrt(vectors.shape[-1])),),
    planted=(SCALED, PLAIN),
)
PADDING_NEVER_FROZEN = Fault(
    id="padding-row-never-frozen",
    sentence="The row of padding is claimed to be frozen, and is trained with the others.",
    clauses=(embedding.PADDING_ROW_IS_AS_CLAIMED,),
    source="experience: padding_idx forgotten",
    written="nn.Embedding(vocab, d_model)",
    mend="nn.Embedding(vocab, d_model, padding_idx=pad_id)",
    patches=(("embedding.freeze", lambda vectors, ids, pad_id: vectors),),
    planted=(FROZEN,),
)
A_WORD_FROZEN = Fault(
    id="a-word-frozen-for-padding",
    sentence="padding_idx names a word, whose row is never trained.",
    clauses=(embedding.PADDING_ROW_IS_AS_CLAIMED,),
    source="experience: padding_idx copied from another tokenizer",
    written="nn.Embedding(vocab, d_model, padding_idx=1)",
    mend="nn.Embedding(vocab, d_model, padding_idx=tokenizer.pad_token_id)",
    patches=(("embedding.freeze", lambda vectors, ids, pad_id: freeze(vectors, ids, pad_id + 1)),),
    planted=(FROZEN,),
)
SEGMENTS_IGNORED = Fault(
    id="segments-ignored",
    sentence="Segments are taken and ignored: every token is in segment 0.",
    clauses=(embedding.SEGMENTS_ARE_ADDED, model.SEGMENTS_REACH_THEIR_TOKENS),
    source="experience: token_type_ids lost between the model and its embedding",
    written="self.segments(torch.zeros_like(ids))",
    mend="self.segments(segments)",
    patches=(("embedding.add_segments", lambda vectors, table, segments: add_segments(vectors, table, None)),),
    planted=(*(BERT, BERT_SCALED), Planted(role=Role.MASKED_LM, claims={"segments": True, "positions": "learned"})),
    synonyms=("segments-lost-in-a-model",),
)


def of_the_first(vectors: Tensor, table: Tensor, segments: Tensor | None) -> Tensor:
    return add_segments(vectors, table, None if segments is None else segments[:, :1].expand_as(segments))


SEGMENT_OF_THE_FIRST_TOKEN = Fault(
    id="segment-of-the-first-token",
    sentence="The whole row is in its first token's segment.",
    clauses=(embedding.SEGMENTS_ARE_ADDED,),
    source="experience",
    written="self.segments(segments[:, :1])",
    mend="self.segments(segments)",
    patches=(("embedding.add_segments", of_the_first),),
    planted=(BERT,),
)
SEGMENTS_SCALED_TOO = Fault(
    id="segments-scaled-too",
    sentence="Segments are added before the scale, which multiplies them too.",
    clauses=(embedding.SEGMENTS_ARE_ADDED,),
    source="experience",
    written="(self.words(ids) + self.segments(segments)) * math.sqrt(d_model)",
    mend="self.words(ids) * math.sqrt(d_model) + self.segments(segments)",
    patches=(
        (
            "embedding.add_segments",
            lambda vectors, table, segments: add_segments(vectors, table * math.sqrt(table.shape[-1]), segments),
        ),
    ),
    planted=(BERT_SCALED,),
)
IDS_WRAPPED = Fault(
    id="ids-wrapped-from-the-end",
    sentence="The table is indexed as a Python list is: -1 is its last row.",
    clauses=(embedding.AN_ID_OUT_OF_RANGE_RAISES,),
    source="experience: ignore_index passed on to the embedding",
    written="self.table[ids]",
    mend="functional.embedding(ids, self.table)",
    patches=(("embedding.look_up", lambda table, ids: table[ids]),),
    planted=(PLAIN, LANGUAGE_MODEL, Planted(role=Role.ENCODER_DECODER), Planted(role=Role.MASKED_LM)),
)
IDS_CLAMPED = Fault(
    id="ids-clamped",
    sentence="Ids that the table lacks get its first or its last row.",
    clauses=(embedding.AN_ID_OUT_OF_RANGE_RAISES,),
    source="experience: what some accelerators do with an index beyond the end",
    written="self.table[ids.clamp(0, vocab - 1)]",
    mend="functional.embedding(ids, self.table)",
    patches=(("embedding.look_up", lambda table, ids: look_up(table, ids.clamp(0, len(table) - 1))),),
    planted=(PLAIN, LANGUAGE_MODEL),
)
EMBEDDING_CLONED = Fault(
    id="embedding-cloned-for-the-head",
    sentence="The head gets numbers copied from the embedding, and goes its own way from there.",
    clauses=(embedding.TIED_WEIGHTS_ARE_ONE_TENSOR,),
    source="experience",
    written="head.weight = nn.Parameter(embedding.weight.clone())",
    mend="head.weight = embedding.weight",
    patches=(("model.output_weight", lambda own, tokens: tokens.table.detach().roll(1, 0)),),
    planted=(
        Planted(role=Role.CAUSAL_LM, claims={"tied": True}),
        Planted(role=Role.ENCODER_DECODER, claims={"tied": True}),
    ),
)
TIED_WITHOUT_A_CLAIM = Fault(
    id="tied-without-a-claim",
    sentence="The output projection is the embedding's tensor, and nobody said so.",
    clauses=(embedding.TIED_WEIGHTS_ARE_ONE_TENSOR,),
    source="experience: tie_word_embeddings left at its default",
    written="logits = x @ embedding.weight.T",
    mend="logits = self.head(x), or claim tied=True",
    patches=(("model.output_weight", lambda own, tokens: tokens.table),),
    planted=(LANGUAGE_MODEL, Planted(role=Role.MASKED_LM, claims={"head": "transform", "head_bias": True})),
)


def nonlinear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return enter(x, weight, bias).relu()


ENTRANCE_FOLLOWED_BY_A_NONLINEARITY = Fault(
    id="entrance-followed-by-a-nonlinearity",
    sentence="The projection of real values is followed by a ReLU.",
    clauses=(embedding.REAL_VALUES_ENTER_BY_A_PROJECTION,),
    source="experience",
    written="functional.relu(self.project(x))",
    mend="self.project(x)",
    patches=(("embedding.enter", nonlinear),),
    planted=(WINDOWS, Planted(role=Role.ENCODER, claims={"entrance": "projection", "norm": "pre"})),
)


def without_the_last(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return enter(x[..., :-1], weight[:, :-1], bias)


INPUT_FEATURES_CUT = Fault(
    id="input-features-cut",
    sentence="The last input feature never enters.",
    clauses=(embedding.REAL_VALUES_ENTER_BY_A_PROJECTION,),
    source="experience: the target's column left out by an index that counts from one",
    written="self.project(x[..., :-1])",
    mend="self.project(x)",
    patches=(("embedding.enter", without_the_last),),
    planted=(WINDOWS,),
)


def neighbours_exchanged(table: Tensor, ids: Tensor) -> Tensor:
    exchanged = torch.where(ids < len(table) - len(table) % 2, ids ^ 1, ids)
    return look_up(table, torch.where((ids >= 0) & (ids < len(table)), exchanged, ids))


IDS_PERMUTED = Fault(
    id="ids-permuted",
    sentence="Ids are those of another vocabulary: each has the row of another word.",
    clauses=(embedding.SCALE_IS_AS_CLAIMED,),
    source="arXiv 2604.28118 (DEFault++), DEForm operator ESW",
    written="ids = other_tokenizer.encode(text)",
    mend="encode the text with the vocabulary that the table was trained with",
    patches=(("embedding.look_up", neighbours_exchanged),),
    planted=(PLAIN, FROZEN),
)


def every_third_row_lost(table: Tensor, ids: Tensor) -> Tensor:
    return look_up(table, ids) * (ids % 3 != 1)[..., None]


ROWS_ZEROED = Fault(
    id="embedding-rows-zeroed",
    sentence="Some ids have a row of zeros: the words cannot be told apart.",
    clauses=(embedding.EVERY_ID_HAS_ITS_ROW,),
    source="arXiv 2604.28118 (DEFault++), DEForm operator ETZ",
    written="table[added_ids] = 0  # to be filled in later",
    mend="initialise the rows of added words like the others",
    patches=(("embedding.look_up", every_third_row_lost),),
    planted=(PLAIN, SCALED),
)


def last_third_lost(table: Tensor, ids: Tensor) -> Tensor:
    kept = torch.arange(table.shape[1], device=table.device) < table.shape[1] - (table.shape[1] + 2) // 3
    return look_up(table, ids) * kept


FEATURES_ZEROED = Fault(
    id="embedding-features-zeroed",
    sentence="A block of the embedding's features is always zero.",
    clauses=(embedding.SCALE_IS_AS_CLAIMED,),
    source="arXiv 2604.28118 (DEFault++), DEForm operator EZD",
    written="table = torch.zeros(vocab, d_model); table[:, : old.shape[1]] = old",
    mend="initialise the features that a smaller table did not have",
    patches=(("embedding.look_up", last_third_lost),),
    planted=(PLAIN, SCALED),
)
