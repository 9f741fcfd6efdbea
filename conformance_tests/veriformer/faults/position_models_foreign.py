"""Faults of positions where they are used, written without the reference: fused projections, float masks, einsum."""

# mypy: ignore-errors
# Other people's code, written the way they write it: without types.

import torch
from torch import nn
from torch.nn import functional as F

import veriformer
from veriformer.faults.embedding_foreign import LittleModel
from veriformer.faults.fault import Fault
from veriformer.faults.position_bias_foreign import get_slopes
from veriformer.faults.position_rotary_foreign import rotate_half
from veriformer_spec import position


class Fused(nn.Module):
    """Self-attention with one projection for three, and torch's kernel."""

    def __init__(self, config):
        super().__init__()
        self.heads, self.dim = config.heads, config.d_head
        self.qkv = nn.Linear(config.d_model, 3 * config.d_model)
        self.out = nn.Linear(config.d_model, config.d_model)

    def turn(self, x, place=None):
        place = torch.arange(x.shape[-2], device=x.device) if place is None else place
        inverse = 10000.0 ** (-torch.arange(0, self.dim, 2, device=x.device, dtype=x.dtype) / self.dim)
        angles = (place[:, None] * inverse).repeat(1, 2)
        return x * angles.cos() + rotate_half(x) * angles.sin()

    def placed(self, q, k, v):
        return self.turn(q), self.turn(k), v

    def bias(self, time, like):
        return None

    def forward(self, x, memory=None, mask=None):
        batch, time, features = x.shape
        q, k, v = self.qkv(x).view(batch, time, 3, self.heads, self.dim).permute(2, 0, 3, 1, 4)
        q, k, v = self.placed(q, k, v)
        bias = self.bias(time, x)
        if bias is not None and mask is not None:
            bias = bias.masked_fill(~mask, float("-inf"))
        mixed = F.scaled_dot_product_attention(q, k, v, mask if bias is None else bias)
        return self.out(mixed.transpose(1, 2).reshape(batch, time, features))


class TurnsAll(Fused):
    def placed(self, q, k, v):
        return self.turn(q), self.turn(k), self.turn(v)


class QueriesOneAhead(Fused):
    """Turns queries by absolute sines that it adds, and keys as it should."""

    def placed(self, q, k, v):
        time = torch.arange(q.shape[-2], device=q.device)
        return self.turn(q, 2 * time), self.turn(k), v


class SlopeTimesProduct(Fused):
    """The product of the two positions where their difference is meant."""

    def placed(self, q, k, v):
        return q, k, v

    def bias(self, time, like):
        place = torch.arange(time, device=like.device)
        slopes = torch.tensor(get_slopes(self.heads), dtype=like.dtype, device=like.device)
        return -slopes[:, None, None] * (place[:, None] * place)


class BiasForgotten(Fused):
    def placed(self, q, k, v):
        return q, k, v


@veriformer.subject("multi-head-attention", positions="rotary", memory="query")
def turns_values_too(config):
    return TurnsAll(config)


@veriformer.subject("multi-head-attention", positions="rotary", memory="query")
def queries_twice_as_fast(config):
    return QueriesOneAhead(config)


@veriformer.subject("multi-head-attention", positions="alibi", memory="query")
def product_of_positions(config):
    return SlopeTimesProduct(config)


@veriformer.subject("multi-head-attention", positions="alibi", memory="query")
def bias_forgotten(config):
    return BiasForgotten(config)


ALL_THREE_TURNED = Fault(
    id="all-three-turned",
    sentence="Rotary positions turn the whole fused projection, values too.",
    clauses=(position.ROTARY_LEAVES_VALUES_ALONE,),
    source="experience",
    written="qkv = rotate(qkv)",
    mend="q, k = rotate(q), rotate(k)",
    builds=(turns_values_too,),
)
QUERIES_COUNT_OTHERWISE = Fault(
    id="queries-count-otherwise",
    sentence="Queries and keys count positions in different steps, or their positions are multiplied and not subtracted.",
    clauses=(position.ONLY_THE_DIFFERENCE_COUNTS,),
    source="experience",
    written="-slopes * (query * key)",
    mend="-slopes * (query - key).abs()",
    builds=(queries_twice_as_fast, product_of_positions),
)
BIAS_FORGOTTEN_BESIDE_THE_MASK = Fault(
    id="bias-forgotten-beside-the-mask",
    sentence="ALiBi is configured, and nothing is added to the scores.",
    clauses=(position.POSITIONS_BREAK_PERMUTATION_SYMMETRY,),
    source="experience",
    written="scaled_dot_product_attention(q, k, v, mask)",
    mend="scaled_dot_product_attention(q, k, v, bias.masked_fill(~mask, -inf))",
    builds=(bias_forgotten,),
)


class Placed(LittleModel):
    """Learned positions, added to the words."""

    def __init__(self, config):
        super().__init__(config)
        self.places = nn.Embedding(config.max_len, config.d_model)

    def rows(self, ids):
        return self.places(torch.arange(ids.shape[1], device=ids.device))

    def states(self, ids, mask):
        time = ids.shape[1]
        future = torch.ones(time, time, dtype=torch.bool, device=ids.device).triu(1)
        hidden = None if mask is None else ~mask
        return self.stack(self.words(ids) + self.rows(ids), mask=future, src_key_padding_mask=hidden)


class PlacedAlongTheBatch(Placed):
    def rows(self, ids):
        return self.places(torch.arange(ids.shape[0], device=ids.device))[:, None]


class TwoTokensAPlace(Placed):
    def rows(self, ids):
        return self.places(torch.arange(ids.shape[1], device=ids.device) // 2)


class StopsAtTheSecond(Placed):
    def rows(self, ids):
        return self.places(torch.arange(ids.shape[1], device=ids.device).clamp(max=1))


@veriformer.subject("causal-lm", positions="learned")
def placed_along_the_batch(config):
    return PlacedAlongTheBatch(config)


@veriformer.subject("causal-lm", positions="learned")
def two_tokens_a_place(config):
    return TwoTokensAPlace(config)


@veriformer.subject("causal-lm", positions="learned")
def stops_at_the_second(config):
    return StopsAtTheSecond(config)


SEVERAL_TOKENS_AT_ONE_PLACE = Fault(
    id="several-tokens-at-one-place",
    sentence="Tokens share a position: two by two, all after the second, or all of a row.",
    clauses=(position.POSITIONS_ENTER_FOR_EVERY_TOKEN,),
    source="experience",
    written="self.places(torch.arange(ids.shape[0]))[:, None]",
    mend="self.places(torch.arange(ids.shape[1]))",
    builds=(placed_along_the_batch, two_tokens_a_place, stops_at_the_second),
)
