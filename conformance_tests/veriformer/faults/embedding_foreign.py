"""Faults of embedding, written without the reference: nn.Embedding and around it, whole little models."""

# mypy: ignore-errors
# Other people's code, written the way they write it: without types.

import copy
import math

import torch
from torch import nn
from torch.nn import functional as F

import veriformer
from veriformer.faults.fault import Fault
from veriformer_spec import embedding


class Words(nn.Module):
    """nn.Embedding, options passed on."""

    def __init__(self, config, **options):
        super().__init__()
        self.words = nn.Embedding(config.vocab, config.d_model, **options)
        self.root = math.sqrt(config.d_model)

    def forward(self, ids):
        return self.words(ids)


class Hashed(Words):
    def forward(self, ids):
        return self.words((ids * 7 + 3) % 4 % self.words.num_embeddings)


@veriformer.subject("token-embedding")
def hashed(config):
    return Hashed(config)


SEVERAL_WORDS_TO_A_ROW = Fault(
    id="several-words-to-a-row",
    sentence="Ids are hashed to fewer rows than there are words.",
    clauses=(embedding.EVERY_ID_HAS_ITS_ROW,),
    source="experience",
    written="self.words(ids % buckets)",
    mend="self.words(ids)",
    builds=(hashed,),
)


class ScaledAtTheStart(Words):
    """The factor goes into the initial weights, and not into the forward pass."""

    def __init__(self, config):
        super().__init__(config)
        nn.init.normal_(self.words.weight, std=self.root)


class Centred(Words):
    """Takes the mean of the table from every row."""

    def forward(self, ids):
        return (self.words(ids) + 1.0 / self.root) * self.root


class OneHot(Words):
    def forward(self, ids):
        hot = F.one_hot(ids, self.words.num_embeddings).to(self.words.weight)
        return (hot / self.root) @ self.words.weight


@veriformer.subject("token-embedding", embedding_scale="root-d_model")
def scaled_at_the_start(config):
    return ScaledAtTheStart(config)


@veriformer.subject("token-embedding", embedding_scale="root-d_model")
def something_added(config):
    return Centred(config)


@veriformer.subject("token-embedding")
def divided_one_hot(config):
    return OneHot(config)


SCALE_IN_THE_INITIAL_WEIGHTS = Fault(
    id="embedding-scale-in-the-initial-weights",
    sentence="The factor sits in the initial weights where rows are to be multiplied; something is added; or nobody claimed one.",
    clauses=(embedding.SCALE_IS_AS_CLAIMED,),
    source="experience",
    written="nn.init.normal_(self.words.weight, std=math.sqrt(d_model))",
    mend="self.words(ids) * math.sqrt(d_model)",
    builds=(scaled_at_the_start, something_added, divided_one_hot),
)


class Detached(Words):
    def forward(self, ids):
        return torch.where((ids == self.words.num_embeddings - 1)[..., None], self.words(ids).detach(), self.words(ids))


@veriformer.subject("token-embedding", padding_row="frozen")
def last_row_is_padding(config):
    return Words(config, padding_idx=config.vocab - 1)


@veriformer.subject("token-embedding")
def a_word_never_trained(config):
    return Detached(config)


@veriformer.subject("token-embedding")
def frozen_without_a_claim(config):
    return Words(config, padding_idx=config.pad_id)


PADDING_INDEX_OF_A_WORD = Fault(
    id="padding-index-of-a-word",
    sentence="The row that is never trained is a word's, or padding's where it is claimed to be trained.",
    clauses=(embedding.PADDING_ROW_IS_AS_CLAIMED,),
    source="experience: padding_idx=-1, which nn.Embedding counts from the end",
    written="nn.Embedding(vocab, d_model, padding_idx=-1)",
    mend="nn.Embedding(vocab, d_model, padding_idx=pad_id)",
    builds=(last_row_is_padding, a_word_never_trained, frozen_without_a_claim),
)


class Segmented(Words):
    def __init__(self, config):
        super().__init__(config)
        self.kinds = nn.Embedding(config.segment_count, config.d_model)

    def kind(self, segments):
        return self.kinds(segments)

    def forward(self, ids, segments=None):
        segments = torch.zeros_like(ids) if segments is None else segments
        return self.words(ids) + self.kind(segments)


class NoneMeansNothing(Segmented):
    def forward(self, ids, segments=None):
        return self.words(ids) if segments is None else self.words(ids) + self.kind(segments)


class MeanOfTheRow(Segmented):
    def kind(self, segments):
        return self.kinds(segments).mean(1, keepdim=True)


class TimesTheWord(Segmented):
    def forward(self, ids, segments=None):
        segments = torch.zeros_like(ids) if segments is None else segments
        return self.words(ids) * self.kind(segments)


@veriformer.subject("token-embedding", segments=True)
def none_means_nothing(config):
    return NoneMeansNothing(config)


@veriformer.subject("token-embedding", segments=True)
def mean_of_the_row(config):
    return MeanOfTheRow(config)


@veriformer.subject("token-embedding", segments=True)
def times_the_word(config):
    return TimesTheWord(config)


SEGMENTS_OF_THE_ROW = Fault(
    id="segments-of-the-row",
    sentence="A token gets the mean of its row's segments, a product with its segment's row, or no segment where none is passed.",
    clauses=(embedding.SEGMENTS_ARE_ADDED,),
    source="experience",
    written="self.kinds(segments).mean(1, keepdim=True)",
    mend="self.kinds(segments)",
    builds=(none_means_nothing, mean_of_the_row, times_the_word),
)


class Indexed(Words):
    def forward(self, ids):
        return self.words.weight[ids]


class Modulo(Words):
    def forward(self, ids):
        return self.words(ids % self.words.num_embeddings)


class UnknownWord(Words):
    """What the table lacks becomes word 1, silently."""

    def forward(self, ids):
        known = (ids >= 0) & (ids < self.words.num_embeddings)
        return self.words(ids.where(known, torch.ones_like(ids)))


@veriformer.subject("token-embedding")
def indexed(config):
    return Indexed(config)


@veriformer.subject("token-embedding")
def taken_modulo(config):
    return Modulo(config)


@veriformer.subject("token-embedding")
def unknown_word(config):
    return UnknownWord(config)


class LittleModel(nn.Module):
    """Words, a bare mean of what was read so far, a head."""

    def __init__(self, config):
        super().__init__()
        self.words = nn.Embedding(config.vocab, config.d_model)
        layer = nn.TransformerEncoderLayer(config.d_model, config.heads, config.d_ff, config.dropout, batch_first=True)
        self.stack = nn.TransformerEncoder(layer, config.layers, enable_nested_tensor=False)
        self.head = nn.Linear(config.d_model, config.vocab, bias=False)
        self.tie()

    def tie(self):
        pass

    def states(self, ids, mask):
        time = ids.shape[1]
        future = torch.ones(time, time, dtype=torch.bool, device=ids.device).triu(1)
        hidden = None if mask is None else ~mask
        return self.stack(self.words(ids), mask=future, src_key_padding_mask=hidden)

    def forward(self, ids, mask=None):
        return self.head(self.states(ids, mask))


class WrapsIds(LittleModel):
    def states(self, ids, mask):
        return super().states(ids % self.words.num_embeddings, mask)


@veriformer.subject("causal-lm")
def little_model_that_wraps_ids(config):
    return WrapsIds(config)


WORDS_THAT_DO_NOT_EXIST = Fault(
    id="words-that-do-not-exist",
    sentence="Ids outside the vocabulary become some word: counted from the end, wrapped, or replaced by one.",
    clauses=(embedding.AN_ID_OUT_OF_RANGE_RAISES,),
    source="experience",
    written="self.words.weight[ids]",
    mend="self.words(ids)",
    builds=(indexed, taken_modulo, unknown_word, little_model_that_wraps_ids),
)


class CopiedOnce(LittleModel):
    def tie(self):
        self.head.weight = nn.Parameter(self.words.weight.detach().clone())


class SharedMemory(LittleModel):
    def tie(self):
        self.head.weight.data = self.words.weight.data


class LostInTheCopy(LittleModel):
    """Tied by an attribute that a deep copy builds anew."""

    def tie(self):
        self.head.weight = self.words.weight

    def __deepcopy__(self, memo):
        other = type(self).__new__(type(self))
        nn.Module.__init__(other)
        for name, child in self.named_children():
            setattr(other, name, copy.deepcopy(child))
        other.training = self.training
        return other


class TiedAnyway(LittleModel):
    def tie(self):
        self.head.weight = self.words.weight


@veriformer.subject("causal-lm", tied=True)
def copied_once(config):
    return CopiedOnce(config)


@veriformer.subject("causal-lm", tied=True)
def shared_memory(config):
    return SharedMemory(config)


@veriformer.subject("causal-lm", tied=True)
def lost_in_the_copy(config):
    return LostInTheCopy(config)


@veriformer.subject("causal-lm")
def tied_anyway(config):
    return TiedAnyway(config)


TIE_THAT_DOES_NOT_HOLD = Fault(
    id="tie-that-does-not-hold",
    sentence="Embedding and head are tied by a copy, by memory alone, or until the module is copied; or tied and nobody said so.",
    clauses=(embedding.TIED_WEIGHTS_ARE_ONE_TENSOR,),
    source="experience",
    written="self.head.weight.data = self.words.weight.data",
    mend="self.head.weight = self.words.weight",
    builds=(copied_once, shared_memory, lost_in_the_copy, tied_anyway),
)
