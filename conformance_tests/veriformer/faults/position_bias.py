"""Faults in the biases for distance, ALiBi's slopes and T5's buckets, planted in the reference."""

import torch
from torch import Tensor

from veriformer.faults.fault import Fault, Planted
from veriformer_reference import relative
from veriformer_spec import position, state
from veriformer_spec.role import Role

ALIBI = Planted(role=Role.ATTENTION_BIAS)
ALIBI_BOTH_WAYS = Planted(role=Role.ATTENTION_BIAS, claims={"direction": "bidirectional"})
PAST = Planted(role=Role.ATTENTION_BIAS, claims={"bias_kind": "relative"})
BOTH_WAYS = Planted(role=Role.ATTENTION_BIAS, claims={"bias_kind": "relative", "direction": "bidirectional"})

slopes, power_of_two_slopes, alibi = relative.slopes, relative.power_of_two_slopes, relative.alibi
bucket, bucket_starts, distances = relative.bucket, relative.bucket_starts, relative.distances
one_sided_bucket = relative.one_sided_bucket

SLOPES_IN_REVERSE = Fault(
    id="alibi-slopes-in-reverse",
    sentence="The last head gets the first head's slope.",
    clauses=(position.ALIBI_SLOPES,),
    source="experience",
    written="2.0 ** torch.linspace(-8, -8 / heads, heads)",
    mend="2.0 ** torch.linspace(-8 / heads, -8, heads)",
    patches=(("relative.slopes", lambda heads: slopes(heads)[::-1]),),
    planted=(ALIBI, ALIBI_BOTH_WAYS),
)
SLOPES_FROM_ZERO = Fault(
    id="alibi-exponents-from-zero",
    sentence="The first head's slope is 1: exponents count from zero.",
    clauses=(position.ALIBI_SLOPES,),
    source="experience",
    written="2 ** (-8 / heads * torch.arange(heads))",
    mend="2 ** (-8 / heads * torch.arange(1, heads + 1))",
    patches=(("relative.power_of_two_slopes", lambda heads: [2.0 ** (-8 * head / heads) for head in range(heads)]),),
    planted=(ALIBI,),
)
ONE_SERIES_FOR_EVERY_COUNT = Fault(
    id="alibi-one-series-for-every-count",
    sentence="Where the number of heads is no power of two, the series 2^(-8/n) is used all the same.",
    clauses=(position.ALIBI_SLOPES,),
    source="experience",
    written="slopes = 2 ** (-8 / heads * torch.arange(1, heads + 1))",
    mend="slopes of the power of two below, and then every second one of the power above",
    patches=(("relative.slopes", power_of_two_slopes),),
    planted=(ALIBI, ALIBI_BOTH_WAYS),
)
ALIBI_SIGN_LOST = Fault(
    id="alibi-sign-lost",
    sentence="The bias grows with the distance: far keys are preferred.",
    clauses=(position.ALIBI_SLOPES,),
    source="experience",
    written="slopes * distance",
    mend="-slopes * distance",
    patches=(("relative.alibi", lambda distances, heads: -alibi(distances, heads)),),
    planted=(ALIBI, ALIBI_BOTH_WAYS),
)


def unsigned(apart: Tensor, heads: int) -> Tensor:
    return -torch.tensor(slopes(heads), dtype=torch.float64)[:, None, None] * apart[..., None, :, :]


FUTURE_REWARDED = Fault(
    id="alibi-future-rewarded",
    sentence="The distance keeps its sign where both directions are seen: the future is preferred, the further the better.",
    clauses=(position.ALIBI_SLOPES,),
    source="x-transformers 0.22.2; https://github.com/lucidrains/x-transformers/commit/4ed4d0a",
    written="slopes * (key_positions - query_positions)",
    mend="-slopes * (key_positions - query_positions).abs()",
    patches=(("relative.alibi", unsigned),),
    planted=(ALIBI_BOTH_WAYS,),
)
ONE_SLOPE_FOR_ALL_HEADS = Fault(
    id="alibi-one-slope-for-all-heads",
    sentence="Every head gets the first head's slope.",
    clauses=(position.BIAS_FOLLOWS_THE_DIFFERENCE, position.ALIBI_SLOPES),
    source="experience: slopes broadcast along the wrong axis",
    written="-slopes[0] * distance",
    mend="-slopes[:, None, None] * distance",
    patches=(("relative.slopes", lambda heads: [slopes(heads)[0]] * heads),),
    planted=(ALIBI, ALIBI_BOTH_WAYS),
)


def from_the_start(q_len: int, k_len: int, device: torch.device) -> tuple[Tensor, Tensor]:
    return torch.arange(q_len, device=device)[None], torch.arange(k_len, device=device)[None]


QUERIES_AT_THE_START = Fault(
    id="bias-queries-at-the-start",
    sentence="The queries of a chunk count from zero, beside keys that began earlier.",
    clauses=(position.BIAS_FOLLOWS_THE_DIFFERENCE,),
    source="x-transformers 1.0.1 (T5 bias)",
    written="torch.arange(q_len)[:, None] - torch.arange(k_len)",
    mend="torch.arange(k_len - q_len, k_len)[:, None] - torch.arange(k_len)",
    patches=(("relative.aligned_positions", from_the_start),),
    planted=(ALIBI, PAST, BOTH_WAYS),
)
SQUARED_DISTANCE = Fault(
    id="alibi-distance-squared",
    sentence="The distance is squared.",
    clauses=(position.ALIBI_SLOPES,),
    source="experience: a relative bias of another paper",
    written="-slopes * distance ** 2",
    mend="-slopes * distance",
    patches=(("relative.alibi", lambda distances, heads: alibi(distances.square(), heads)),),
    planted=(ALIBI,),
)


def rounded_up(distance: Tensor, buckets: int, max_distance: int) -> Tensor:
    half = buckets // 2
    steps = (distance.clamp(min=1).double() / half).log() / torch.tensor(max_distance / half).double().log()
    row = half + (steps * (buckets - half)).ceil().long().clamp(max=buckets - half - 1)
    return torch.where(distance < half, distance, row)


LOGARITHM_ROUNDED_UP = Fault(
    id="buckets-rounded-up",
    sentence="The logarithm is rounded up: every shared bucket begins too early.",
    clauses=(position.RELATIVE_BUCKETS,),
    source="experience: math.ceil where the code casts to a whole number",
    written="half + ceil(log(distance / half) / log(max_distance / half) * half)",
    mend="half + (log(distance / half) / log(max_distance / half) * half).long()",
    patches=(("relative.one_sided_bucket", rounded_up),),
    planted=(PAST, BOTH_WAYS),
)
SIGN_OF_THE_DISTANCE_TURNED = Fault(
    id="buckets-sign-turned",
    relabels=True,
    sentence="The distance is key minus query where the buckets expect query minus key.",
    clauses=(position.RELATIVE_BUCKETS,),
    source="experience",
    written="memory_position - context_position, then max(distance, 0)",
    mend="-(memory_position - context_position), then max(distance, 0)",
    patches=(("relative.distances", lambda queries, keys: -distances(queries, keys)),),
    planted=(PAST, BOTH_WAYS),
)
MAX_DISTANCE_OFF_BY_ONE = Fault(
    id="buckets-max-distance-off-by-one",
    sentence="The logarithm is spread up to the distance after max_distance.",
    clauses=(position.RELATIVE_BUCKETS,),
    source="experience",
    written="log((max_distance + 8) / half)",
    mend="log(max_distance / half)",
    patches=(("relative.bucket_starts", lambda buckets, max_distance: bucket_starts(buckets, max_distance + 8)),),
    planted=(PAST, BOTH_WAYS),
)


def one_sided(distance: Tensor, *, buckets: int, max_distance: int, bidirectional: bool) -> Tensor:
    return bucket(distance, buckets=buckets, max_distance=max_distance, bidirectional=not bidirectional)


DIRECTION_OF_THE_OTHER_STACK = Fault(
    id="buckets-of-the-other-direction",
    sentence="The decoder's buckets are used in the encoder, or the encoder's in the decoder.",
    clauses=(position.RELATIVE_BUCKETS,),
    source="x-transformers 0.6.6; https://github.com/lucidrains/x-transformers/commit/6d0c641",
    written="relative_position_bucket(distance)",
    mend="relative_position_bucket(distance, bidirectional=not self.is_decoder)",
    patches=(("relative.bucket", one_sided),),
    planted=(PAST, BOTH_WAYS),
)
BUCKETS_OF_ONE_SIDE_NOT_HALVED = Fault(
    id="buckets-sign-ignored",
    sentence="The future shares the past's buckets: only the size of the distance is looked at.",
    clauses=(position.RELATIVE_BUCKETS,),
    source="experience",
    written="bucket(distance.abs())",
    mend="bucket(distance.abs()) + half * (distance < 0)",
    patches=(
        (
            "relative.bucket",
            lambda distance, *, buckets, max_distance, bidirectional: one_sided_bucket(
                distance.abs(), buckets // 2 if bidirectional else buckets, max_distance
            ),
        ),
    ),
    planted=(BOTH_WAYS,),
)


def reshaped(table: Tensor, chosen: Tensor) -> Tensor:
    return table[chosen].reshape(*chosen.shape[:-2], table.shape[1], *chosen.shape[-2:])


TABLE_RESHAPED = Fault(
    id="bias-reshaped-to-heads-first",
    sentence="The looked-up biases, heads last, are reshaped to heads first: values of one place land at another.",
    clauses=(position.BIAS_FOLLOWS_THE_DIFFERENCE,),
    source="experience: view where permute is meant",
    written="table(buckets).view(heads, q_len, k_len)",
    mend="table(buckets).permute(2, 0, 1)",
    patches=(("relative.look_up", reshaped),),
    planted=(PAST, BOTH_WAYS),
)

MAX_DISTANCE_NOT_PASSED_ON = Fault(
    id="max-distance-not-passed-on",
    sentence="The configured max_distance never reaches the buckets: the default of 128 stays.",
    clauses=(position.RELATIVE_BUCKETS,),
    source="x-transformers 0.7.0; https://github.com/lucidrains/x-transformers/commit/fb7a5d4",
    written="RelativePositionBias(causal=causal)",
    mend="RelativePositionBias(causal=causal, buckets=buckets, max_distance=max_distance)",
    patches=(
        (
            "relative.bucket",
            lambda distance, *, buckets, max_distance, bidirectional: bucket(
                distance, buckets=buckets, max_distance=128, bidirectional=bidirectional
            ),
        ),
    ),
    planted=(PAST, BOTH_WAYS),
)

_KEPT: dict[int, Tensor] = {}


def kept_while_it_is_too_short(distances: Tensor, heads: int) -> Tensor:
    kept = _KEPT.get(heads)
    if kept is None or kept.shape[-1] > distances.shape[-1]:
        kept = _KEPT[heads] = alibi(distances, heads)
    return kept + torch.zeros(distances.shape, dtype=kept.dtype, device=distances.device)[..., None, :, :]


BIAS_KEPT_WHILE_TOO_SHORT = Fault(
    id="bias-kept-while-too-short",
    sentence="The bias of the last call is used again where it is too short, and made anew where it would do.",
    clauses=(state.CALLS_ARE_INDEPENDENT,),
    source="x-transformers 0.17.2 and 0.28.2; https://github.com/lucidrains/x-transformers/commit/fbbc159",
    written="if self.bias is not None and self.bias.shape[-1] <= k_len: return self.bias",
    mend="if self.bias is not None and self.bias.shape[-1] >= k_len: return self.bias[..., :q_len, :k_len]",
    patches=(("relative.alibi", kept_while_it_is_too_short),),
    planted=(Planted(role=Role.MULTI_HEAD_ATTENTION, claims={"positions": "alibi", "memory": "query"}),),
)
