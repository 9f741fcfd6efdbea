"""Correct caches that a careless check would fail: every interface that is in use, and some that are not."""

# mypy: ignore-errors
# Other people's code, written the way they write it: without types.

import copy

import torch

import veriformer
from veriformer.faults import cache_styles as styles
from veriformer.faults import cache_styles_more as more
from veriformer.faults import cache_styles_text as texts
from veriformer.faults.fault import NearMiss
from veriformer_spec import cache

EVERY_RUN = (
    cache.ONE_BY_ONE_EQUALS_THE_FULL_PASS,
    cache.CHUNKS_EQUAL_THE_FULL_PASS,
    cache.A_CACHE_BELONGS_TO_ITS_CALLER,
    cache.REORDERING_FOLLOWS_THE_ROWS,
    cache.CACHED_ROWS_ARE_INDEPENDENT,
    cache.NOTHING_IS_ROUNDED_IN_THE_CACHE,
)


@veriformer.subject("causal-lm", steps=styles.TUPLES, **styles.GPT2)
def past_returned_as_tuples(config):
    return styles.TupleModel(config), styles.logits_first


@veriformer.subject("causal-lm", steps=styles.OBJECTS, **styles.LLAMA)
def cache_changed_in_place(config):
    return styles.ObjectModel(config)


@veriformer.subject("causal-lm", steps=more.BUFFER_STEPS, **more.BUFFERED)
def buffers_on_the_module(config):
    return more.BufferModel(config), more.whole_with_rows


@veriformer.subject("causal-lm", steps=more.INCREMENTAL_STEPS, **more.INCREMENTAL)
def one_token_at_a_time(config):
    return more.IncrementalModel(config), more.whole_with_padding_ids


@veriformer.subject("causal-lm", steps=texts.TEXT_STEPS, **texts.BLOOM)
def whole_text_passed(config):
    return texts.TextModel(config), styles.logits_first


@veriformer.subject("causal-lm", steps=texts.ROLLING_STEPS, **texts.MISTRAL)
def rolling_buffer(config):
    return texts.RollingModel(config)


class OneSlotFewer(texts.RollingCache):
    """The new token is in its own window, so that the past needs a slot fewer."""

    def __init__(self, window):
        super().__init__(max(1, window - 1))


class OneSlotFewerModel(texts.RollingModel):
    def held(self, seen):
        return min(seen, max(1, self.window - 1))


@veriformer.subject(
    "causal-lm",
    steps=veriformer.Steps(
        start=lambda module, batch, longest: OneSlotFewer(module.window),
        step=styles.OBJECTS.step,
        reorder=styles.OBJECTS.reorder,
        copy=styles.OBJECTS.copy,
    ),
    **texts.MISTRAL,
)
def one_slot_fewer(config):
    return OneSlotFewerModel(config)


@veriformer.subject(
    "causal-lm",
    steps=styles.OBJECTS,
    sliding_window=True,
    **styles.LLAMA | {"padding_sides": ("right", "left")},  # a window that counts positions counts interior padding too
)
def window_as_a_mask(config):
    return styles.ObjectModel(config)


def read_anew(module, ids, mask, text):
    text = torch.cat((text, ids), 1)
    return styles.logits_first(module, text, mask)[:, -ids.size(1) :], text


@veriformer.subject(
    "causal-lm",
    steps=veriformer.Steps(
        start=lambda module, batch, longest: torch.empty(batch, 0, dtype=torch.long, device=module.wte.weight.device),
        step=read_anew,
        reorder=lambda module, text, rows: text[rows],
        copy=lambda module, text: text,
    ),
    **styles.GPT2,
)
def no_cache_at_all(config):
    return styles.TupleModel(config), styles.logits_first


class TurnedWhenRead(styles.ObjectAttention):
    """Keys are kept as they are, and turned each time they are looked at."""

    def turn(self, query, key, places):
        return styles.turned(query, places, self.base), key

    def store(self, cache, key, value):
        key, value = super().store(cache, key, value)
        places = (cache.real.long().cumsum(1) - 1)[:, : key.size(1)]
        return styles.turned(key, places, self.base), value

    def forward(self, x, places, allowed, cache):
        return super().forward(x, places, allowed, styles.Cache() if cache is None else cache)


class BlockTurningWhenRead(styles.ObjectBlock):
    attention = TurnedWhenRead


class ModelTurningWhenRead(styles.ObjectModel):
    block = BlockTurningWhenRead

    def forward(self, ids, mask=None, cache=None):
        return super().forward(ids, mask, styles.Cache() if cache is None else cache)


@veriformer.subject("causal-lm", steps=styles.OBJECTS, **styles.LLAMA)
def keys_turned_when_read(config):
    return ModelTurningWhenRead(config)


class Rows:
    """Rows are chosen when the cache is next read, and not before."""

    def __init__(self, past, order):
        self.past, self.order = past, order


def step_of_chosen_rows(module, ids, mask, rows):
    past = rows.past
    if rows.order is not None:
        past = styles.TUPLES.reorder(module, past, rows.order)
    logits, past = module(ids, mask, past)
    return [logits, Rows(past, None)]


@veriformer.subject(
    "causal-lm",
    steps=veriformer.Steps(
        start=lambda module, batch, longest: Rows(None, None),
        step=step_of_chosen_rows,
        reorder=lambda module, rows, order: Rows(rows.past, order if rows.order is None else rows.order[order]),
        copy=lambda module, rows: copy.copy(rows),
    ),
    **styles.GPT2,
)
def rows_chosen_later(config):
    return styles.TupleModel(config), styles.logits_first


class RoomToGrow(styles.Cache):
    """Room is made for four tokens at a time; what is not yet filled is cut off."""

    def update(self, layer, key, value):
        filled = self.real.size(1) - key.size(1)
        held = []
        for store, new in ((self.keys, key), (self.values, value)):
            room = store.get(layer)
            if room is None or room.size(1) < filled + new.size(1):
                larger = new.new_full(
                    (new.size(0), 4 * ((filled + new.size(1)) // 4 + 1), *new.shape[2:]), float("nan")
                )
                larger[:, :filled] = 0 if room is None else room[:, :filled]
                store[layer] = room = larger
            room[:, filled : filled + new.size(1)] = new
            held.append(room[:, : filled + new.size(1)])
        return held


@veriformer.subject(
    "causal-lm",
    steps=veriformer.Steps(
        start=lambda module, batch, longest: RoomToGrow(),
        step=styles.OBJECTS.step,
        reorder=styles.OBJECTS.reorder,
        copy=styles.OBJECTS.copy,
    ),
    **styles.LLAMA,
)
def room_to_grow(config):
    return styles.ObjectModel(config)


PAST_RETURNED = NearMiss(
    id="past-returned-as-tuples",
    sentence="The past comes back with the logits, as a tuple for each layer; a copy of it is the thing itself, because nobody changes it.",
    clauses=(*EVERY_RUN, cache.PAST_PADDING_STAYS_HIDDEN),
    build=past_returned_as_tuples,
)
CHANGED_IN_PLACE = NearMiss(
    id="cache-changed-in-place",
    sentence="The caller makes a cache and the model changes it; copies and reorderings are the caller's.",
    clauses=(*EVERY_RUN, cache.PAST_PADDING_STAYS_HIDDEN),
    build=cache_changed_in_place,
)
BUFFERS = NearMiss(
    id="buffers-set-up-on-the-module",
    sentence="One cache of fixed length stands on the module, is set up anew for each run, and promises no copies.",
    clauses=EVERY_RUN,
    build=buffers_on_the_module,
)
ONE_TOKEN = NearMiss(
    id="one-token-at-a-time",
    sentence="All ids are passed each time, padding is an id, and a step computes one token: chunks are loops of the adapter.",
    clauses=(*EVERY_RUN, cache.PAST_PADDING_STAYS_HIDDEN),
    build=one_token_at_a_time,
)
WHOLE_TEXT = NearMiss(
    id="whole-text-passed",
    sentence="The caller keeps the text and passes all of it; the model cuts off what is in the past.",
    clauses=(*EVERY_RUN, cache.PAST_PADDING_STAYS_HIDDEN),
    build=whole_text_passed,
)
ROLLING = NearMiss(
    id="rolling-buffer",
    sentence="No more than a window of keys is kept, each in the slot of its position modulo the window.",
    clauses=(*EVERY_RUN, cache.WINDOW_HOLDS_ACROSS_THE_CACHE),
    build=rolling_buffer,
)
ONE_SLOT_FEWER = NearMiss(
    id="rolling-buffer-one-slot-fewer",
    sentence="A window of w keeps w - 1 keys, because the new token brings its own.",
    clauses=(cache.WINDOW_HOLDS_ACROSS_THE_CACHE,),
    build=one_slot_fewer,
)
WINDOW_AS_MASK = NearMiss(
    id="window-as-a-mask-over-the-cache",
    sentence="All keys are kept, and the window is a mask over them.",
    clauses=(cache.WINDOW_HOLDS_ACROSS_THE_CACHE, cache.PAST_PADDING_STAYS_HIDDEN),
    build=window_as_a_mask,
)
NO_CACHE = NearMiss(
    id="no-cache-at-all",
    sentence="The state is the text, which is read anew from its beginning in each step.",
    clauses=EVERY_RUN,
    build=no_cache_at_all,
)
TURNED_LATE = NearMiss(
    id="keys-turned-when-read",
    sentence="Keys are kept without their rotary positions, and turned anew in each step.",
    clauses=EVERY_RUN,
    build=keys_turned_when_read,
)
CHOSEN_LATE = NearMiss(
    id="rows-chosen-when-read",
    sentence="A reordering is written down and carried out in the next step; two in a row are composed.",
    clauses=(cache.REORDERING_FOLLOWS_THE_ROWS, cache.A_CACHE_BELONGS_TO_ITS_CALLER),
    build=rows_chosen_later,
)
GROWING = NearMiss(
    id="room-to-grow",
    sentence="Room is made for four tokens at a time, and holds NaN until it is filled.",
    clauses=(cache.CHUNKS_EQUAL_THE_FULL_PASS, cache.A_CACHE_BELONGS_TO_ITS_CALLER),
    build=room_to_grow,
)
