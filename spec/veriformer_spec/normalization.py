"""Normalization: LayerNorm and RMSNorm, over the features of one token."""

from veriformer_spec.clause import Clause, Level
from veriformer_spec.role import NORMS, STACKS, Role

_LAYER = (Role.LAYER_NORM,)
_RMS = (Role.RMS_NORM,)
_BA = "Ba et al. 2016, section 3, equation 3"
_ZHANG = "Zhang and Sennrich 2019, section 4, equation 4"

PER_TOKEN = Clause(
    id="normalization.statistics-are-per-token",
    text="a token's output depends on that token's features alone",
    source=f"{_BA}: the statistics are over the hidden units of one layer, for one training case",
    breaks="BatchNorm, or statistics over time as well as features",
    roles=NORMS,
)
LAYER_EQUALS_ITS_EQUATION = Clause(
    id="normalization.layer-norm-equals-its-equation",
    text="the output is (x - mean) / sqrt(variance + eps) times the gain, plus the shift",
    source=f"{_BA} and equation 4",
    breaks="any of: unbiased variance, eps outside the root, gain or shift missing, mean not subtracted",
    roles=_LAYER,
)
SYMMETRIC_WEIGHTS_GIVE_THE_KNOWN_OUTPUT = Clause(
    id="normalization.symmetric-weights-give-the-known-output",
    text="with one vector for all parameters the output is the reference's, whichever is which",
    source=f"{_BA} and equation 4; {_ZHANG}",
    breaks="another eps, the unbiased variance, the gain applied before normalising, the shift forgotten",
    roles=NORMS,
)
VARIANCE_IS_BIASED = Clause(
    id="normalization.variance-is-biased",
    text="the variance is the mean of squared deviations: divided by d_model, not by d_model - 1",
    source=f"{_BA}: (1/H) times the sum",
    breaks="torch.std and torch.var are unbiased by default",
    roles=_LAYER,
)
EPSILON_IS_INSIDE_THE_ROOT = Clause(
    id="normalization.epsilon-is-inside-the-root-and-as-claimed",
    text="eps is added to the variance (for RMSNorm, to the mean square) before the root, and has the claimed value",
    source="PyTorch documentation, torch.nn.LayerNorm and torch.nn.RMSNorm; Ioffe and Szegedy 2015, algorithm 1",
    breaks="x / (std + eps), another eps, the configured eps not passed on",
    roles=(*NORMS, *STACKS),
)
GAIN_AND_SHIFT_ARE_APPLIED = Clause(
    id="normalization.gain-and-shift-are-applied",
    text="the normalised value is multiplied by the gain, which is w or 1 + w as claimed, feature by feature, and then shifted",
    source="Ba et al. 2016, section 3, equation 4",
    breaks="gain left out, applied before normalising, or 1 + w where w is meant",
    roles=NORMS,
)
OUTPUT_HAS_MEAN_ZERO_AND_VARIANCE_ONE = Clause(
    id="normalization.output-has-mean-0-variance-1",
    text="before gain and shift each token has mean 0 and mean square 1 (RMSNorm: mean square 1), up to eps",
    source=f"{_BA}; {_ZHANG}",
    breaks="statistics over the wrong axis, a norm that is the identity",
    roles=NORMS,
)
SHIFT_AND_SCALE_INVARIANCE = Clause(
    id="normalization.shift-and-scale-change-nothing",
    text="multiplying a token by a positive number far above eps changes nothing, nor for LayerNorm does adding a number to its features",
    source="Ba et al. 2016, section 5.1, table 1; Zhang and Sennrich 2019, table 1",
    breaks="mean not subtracted, eps far too large, no division",
    roles=NORMS,
)
CONSTANT_TOKENS_STAY_FINITE = Clause(
    id="normalization.constant-tokens-stay-finite",
    text="a token whose features are all equal, or all zero, gives finite outputs and finite gradients",
    source="PyTorch documentation, torch.nn.LayerNorm: eps is a value added to the denominator for numerical stability",
    breaks="eps missing; a standard deviation, whose gradient at 0 is infinite, in place of the root of variance plus eps",
    roles=NORMS,
)
RMS_EQUALS_ITS_EQUATION = Clause(
    id="normalization.rms-norm-equals-its-equation",
    text="the output is x / sqrt(mean of squares + eps) times the gain, and no mean is subtracted",
    source=_ZHANG,
    breaks="mean subtracted as in LayerNorm, sum in place of mean, the norm in place of the root mean square",
    roles=_RMS,
)
HALVES_ARE_NORMALISED_IN_FLOAT32 = Clause(
    id="normalization.halves-are-normalised-in-float32",
    level=Level.SHOULD,
    text="float16 inputs as large as 1e3 are normalised without overflow: statistics are computed in float32",
    source="Micikevicius et al. 2018, section 3.3: reductions accumulate in float32; PyTorch documentation, torch.nn.functional.layer_norm",
    breaks="x * x overflows float16 above 255",
    roles=NORMS,
)
