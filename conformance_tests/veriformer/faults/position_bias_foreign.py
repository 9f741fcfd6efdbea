"""Faults of the biases for distance, written without the reference: as in T5's code, BLOOM's, and by hand."""

# mypy: ignore-errors
# Other people's code, written the way they write it: without types.

import math

import torch
from torch import nn

import veriformer
from veriformer.faults.fault import Fault
from veriformer_spec import position


def get_slopes(n):
    """As the paper's repository writes it."""

    def power_of_2(n):
        start = 2 ** (-(2 ** -(math.log2(n) - 3)))
        return [start * start**i for i in range(n)]

    if math.log2(n).is_integer():
        return power_of_2(n)
    closest = 2 ** math.floor(math.log2(n))
    return power_of_2(closest) + get_slopes(2 * closest)[0::2][: n - closest]


class KeyPositions:
    """The paper's trick: slope times key position, because softmax does not see what a whole row has in common."""

    def __init__(self, config):
        self.heads = config.heads

    def slopes(self):
        return get_slopes(self.heads)

    def __call__(self, q_len, k_len):
        bias = torch.tensor(self.slopes())[:, None, None] * torch.arange(k_len)
        return bias.expand(self.heads, q_len, k_len)


class NextPowerCut(KeyPositions):
    """Takes the power of two above, and as many slopes as there are heads."""

    def slopes(self):
        above = 2 ** math.ceil(math.log2(self.heads))
        return get_slopes(above)[: self.heads]


class SecondOnesFromTheSecond(KeyPositions):
    def slopes(self):
        below = 2 ** math.floor(math.log2(self.heads))
        return get_slopes(below) + get_slopes(2 * below)[1::2][: self.heads - below]


class BaseIsTheCount(KeyPositions):
    """The head's number goes into the exponent, and the number of heads does not."""

    def slopes(self):
        return [2.0 ** -(head + 1) for head in range(self.heads)]


class KeyPositionsReversed(KeyPositions):
    """Counts the keys backwards, so that the furthest is preferred."""

    def __call__(self, q_len, k_len):
        return super().__call__(q_len, k_len).flip(-1)


@veriformer.subject("attention-bias", module=None)
def next_power_cut(config):
    return NextPowerCut(config)


@veriformer.subject("attention-bias", module=None)
def second_ones_from_the_second(config):
    return SecondOnesFromTheSecond(config)


@veriformer.subject("attention-bias", module=None)
def base_is_the_count(config):
    return BaseIsTheCount(config)


@veriformer.subject("attention-bias", module=None)
def key_positions_reversed(config):
    return KeyPositionsReversed(config)


SLOPES_OF_ANOTHER_COUNT = Fault(
    id="alibi-slopes-of-another-count",
    sentence="Slopes are those of the power of two above, the wrong half of them, or the same for every number of heads.",
    clauses=(position.ALIBI_SLOPES,),
    source="experience",
    written="get_slopes(2 ** math.ceil(math.log2(heads)))[:heads]",
    mend="get_slopes(heads), as the paper's code has it",
    builds=(next_power_cut, second_ones_from_the_second, base_is_the_count),
)
KEYS_COUNTED_BACKWARDS = Fault(
    id="alibi-keys-counted-backwards",
    sentence="Key positions count from the end: the first key is preferred.",
    clauses=(position.ALIBI_SLOPES,),
    source="experience",
    written="slopes * torch.arange(k_len).flip(-1)",
    mend="slopes * torch.arange(k_len)",
    builds=(key_positions_reversed,),
)


class FirstSquare(nn.Module):
    """The bias of the largest square, cut at its front for fewer queries."""

    def __init__(self, config):
        super().__init__()
        places = torch.arange(config.max_len)
        apart = (places[:, None] - places).abs()
        self.register_buffer("bias", -torch.tensor(get_slopes(config.heads))[:, None, None] * apart)

    def forward(self, q_len, k_len):
        return self.bias[:, :q_len, :k_len]


class ShareOfTheLength(nn.Module):
    """Distances as shares of the length."""

    def __init__(self, config):
        super().__init__()
        self.heads = config.heads

    def forward(self, q_len, k_len):
        apart = (torch.arange(k_len - q_len, k_len)[:, None] - torch.arange(k_len)).abs() / k_len
        return -torch.tensor(get_slopes(self.heads))[:, None, None] * apart


@veriformer.subject("attention-bias", direction="bidirectional")
def cut_at_the_front(config):
    return FirstSquare(config)


@veriformer.subject("attention-bias")
def shares_of_the_length(config):
    return ShareOfTheLength(config)


BIAS_CUT_AT_THE_FRONT = Fault(
    id="bias-cut-at-the-front",
    sentence="A square of biases is cut at its front where queries stand at the end, or distances are shares of the length.",
    clauses=(position.BIAS_FOLLOWS_THE_DIFFERENCE, position.ALIBI_SLOPES),
    source="experience",
    written="self.bias[:, :q_len, :k_len]",
    mend="self.bias[:, k_len - q_len : k_len, :k_len]",
    builds=(cut_at_the_front, shares_of_the_length),
)


class T5Bias(nn.Module):
    """As in T5's PyTorch code: the relative position is key minus query, and the logarithm is taken in float32."""

    def __init__(self, config):
        super().__init__()
        self.buckets, self.reach = config.buckets, config.max_distance
        self.bidirectional = config.direction == "bidirectional"
        self.table = nn.Embedding(config.buckets, config.heads)

    def bucket(self, relative_position, num_buckets, max_distance):
        relative_buckets = 0
        if self.bidirectional:
            num_buckets //= 2
            relative_buckets += (relative_position > 0).to(torch.long) * num_buckets
            relative_position = torch.abs(relative_position)
        else:
            relative_position = -torch.min(relative_position, torch.zeros_like(relative_position))
        max_exact = num_buckets // 2
        is_small = relative_position < max_exact
        if_large = max_exact + (
            torch.log(relative_position.float() / max_exact)
            / math.log(max_distance / max_exact)
            * (num_buckets - max_exact)
        ).to(torch.long)
        if_large = torch.min(if_large, torch.full_like(if_large, num_buckets - 1))
        relative_buckets += torch.where(is_small, relative_position, if_large)
        return relative_buckets

    def places(self, q_len, k_len):
        device = self.table.weight.device
        return torch.arange(k_len - q_len, k_len, device=device)[:, None], torch.arange(k_len, device=device)[None, :]

    def forward(self, q_len, k_len):
        context, memory = self.places(q_len, k_len)
        buckets = self.bucket(memory - context, self.buckets, self.reach)
        return self.table(buckets).permute(2, 0, 1)


class QueryMinusKey(T5Bias):
    def bucket(self, relative_position, num_buckets, max_distance):
        return super().bucket(-relative_position, num_buckets, max_distance)


class DefaultReach(T5Bias):
    """max_distance is not passed on, so that the default of 128 holds."""

    def bucket(self, relative_position, num_buckets, max_distance):
        return super().bucket(relative_position, num_buckets, 128)


class AllBucketsForEachSide(T5Bias):
    """The number of buckets is halved for the offset, and not for the logarithm."""

    def bucket(self, relative_position, num_buckets, max_distance):
        size = relative_position.abs()
        exact = num_buckets // 4
        large = exact + ((size / exact).log() / math.log(max_distance / exact) * (num_buckets - exact)).long()
        side = torch.where(size < exact, size, large).clamp(max=num_buckets // 2 - 1)
        return side + (relative_position > 0).long() * (num_buckets // 2)


class Clipped(T5Bias):
    """Shaw et al.'s clipping in the place of logarithmic buckets."""

    def bucket(self, relative_position, num_buckets, max_distance):
        return relative_position.clamp(1 - num_buckets, 0).abs()


class OnePlaceFromZero(T5Bias):
    def places(self, q_len, k_len):
        return torch.arange(q_len)[:, None], torch.arange(k_len)[None, :]


def own_table(module):
    return {"table": module.table.weight}


@veriformer.subject("attention-bias", bias_kind="relative", direction="bidirectional", weights=own_table)
def halves_exchanged(config):
    return QueryMinusKey(config)


@veriformer.subject("attention-bias", bias_kind="relative")
def past_and_future_exchanged(config):
    return QueryMinusKey(config)


@veriformer.subject("attention-bias", bias_kind="relative")
def default_reach(config):
    return DefaultReach(config)


@veriformer.subject("attention-bias", bias_kind="relative", direction="bidirectional")
def all_buckets_for_each_side(config):
    return AllBucketsForEachSide(config)


@veriformer.subject("attention-bias", bias_kind="relative")
def clipped(config):
    return Clipped(config)


@veriformer.subject("attention-bias", bias_kind="relative")
def chunk_from_zero(config):
    return OnePlaceFromZero(config)


QUERY_MINUS_KEY = Fault(
    id="buckets-of-query-minus-key",
    sentence="The buckets expect key minus query and get query minus key: past and future change places.",
    clauses=(position.RELATIVE_BUCKETS,),
    source="experience",
    written="bucket(query_position - key_position)",
    mend="bucket(key_position - query_position)",
    builds=(halves_exchanged, past_and_future_exchanged),
)
BUCKETS_OF_ANOTHER_SHAPE = Fault(
    id="buckets-of-another-shape",
    sentence="max_distance is not passed on, the logarithm counts the buckets of both sides, or distances are clipped.",
    clauses=(position.RELATIVE_BUCKETS,),
    source="experience",
    written="relative_position_bucket(distance, num_buckets=32)",
    mend="relative_position_bucket(distance, num_buckets=32, max_distance=config.max_distance)",
    builds=(default_reach, all_buckets_for_each_side, clipped),
)
BUCKETS_OF_A_CHUNK_FROM_ZERO = Fault(
    id="buckets-of-a-chunk-from-zero",
    sentence="With a cache there is one query, and its position is taken to be zero.",
    clauses=(position.BIAS_FOLLOWS_THE_DIFFERENCE,),
    source="experience",
    written="torch.arange(q_len)[:, None]",
    mend="torch.arange(k_len - q_len, k_len)[:, None]",
    builds=(chunk_from_zero,),
)
