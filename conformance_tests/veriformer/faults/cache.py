"""Faults of the cache, planted in the reference."""

# mypy: ignore-errors
# Other people's mistakes: without types.

import torch

from veriformer.faults.fault import Fault, Planted
from veriformer_reference import cache as reference
from veriformer_spec import cache
from veriformer_spec.role import Role

remember, tokens_so_far, new_positions = reference.remember, reference.tokens_so_far, reference.new_positions
start, step = reference.start, reference.step
Layer, Cache = reference.Layer, reference.Cache

LEARNED = Planted(
    role=Role.CAUSAL_LM, claims={"cache": True, "positions": "learned", "padding_sides": ("right", "left")}
)
ROTARY = Planted(
    role=Role.CAUSAL_LM,
    claims={
        "cache": True,
        "positions": "rotary",
        "kv_heads": "grouped",
        "norm": "pre",
        "padding_sides": ("right", "left", "interior"),
    },
)
WINDOW = Planted(role=Role.CAUSAL_LM, claims={"cache": True, "positions": "alibi", "sliding_window": True})
ALWAYS = (cache.ONE_BY_ONE_EQUALS_THE_FULL_PASS, cache.CHUNKS_EQUAL_THE_FULL_PASS)


def _first_positions(positions, time):
    return positions[:, :time]


def _one_too_late(positions, time):
    return (new_positions(positions, time) - int(positions.shape[1] > time)).clamp(min=0)


POSITIONS_FROM_ZERO = Fault(
    id="new-positions-counted-from-zero",
    sentence="The new tokens take the first positions, as if nothing had been read.",
    clauses=ALWAYS,
    source="https://github.com/karpathy/nanoGPT/issues/95",
    written="positions[:, :new]",
    mend="positions[:, -new:]",
    patches=(("cache.new_positions", _first_positions),),
    planted=(LEARNED, ROTARY, WINDOW),
)
POSITION_OFF_BY_ONE = Fault(
    id="cache-position-off-by-one",
    sentence="A token that follows a past takes the position of the one before it.",
    clauses=ALWAYS,
    source="experience",
    written="position = past_length - 1",
    mend="position = past_length",
    patches=(("cache.new_positions", _one_too_late),),
    planted=(LEARNED, ROTARY),
)


def _put_in_front(past, x, positions, own, config):
    known = remember(past, x, positions, own, config)
    old = past.keys.shape[-2]
    return Layer(known.keys.roll(-old, -2), known.values.roll(-old, -2))


def _values_rolled(past, x, positions, own, config):
    known = remember(past, x, positions, own, config)
    return Layer(known.keys, known.values.roll(1, -2)) if past.keys.shape[-2] else known


NEW_KEYS_IN_FRONT = Fault(
    id="new-keys-in-front",
    sentence="New keys and values are put in front of the past, or values behind another key.",
    clauses=(cache.CHUNKS_EQUAL_THE_FULL_PASS,),
    source="experience",
    written="torch.cat((key, past_key), dim=-2)",
    mend="torch.cat((past_key, key), dim=-2)",
    patches=(("cache.remember", _put_in_front),),
    planted=(LEARNED, ROTARY),
)
VALUES_BEHIND_ANOTHER_KEY = Fault(
    id="cached-values-behind-another-key",
    sentence="Values are kept in another order than their keys.",
    clauses=ALWAYS,
    source="experience",
    written="values.roll(1, dim=-2)",
    mend="write keys and values to the same slots",
    patches=(("cache.remember", _values_rolled),),
    planted=(LEARNED, WINDOW),
)


def _first_of_the_chunk(past, x, positions, own, config):
    chunk = past.keys.shape[-2] and positions.shape[1] > 1
    return remember(past, x, positions[:, :1].expand_as(positions) if chunk else positions, own, config)


CHUNK_TURNED_BY_ONE_ANGLE = Fault(
    id="chunk-turned-by-one-angle",
    sentence="The rotary offset is the cached length for every key of a chunk.",
    clauses=(cache.CHUNKS_EQUAL_THE_FULL_PASS,),
    source="experience",
    written="turn(key, offset)",
    mend="turn(key, offset + torch.arange(new))",
    patches=(("cache.remember", _first_of_the_chunk),),
    planted=(ROTARY,),
)


def _new_tokens_only(real, ids, mask):
    whole = tokens_so_far(real, ids, mask)
    return torch.cat((torch.ones_like(real), whole[:, real.shape[1] :]), dim=1)


def _first_row(real, ids, mask):
    whole = tokens_so_far(real, ids, mask)
    return whole[:1].expand_as(whole)


MASK_FOR_NEW_TOKENS_ONLY = Fault(
    id="mask-for-new-tokens-only",
    sentence="The mask speaks of the new tokens; whatever is in the cache counts as real.",
    clauses=(cache.PAST_PADDING_STAYS_HIDDEN,),
    source="https://github.com/huggingface/transformers/issues/19475",
    written="mask = mask[:, -new:]; past = torch.ones(batch, past_length)",
    mend="the caller's mask covers past and new",
    patches=(("cache.tokens_so_far", _new_tokens_only),),
    planted=(LEARNED, ROTARY),
)
MASK_OF_THE_FIRST_ROW = Fault(
    id="cached-mask-of-the-first-row",
    sentence="The first row's padding is every row's padding.",
    clauses=(cache.CACHED_ROWS_ARE_INDEPENDENT, cache.PAST_PADDING_STAYS_HIDDEN),
    source="experience",
    written="mask = mask[0]",
    mend="a row of the mask for each row",
    patches=(("cache.tokens_so_far", _first_row),),
    planted=(LEARNED, ROTARY),
)


def _window_from_the_start(past, x, positions, own, config):
    """Keeps one token of the past too few: the oldest that the window still shows is overwritten."""
    known = remember(past, x, positions, own, config)
    seam = past.keys.shape[-2]
    if seam < config.window - 1 or config.window < 2:
        return known
    keys, values = known.keys.clone(), known.values.clone()
    keys[..., seam - config.window + 1, :] = values[..., seam - config.window + 1, :] = 0
    return Layer(keys, values)


WINDOW_DROPS_ONE_TOO_MANY = Fault(
    id="window-drops-one-too-many",
    sentence="The cache drops a token that the window of the next one still shows.",
    clauses=(cache.WINDOW_HOLDS_ACROSS_THE_CACHE,),
    source="transformers 4.51.3 SlidingWindowCache; https://github.com/huggingface/transformers/issues/37574",
    written="cache = cache[:, -(window - 2):]",
    mend="keep the last window - 1, and the new tokens' own",
    patches=(("cache.remember", _window_from_the_start),),
    planted=(WINDOW,),
)


def _goes_on(own, batch, longest):
    last = getattr(own, "last", None)
    if last is None or last.real.shape[0] != batch or last.real.shape[1] >= longest:
        return start(own, batch, longest)
    return last


def _and_remembers(own, ids, mask, known):
    if mask is not None and mask.shape[1] != known.real.shape[1] + ids.shape[1]:
        mask = torch.cat((known.real, mask[:, -ids.shape[1] :]), dim=1)
    logits, own.last = step(own, ids, mask, known)
    return logits, own.last


START_GOES_ON = Fault(
    id="start-goes-on-where-the-last-run-stopped",
    sentence="The module keeps the last cache, and a new run begins with it.",
    clauses=(cache.A_CACHE_BELONGS_TO_ITS_CALLER,),
    source="https://github.com/openai/whisper/pull/1483",
    written="cache = self.cache or new_cache()",
    mend="a new cache for each run",
    patches=(("cache.start", _goes_on), ("cache.step", _and_remembers)),
    planted=(LEARNED, ROTARY),
)


def _keys_only(_own, known, rows):
    return Cache(tuple(Layer(layer.keys[rows], layer.values) for layer in known.layers), known.real[rows])


def _inverse(_own, known, rows):
    rows = torch.argsort(rows, stable=True)
    return Cache(tuple(Layer(layer.keys[rows], layer.values[rows]) for layer in known.layers), known.real[rows])


KEYS_REORDERED_ALONE = Fault(
    id="keys-reordered-and-values-not",
    sentence="A reordering by rows moves the keys, and leaves the values.",
    clauses=(cache.REORDERING_FOLLOWS_THE_ROWS,),
    source="https://github.com/facebookresearch/fairseq/issues/2158",
    written="keys = keys[rows]",
    mend="keys, values = keys[rows], values[rows]",
    patches=(("cache.reorder", _keys_only),),
    planted=(LEARNED, ROTARY),
)
INVERSE_REORDERING = Fault(
    id="cache-reordered-by-the-inverse",
    sentence="Rows go where they should come from.",
    clauses=(cache.REORDERING_FOLLOWS_THE_ROWS,),
    source="experience",
    written="new[rows] = old",
    mend="new = old[rows]",
    patches=(("cache.reorder", _inverse),),
    planted=(LEARNED,),
)


def _in_float32(past, x, positions, own, config):
    known = remember(past, x, positions, own, config)
    return Layer(known.keys.float().to(x.dtype), known.values.float().to(x.dtype))


CACHE_ROUNDED = Fault(
    id="cache-rounded-to-float32",
    sentence="Keys and values are kept in float32, whatever dtype the model has.",
    clauses=(cache.NOTHING_IS_ROUNDED_IN_THE_CACHE,),
    source="https://github.com/pytorch/torchtune/pull/423",
    written="torch.empty(shape)",
    mend="torch.empty(shape, dtype=key.dtype, device=key.device)",
    patches=(("cache.remember", _in_float32),),
    planted=(LEARNED, ROTARY),
)
