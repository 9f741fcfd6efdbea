"""Near-misses of positions where they are used: legal, unusual, correct."""

# mypy: ignore-errors
# Other people's code, written the way they write it: without types.

import torch

import veriformer
from veriformer.faults.fault import NearMiss
from veriformer.faults.position_bias_foreign import get_slopes
from veriformer.faults.position_models_foreign import Fused, Placed
from veriformer_spec import position


@veriformer.subject("multi-head-attention", positions="rotary", memory="query")
def fused_and_turned(config):
    return Fused(config)


class CountsFromTheEnd(Fused):
    """Positions are negative: the last token stands at 0."""

    def placed(self, q, k, v):
        place = torch.arange(1 - q.shape[-2], 1, device=q.device)
        return self.turn(q, place), self.turn(k, place), v


@veriformer.subject("multi-head-attention", positions="rotary", memory="query")
def counted_from_the_end(config):
    return CountsFromTheEnd(config)


class Sloped(Fused):
    """ALiBi both ways, one bias with the mask."""

    def placed(self, q, k, v):
        return q, k, v

    def bias(self, time, like):
        place = torch.arange(time, device=like.device)
        slopes = torch.tensor(get_slopes(self.heads), dtype=like.dtype, device=like.device)
        return -slopes[:, None, None] * (place[:, None] - place).abs()


@veriformer.subject("multi-head-attention", positions="alibi", memory="query")
def sloped_both_ways(config):
    return Sloped(config)


@veriformer.subject("causal-lm", positions="learned")
def learned_places(config):
    return Placed(config)


FUSED_AND_TURNED = NearMiss(
    id="rotary-behind-a-fused-projection",
    sentence="one projection for queries, keys and values, of which two are turned",
    clauses=(position.ROTARY_LEAVES_VALUES_ALONE, position.ONLY_THE_DIFFERENCE_COUNTS),
    build=fused_and_turned,
)
COUNTED_FROM_THE_END = NearMiss(
    id="rotary-counted-from-the-end",
    sentence="positions count back from the last token: differences are what they were",
    clauses=(position.ONLY_THE_DIFFERENCE_COUNTS, position.ROTARY_LEAVES_VALUES_ALONE),
    build=counted_from_the_end,
)
SLOPED_BOTH_WAYS = NearMiss(
    id="alibi-between-an-encoders-tokens",
    sentence="the distance counts either way, so that a reversed sequence merely reverses the output",
    clauses=(position.POSITIONS_BREAK_PERMUTATION_SYMMETRY, position.ONLY_THE_DIFFERENCE_COUNTS),
    build=sloped_both_ways,
)
LEARNED_PLACES = NearMiss(
    id="learned-places-beside-words",
    sentence="a table of positions beside the words of a small causal model",
    clauses=(position.POSITIONS_ENTER_FOR_EVERY_TOKEN,),
    build=learned_places,
)
