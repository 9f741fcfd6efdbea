"""Normalization's faults, planted in the reference."""

# mypy: ignore-errors
# Patches stand in for the reference's functions, and are written as briefly as the mistakes are.

import dataclasses

import torch
from torch import Tensor

from veriformer.faults.fault import Fault, Planted
from veriformer_reference import normalization as reference
from veriformer_spec import normalization, stack
from veriformer_spec.role import Role

reference_gain = reference.apply_gain

LAYER = Planted(role=Role.LAYER_NORM)
RMS = Planted(role=Role.RMS_NORM)
LAYERS = (
    Planted(role=Role.ENCODER_LAYER),
    Planted(role=Role.ENCODER_LAYER, claims={"norm": "pre"}),
    Planted(role=Role.ENCODER, claims={"norm": "pre", "normalization": "rms"}),
)

UNBIASED_VARIANCE = Fault(
    id="unbiased-variance",
    sentence="The variance is divided by d_model - 1, as torch.var does by default.",
    clauses=(normalization.VARIANCE_IS_BIASED, normalization.LAYER_EQUALS_ITS_EQUATION, stack.EQUALS_THE_REFERENCE),
    source="https://github.com/harvardnlp/annotated-transformer/pull/119",
    written="x.var(-1, keepdim=True)",
    mend="x.var(-1, keepdim=True, correction=0)",
    patches=(("normalization.variance", lambda x: x.var(dim=-1, keepdim=True)),),
    planted=(LAYER, Planted(role=Role.ENCODER_LAYER)),
)

EPS_OUTSIDE_THE_ROOT = Fault(
    id="eps-outside-the-root",
    sentence="eps is added to the standard deviation, not to the variance.",
    clauses=(
        normalization.EPSILON_IS_INSIDE_THE_ROOT,
        normalization.LAYER_EQUALS_ITS_EQUATION,
        normalization.RMS_EQUALS_ITS_EQUATION,
        normalization.CONSTANT_TOKENS_STAY_FINITE,
    ),
    source="https://github.com/harvardnlp/annotated-transformer/pull/119",
    written="(x - mean) / (variance.sqrt() + eps)",
    mend="(x - mean) / (variance + eps).sqrt()",
    patches=(("normalization.root", lambda variance, eps: variance.sqrt() + eps),),
    planted=(LAYER, RMS, *LAYERS),
)

EPS_NOT_PASSED_ON = Fault(
    id="eps-not-passed-on",
    sentence="The configured eps never reaches the norm: the framework's default stays.",
    clauses=(normalization.EPSILON_IS_INSIDE_THE_ROOT,),
    source="https://github.com/pytorch/torchtune/pull/409",
    written="nn.LayerNorm(config.d_model)",
    mend="nn.LayerNorm(config.d_model, eps=config.eps)",
    patches=(("normalization.root", lambda variance, eps: (variance + 1e-5).sqrt()),),
    planted=tuple(
        dataclasses.replace(each, claims={**each.claims, "eps": eps})
        for each in (LAYER, RMS, *LAYERS)
        for eps in (1e-6, 1e-12)
    ),
)

EPS_MISSING = Fault(
    id="eps-missing",
    sentence="Nothing is added to the variance: a token whose features are equal is divided by zero.",
    clauses=(normalization.EPSILON_IS_INSIDE_THE_ROOT, normalization.CONSTANT_TOKENS_STAY_FINITE),
    source="experience",
    written="(x - mean) / variance.sqrt()",
    mend="(x - mean) / (variance + eps).sqrt()",
    patches=(("normalization.root", lambda variance, eps: variance.sqrt()),),
    planted=(LAYER, RMS, *LAYERS),
)

EPS_FAR_TOO_LARGE = Fault(
    id="eps-far-too-large",
    sentence="eps is 1 where it should be 1e-5: small tokens come out damped.",
    clauses=(
        normalization.EPSILON_IS_INSIDE_THE_ROOT,
        normalization.LAYER_EQUALS_ITS_EQUATION,
        normalization.RMS_EQUALS_ITS_EQUATION,
    ),
    source="arXiv 2604.28118 (DEFault++), operator NCE",
    written="(variance + 1).sqrt()",
    mend="(variance + eps).sqrt()",
    patches=(("normalization.root", lambda variance, eps: (variance + 1).sqrt()),),
    planted=(LAYER, RMS, *LAYERS),
)

MEAN_NOT_SUBTRACTED = Fault(
    id="mean-not-subtracted",
    sentence="LayerNorm divides by the root mean square and keeps the mean.",
    clauses=(
        normalization.LAYER_EQUALS_ITS_EQUATION,
        normalization.SHIFT_AND_SCALE_INVARIANCE,
        normalization.OUTPUT_HAS_MEAN_ZERO_AND_VARIANCE_ONE,
        stack.EQUALS_THE_REFERENCE,
    ),
    source="experience",
    written="x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps)",
    mend="x = x - x.mean(-1, keepdim=True)",
    patches=(("normalization.mean", lambda x: torch.zeros_like(x[..., :1])),),
    planted=(*(LAYER, Planted(role=Role.ENCODER_LAYER)), Planted(role=Role.ENCODER, claims={"norm": "pre"})),
    synonyms=("the-other-normalization",),
)

STATISTICS_OVER_TIME = Fault(
    id="statistics-over-time",
    sentence="Mean and variance are taken over time and features together.",
    clauses=(
        normalization.PER_TOKEN,
        normalization.OUTPUT_HAS_MEAN_ZERO_AND_VARIANCE_ONE,
        normalization.LAYER_EQUALS_ITS_EQUATION,
        normalization.RMS_EQUALS_ITS_EQUATION,
    ),
    source="https://github.com/reczoo/FuxiCTR/issues/23",
    written="nn.LayerNorm(x.shape[1:])",
    mend="nn.LayerNorm(d_model)",
    patches=(
        ("normalization.mean", lambda x: x.mean(dim=(-2, -1), keepdim=True)),
        ("normalization.mean_square", lambda x: x.square().mean(dim=(-2, -1), keepdim=True)),
    ),
    planted=(LAYER, RMS),
)

STATISTICS_OVER_THE_WRONG_AXIS = Fault(
    id="statistics-over-the-wrong-axis",
    sentence="Mean and variance are taken over time, for each feature.",
    clauses=(normalization.PER_TOKEN, normalization.OUTPUT_HAS_MEAN_ZERO_AND_VARIANCE_ONE),
    source="experience",
    written="x.mean(1, keepdim=True)",
    mend="x.mean(-1, keepdim=True)",
    patches=(
        ("normalization.mean", lambda x: x.mean(dim=-2, keepdim=True)),
        ("normalization.mean_square", lambda x: x.square().mean(dim=-2, keepdim=True)),
    ),
    planted=(LAYER, RMS),
)

GAIN_NEVER_APPLIED = Fault(
    id="gain-never-applied",
    sentence="The gain is a parameter, is saved and loaded, and is never multiplied with.",
    clauses=(normalization.GAIN_AND_SHIFT_ARE_APPLIED, stack.EQUALS_THE_REFERENCE),
    source="experience",
    written="return normal",
    mend="return normal * self.gain",
    patches=(("normalization.apply_gain", lambda x, gain, claimed: x),),
    planted=(LAYER, RMS, Planted(role=Role.ENCODER_LAYER)),
)

SHIFT_NEVER_APPLIED = Fault(
    id="shift-never-applied",
    sentence="The shift is a parameter, and is never added.",
    clauses=(normalization.GAIN_AND_SHIFT_ARE_APPLIED,),
    source="experience",
    written="return normal * self.gain",
    mend="return normal * self.gain + self.shift",
    patches=(("normalization.apply_shift", lambda x, shift: x),),
    planted=(LAYER,),
)

GAIN_ONE_PLUS_WEIGHT = Fault(
    id="gain-one-plus-weight",
    sentence="The normalised value is multiplied by 1 + w where the stored weight is the gain itself.",
    clauses=(
        normalization.GAIN_AND_SHIFT_ARE_APPLIED,
        stack.EQUALS_THE_REFERENCE,
        normalization.SYMMETRIC_WEIGHTS_GIVE_THE_KNOWN_OUTPUT,
    ),
    source="experience: checkpoints of one convention loaded into code of the other",
    written="normal * (1 + self.weight)",
    mend="normal * self.weight, or claim gain='one-plus-weight'",
    patches=(("normalization.apply_gain", lambda x, gain, claimed: x * (1 + gain)),),
    planted=(LAYER, RMS, Planted(role=Role.ENCODER_LAYER)),
)


def gain_first(x: Tensor, gain: Tensor, shift: Tensor | None, config: object) -> Tensor:
    return reference.apply_shift(reference.standardise(x * gain, config.eps), shift)


def gain_first_without_mean(x: Tensor, gain: Tensor, config: object) -> Tensor:
    return reference.divide_by_root_mean_square(x * gain, config.eps)


GAIN_BEFORE_NORMALISING = Fault(
    id="gain-before-normalising",
    sentence="The gain multiplies the token before it is normalised.",
    clauses=(
        normalization.GAIN_AND_SHIFT_ARE_APPLIED,
        normalization.LAYER_EQUALS_ITS_EQUATION,
        normalization.RMS_EQUALS_ITS_EQUATION,
    ),
    source="experience",
    written="normalise(x * self.gain)",
    mend="normalise(x) * self.gain",
    patches=(("normalization.layer_norm", gain_first), ("normalization.rms_norm", gain_first_without_mean)),
    planted=(LAYER, RMS),
)

RMS_SUBTRACTS_THE_MEAN = Fault(
    id="rms-subtracts-the-mean",
    sentence="RMSNorm subtracts the mean, as LayerNorm does.",
    clauses=(normalization.RMS_EQUALS_ITS_EQUATION, stack.EQUALS_THE_REFERENCE),
    source="experience",
    written="x = x - x.mean(-1, keepdim=True)",
    mend="leave the mean where it is",
    patches=(("normalization.divide_by_root_mean_square", reference.standardise),),
    planted=(RMS, Planted(role=Role.ENCODER_LAYER, claims={"normalization": "rms"})),
)

NORM_NOT_ROOT_MEAN_SQUARE = Fault(
    id="norm-not-root-mean-square",
    sentence="RMSNorm divides by the norm of the token, and so is too small by the root of d_model.",
    clauses=(normalization.RMS_EQUALS_ITS_EQUATION, normalization.OUTPUT_HAS_MEAN_ZERO_AND_VARIANCE_ONE),
    source="experience",
    written="x / x.norm(dim=-1, keepdim=True)",
    mend="x / x.square().mean(-1, keepdim=True).add(eps).sqrt()",
    patches=(("normalization.mean_square", lambda x: x.square().sum(dim=-1, keepdim=True)),),
    planted=(RMS,),
)

NORM_DOES_NOTHING = Fault(
    id="norm-does-nothing",
    sentence="The norm stretches and shifts, and never normalises.",
    clauses=(
        normalization.OUTPUT_HAS_MEAN_ZERO_AND_VARIANCE_ONE,
        normalization.SHIFT_AND_SCALE_INVARIANCE,
        normalization.LAYER_EQUALS_ITS_EQUATION,
        normalization.RMS_EQUALS_ITS_EQUATION,
    ),
    source="experience",
    written="return x * self.gain + self.shift",
    mend="return normalise(x) * self.gain + self.shift",
    patches=(
        ("normalization.standardise", lambda x, eps: x),
        ("normalization.divide_by_root_mean_square", lambda x, eps: x),
    ),
    planted=(LAYER, RMS),
)

SQUARES_IN_HALF_PRECISION = Fault(
    id="squares-in-half-precision",
    sentence="float16 tokens are squared in float16, where 256 squared is infinite.",
    clauses=(normalization.HALVES_ARE_NORMALISED_IN_FLOAT32,),
    source="experience",
    written="x.square().mean(-1, keepdim=True)",
    mend="x.float().square().mean(-1, keepdim=True)",
    patches=(("normalization.working_dtype", lambda dtype, computes_in: dtype),),
    planted=(LAYER, RMS),
)

SHIFT_OFF_BY_A_CONSTANT = Fault(
    id="shift-off-by-a-constant",
    sentence="A constant is added to the shift.",
    clauses=(normalization.GAIN_AND_SHIFT_ARE_APPLIED, normalization.LAYER_EQUALS_ITS_EQUATION),
    source="arXiv 2604.28118 (DEFault++), DEForm operator NSB",
    written="x * weight + bias + eps  # eps belongs under the root",
    mend="x * weight + bias",
    patches=(("normalization.apply_shift", lambda x, shift: x if shift is None else x + shift + 0.1),),
    planted=(LAYER,),
)

GAIN_SCALED = Fault(
    id="gain-scaled",
    sentence="The gain is multiplied by a constant on the way.",
    clauses=(
        normalization.GAIN_AND_SHIFT_ARE_APPLIED,
        normalization.LAYER_EQUALS_ITS_EQUATION,
        normalization.RMS_EQUALS_ITS_EQUATION,
    ),
    source="arXiv 2604.28118 (DEFault++), DEForm operator NSG",
    written="x * (weight * depth**-0.5)",
    mend="x * weight",
    patches=(("normalization.apply_gain", lambda x, gain, claimed: reference_gain(x, gain, claimed) * 0.5),),
    planted=(LAYER, RMS),
)
