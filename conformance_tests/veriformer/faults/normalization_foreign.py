"""Normalization's faults and near-misses, written without the reference, as people write norms."""

# mypy: ignore-errors
# Other people's code, written the way they write it: without types.

import dataclasses

import torch
from torch import Tensor, nn
from torch.nn import functional

import veriformer
from veriformer.faults.fault import Fault, NearMiss
from veriformer.faults.second import gpt
from veriformer_spec import model, normalization, stack


class AnnotatedLayerNorm(nn.Module):
    """As in the tutorial that most first Transformers were copied from."""

    def __init__(self, features, eps=1e-6):
        super().__init__()
        self.a_2 = nn.Parameter(torch.ones(features))
        self.b_2 = nn.Parameter(torch.zeros(features))
        self.eps = eps

    def forward(self, x):
        mean = x.mean(-1, keepdim=True)
        std = x.std(-1, keepdim=True)
        return self.a_2 * (x - mean) / (std + self.eps) + self.b_2


@veriformer.subject("layer-norm", weights=lambda m: {"gain": m.a_2, "shift": m.b_2}, eps=1e-6)
def annotated_layer_norm(config):
    return AnnotatedLayerNorm(config.d_model)


@veriformer.subject("layer-norm", eps=1e-6)
def annotated_layer_norm_unmapped(config):
    return AnnotatedLayerNorm(config.d_model)


STANDARD_DEVIATION_PLUS_EPS = Fault(
    id="standard-deviation-plus-eps",
    sentence="The token is divided by an unbiased standard deviation plus eps.",
    clauses=(
        normalization.VARIANCE_IS_BIASED,
        normalization.EPSILON_IS_INSIDE_THE_ROOT,
        normalization.LAYER_EQUALS_ITS_EQUATION,
    ),
    source="https://github.com/harvardnlp/annotated-transformer/pull/119",
    written="(x - x.mean(-1, keepdim=True)) / (x.std(-1, keepdim=True) + eps)",
    mend="torch.nn.functional.layer_norm(x, (d_model,), gain, shift, eps)",
    builds=(annotated_layer_norm, annotated_layer_norm_unmapped),
)


@veriformer.subject("layer-norm", module=None, norm_bias=False)
def root_plus_eps(config):
    def norm(x):
        centred = x - torch.einsum("btd->bt", x)[..., None] / x.shape[-1]
        return centred / (torch.einsum("btd,btd->bt", centred, centred)[..., None].div(x.shape[-1]).sqrt() + config.eps)

    return norm


GRADIENT_OF_A_ROOT_AT_ZERO = Fault(
    id="gradient-of-a-root-at-zero",
    sentence="eps stands outside the root, whose gradient is infinite for a token whose features are equal.",
    clauses=(normalization.CONSTANT_TOKENS_STAY_FINITE, normalization.EPSILON_IS_INSIDE_THE_ROOT),
    source="experience: NaN gradients on padding",
    written="centred / (centred.square().mean(-1, keepdim=True).sqrt() + eps)",
    mend="centred * torch.rsqrt(centred.square().mean(-1, keepdim=True) + eps)",
    builds=(root_plus_eps,),
)


class BatchNormForTokens(nn.Module):
    def __init__(self, features, eps):
        super().__init__()
        self.norm = nn.BatchNorm1d(features, eps=eps)

    def forward(self, x):
        return self.norm(x.transpose(1, 2)).transpose(1, 2)


@veriformer.subject("layer-norm", weights=lambda m: {"gain": m.norm.weight, "shift": m.norm.bias})
def batch_norm(config):
    return BatchNormForTokens(config.d_model, config.eps)


BATCH_NORM_FOR_LAYER_NORM = Fault(
    id="batch-norm-for-layer-norm",
    sentence="BatchNorm stands where LayerNorm is claimed: tokens of a batch are normalised together.",
    clauses=(
        normalization.PER_TOKEN,
        normalization.OUTPUT_HAS_MEAN_ZERO_AND_VARIANCE_ONE,
        normalization.LAYER_EQUALS_ITS_EQUATION,
        normalization.SHIFT_AND_SCALE_INVARIANCE,
    ),
    source="experience",
    written="nn.BatchNorm1d(d_model)",
    mend="nn.LayerNorm(d_model)",
    builds=(batch_norm,),
)


@veriformer.subject("layer-norm", module=None, norm_bias=False)
def whole_sequence_norm(config):
    return lambda x: functional.layer_norm(x, tuple(x.shape[1:]), eps=config.eps)


@veriformer.subject("rms-norm", module=None)
def whole_sequence_rms(config):
    return lambda x: x * torch.rsqrt(torch.einsum("btd,btd->b", x, x)[:, None, None] / x[0].numel() + config.eps)


NORMALISED_SHAPE_OF_A_SEQUENCE = Fault(
    id="normalised-shape-of-a-sequence",
    sentence="The normalised shape is that of a whole sequence, not of one token.",
    clauses=(normalization.PER_TOKEN, normalization.OUTPUT_HAS_MEAN_ZERO_AND_VARIANCE_ONE),
    source="https://github.com/reczoo/FuxiCTR/issues/23",
    written="functional.layer_norm(x, x.shape[1:])",
    mend="functional.layer_norm(x, x.shape[-1:])",
    builds=(whole_sequence_norm, whole_sequence_rms),
)


class NaiveRMSNorm(nn.Module):
    def __init__(self, dim, eps, *, divide=True):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(dim))
        self.eps, self.divide = eps, divide

    def forward(self, x):
        square = torch.einsum("...d,...d->...", x, x)[..., None]
        if self.divide:
            square = square / x.shape[-1]
        return x * torch.rsqrt(square + self.eps) * self.scale


@veriformer.subject("rms-norm")
def unit_length(config):
    return NaiveRMSNorm(config.d_model, config.eps, divide=False)


@veriformer.subject("rms-norm", weights=lambda m: {"gain": m.scale})
def unit_length_mapped(config):
    return NaiveRMSNorm(config.d_model, config.eps, divide=False)


UNIT_LENGTH_FOR_UNIT_MEAN_SQUARE = Fault(
    id="unit-length-for-unit-mean-square",
    sentence="Tokens are brought to length one, not to mean square one: the sum of squares is never divided.",
    clauses=(normalization.RMS_EQUALS_ITS_EQUATION, normalization.OUTPUT_HAS_MEAN_ZERO_AND_VARIANCE_ONE),
    source="experience",
    written="x * torch.rsqrt((x * x).sum(-1, keepdim=True) + eps)",
    mend="x * torch.rsqrt((x * x).mean(-1, keepdim=True) + eps)",
    builds=(unit_length, unit_length_mapped),
)


@veriformer.subject("rms-norm")
def rms_overflowing(config):
    return NaiveRMSNorm(config.d_model, config.eps)


@veriformer.subject("layer-norm", norm_bias=False)
def layer_norm_overflowing(config):
    norm = NaiveRMSNorm(config.d_model, config.eps)
    return norm, lambda module, x: module(x - x.mean(-1, keepdim=True))


SQUARES_OVERFLOW_FLOAT16 = Fault(
    id="squares-overflow-float16",
    sentence="The squares of a float16 token are summed in float16: 300 is already too large.",
    clauses=(normalization.HALVES_ARE_NORMALISED_IN_FLOAT32,),
    source="experience",
    written="(x * x).mean(-1, keepdim=True)",
    mend="(x.float() ** 2).mean(-1, keepdim=True)",
    builds=(rms_overflowing, layer_norm_overflowing),
)


@veriformer.subject("layer-norm", norm_bias=False)
def rms_claimed_as_layer_norm(config):
    return nn.RMSNorm(config.d_model, eps=config.eps)


RMS_NORM_FOR_LAYER_NORM = Fault(
    id="rms-norm-for-layer-norm",
    sentence="RMSNorm stands where LayerNorm is claimed: the mean stays.",
    clauses=(
        normalization.LAYER_EQUALS_ITS_EQUATION,
        normalization.SHIFT_AND_SCALE_INVARIANCE,
        normalization.OUTPUT_HAS_MEAN_ZERO_AND_VARIANCE_ONE,
    ),
    source="experience",
    written="nn.RMSNorm(d_model)",
    mend="nn.LayerNorm(d_model)",
    builds=(rms_claimed_as_layer_norm,),
)


@veriformer.subject("rms-norm")
def layer_norm_claimed_as_rms(config):
    return nn.LayerNorm(config.d_model, eps=config.eps, bias=False)


LAYER_NORM_FOR_RMS_NORM = Fault(
    id="layer-norm-for-rms-norm",
    sentence="LayerNorm without a shift stands where RMSNorm is claimed: the mean is subtracted.",
    clauses=(normalization.RMS_EQUALS_ITS_EQUATION,),
    source="experience",
    written="nn.LayerNorm(d_model, bias=False)",
    mend="nn.RMSNorm(d_model)",
    builds=(layer_norm_claimed_as_rms,),
)


class ForgetfulNorm(nn.Module):
    def __init__(self, dim, eps):
        super().__init__()
        self.weight, self.bias, self.eps = nn.Parameter(torch.ones(dim)), nn.Parameter(torch.zeros(dim)), eps

    def forward(self, x):
        return functional.layer_norm(x, x.shape[-1:], eps=self.eps)


@veriformer.subject("layer-norm")
def weight_not_given(config):
    return ForgetfulNorm(config.d_model, config.eps)


WEIGHT_NOT_GIVEN_TO_THE_FUNCTION = Fault(
    id="weight-not-given-to-the-function",
    sentence="The functional norm is called without its weight and bias, which stay at their initial values for ever.",
    clauses=(normalization.GAIN_AND_SHIFT_ARE_APPLIED,),
    source="experience",
    written="functional.layer_norm(x, x.shape[-1:], eps=eps)",
    mend="functional.layer_norm(x, x.shape[-1:], self.weight, self.bias, eps)",
    builds=(weight_not_given,),
)


@veriformer.subject("layer-norm", eps=1e-12)
def default_eps(config):
    return nn.LayerNorm(config.d_model)


@veriformer.subject("encoder-layer", eps=1e-12)
def default_eps_in_a_layer(config):
    return nn.TransformerEncoderLayer(
        config.d_model, config.heads, config.d_ff, config.dropout, batch_first=True
    ), _torch_call


@veriformer.subject("encoder-layer", eps=1e-6, norm="pre", activation="gelu")
def default_eps_in_a_pre_norm_layer(config):
    layer = nn.TransformerEncoderLayer(
        config.d_model, config.heads, config.d_ff, config.dropout, functional.gelu, norm_first=True, batch_first=True
    )
    return layer, _torch_call


def _torch_call(layer: nn.Module, x: Tensor, mask: Tensor | None = None) -> Tensor:
    if mask is None:
        return layer(x)
    heads = layer.self_attn.num_heads
    return layer(x, ~mask.expand(len(x), heads, x.shape[1], -1).flatten(0, 1))


@veriformer.subject("causal-lm", **gpt.CLAIMS, tied=True, eps=1e-6)
def default_eps_in_a_model(config):
    return gpt.GPT(dataclasses.replace(config, eps=1e-5))


DEFAULT_EPS_STAYS = Fault(
    id="default-eps-stays",
    sentence="The framework's norm is built without the configured eps.",
    clauses=(
        normalization.EPSILON_IS_INSIDE_THE_ROOT,
        normalization.SYMMETRIC_WEIGHTS_GIVE_THE_KNOWN_OUTPUT,
        stack.SYMMETRIC_WEIGHTS_GIVE_THE_KNOWN_OUTPUT,
        model.SYMMETRIC_WEIGHTS_GIVE_THE_KNOWN_OUTPUT,
    ),
    source="https://github.com/pytorch/torchtune/pull/409",
    written="nn.LayerNorm(d_model)",
    mend="nn.LayerNorm(d_model, eps=eps)",
    builds=(default_eps, default_eps_in_a_layer, default_eps_in_a_pre_norm_layer, default_eps_in_a_model),
)


class LlamaNorm(nn.Module):
    """Float32 inside, cast back before the gain."""

    def __init__(self, dim, eps):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(dim)), eps

    def forward(self, x):
        wide = x.to(torch.float32)
        return self.weight * (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.eps)).to(x.dtype)


@veriformer.subject("rms-norm", eps=1e-6)
def rms_norm_in_float32(config):
    return LlamaNorm(config.d_model, config.eps)


class GemmaNorm(LlamaNorm):
    def __init__(self, dim, eps):
        super().__init__(dim, eps)
        nn.init.zeros_(self.weight)

    def forward(self, x):
        wide = x.float()
        return (
            wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.eps) * (1.0 + self.weight.float())
        ).type_as(x)


@veriformer.subject("rms-norm", gain="one-plus-weight", eps=1e-6, weights=lambda m: {"gain": m.weight})
def gemma_norm(config):
    return GemmaNorm(config.d_model, config.eps)


class MomentNorm(nn.Module):
    """The variance as E[x²] - E[x]², as fused kernels compute it; parameters with leading axes."""

    def __init__(self, dim, eps):
        super().__init__()
        self.g, self.b, self.eps = nn.Parameter(torch.ones(1, 1, dim)), nn.Parameter(torch.zeros(1, 1, dim)), eps

    def forward(self, x):
        wide = x if x.dtype == torch.float64 else x.float()
        mean, square = wide.mean(-1, keepdim=True), (wide * wide).mean(-1, keepdim=True)
        scale = torch.rsqrt((square - mean * mean).clamp(min=0) + self.eps)
        return ((wide - mean) * scale).to(x.dtype) * self.g + self.b


@veriformer.subject("layer-norm", weights=lambda m: {"gain": m.g[0, 0], "shift": m.b[0, 0]})
def moment_norm(config):
    return MomentNorm(config.d_model, config.eps)


@veriformer.subject("layer-norm", norm_bias=False, eps=1e-12)
def bare_layer_norm(config):
    return nn.LayerNorm(config.d_model, eps=config.eps, elementwise_affine=False)


@veriformer.subject("layer-norm", module=None, norm_bias=False)
def function_norm(config):
    return lambda x: functional.layer_norm(x, x.shape[-1:], eps=config.eps)


@veriformer.subject("layer-norm", weights=lambda m: {"gain": m.weight, "shift": m.bias})
def group_norm(config):
    norm = nn.GroupNorm(1, config.d_model, eps=config.eps)
    return norm, lambda module, x: module(x.flatten(0, 1)).view_as(x)


@veriformer.subject("rms-norm", eps=0.0)
def scaled_unit_length(config):
    module = nn.Module()
    module.gamma = nn.Parameter(torch.ones(config.d_model))
    return module, lambda own, x: functional.normalize(x, dim=-1) * x.shape[-1] ** 0.5 * own.gamma


NEAR_MISSES = [
    NearMiss(id=name, sentence=sentence, clauses=clauses, build=build)
    for name, sentence, clauses, build in (
        ("rms-norm-in-float32", "RMSNorm computes in float32 whatever comes in.", (normalization.RMS_EQUALS_ITS_EQUATION, normalization.HALVES_ARE_NORMALISED_IN_FLOAT32), rms_norm_in_float32),
        ("gain-stored-less-one", "The gain is 1 + w, as claimed, and starts at w = 0.", (normalization.GAIN_AND_SHIFT_ARE_APPLIED,), gemma_norm),
        ("variance-from-two-moments", "The variance is E[x²] - E[x]².", (normalization.LAYER_EQUALS_ITS_EQUATION, normalization.SHIFT_AND_SCALE_INVARIANCE), moment_norm),
        ("norm-without-parameters", "LayerNorm has neither gain nor shift.", (normalization.VARIANCE_IS_BIASED, normalization.CONSTANT_TOKENS_STAY_FINITE), bare_layer_norm),
        ("norm-as-a-function", "LayerNorm is a bare function.", (normalization.OUTPUT_HAS_MEAN_ZERO_AND_VARIANCE_ONE,), function_norm),
        ("group-norm-of-one-group", "LayerNorm is a GroupNorm with one group, over tokens.", (normalization.PER_TOKEN,), group_norm),
        ("unit-length-times-root", "RMSNorm is a unit vector times sqrt(d_model), with eps=0 claimed.",
         (normalization.EPSILON_IS_INSIDE_THE_ROOT,), scaled_unit_length),
    )
]  # fmt: skip
(
    RMS_NORM_IN_FLOAT32,
    GAIN_STORED_LESS_ONE,
    VARIANCE_FROM_TWO_MOMENTS,
    NORM_WITHOUT_PARAMETERS,
    NORM_AS_A_FUNCTION,
    *_REST,
) = NEAR_MISSES
GROUP_NORM_OF_ONE_GROUP, UNIT_LENGTH_TIMES_ROOT = _REST
