"""Feed-forward: two linear maps with a nonlinearity between, for every position alone."""

from veriformer_spec.clause import Clause
from veriformer_spec.role import Role

_EQUATION_2 = "Vaswani et al. 2017, section 3.3, equation 2"
_FEED_FORWARD = (Role.FEED_FORWARD,)

POSITION_WISE = Clause(
    id="feed_forward.position-wise",
    text="a token's output depends on that token alone, and is the same at every position",
    source="Vaswani et al. 2017, section 3.3: applied to each position separately and identically",
    breaks="a convolution wider than one, a linear map over time, a norm over time",
    roles=_FEED_FORWARD,
)
EQUALS_EQUATION_2 = Clause(
    id="feed_forward.equals-equation-2",
    text="with the subject's weights the output is activation(x W1 + b1) W2 + b2, gated where the activation's name ends in glu",
    source=f"{_EQUATION_2}; Shazeer 2020, equations 5 and 6, for the gated ones",
    breaks="activation after the second map, gate and value swapped, a bias missing",
    roles=_FEED_FORWARD,
)
SYMMETRIC_WEIGHTS_GIVE_THE_KNOWN_OUTPUT = Clause(
    id="feed_forward.symmetric-weights-give-the-known-output",
    text="with equal weights wherever shapes are equal the output is the reference's, whichever tensor is which",
    source=_EQUATION_2,
    breaks="another activation, a bias missing, the activation in the wrong place",
    roles=_FEED_FORWARD,
)
NOT_LINEAR = Clause(
    id="feed_forward.not-linear",
    text="the output is not an affine function of the input",
    source=_EQUATION_2,
    breaks="the activation between the two linear maps is missing",
    roles=_FEED_FORWARD,
)
ACTIVATION_IS_AS_CLAIMED = Clause(
    id="feed_forward.activation-is-as-claimed",
    text="the nonlinearity is the claimed one: ReLU, GELU by erf, GELU by tanh, SiLU, or a gated one",
    source=f"{_EQUATION_2}; Hendrycks and Gimpel 2016, section 2; Ramachandran et al. 2017; Shazeer 2020, section 2",
    breaks="GELU by tanh where erf is meant, the framework's default in place of the configured one",
    roles=_FEED_FORWARD,
)
BIASES_ARE_AS_CLAIMED = Clause(
    id="feed_forward.biases-are-as-claimed",
    text="both linear maps have a bias, or neither has, as claimed",
    source=f"{_EQUATION_2}; Raffel et al. 2020, section 2.1, for a network without biases",
    breaks="bias=False passed to one map and not to the other",
    roles=_FEED_FORWARD,
)
