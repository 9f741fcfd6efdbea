"""Faults of what a cache keeps and for whom, written without the reference: runs that meet, rows exchanged, windows, digits."""

# mypy: ignore-errors
# Other people's code, written the way they write it: without types.

import copy

import torch

import veriformer
from veriformer.faults import cache_styles as styles
from veriformer.faults import cache_styles_more as more
from veriformer.faults import cache_styles_text as texts
from veriformer.faults.fault import Fault
from veriformer_spec import cache


def steps_of(known, **changed):
    """The steps of one style with some of them replaced."""
    parts = {"start": known.start, "step": known.step, "reorder": known.reorder, "copy": known.copy}
    return veriformer.Steps(**(parts | changed))


def llama(steps, **claims):
    return veriformer.subject("causal-lm", steps=steps, **styles.LLAMA, **claims)


class SetUpOnce(more.BufferAttention):
    """The same buffers serve again where they fit; they begin anew when they are full, and not before."""

    def setup_cache(self, batch, longest):
        if self.cache is None or self.cache.keys.shape[::2] != (batch, longest) or self.cache.filled == longest:
            super().setup_cache(batch, longest)


class SetUpOnceBlock(more.BufferBlock):
    attention = SetUpOnce


class SetUpOnceModel(more.BufferModel):
    block = SetUpOnceBlock


class RemembersTheCaller(styles.TupleModel):
    """Without a past it goes on with the last one that it was given."""

    last = None

    def forward(self, ids, mask=None, past=None):
        past = self.last if past is None and self.last is not None and self.last[0][0].size(0) == ids.size(0) else past
        logits, past = super().forward(ids, None, past)
        self.last = past if past[0][0].size(-2) + 1 < self.wpe.num_embeddings else None
        return logits, past


class EmptyMeansNone(more.IncrementalModel):
    """An empty dictionary is false, and the model's own is taken for it."""

    def __init__(self, config):
        super().__init__(config)
        self.own = {}

    def forward(self, prev_output_tokens, incremental_state=None):
        if incremental_state is not None:
            rows = prev_output_tokens.size(0)
            self.own = {name: each for name, each in self.own.items() if each["prev_key"].size(0) == rows}
            incremental_state = incremental_state or self.own
        return super().forward(prev_output_tokens, incremental_state)


class OneForEver(styles.Cache):
    def __init__(self):
        self.real = None

    keys, values = {}, {}

    def update(self, layer, key, value):
        seen = self.real.size(1) - key.size(1)
        if layer in self.keys and self.keys[layer].size(1) != seen and key.size(0) == self.keys[layer].size(0):
            kept = slice(0, seen)
            self.keys[layer], self.values[layer] = self.keys[layer][:, kept], self.values[layer][:, kept]
        if seen == 0:
            self.keys.pop(layer, None)
        return super().update(layer, key, value)


@veriformer.subject("causal-lm", steps=more.BUFFER_STEPS, **(more.BUFFERED | {"masks": ("none",)}))
def set_up_once(config):
    return SetUpOnceModel(config), more.whole_with_rows


@veriformer.subject(
    "causal-lm", steps=styles.TUPLES, **(styles.GPT2 | {"masks": ("none",), "padding_sides": ("right",)})
)
def remembers_the_caller(config):
    return RemembersTheCaller(config), styles.logits_first


@veriformer.subject("causal-lm", steps=more.INCREMENTAL_STEPS, **more.INCREMENTAL)
def empty_means_none(config):
    return EmptyMeansNone(config), more.whole_with_padding_ids


CACHE_REMEMBERS_ITS_LAST_CALLER = Fault(
    id="cache-remembers-its-last-caller",
    sentence="What one run has read is still there when the next begins: on the module, or in a dictionary that was never the caller's.",
    clauses=(cache.A_CACHE_BELONGS_TO_ITS_CALLER,),
    source="https://github.com/openai/whisper/pull/1483",
    written="state = state or self.cache",
    mend="if state is None: state = {}; a cache is an argument, and a new one for each run",
    builds=(set_up_once, remembers_the_caller, empty_means_none),
)


@llama(steps_of(styles.OBJECTS, copy=lambda module, cache: cache))
def copy_is_the_same(config):
    return styles.ObjectModel(config)


@llama(steps_of(styles.OBJECTS, copy=lambda module, cache: copy.copy(cache)))
def copy_is_shallow(config):
    return styles.ObjectModel(config)


@veriformer.subject(
    "causal-lm",
    steps=steps_of(
        more.INCREMENTAL_STEPS,
        copy=lambda module, state: {"ids": state["ids"], "incremental": state["incremental"]},
    ),
    **more.INCREMENTAL,
)
def dictionary_shared(config):
    return more.IncrementalModel(config), more.whole_with_padding_ids


@llama(steps_of(styles.OBJECTS, start=lambda module, batch, longest: OneForEver()))
def one_for_ever(config):
    return styles.ObjectModel(config)


COPIES_SHARE_A_BUFFER = Fault(
    id="copies-of-a-cache-share-a-buffer",
    sentence="Two runs that should go on alone write into one cache: the copy is shallow, or the keys are the class's.",
    clauses=(cache.A_CACHE_BELONGS_TO_ITS_CALLER,),
    source="https://github.com/huggingface/transformers/issues/31127",
    written="class Cache: keys = {}",
    mend="self.keys = {} in __init__; copy.deepcopy",
    builds=(copy_is_the_same, copy_is_shallow, dictionary_shared, one_for_ever),
)


def keys_only(module, cache, rows):
    cache.keys = {layer: key[rows] for layer, key in cache.keys.items()}
    cache.real = cache.real[rows]
    return cache


def all_layers_but_the_first(module, past, rows):
    return (past[0], *((key[rows], value[rows]) for key, value in past[1:]))


def inverse_order(module, past, rows):
    return styles.TUPLES.reorder(module, past, torch.argsort(rows, stable=True))


def padding_left_behind(module, cache, rows):
    real = cache.real
    cache.reorder(rows).real = real
    return cache


def into_one_buffer(module, state, rows):
    """Copies row by row within one buffer, so that a row may be overwritten before it is read."""
    for layer in module.layers:
        for held in (layer.attn.cache.keys, layer.attn.cache.values):
            for row, chosen in enumerate(rows.tolist()):
                held[row] = held[chosen]
    return state


@llama(steps_of(styles.OBJECTS, reorder=keys_only))
def values_stay(config):
    return styles.ObjectModel(config)


@veriformer.subject("causal-lm", steps=steps_of(styles.TUPLES, reorder=all_layers_but_the_first), **styles.GPT2)
def first_layer_stays(config):
    return styles.TupleModel(config), styles.logits_first


@veriformer.subject("causal-lm", steps=steps_of(styles.TUPLES, reorder=inverse_order), **styles.GPT2)
def inverse(config):
    return styles.TupleModel(config), styles.logits_first


@llama(steps_of(styles.OBJECTS, reorder=padding_left_behind))
def padding_stays(config):
    return styles.ObjectModel(config)


@veriformer.subject("causal-lm", steps=steps_of(more.BUFFER_STEPS, reorder=into_one_buffer), **more.BUFFERED)
def overwritten_before_read(config):
    return more.BufferModel(config), more.whole_with_rows


REORDERED_IN_PART = Fault(
    id="cache-reordered-in-part",
    sentence="Keys follow the beams and values do not, or a layer or the padding stays, or rows go where they should come from.",
    clauses=(cache.REORDERING_FOLLOWS_THE_ROWS,),
    source="https://github.com/facebookresearch/fairseq/issues/2158",
    written="cache.keys = cache.keys.index_select(0, rows)",
    mend="index_select of keys, values, padding and positions, in every layer",
    builds=(values_stay, first_layer_stays, inverse, padding_stays, overwritten_before_read),
)


class NotRolled(texts.RollingCache):
    def in_order(self, layer, seen):
        return tuple(each[:, : min(seen, self.window)] for each in self.layers[layer])


class ReadAfterWriting(texts.RollingCache):
    def update(self, layer, key, value):
        before = self.in_order(layer, self.seen) if layer in self.layers else (key[:, :0], value[:, :0])
        self.write(layer, key, value, self.seen)
        return tuple(torch.cat(each, 1) for each in zip(before, (key, value), strict=True))


class KeepsOneLess(texts.RollingModel):
    """The buffer has a slot too few: the window shrinks by one once there is a past (one less than the window would do)."""

    def held(self, seen):
        return min(seen, self.window - 2)


class OneLess(texts.RollingCache):
    def in_order(self, layer, seen):
        held = super().in_order(layer, seen)
        return tuple(each[:, each.size(1) - min(seen, self.window - 2) :] for each in held)


class WindowForgotten(styles.ObjectModel):
    """The window is a part of the full pass, and of a cached step it is not."""

    def allowed(self, real, new):
        if new == real.size(1):
            return super().allowed(real, new)
        return torch.ones(new, real.size(1), dtype=torch.bool).tril(real.size(1) - new) & real[:, None]


class ChunkCutToTheWindow(texts.RollingCache):
    """Before a chunk all of the buffer is thrown away that the chunk's last token does not see."""

    def update(self, layer, key, value):
        before = self.in_order(layer, self.seen) if layer in self.layers else (key[:, :0], value[:, :0])
        joined = [torch.cat(each, 1) for each in zip(before, (key, value), strict=True)]
        self.write(layer, key, value, self.seen)
        for each in joined:
            each[:, : max(0, each.size(1) - self.window)] = 0
        return joined


def mistral(kind):
    steps = steps_of(texts.ROLLING_STEPS, start=lambda module, batch, longest: kind(module.window))
    return veriformer.subject("causal-lm", steps=steps, **texts.MISTRAL)


@mistral(NotRolled)
def not_rolled(config):
    return texts.RollingModel(config)


@mistral(ReadAfterWriting)
def read_after_writing(config):
    return texts.RollingModel(config)


@mistral(OneLess)
def one_slot_less(config):
    return KeepsOneLess(config)


@mistral(ChunkCutToTheWindow)
def chunk_cut_to_the_window(config):
    return texts.RollingModel(config)


@llama(styles.OBJECTS, sliding_window=True)
def window_forgotten(config):
    return WindowForgotten(config)


WINDOW_WRONG_ACROSS_THE_CACHE = Fault(
    id="window-wrong-across-the-cache",
    sentence="A rolling buffer is read in the order of its slots, after it was written, or with a slot too few; or a cached step knows no window.",
    clauses=(cache.WINDOW_HOLDS_ACROSS_THE_CACHE,),
    source="https://github.com/mistralai/mistral-inference/issues/50",
    written="keys = buffer[:, :seen]",
    mend="torch.roll(buffer, -(seen % window), 1), read before the new keys are written",
    builds=(not_rolled, read_after_writing, one_slot_less, chunk_cut_to_the_window, window_forgotten),
)


class Quiet(more.Buffers):
    """Buffers in a dtype of their own; an assignment casts without a word."""

    kept = torch.float32

    def __init__(self, shape, like):
        super().__init__(shape, like)
        self.to(self.kept)
        self.given = like.dtype

    def update(self, key, value):
        return tuple(each.to(self.given) for each in super().update(key, value))


class Half(Quiet):
    kept = torch.bfloat16


def narrow(kind):
    class Attention(more.BufferAttention):
        def setup_cache(self, batch, longest):
            self.cache = kind((batch, self.kv_heads, longest, self.d_head), self.wo.weight)

    class Block(more.BufferBlock):
        attention = Attention

    class Model(more.BufferModel):
        block = Block

    return Model


@veriformer.subject("causal-lm", steps=more.BUFFER_STEPS, **more.BUFFERED)
def cache_in_float32(config):
    return narrow(Quiet)(config), more.whole_with_rows


@veriformer.subject("causal-lm", steps=more.BUFFER_STEPS, **more.BUFFERED)
def cache_in_bfloat16(config):
    return narrow(Half)(config), more.whole_with_rows


CACHE_IN_A_NARROWER_DTYPE = Fault(
    id="cache-in-a-narrower-dtype",
    sentence="The buffers have a default dtype, and keys are rounded when they are put there.",
    clauses=(cache.NOTHING_IS_ROUNDED_IN_THE_CACHE,),
    source="https://github.com/pytorch-labs/gpt-fast: setup_caches, dtype=torch.bfloat16",
    written="torch.zeros(shape, dtype=torch.bfloat16)",
    mend="torch.zeros(shape, dtype=key.dtype, device=key.device)",
    builds=(cache_in_float32, cache_in_bfloat16),
)
