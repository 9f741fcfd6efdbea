"""Numerics: dtypes, and how far rounding may go.

**The tolerance.** Let ``exact`` be the float64 result on the same (already rounded) inputs and weights, ``eps`` the unit roundoff
of the dtype computed in (2^-53, 2^-24, 2^-8, 2^-11 for float64, float32, bfloat16, float16). One *unit* is

    unit = max(e_ref, envelope) + 4 * eps * max|exact|

where ``e_ref`` is the error of the plain reference run in that dtype, and ``envelope`` the largest deviation among float64 runs in
which every intermediate result is multiplied by ``1 + eps * u``, u uniform in [-1, 1]: a measured first-order error bound in the sense
of Higham 2002, section 3.1, which follows the conditioning of the case at hand where a fixed tolerance cannot. A result is wrong
when it is more than ``UNITS[dtype]`` units away. The factors come from 18,442 comparisons of correct kernels, none of which exceeded
10.7 units in float64, 6.75 in float32, and 1.16 in 16 bits; a 1 % error in float32 is about 1e4 units.
"""

from veriformer_spec.clause import Clause, Level
from veriformer_spec.role import ALL, ATTENDING

UNIT_ROUNDOFF = {"float64": 2.0**-53, "float32": 2.0**-24, "bfloat16": 2.0**-8, "float16": 2.0**-11}
"""Half the distance between 1 and the next larger number, by dtype (bfloat16: that distance)."""

UNITS = {"float64": 64, "float32": 16, "bfloat16": 6, "float16": 6}
"""How many units a correct implementation may be away, by dtype."""

DTYPE_IN_IS_DTYPE_OUT = Clause(
    id="numerics.dtype-in-is-dtype-out",
    text="float64, float32 and bfloat16 inputs, to a module of that dtype, give an output of that dtype",
    source="PyTorch documentation, torch.nn.Module.to and Tensor Attributes: type promotion",
    breaks="a mask or a table made in float32 promotes the rest, or refuses to meet it",
    roles=ALL,
)
ERROR_IS_WITHIN_ROUNDING = Clause(
    id="numerics.error-within-rounding",
    text="in float32 the output differs from the float64 result on the same numbers by no more than 16 units of rounding",
    source="Higham 2002, Accuracy and Stability of Numerical Algorithms, section 3.1; the rule stands in veriformer_spec.numerics",
    breaks="scores or a softmax in half precision inside, a sum in a low dtype, an approximation of exp or of a root",
    roles=ALL,
)
NOTHING_IS_ROUNDED_ON_THE_WAY = Clause(
    id="numerics.nothing-is-rounded-on-the-way",
    level=Level.SHOULD,
    text="a float64 run rounds no intermediate result to a narrower dtype",
    source="Higham 2002, section 1.18: precision lost inside is not regained",
    breaks=".float() before the softmax or the norm, a table built in float32",
    roles=ALL,
    when={"computes_in": ("input",)},
)
FLOAT32_INSIDE_IS_AS_CLAIMED = Clause(
    id="numerics.float32-inside-is-as-claimed",
    text="where computing in float32 is claimed, a float64 run does round something to float32 inside",
    source="Veriformer: the claim widens every tolerance, so it has to be true",
    breaks="the claim is copied from another adapter, or the cast to float32 is skipped for float64 inputs",
    roles=ALL,
    when={"computes_in": ("float32",)},
)
HALF_PRECISION_MASKS_STAY_FINITE = Clause(
    id="numerics.half-precision-masks-stay-finite",
    text="in float16 and bfloat16 a mask gives finite outputs, and still hides what it hides",
    source="IEEE 754-2019, binary16: the largest finite number is 65504",
    breaks="-1e9 does not fit in float16: minus infinity added to minus infinity, or an overflow error",
    roles=ATTENDING,
    needs_masks=("causal", "padding"),
)
