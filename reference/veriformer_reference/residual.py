"""Residual: what the skip carries, where the norm stands, where dropout falls.

Post-norm is norm(x + dropout(sublayer(x))), as in Vaswani et al. 2017; pre-norm is x + dropout(sublayer(norm(x))), as
in Xiong et al. 2020. Nothing here is done in place: the skip holds ``x`` as it was before the sublayer ran.
"""

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

Sublayer = Callable[[Tensor], Tensor]
"""Attention, the feed-forward network, or a norm: tokens in, tokens of the same shape out."""


def drop(x: Float[Tensor, "*batch d_model"], *, rate: float, training: bool) -> Float[Tensor, "*batch d_model"]:
    """In training, set features to zero at the given rate, and scale the others up by 1 / (1 - rate).

    Source:
        Srivastava et al. 2014, section 10 (residual.dropout-is-as-claimed, state.evaluation-is-deterministic).
    """
    return functional.dropout(x, p=rate, training=training)


def add(
    skip: Float[Tensor, "*batch d_model"], sublayer_output: Float[Tensor, "*batch d_model"]
) -> Float[Tensor, "*batch d_model"]:
    """The sublayer's input, carried once around it, plus what the sublayer made of it.

    x + Sublayer(x) (section 3.1).

    Source:
        Vaswani et al. 2017, section 3.1; He et al. 2016, section 3.1, equation 1
        (residual.the-skip-adds-the-input-once, residual.the-skip-holds-the-value-before-the-sublayer).
    """
    return skip + sublayer_output


def post_norm(
    x: Float[Tensor, "*batch d_model"], sublayer: Sublayer, norm: Sublayer, *, rate: float, training: bool
) -> Float[Tensor, "*batch d_model"]:
    """Normalise after adding the skip.

    LayerNorm(x + dropout(Sublayer(x))) (sections 3.1 and 5.4).

    Source:
        Vaswani et al. 2017, sections 3.1 and 5.4 (residual.norm-placement-is-as-claimed,
        residual.dropout-falls-on-the-sublayer-not-on-the-skip).
    """
    return norm(add(x, drop(sublayer(x), rate=rate, training=training)))


def pre_norm(
    x: Float[Tensor, "*batch d_model"], sublayer: Sublayer, norm: Sublayer, *, rate: float, training: bool
) -> Float[Tensor, "*batch d_model"]:
    """Normalise before the sublayer, off the skip: from first layer to last the skip is an unbroken sum.

    x + dropout(Sublayer(LayerNorm(x))) (figure 1b).

    Source:
        Xiong et al. 2020, section 3.2 and figure 1 (residual.norm-placement-is-as-claimed,
        residual.dropout-falls-on-the-sublayer-not-on-the-skip).
    """
    return add(x, drop(sublayer(norm(x)), rate=rate, training=training))


def connect(
    placement: str,
    x: Float[Tensor, "*batch d_model"],
    sublayer: Sublayer,
    norm: Sublayer,
    *,
    rate: float,
    training: bool,
) -> Float[Tensor, "*batch d_model"]:
    """Run a sublayer with its skip, its norm placed as claimed ("pre" or "post").

    Source:
        residual.norm-placement-is-as-claimed.
    """
    if placement == "pre":
        return pre_norm(x, sublayer, norm, rate=rate, training=training)
    return post_norm(x, sublayer, norm, rate=rate, training=training)
