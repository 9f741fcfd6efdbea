"""Residual: what the skip carries, where the norm stands, where dropout falls."""

from veriformer_spec.clause import Clause
from veriformer_spec.role import DECODERS, MODELS, STACKS, Role

_SUBLAYER = "Vaswani et al. 2017, section 3.1: LayerNorm(x + Sublayer(x))"
_XIONG = "Xiong et al. 2020, section 3.2 and figure 1"

THE_SKIP_ADDS_THE_INPUT_ONCE = Clause(
    id="residual.the-skip-adds-the-input-once",
    text="with sublayers that return zeros, a pre-norm layer is the identity and a post-norm layer only normalises: each skip "
    "carries its input once",
    source=f"{_SUBLAYER}; He et al. 2016, section 3.1, equation 1",
    breaks="a skip missing, added twice, multiplied by a constant, or taken after the norm",
    roles=(*STACKS, *DECODERS),
)
THE_SKIP_HOLDS_THE_VALUE_BEFORE_THE_SUBLAYER = Clause(
    id="residual.the-skip-holds-the-value-before-the-sublayer",
    text="what each skip adds is the sublayer's input as it was before the sublayer ran, not the input of another sublayer",
    source=_SUBLAYER,
    breaks="residual = x followed by an in-place operation on x; the second skip adds the first one's input",
    roles=(Role.ENCODER_LAYER, Role.DECODER_LAYER),
)
NORM_PLACEMENT_IS_AS_CLAIMED = Clause(
    id="residual.norm-placement-is-as-claimed",
    text="norms stand after the addition in a post-norm layer, and before the sublayer, off the skip, in a pre-norm layer",
    source=f"{_SUBLAYER}; {_XIONG}",
    breaks="x + f(norm(x)) written where norm(x + f(x)) is claimed, or the other way round",
    roles=(*STACKS, *DECODERS),
)
A_PRE_NORM_STACK_ENDS_IN_A_NORM = Clause(
    id="residual.a-pre-norm-stack-ends-in-a-norm",
    text="a stack normalises its output once more after pre-norm layers, unless it claims not to, and not after post-norm layers",
    source="Xiong et al. 2020, section 3.2: final layer normalisation; Radford et al. 2019, section 2.3",
    breaks="the final norm forgotten when pre-norm was copied from a layer",
    roles=(Role.ENCODER, Role.DECODER),
    when={"positions": ("none",)},
)
DROPOUT_FALLS_ON_THE_SUBLAYER = Clause(
    id="residual.dropout-falls-on-the-sublayer-not-on-the-skip",
    text="in training, with sublayers that return zeros, dropout at any rate below one changes nothing: the skip is not dropped",
    source="Vaswani et al. 2017, section 5.4: dropout to the output of each sub-layer, before it is added to the sub-layer input",
    breaks="dropout(x + sublayer(x)) in place of x + dropout(sublayer(x))",
    roles=(Role.ENCODER_LAYER, Role.DECODER_LAYER),
)
DROPOUT_IS_AS_CLAIMED = Clause(
    id="residual.dropout-is-as-claimed",
    text="training with a dropout rate above zero is random where dropout is claimed, and equals evaluation where none is claimed",
    source="Vaswani et al. 2017, section 5.4; Srivastava et al. 2014, section 4",
    breaks="the configured rate is not passed on",
    roles=(*STACKS, *DECODERS, *MODELS),
    when={"dropout": ("none", "on")},
)
