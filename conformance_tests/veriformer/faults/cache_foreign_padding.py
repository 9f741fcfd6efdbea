"""Faults of padding that a cache holds, written without the reference: seen, counted, or one row's taken for all."""

# mypy: ignore-errors
# Other people's code, written the way they write it: without types.

import torch

import veriformer
from veriformer.faults import cache_styles as styles
from veriformer.faults import cache_styles_more as more
from veriformer.faults.cache_foreign import gpt2, llama
from veriformer.faults.fault import Fault
from veriformer_spec import cache


class ShareTheFirstLength(styles.ObjectModel):
    """Row 0 says for all rows which tokens are real."""

    def real(self, ids, mask, cache):
        real = super().real(ids, mask, cache)
        return real if cache is None else real[:1].expand_as(real)


class PastAlwaysReal(styles.ObjectModel):
    """The cache remembers no padding: what is in it is seen."""

    def real(self, ids, mask, cache):
        real = super().real(ids, mask, cache)
        if cache is None or real.size(1) == ids.size(1):
            return real
        return torch.cat((torch.ones_like(real[:, : -ids.size(1)]), real[:, -ids.size(1) :]), 1)


class PlacesByIndex(styles.TupleModel):
    """Positions count real tokens in the prompt, and the length of the cache afterwards."""

    def places(self, real, new):
        if new < real.size(1):
            return torch.arange(real.size(1), device=real.device)[-new:].expand(real.size(0), -1)
        return super().places(real, new)


class PaddingForgotten(more.IncrementalAttention):
    def remember(self, state, key, value, padding):
        key, value, kept = super().remember(state, key, value, padding)
        return key, value, torch.cat((torch.zeros_like(kept[:, : -padding.size(1)]), padding), 1)


class PaddingForgottenLayer(more.IncrementalLayer):
    attention = PaddingForgotten


class PaddingForgottenModel(more.IncrementalModel):
    layer = PaddingForgottenLayer


@llama()
def past_always_real(config):
    return PastAlwaysReal(config)


@gpt2()
def places_by_index(config):
    return PlacesByIndex(config), styles.logits_first


@veriformer.subject("causal-lm", steps=more.INCREMENTAL_STEPS, **more.INCREMENTAL)
def padding_forgotten(config):
    return PaddingForgottenModel(config), more.whole_with_padding_ids


@llama()
def first_row_speaks_for_all(config):
    return ShareTheFirstLength(config)


PADDING_IN_THE_PAST_SEEN = Fault(
    id="padding-in-the-cache-seen",
    sentence="The mask covers the new tokens alone, so that padding in the cache is seen, or positions count it.",
    clauses=(cache.PAST_PADDING_STAYS_HIDDEN,),
    source="https://github.com/huggingface/transformers/issues/19475",
    written="attention_mask = attention_mask[:, -new:]",
    mend="a mask over past and new tokens, and positions that count real tokens",
    builds=(past_always_real, places_by_index, padding_forgotten),
)
FIRST_ROW_SPEAKS_FOR_ALL = Fault(
    id="first-row-speaks-for-all",
    sentence="Which cached tokens are real is kept for one row and used for all.",
    clauses=(cache.CACHED_ROWS_ARE_INDEPENDENT, cache.PAST_PADDING_STAYS_HIDDEN),
    source="experience",
    written="length = cache.lengths[0]",
    mend="a length and a mask for each row",
    builds=(first_row_speaks_for_all,),
)
