"""Near-misses of the biases for distance: legal, unusual, correct."""

# mypy: ignore-errors
# Other people's code, written the way they write it: without types.

import torch
from torch import nn

import veriformer
from veriformer.faults.fault import NearMiss
from veriformer.faults.position_bias_foreign import KeyPositions, T5Bias, get_slopes, own_table
from veriformer_spec import position


@veriformer.subject("attention-bias", module=None)
def slope_times_key_position(config):
    return KeyPositions(config)


class WithTheMask(nn.Module):
    """As in fairseq: one tensor for the bias and for the mask, minus infinity at the future; each row ends in zero."""

    def __init__(self, config):
        super().__init__()
        self.register_buffer("slopes", torch.tensor(get_slopes(config.heads)))

    def forward(self, q_len, k_len):
        apart = torch.arange(k_len - q_len, k_len)[:, None] - torch.arange(k_len)
        bias = -self.slopes[:, None, None] * apart.to(self.slopes)
        return bias.masked_fill(apart < 0, float("-inf"))


@veriformer.subject("attention-bias")
def bias_and_mask_in_one(config):
    return WithTheMask(config)


def symmetric(config):
    """Closed form, without a special case, in float64."""
    heads = config.heads
    below = 1 << (heads.bit_length() - 1)
    powers = [8 * (head + 1) / below for head in range(below)]
    powers += [4 * (2 * head + 1) / below for head in range(heads - below)]

    def bias(q_len, k_len):
        apart = torch.arange(k_len)[None, :] - torch.arange(k_len - q_len, k_len)[:, None]
        return -torch.stack([2.0**-power * apart.abs().double() for power in powers])

    return bias


@veriformer.subject("attention-bias", direction="bidirectional", module=None)
def both_ways_in_closed_form(config):
    return symmetric(config)


@veriformer.subject("attention-bias", bias_kind="relative", direction="bidirectional", weights=own_table)
def as_in_t5(config):
    return T5Bias(config)


@veriformer.subject("attention-bias", bias_kind="relative", weights=own_table)
def as_in_the_t5_decoder(config):
    return T5Bias(config)


class StartsOfBuckets(nn.Module):
    """Looks distances up among the distances at which buckets begin; the table is stored heads first."""

    def __init__(self, config):
        super().__init__()
        half = config.buckets // 2
        reached = [half * (config.max_distance / half) ** (step / half) for step in range(half)]
        starts = torch.tensor([*range(half), *reached], dtype=torch.float64)
        self.register_buffer("starts", starts, persistent=False)
        self.biases = nn.Parameter(torch.randn(config.heads, config.buckets))

    def forward(self, q_len, k_len):
        device = self.biases.device
        apart = torch.arange(k_len - q_len, k_len, device=device)[:, None] - torch.arange(k_len, device=device)
        rows = torch.searchsorted(self.starts.double(), apart.clamp(min=0).double() + 1e-9) - 1
        return self.biases[:, rows] + 3.0 * torch.arange(q_len, device=device)[:, None]


@veriformer.subject("attention-bias", bias_kind="relative", weights=lambda m: {"table": m.biases.T})
def looked_up_among_starts(config):
    return StartsOfBuckets(config)


KEY_POSITION_TIMES_SLOPE = NearMiss(
    id="alibi-slope-times-key-position",
    sentence="slope times key position, in float32, as in the paper's code: each row is off by a number of its own",
    clauses=(position.ALIBI_SLOPES, position.BIAS_FOLLOWS_THE_DIFFERENCE),
    build=slope_times_key_position,
)
BIAS_AND_MASK_IN_ONE = NearMiss(
    id="alibi-with-the-mask-inside",
    sentence="the causal mask stands in the same tensor as the bias: minus infinity at the future",
    clauses=(position.ALIBI_SLOPES, position.BIAS_FOLLOWS_THE_DIFFERENCE),
    build=bias_and_mask_in_one,
)
BOTH_WAYS_IN_CLOSED_FORM = NearMiss(
    id="alibi-both-ways-in-closed-form",
    sentence="the distance either way, and slopes without a special case",
    clauses=(position.ALIBI_SLOPES,),
    build=both_ways_in_closed_form,
)
AS_IN_T5 = NearMiss(
    id="buckets-as-in-t5",
    sentence="key minus query, with a logarithm in float32, for both directions",
    clauses=(position.RELATIVE_BUCKETS, position.BIAS_FOLLOWS_THE_DIFFERENCE),
    build=as_in_t5,
)
AS_IN_THE_T5_DECODER = NearMiss(
    id="buckets-as-in-the-t5-decoder",
    sentence="the same for the past only; the future reads the bucket of distance 0",
    clauses=(position.RELATIVE_BUCKETS,),
    build=as_in_the_t5_decoder,
)
LOOKED_UP_AMONG_STARTS = NearMiss(
    id="buckets-looked-up-among-their-starts",
    sentence="a search among the distances at which buckets begin; heads first in the table, and another number added to each row",
    clauses=(position.RELATIVE_BUCKETS, position.BIAS_FOLLOWS_THE_DIFFERENCE),
    build=looked_up_among_starts,
)
