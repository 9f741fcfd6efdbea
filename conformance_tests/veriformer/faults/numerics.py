"""Faults in dtypes and rounding: planted in the reference, written without it, and near-misses."""

# mypy: ignore-errors
# Other people's code, written the way they write it: without types.

import math

import torch
from torch import nn

import veriformer
from veriformer.faults import tutorial
from veriformer.faults.fault import Fault, NearMiss, Planted
from veriformer_reference import attention
from veriformer_spec import numerics
from veriformer_spec.role import Role

scores = attention.scores
ATTENDING = (Planted(role=Role.ATTENTION), Planted(role=Role.MULTI_HEAD_ATTENTION), Planted(role=Role.ENCODER_LAYER))


def _added_in_float32(scores, mask):
    return scores + (~mask).float() * -1e9


MASK_MADE_IN_FLOAT32 = Fault(
    id="mask-made-in-float32",
    sentence="the mask is turned into float32 numbers, which lift halves to float32 where they are added",
    clauses=(numerics.DTYPE_IN_IS_DTYPE_OUT, numerics.HALF_PRECISION_MASKS_STAY_FINITE),
    source="experience",
    written="scores + (1.0 - mask.float()) * -1e9",
    mend="scores.masked_fill(~mask, -inf)",
    patches=(("masking.hide", _added_in_float32),),
    planted=ATTENDING,
)


def _summed_in_bfloat16(query, key, factor):
    return scores(query.bfloat16(), key.bfloat16(), factor).to(query.dtype)


SCORES_IN_BFLOAT16 = Fault(
    id="scores-in-bfloat16",
    sentence="scores are multiplied and summed in bfloat16, and cast back",
    clauses=(numerics.ERROR_IS_WITHIN_ROUNDING, numerics.NOTHING_IS_ROUNDED_ON_THE_WAY),
    source="arXiv 2604.28118 (DEFault++), operator KRP",
    written="(q.bfloat16() @ k.bfloat16().mT).float()",
    mend="q @ k.mT, in the dtype that came in",
    patches=(("attention.scores", _summed_in_bfloat16),),
    planted=ATTENDING,
)


def _never_widened(dtype, computes_in):
    return dtype


FLOAT32_CLAIMED_AND_NOT_USED = Fault(
    id="float32-claimed-and-not-used",
    sentence="computing in float32 is claimed, and the norm stays in the dtype that came in",
    clauses=(numerics.FLOAT32_INSIDE_IS_AS_CLAIMED,),
    source="experience",
    written='@veriformer.subject("rms-norm", computes_in="float32")',
    mend="leave the claim out, or cast: x.float()",
    patches=(("normalization.working_dtype", _never_widened),),
    planted=(
        Planted(role=Role.RMS_NORM, claims={"computes_in": "float32"}),
        Planted(role=Role.LAYER_NORM, claims={"computes_in": "float32"}),
    ),
)


def _minus_a_billion(scores, mask):
    return scores.masked_fill(~mask, -1e9)


MINUS_A_BILLION_IN_A_HALF = Fault(
    id="minus-a-billion-in-a-half",
    sentence="-1e9 does not fit into float16, which ends at 65504",
    clauses=(numerics.HALF_PRECISION_MASKS_STAY_FINITE,),
    source="https://github.com/huggingface/transformers/pull/4436",
    written="scores.masked_fill(mask == 0, -1e9)",
    mend="scores.masked_fill(mask == 0, -inf), or torch.finfo(scores.dtype).min",
    patches=(("masking.hide", _minus_a_billion),),
    planted=ATTENDING,
)


@veriformer.subject("positional-encoding")
def plain_float32_table(config):
    class Table(nn.Module):
        def __init__(self):
            super().__init__()
            self.pe = tutorial.sinusoids(config.max_len, config.d_model, dtype=torch.float32)

        def forward(self, x):
            return x + self.pe[: x.shape[1]].to(x.device)

    return Table()


TABLE_STAYS_IN_FLOAT32 = Fault(
    id="table-stays-in-float32",
    sentence="a float32 table in a plain attribute lifts bfloat16 to float32, and lowers float64",
    clauses=(numerics.DTYPE_IN_IS_DTYPE_OUT, numerics.NOTHING_IS_ROUNDED_ON_THE_WAY),
    source="experience",
    written="self.pe = table.float()",
    mend='self.register_buffer("pe", table)',
    builds=(plain_float32_table,),
)


@veriformer.subject("multi-head-attention")
def softmax_in_a_half(config):
    class Half(tutorial.Attention):
        def weigh(self, scores):
            return scores.half().softmax(-1).type_as(scores)

    return Half(config)


SOFTMAX_IN_A_HALF = Fault(
    id="softmax-in-a-half",
    sentence="the softmax of a whole layer runs in float16, for speed",
    clauses=(numerics.ERROR_IS_WITHIN_ROUNDING,),
    source="arXiv 2604.28118 (DEFault++), operator SUC",
    written="scores.half().softmax(-1)",
    mend="scores.softmax(-1); in halves, scores.softmax(-1, dtype=torch.float32)",
    builds=(softmax_in_a_half,),
)


@veriformer.subject("layer-norm", computes_in="float32")
def claims_too_much(config):
    return nn.LayerNorm(config.d_model, eps=config.eps)


CLAIM_COPIED_FROM_ANOTHER_ADAPTER = Fault(
    id="claim-copied-from-another-adapter",
    sentence="computing in float32 is claimed of a module that computes in whatever comes in",
    clauses=(numerics.FLOAT32_INSIDE_IS_AS_CLAIMED,),
    source="experience",
    written='subject("layer-norm", computes_in="float32")',
    mend="leave the claim out",
    builds=(claims_too_much,),
)


@veriformer.subject("multi-head-attention")
def smallest_float32(config):
    class Smallest(tutorial.Attention):
        def hidden(self, scores, mask):
            smallest = torch.finfo(torch.float32).min
            return scores if mask is None else torch.where(mask, scores, torch.full_like(scores, smallest))

    return Smallest(config)


FLOAT32_MINIMUM_IN_A_HALF = Fault(
    id="float32-minimum-in-a-half",
    sentence="the smallest float32 number is what hides, in every dtype; it does not fit into float16",
    clauses=(numerics.HALF_PRECISION_MASKS_STAY_FINITE,),
    source="experience",
    written="torch.full_like(scores, torch.finfo(torch.float32).min)",
    mend="torch.finfo(scores.dtype).min, or -inf",
    builds=(smallest_float32,),
)


@veriformer.subject("rms-norm", computes_in="float32")
def widened(config):
    class Widened(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(config.d_model))

        def forward(self, x):
            wide = x.to(torch.float32)
            return self.weight * (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + config.eps)).to(x.dtype)

    return Widened()


NORMALISED_IN_FLOAT32 = NearMiss(
    id="normalised-in-float32",
    sentence="the norm computes in float32 whatever comes in, and says so",
    clauses=(numerics.DTYPE_IN_IS_DTYPE_OUT, numerics.ERROR_IS_WITHIN_ROUNDING, numerics.FLOAT32_INSIDE_IS_AS_CLAIMED),
    build=widened,
)


@veriformer.subject("multi-head-attention")
def finite_minimum(config):
    class Minimum(tutorial.Attention):
        def hidden(self, scores, mask):
            if mask is None:
                return scores
            shown = torch.zeros_like(scores).masked_fill(~mask, 1)
            return scores.masked_fill(shown.bool(), torch.finfo(scores.dtype).min)

    return Minimum(config)


SMALLEST_NUMBER_OF_ITS_DTYPE = NearMiss(
    id="smallest-number-of-its-dtype",
    sentence="what hides is the smallest finite number of the dtype at hand",
    clauses=(numerics.HALF_PRECISION_MASKS_STAY_FINITE,),
    build=finite_minimum,
)


@veriformer.subject("multi-head-attention")
def mask_in_numbers(config):
    class Numbers(tutorial.Attention):
        def scores(self, query, key):
            return torch.einsum("bqhd,bkhd->bhqk", query, key) * math.pow(query.shape[-1], -0.5)

        def hidden(self, scores, mask):
            if mask is None:
                return scores
            ones = torch.ones(mask.shape, device=mask.device)  # float32 ones and zeros: nothing is rounded
            allowed = ones.masked_fill(~mask, 0)
            return scores.masked_fill(allowed == 0, -math.inf)

    return Numbers(config)


MASK_AS_FLOAT32_ONES = NearMiss(
    id="mask-as-float32-ones",
    sentence="ones and zeros in float32 tell what is visible; they are exact in every dtype",
    clauses=(numerics.NOTHING_IS_ROUNDED_ON_THE_WAY,),
    build=mask_in_numbers,
)
