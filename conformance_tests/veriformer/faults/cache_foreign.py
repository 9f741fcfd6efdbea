"""Faults of what a cached step computes, written without the reference: positions, masks, and keys in the wrong place."""

# mypy: ignore-errors
# Other people's code, written the way they write it: without types.

import torch

import veriformer
from veriformer.faults import cache_styles as styles
from veriformer.faults import cache_styles_more as more
from veriformer.faults import cache_styles_text as texts
from veriformer.faults.fault import Fault
from veriformer_spec import cache

ALWAYS = (cache.ONE_BY_ONE_EQUALS_THE_FULL_PASS, cache.CHUNKS_EQUAL_THE_FULL_PASS)


def gpt2(**claims):
    return veriformer.subject("causal-lm", steps=styles.TUPLES, **styles.GPT2, **claims)


def llama(**claims):
    return veriformer.subject("causal-lm", steps=styles.OBJECTS, **styles.LLAMA, **claims)


class PositionsAnew(styles.TupleModel):
    def places(self, real, new):
        return super().places(real[:, -new:], new)


class PositionsOffByOne(styles.TupleModel):
    def places(self, real, new):
        start = real.size(1) - new
        return super().places(real, new) if start == 0 else (super().places(real, new) - 1).clamp(min=0)


class TurnedAnew(styles.ObjectModel):
    def places(self, real, new):
        return torch.arange(new, device=real.device).expand(real.size(0), -1)


@gpt2()
def positions_anew(config):
    return PositionsAnew(config), styles.logits_first


@gpt2()
def positions_off_by_one(config):
    return PositionsOffByOne(config), styles.logits_first


@llama(masks=("none",))
def turned_anew(config):
    return TurnedAnew(config)


CACHE_POSITIONS_WRONG = Fault(
    id="cached-positions-start-anew",
    sentence="The new tokens' positions are counted from zero, or are off by one, when there is a past.",
    clauses=ALWAYS,
    source="https://github.com/karpathy/nanoGPT/issues/95",
    written="pos = torch.arange(0, t)",
    mend="pos = torch.arange(past, past + t)",
    builds=(positions_anew, positions_off_by_one, turned_anew),
)


class PositionOfTheChunk(styles.TupleModel):
    """Right for one token, wrong for more."""

    def places(self, real, new):
        last = real.long().cumsum(-1)[:, -1:] - 1
        return last.expand(-1, new).clamp(min=0) if new < real.size(1) else super().places(real, new)


class AngleOfTheChunk(styles.ObjectAttention):
    """The first new token's angle for all of a chunk's keys."""

    def turn(self, query, key, places):
        if places.size(1) > 1 and bool((places[:, :1] > 0).any()):
            key_places = places[:, :1].expand_as(places)
            return styles.turned(query, places, self.base), styles.turned(key, key_places, self.base)
        return super().turn(query, key, places)


class AngleBlock(styles.ObjectBlock):
    attention = AngleOfTheChunk


class AngleModel(styles.ObjectModel):
    block = AngleBlock


@gpt2()
def one_position_for_a_chunk(config):
    return PositionOfTheChunk(config), styles.logits_first


@llama()
def one_angle_for_a_chunk(config):
    return AngleModel(config)


ONE_POSITION_FOR_A_CHUNK = Fault(
    id="one-position-for-a-whole-chunk",
    sentence="All tokens of a chunk that follows a past get one position, which is right for a chunk of one.",
    clauses=(cache.CHUNKS_EQUAL_THE_FULL_PASS,),
    source="experience",
    written="position = past_length",
    mend="position = past_length + torch.arange(new)",
    builds=(one_position_for_a_chunk, one_angle_for_a_chunk),
)


class PastNotSeen(styles.TupleModel):
    def allowed(self, real, new):
        seen = super().allowed(real, new)
        seen[:, :, : real.size(1) - new] = False
        return seen


class ChunkSeesItsEnd(styles.TupleModel):
    """The past is open, and so is the whole chunk: a triangle is made only where there is no past."""

    def allowed(self, real, new):
        if new < real.size(1):
            return real[:, None].expand(-1, new, -1)
        return super().allowed(real, new)


class SquareInTheCorner(styles.ObjectModel):
    """``tril(new, all)``: the triangle stands at the beginning of the keys."""

    def allowed(self, real, new):
        square = torch.ones(new, real.size(1), dtype=torch.bool, device=real.device).tril()
        return square & real[:, None]


class FirstOfAChunk(styles.TupleModel):
    """Every token of a chunk sees what the first of it may see, and itself."""

    def allowed(self, real, new):
        seen = super().allowed(real, new)
        old = real.size(1) - new
        if old:
            seen[:, :, old:] &= torch.eye(new, dtype=torch.bool, device=real.device)
        return seen


@gpt2()
def past_not_seen(config):
    return PastNotSeen(config), styles.logits_first


@llama()
def square_in_the_corner(config):
    return SquareInTheCorner(config)


@gpt2()
def chunk_sees_its_end(config):
    return ChunkSeesItsEnd(config), styles.logits_first


@gpt2()
def chunk_sees_itself_only(config):
    return FirstOfAChunk(config), styles.logits_first


CHUNK_MASK_IGNORES_THE_PAST = Fault(
    id="chunk-mask-ignores-the-past",
    sentence="The mask of new tokens over all keys is made as if there were no past: it is hidden, or the triangle stands at its beginning.",
    clauses=ALWAYS,
    source="https://github.com/pytorch/pytorch/issues/108108",
    written="F.scaled_dot_product_attention(q, k, v, is_causal=True)",
    mend="mask = torch.ones(q_len, k_len).tril(k_len - q_len); is_causal aligns at the beginning",
    builds=(past_not_seen, square_in_the_corner),
)
CHUNK_WITHOUT_ITS_TRIANGLE = Fault(
    id="chunk-without-its-triangle",
    sentence="Tokens of one chunk all see each other, or none does, once there is a past.",
    clauses=(cache.CHUNKS_EQUAL_THE_FULL_PASS,),
    source="https://github.com/huggingface/transformers/pull/28142",
    written="is_causal = query.size(-2) == key.size(-2)",
    mend="a triangle of q_len by k_len, aligned at the end",
    builds=(chunk_sees_its_end, chunk_sees_itself_only),
)


class JoinedBehind(styles.TupleAttention):
    def join(self, past, key, value):
        return torch.cat((past[0], key), dim=-2), torch.cat((value, past[1]), dim=-2)


class JoinedBlock(styles.TupleBlock):
    attention = JoinedBehind


class JoinedModel(styles.TupleModel):
    block = JoinedBlock


class OneNameForAll(more.IncrementalModel):
    def __init__(self, config):
        super().__init__(config)
        for layer in self.layers:
            layer.self_attn.name = "attn_state"


class SharesTiled(styles.Cache):
    """Keys are put away once for each query head, tiled where the queries expect them interleaved."""

    def update(self, layer, key, value):
        if layer not in self.keys:
            return super().update(layer, key, value)
        key, value = super().update(layer, key, value)
        return key.roll(1, 2), value.roll(1, 2)


@gpt2()
def values_before_the_past(config):
    return JoinedModel(config), styles.logits_first


@veriformer.subject("causal-lm", steps=more.INCREMENTAL_STEPS, **more.INCREMENTAL)
def one_name_for_all_layers(config):
    if config.layers == 1:
        raise veriformer.Unsupported("one layer has one name")
    return OneNameForAll(config), more.whole_with_padding_ids


@veriformer.subject(
    "causal-lm",
    steps=veriformer.Steps(
        start=lambda module, batch, longest: SharesTiled(),
        step=styles.OBJECTS.step,
        reorder=styles.OBJECTS.reorder,
        copy=styles.OBJECTS.copy,
    ),
    **styles.LLAMA,
)
def key_heads_in_another_order(config):
    return styles.ObjectModel(config)


KEYS_AND_VALUES_APART = Fault(
    id="cached-keys-and-values-apart",
    sentence="Keys and values are joined with their past in different orders, under another layer's name, or for other heads.",
    clauses=ALWAYS,
    source="experience",
    written="v = torch.cat((v, past_v), dim=-2)",
    mend="v = torch.cat((past_v, v), dim=-2)",
    builds=(values_before_the_past, one_name_for_all_layers, key_heads_in_another_order),
)


class EmptySlotsSeen(more.BufferModel):
    """Slots that are not yet filled hold zeros, and a key of zeros has a weight."""

    def forward(self, ids, mask=None, input_pos=None):
        if input_pos is not None:
            mask = mask | (torch.arange(mask.size(-1), device=ids.device) > input_pos[:, -1:, None])
        return super().forward(ids, mask, input_pos)


class LastSlotKept(more.Buffers):
    def update(self, key, value):
        self.filled = min(self.filled, self.keys.size(2) - key.size(2) - 1) if self.filled > 3 else self.filled
        return super().update(key, value)


class OneSlotShort(more.BufferAttention):
    def setup_cache(self, batch, longest):
        self.cache = LastSlotKept((batch, self.kv_heads, longest, self.d_head), self.wo.weight)


class OneSlotShortBlock(more.BufferBlock):
    attention = OneSlotShort


class OneSlotShortModel(more.BufferModel):
    block = OneSlotShortBlock


@veriformer.subject("causal-lm", steps=more.BUFFER_STEPS, **more.BUFFERED)
def empty_slots_seen(config):
    return EmptySlotsSeen(config), more.whole_with_rows


@veriformer.subject("causal-lm", steps=more.BUFFER_STEPS, **more.BUFFERED)
def one_slot_short(config):
    return OneSlotShortModel(config), more.whole_with_rows


EMPTY_SLOTS_SEEN = Fault(
    id="empty-slots-of-a-buffer-seen",
    sentence="Attention runs over the whole buffer, and slots that nothing was written to are seen.",
    clauses=ALWAYS,
    source="experience",
    written="scores = q @ self.k_cache.transpose(-1, -2)",
    mend="mask the slots from filled on",
    builds=(empty_slots_seen,),
)
BUFFER_ONE_SLOT_SHORT = Fault(
    id="buffer-one-slot-short",
    sentence="At the longest length the last slot is not used, and the one before it is written twice.",
    clauses=(cache.CHUNKS_EQUAL_THE_FULL_PASS,),
    source="experience",
    written="slot = min(slot, longest - 2)",
    mend="slots 0 to longest - 1 are all used",
    builds=(one_slot_short,),
)


class OnlyTheLast(texts.TextModel):
    def cut(self, text, past):
        return text if past is None else text[:, -1:]


@veriformer.subject("causal-lm", steps=texts.TEXT_STEPS, **texts.BLOOM)
def only_the_last_is_read(config):
    return OnlyTheLast(config), styles.logits_first


ONLY_THE_LAST_IS_READ = Fault(
    id="only-the-last-token-is-read",
    sentence="With a past, the last token of the text is computed and the others of the chunk are lost.",
    clauses=(cache.CHUNKS_EQUAL_THE_FULL_PASS,),
    source="https://github.com/huggingface/transformers/pull/25076",
    written="if past is not None: input_ids = input_ids[:, -1:]",
    mend="input_ids[:, past_length:]",
    builds=(only_the_last_is_read,),
)
