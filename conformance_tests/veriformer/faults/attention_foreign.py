"""Faults in attention, written without the reference: einsum, torch.nn.functional, loops."""

# mypy: ignore-errors
# Other people's code, written the way they write it: without types.

import math

import torch
import torch.nn.functional as F
from torch import Tensor

import veriformer
from veriformer.faults.fault import Fault
from veriformer_spec import attention


def shared(query: Tensor, *key_side: Tensor) -> list[Tensor]:
    """Key heads lent to their groups of query heads."""
    return [torch.repeat_interleave(each, query.size(-3) // each.size(-3), dim=-3) for each in key_side]


def logits(query: Tensor, key: Tensor, mask: Tensor | None, factor: float) -> Tensor:
    """Scores with minus infinity added where the mask is False."""
    scores = torch.einsum("...id,...jd->...ij", query, key) * factor
    return scores if mask is None else torch.where(mask, scores, torch.full_like(scores, -torch.inf))


@veriformer.subject("attention", module=None)
def legacy_softmax_axis(config):
    def attend(q, k, v, mask=None):
        k, v = shared(q, k, v)
        weights = F.softmax(logits(q, k, mask, q.size(-1) ** -0.5), dim=1)  # what dim=None means for four axes
        return torch.einsum("bhij,bhjd->bhid", weights, v)

    return attend


@veriformer.subject("attention", module=None)
def queries_in_the_denominator(config):
    def attend(q, k, v, mask=None):
        scores = logits(q, k, mask, q.size(-1) ** -0.5)
        shares = (scores - scores.amax((-2, -1), keepdim=True)).exp()
        return torch.einsum("bhij,bhjd->bhid", shares / shares.sum(2, keepdim=True), v)

    return attend


@veriformer.subject("attention", module=None)
def root_of_the_model_size(config):
    def attend(q, k, v, mask=None):
        temperature = math.sqrt(config.d_model)
        return F.softmax(logits(q / temperature, k, mask, 1.0), dim=-1) @ v

    return attend


@veriformer.subject("attention", module=None)
def scaled_before_a_kernel_that_scales(config):
    def attend(q, k, v, mask=None):
        return F.scaled_dot_product_attention(q * config.d_head**-0.5, k, v, attn_mask=mask)

    return attend


@veriformer.subject("attention", module=None)
def exponentials_of_raw_scores(config):
    def attend(q, k, v, mask=None):
        shares = logits(q, k, mask, q.size(-1) ** -0.5).exp()
        return (shares @ v) / shares.sum(-1).unsqueeze(-1)

    return attend


@veriformer.subject("attention", module=None, value_size="key-size")
def kernel_called_with_the_key_twice(config):
    def attend(q, k, v, mask=None):
        return F.scaled_dot_product_attention(q, k, k, attn_mask=mask)

    return attend


@veriformer.subject("attention", module=None)
def an_extra_column_of_zeros(config):
    def attend(q, k, v, mask=None):
        scores = F.pad(logits(q, k, mask, q.size(-1) ** -0.5), (1, 0))
        return scores.softmax(-1)[..., 1:] @ v

    return attend


@veriformer.subject("attention", module=None)
def written_into_an_empty_query(config):
    def attend(q, k, v, mask=None):
        out = torch.empty_like(q)
        out[:] = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return out

    return attend


@veriformer.subject("attention", module=None)
def distance_penalty(config):
    def attend(q, k, v, mask=None):
        apart = (torch.arange(q.size(2))[:, None] - torch.arange(k.size(2))).abs().to(q)
        return (logits(q, k, mask, q.size(-1) ** -0.5) - 0.05 * apart).softmax(-1) @ v

    return attend


@veriformer.subject("attention", module=None)
def tanh_cap_on_scores(config):
    def attend(q, k, v, mask=None):
        scores = torch.einsum("bhid,bhjd->bhij", q, k) / math.sqrt(q.size(-1))
        scores = 2.0 * torch.tanh(scores / 2.0)
        if mask is not None:
            scores = scores.masked_fill(~mask, -torch.inf)
        return scores.softmax(-1) @ v

    return attend


@veriformer.subject("attention", module=None)
def temperature_by_length(config):
    def attend(q, k, v, mask=None):
        return F.scaled_dot_product_attention(q * math.log(k.size(2) + 1), k, v, attn_mask=mask)

    return attend


@veriformer.subject("attention", module=None)
def weak_weights_dropped(config):
    def attend(q, k, v, mask=None):
        weights = logits(q, k, mask, q.size(-1) ** -0.5).softmax(-1)
        return F.threshold(weights, 0.3, 0.0) @ v

    return attend


@veriformer.subject("attention", module=None)
def queries_in_one_batch_norm(config):
    def attend(q, k, v, mask=None):
        q = (q - q.mean(2, keepdim=True)) / (q.var(2, keepdim=True, correction=0) + 1e-5).sqrt()
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)

    return attend


@veriformer.subject("attention", module=None)
def one_set_of_weights_for_all_heads(config):
    def attend(q, k, v, mask=None):
        weights = logits(q, k, mask, q.size(-1) ** -0.5).softmax(-1).mean(1, keepdim=True)
        return weights @ v

    return attend


@veriformer.subject("attention", module=None)
def nothing_but_zeros(config):
    def attend(q, k, v, mask=None):
        return q.new_zeros(*q.shape[:-1], v.size(-1))

    return attend


@veriformer.subject("attention", module=None, value_size="key-size")
def the_query_itself(config):
    def attend(q, k, v, mask=None):
        return q * 1

    return attend


@veriformer.subject("attention", module=None)
def nothing_but_nan(config):
    def attend(q, k, v, mask=None):
        return q.new_full((*q.shape[:-1], v.size(-1)), torch.nan)

    return attend


@veriformer.subject("attention", module=None)
def mean_of_the_values(config):
    def attend(q, k, v, mask=None):
        if mask is None:
            return v.mean(2, keepdim=True).expand(-1, -1, q.size(2), -1)
        shares = mask.to(v).expand(q.size(0), q.size(1), q.size(2), -1)
        return (shares / shares.sum(-1, keepdim=True)) @ v

    return attend


SOFTMAX_WITHOUT_DIM = Fault(
    id="softmax-without-dim",
    sentence="F.softmax is called without dim, which means the head axis for four axes",
    clauses=(attention.SOFTMAX_RUNS_OVER_KEYS, attention.HEADS_ARE_INDEPENDENT, attention.EQUALS_EQUATION_1),
    source="github.com/jadore801120/attention-is-all-you-need-pytorch/issues/19",
    written="F.softmax(scores)",
    mend="F.softmax(scores, dim=-1)",
    builds=(legacy_softmax_axis,),
)
NORMALISED_OVER_QUERIES = Fault(
    id="normalised-over-queries",
    sentence="the sum in the denominator runs over the queries",
    clauses=(attention.SOFTMAX_RUNS_OVER_KEYS, attention.QUERIES_ARE_INDEPENDENT),
    source="experience",
    written="e / e.sum(2, keepdim=True)",
    mend="e / e.sum(3, keepdim=True)",
    builds=(queries_in_the_denominator,),
)
SCALE_BY_D_MODEL = Fault(
    id="scale-by-d-model",
    sentence="scores are divided by the root of the model's size, not of the head's",
    clauses=(attention.SCALE_IS_AS_CLAIMED, attention.EQUALS_EQUATION_1),
    source="github.com/openspeech-team/openspeech/pull/182",
    written="scores / math.sqrt(d_model)",
    mend="scores / math.sqrt(d_model // heads)",
    builds=(root_of_the_model_size,),
)
PRESCALED_QUERY_IN_FUSED_KERNEL = Fault(
    id="prescaled-query-in-fused-kernel",
    sentence="the query is scaled before a kernel that scales too",
    clauses=(attention.SCALE_IS_AS_CLAIMED,),
    source="experience (corpus sdpa-double-scale)",
    written="F.scaled_dot_product_attention(q * d_head**-0.5, k, v)",
    mend="F.scaled_dot_product_attention(q, k, v)",
    builds=(scaled_before_a_kernel_that_scales,),
)
EXP_OF_RAW_SCORES = Fault(
    id="exp-of-raw-scores",
    sentence="the exponential of a large score overflows",
    clauses=(attention.LARGE_SCORES_STAY_FINITE,),
    source="experience",
    written="e = scores.exp(); (e @ v) / e.sum(-1, keepdim=True)",
    mend="subtract the largest score first",
    builds=(exponentials_of_raw_scores,),
)
KERNEL_GIVEN_THE_KEY_TWICE = Fault(
    id="kernel-given-the-key-twice",
    sentence="the key is passed where the value belongs",
    clauses=(
        attention.OUTPUT_LIES_IN_THE_HULL_OF_THE_VALUES, attention.ONE_KEY_RETURNS_ITS_VALUE,
        attention.WEIGHTS_ARE_A_DISTRIBUTION,
    ),
    source="github.com/awslabs/sockeye/pull/731",
    written="F.scaled_dot_product_attention(q, k, k)",
    mend="F.scaled_dot_product_attention(q, k, v)",
    builds=(kernel_called_with_the_key_twice,),
)  # fmt: skip
ZERO_KEY_ADDED = Fault(
    id="zero-key-added",
    sentence="an extra score of zero takes its share of every softmax",
    clauses=(
        attention.ONE_KEY_RETURNS_ITS_VALUE, attention.DOUBLING_THE_KEYS_CHANGES_NOTHING,
        attention.ADDING_A_CONSTANT_CHANGES_NOTHING, attention.WEIGHTS_ARE_A_DISTRIBUTION,
    ),
    source="experience (add_zero_attn) where plain attention is claimed",
    written="F.pad(scores, (1, 0)).softmax(-1)[..., 1:]",
    mend="scores.softmax(-1)",
    builds=(an_extra_column_of_zeros,),
)  # fmt: skip
OUTPUT_ALLOCATED_LIKE_THE_QUERY = Fault(
    id="output-allocated-like-the-query",
    sentence="the output is allocated in the query's shape",
    clauses=(attention.VALUE_SIZE_MAY_DIFFER_FROM_KEY_SIZE,),
    source="experience (corpus mha-kdim-vdim-ignored)",
    written="out = torch.empty_like(q)",
    mend="out = q.new_empty(*q.shape[:-1], v.size(-1))",
    builds=(written_into_an_empty_query,),
)
DISTANCE_PENALTY_LEFT_IN = Fault(
    id="distance-penalty-left-in",
    sentence="distant keys are penalised, where no positions are claimed",
    clauses=(attention.KEYS_AND_VALUES_PERMUTE_TOGETHER, attention.EQUALS_EQUATION_1),
    source="experience",
    written="scores - slope * (i - j).abs()",
    mend="drop the penalty",
    builds=(distance_penalty,),
)
SCORES_CAPPED = Fault(
    id="scores-capped",
    sentence="scores pass through tanh, where plain attention is claimed",
    clauses=(attention.ADDING_A_CONSTANT_CHANGES_NOTHING, attention.EQUALS_EQUATION_1),
    source="experience (logit soft-capping)",
    written="cap * torch.tanh(scores / cap)",
    mend="scores",
    builds=(tanh_cap_on_scores,),
)
TEMPERATURE_BY_LENGTH = Fault(
    id="temperature-by-length",
    sentence="scores grow with the logarithm of the number of keys",
    clauses=(attention.DOUBLING_THE_KEYS_CHANGES_NOTHING, attention.SCALE_IS_AS_CLAIMED),
    source="experience",
    written="q * math.log(k.size(2))",
    mend="q",
    builds=(temperature_by_length,),
)
WEAK_WEIGHTS_DROPPED = Fault(
    id="weak-weights-dropped",
    sentence="weights below a threshold become zero, and the rest is not normalised again",
    clauses=(attention.WEIGHTS_ARE_A_DISTRIBUTION, attention.SOFTMAX_RUNS_OVER_KEYS),
    source="experience",
    written="F.threshold(weights, 0.3, 0.0) @ v",
    mend="weights @ v",
    builds=(weak_weights_dropped,),
)
QUERIES_NORMALISED_TOGETHER = Fault(
    id="queries-normalised-together",
    sentence="queries are standardised over the sequence",
    clauses=(attention.QUERIES_ARE_INDEPENDENT,),
    source="experience",
    written="(q - q.mean(2, True)) / q.std(2, True)",
    mend="normalise over the last axis",
    builds=(queries_in_one_batch_norm,),
)
WEIGHTS_AVERAGED_OVER_HEADS = Fault(
    id="weights-averaged-over-heads",
    sentence="the weights that are averaged for display are the ones that are used",
    clauses=(attention.HEADS_ARE_INDEPENDENT, attention.EQUALS_EQUATION_1),
    source="experience (average_attn_weights)",
    written="weights.mean(1, keepdim=True) @ v",
    mend="weights @ v",
    builds=(one_set_of_weights_for_all_heads,),
)
UNIFORM_ATTENTION = Fault(
    id="uniform-attention",
    sentence="all visible keys weigh the same",
    clauses=(attention.EQUALS_EQUATION_1,),
    source="experience (scores never reach the softmax)",
    written="v.mean(2, keepdim=True)",
    mend="softmax(q @ k.mT / math.sqrt(d_head)) @ v",
    builds=(mean_of_the_values,),
)
