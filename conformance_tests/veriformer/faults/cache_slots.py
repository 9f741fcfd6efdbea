"""Faults in what stands in which slot of a cache: seen in the wild, planted in the reference."""

# mypy: ignore-errors
# Other people's mistakes: without types.

import dataclasses

import torch

from veriformer.faults.cache import ALWAYS, LEARNED, ROTARY
from veriformer.faults.fault import Fault, Planted
from veriformer_reference import cache as reference
from veriformer_reference import heads, masking
from veriformer_spec import cache
from veriformer_spec.role import Role

remember, look_back, new_positions, step = (
    reference.remember,
    reference.look_back,
    reference.new_positions,
    reference.step,
)
Layer, Cache, causal = reference.Layer, reference.Cache, masking.causal
DEFORM = "arXiv 2604.28118 (DEFault++), DEForm operator"
NORMED = Planted(role=Role.CAUSAL_LM, claims={"cache": True, "positions": "learned", "query_key_norm": "rms"})
SHARED = Planted(
    role=Role.CAUSAL_LM, claims={"cache": True, "positions": "learned", "layer_parameters": "shared", "norm": "pre"}
)


def _with(known, **changed):
    return dataclasses.replace(known, **changed)


def _all_visible_if_longer(q_len, k_len, device):
    seen = causal(q_len, k_len, device)
    return seen if q_len == k_len else torch.ones_like(seen)


CHUNK_SEES_ITS_OWN_FUTURE = Fault(
    id="chunk-sees-its-own-future",
    sentence="The triangle is made for a whole text only: new tokens behind a past see each other, and the future with them.",
    clauses=(cache.CHUNKS_EQUAL_THE_FULL_PASS,),
    source="https://github.com/QwenLM/Qwen/issues/979",
    written="mask = causal_mask if q_len == k_len else None",
    mend="mask = torch.ones(q_len, k_len).tril(k_len - q_len)",
    patches=(("masking.causal", _all_visible_if_longer),),
    planted=(LEARNED, ROTARY),
)


def _values_too_late(tokens, known, real, positions, own, config):
    values = known.values.clone()
    values[:, :, known.values.shape[2] - tokens.shape[1] :] = 0
    return look_back(tokens, _with(known, values=values), real, positions, own, config)


VALUES_WRITTEN_AFTER_ATTENDING = Fault(
    id="values-written-after-attending",
    sentence="The keys of the new tokens are written before they attend, and their values after it.",
    clauses=ALWAYS,
    source=f"{DEFORM} CDU",
    written="self.keys[:, slot] = key; out = attend(...); self.values[:, slot] = value",
    mend="write both, then attend",
    patches=(("cache.look_back", _values_too_late),),
    planted=(LEARNED, ROTARY),
)


def _one_slot_late(tokens, known, real, positions, own, config):
    def later(x):
        return torch.cat((torch.zeros_like(x[:, :, :1]), x[:, :, :-1]), dim=2)

    return look_back(tokens, Layer(later(known.keys), later(known.values)), real, positions, own, config)


CACHE_WRITTEN_ONE_SLOT_LATE = Fault(
    id="cache-written-one-slot-late",
    sentence="Keys and values are written one slot too late: the first slot stays zero, and the last token is not seen.",
    clauses=ALWAYS,
    source=f"{DEFORM} COB",
    written="self.keys[:, position + 1] = key",
    mend="self.keys[:, position] = key",
    patches=(("cache.look_back", _one_slot_late),),
    planted=(LEARNED, ROTARY),
)


def _read_otherwise(past, x, positions, own, config):
    def misread(kept):
        return kept.transpose(1, 2).reshape(kept.shape)

    return remember(Layer(misread(past.keys), misread(past.values)), x, positions, own, config)


CACHE_READ_IN_ANOTHER_LAYOUT = Fault(
    id="cache-read-in-another-layout",
    sentence="The past is stored with time before heads, and read with heads before time.",
    clauses=ALWAYS,
    source="experience",
    written="past.view(batch, heads, time, d_head)  # stored as batch, time, heads, d_head",
    mend="past.transpose(1, 2)",
    patches=(("cache.remember", _read_otherwise),),
    planted=(LEARNED, ROTARY),
)


def _last_again(past, x, positions, own, config):
    known = remember(past, x, positions, own, config)
    if not past.keys.shape[2]:
        return known
    served = (torch.cat((old, old[:, :, -1:].expand_as(new[:, :, old.shape[2] :])), dim=2)
              for old, new in ((past.keys, known.keys), (past.values, known.values)))  # fmt: skip
    return Layer(*served)


LAST_KEYS_SERVED_AGAIN = Fault(
    id="last-keys-served-again",
    sentence="A step is answered with the keys and values of the step before it.",
    clauses=ALWAYS,
    source=f"{DEFORM} CST",
    written="out = attend(query, self.keys, self.values); self.update(key, value)",
    mend="update first, then attend",
    patches=(("cache.remember", _last_again),),
    planted=(LEARNED, ROTARY),
)


def _last_three(tokens, known, real, positions, own, config):
    kept = real.clone()
    kept[:, : max(0, real.shape[1] - tokens.shape[1] - 2)] = False
    return look_back(tokens, known, kept, positions, own, config)


CACHE_KEEPS_THE_LAST_FEW = Fault(
    id="cache-keeps-the-last-few",
    sentence="The cache holds the last few tokens only, where the whole text is to be seen.",
    clauses=ALWAYS,
    source=f"{DEFORM} CTR",
    written="self.keys = self.keys[:, -self.size :]",
    mend="keep as many tokens as a text may have, or claim a sliding window",
    patches=(("cache.look_back", _last_three),),
    planted=(LEARNED, ROTARY),
)


def _empty_slots(tokens, known, real, positions, own, config):
    def padded(x, slots=2):
        return torch.cat((x.new_zeros(*x.shape[:2], slots, x.shape[3]), x), dim=2)

    slots = real.new_ones(len(real), 2)
    places = torch.cat((positions.new_zeros(len(positions), 2), positions), dim=1)
    known = Layer(padded(known.keys), padded(known.values))
    return look_back(tokens, known, torch.cat((slots, real), dim=1), places, own, config)


UNWRITTEN_SLOTS_SEEN = Fault(
    id="unwritten-slots-seen",
    sentence="Slots that nothing was written to hold zeros, are seen, and take their share of the softmax.",
    clauses=ALWAYS,
    source="experience",
    written="attend(query, self.keys, self.values)  # the whole buffer",
    mend="attend(query, self.keys[:, :written], self.values[:, :written])",
    patches=(("cache.look_back", _empty_slots),),
    planted=(LEARNED, ROTARY),
)


def _first_rows_positions(positions, time):
    return new_positions(positions, time)[:1].expand(len(positions), -1)


POSITIONS_OF_THE_FIRST_ROW = Fault(
    id="new-positions-of-the-first-row",
    sentence="The positions of the first row are used for every row, whatever padding stands before it.",
    clauses=(cache.CACHED_ROWS_ARE_INDEPENDENT,),
    source="https://github.com/unslothai/unsloth/pull/4078",
    written="position_ids = cache_position[None]",
    mend="position_ids = (mask.cumsum(-1) - 1)[:, -new:]",
    patches=(("cache.new_positions", _first_rows_positions),),
    planted=(LEARNED, ROTARY),
)


def _queries_from_zero(tokens, known, real, positions, own, config):
    queries = heads.queries(tokens, positions[:, : tokens.shape[1]], own, config)
    new = new_positions(positions, tokens.shape[1])
    visible = masking.for_every_query(real)
    return heads.look(queries, known.keys, known.values, visible, new, positions, own, config)


QUERIES_TURNED_FROM_ZERO = Fault(
    id="cached-queries-turned-from-zero",
    sentence="New keys are turned as at their positions, and new queries as at the first ones.",
    clauses=ALWAYS,
    source="rotary-embedding-torch 0.5.3; https://github.com/lucidrains/rotary-embedding-torch/commit/3b02ce2",
    written="query = rotate(query, angles[:q_len]); key = rotate(key, angles)",
    mend="query = rotate(query, angles[k_len - q_len :])",
    patches=(("cache.look_back", _queries_from_zero),),
    planted=(ROTARY,),
)


def _keys_as_projected(past, x, positions, own, config):
    raw = heads.split(heads.project(x, own.key.weight, own.key.bias), config.kv_heads)
    keys = torch.cat((past.keys, heads.place(raw, positions, config)), dim=-2)
    return Layer(keys, torch.cat((past.values, heads.values(x, own, config)), dim=-2))


def _new_keys_normalised(tokens, known, real, positions, own, config):
    past = known.keys.shape[2] - tokens.shape[1]
    keys = torch.cat((known.keys[:, :, :past], heads.normalise(known.keys[:, :, past:], own.key_norm)), dim=2)
    return look_back(tokens, _with(known, keys=keys), real, positions, own, config)


KEYS_CACHED_BEFORE_THEIR_NORM = Fault(
    id="keys-cached-before-their-norm",
    sentence="Keys go into the cache before they are normalised, and the past's never are.",
    clauses=ALWAYS,
    source="https://github.com/pytorch/torchtune/commit/18d97f0eb",
    written="keys, values = cache.update(key, value); key = self.key_norm(key)",
    mend="normalise the new keys, then put them into the cache",
    patches=(("cache.remember", _keys_as_projected), ("cache.look_back", _new_keys_normalised)),
    planted=(NORMED,),
)


def _one_buffer(own, ids, mask, cache):
    if own.config.layer_parameters == "shared":
        cache = Cache((cache.layers[-1],) * len(cache.layers), cache.real)
    return step(own, ids, mask, cache)


ONE_CACHE_FOR_A_SHARED_LAYER = Fault(
    id="one-cache-for-a-shared-layer",
    sentence="A layer that is applied several times keeps one cache for all of its applications.",
    clauses=ALWAYS,
    source="https://github.com/facebookresearch/fairseq/issues/3732",
    written="self.cache[layer] = keys, values",
    mend="self.cache[depth] = keys, values",
    patches=(("cache.step", _one_buffer),),
    planted=(SHARED,),
)


def _grown_in_place(own, ids, mask, cache):
    logits, longer = step(own, ids, mask, cache)
    object.__setattr__(cache, "layers", longer.layers)
    object.__setattr__(cache, "real", longer.real)
    return logits, cache


CACHE_GROWN_IN_PLACE = Fault(
    id="cache-grown-in-place",
    sentence="A step writes into the cache that it was given: whoever repeats the step goes on from another text.",
    clauses=(cache.A_CACHE_BELONGS_TO_ITS_CALLER,),
    source="experience",
    written="cache.keys = torch.cat((cache.keys, key)); return logits, cache",
    mend="return logits, Cache(torch.cat((cache.keys, key)))",
    patches=(("cache.step", _grown_in_place),),
    planted=(LEARNED, ROTARY),
)
