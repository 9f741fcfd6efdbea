"""Faults of skips, norms' places and dropout, planted in the reference."""

# mypy: ignore-errors
# Patches stand in for the reference's functions, and are written as briefly as the mistakes are.

import torch
from torch.nn import functional

from veriformer.faults.fault import Fault, Planted
from veriformer_reference import residual as reference
from veriformer_spec import model, residual, stack, state
from veriformer_spec.role import Role

POST = Planted(role=Role.ENCODER_LAYER)
PRE = Planted(role=Role.ENCODER_LAYER, claims={"norm": "pre"})
RMS = Planted(role=Role.ENCODER_LAYER, claims={"norm": "pre", "normalization": "rms", "bias": False})
POST_STACK = Planted(role=Role.ENCODER)
PRE_STACK = Planted(role=Role.ENCODER, claims={"norm": "pre"})
EVERYWHERE = (POST, PRE, RMS, POST_STACK, PRE_STACK)

PRE_MODELS = (
    Planted(role=Role.CAUSAL_LM, claims={"norm": "pre", "positions": "learned", "activation": "gelu-tanh"}),
    Planted(role=Role.CAUSAL_LM, claims={"norm": "pre", "normalization": "rms", "positions": "rotary", "tied": True}),
    Planted(role=Role.ENCODER_DECODER, claims={"norm": "pre", "normalization": "rms"}),
)
POST_MODELS = (
    Planted(role=Role.ENCODER_DECODER, claims={"positions": "sinusoidal"}),
    Planted(role=Role.CAUSAL_LM),
)

SKIP_MISSING = Fault(
    id="skip-missing",
    sentence="The sublayer's input is not added to its output.",
    clauses=(
        residual.THE_SKIP_ADDS_THE_INPUT_ONCE,
        stack.EQUALS_THE_REFERENCE,
        stack.SYMMETRIC_WEIGHTS_GIVE_THE_KNOWN_OUTPUT,
    ),
    source="arXiv 2604.28118 (DEFault++), operator RRS",
    written="x = norm(sublayer(x))",
    mend="x = norm(x + sublayer(x))",
    patches=(("residual.add", lambda skip, sublayer_output: sublayer_output),),
    planted=EVERYWHERE,
)

SKIP_ADDED_TWICE = Fault(
    id="skip-added-twice",
    sentence="The sublayer already adds its input, and the layer adds it once more.",
    clauses=(residual.THE_SKIP_ADDS_THE_INPUT_ONCE, stack.EQUALS_THE_REFERENCE),
    source="experience",
    written="x + (x + sublayer(x))",
    mend="x + sublayer(x)",
    patches=(("residual.add", lambda skip, sublayer_output: 2 * skip + sublayer_output),),
    planted=EVERYWHERE,
)

SKIP_SCALED = Fault(
    id="skip-scaled",
    sentence="The skip is multiplied by a constant.",
    clauses=(residual.THE_SKIP_ADDS_THE_INPUT_ONCE, stack.EQUALS_THE_REFERENCE),
    source="arXiv 2604.28118 (DEFault++), operator RSR",
    written="0.5 * x + sublayer(x)",
    mend="x + sublayer(x)",
    patches=(("residual.add", lambda skip, sublayer_output: 0.5 * skip + sublayer_output),),
    planted=EVERYWHERE,
)


def aliased_post(x, sublayer, norm, *, rate, training):
    skip = x
    x += reference.drop(sublayer(x), rate=rate, training=training)
    return norm(skip + x)


SKIP_ALIASED_IN_PLACE = Fault(
    id="skip-aliased-in-place",
    sentence="The skip is another name of a tensor that is then added to in place, so that it holds the sum.",
    clauses=(residual.THE_SKIP_HOLDS_THE_VALUE_BEFORE_THE_SUBLAYER,),
    source="experience",
    written="skip = x; x += sublayer(x); norm(x + skip)",
    mend="norm(x + sublayer(x))",
    patches=(("residual.post_norm", aliased_post),),
    planted=(POST, Planted(role=Role.ENCODER_LAYER, claims={"normalization": "rms"})),
)


def normalised_skip(x, sublayer, norm, *, rate, training):
    x = norm(x)
    return reference.add(x, reference.drop(sublayer(x), rate=rate, training=training))


SKIP_TAKEN_AFTER_THE_NORM = Fault(
    id="skip-taken-after-the-norm",
    sentence="In a pre-norm layer the skip carries the normalised input.",
    clauses=(
        residual.THE_SKIP_ADDS_THE_INPUT_ONCE,
        residual.NORM_PLACEMENT_IS_AS_CLAIMED,
        stack.EQUALS_THE_REFERENCE,
        model.NORMS_STAND_AS_CLAIMED,
        model.EQUALS_THE_REFERENCE,
    ),
    source="experience",
    written="x = norm(x); x = x + sublayer(x)",
    mend="x = x + sublayer(norm(x))",
    patches=(("residual.pre_norm", normalised_skip),),
    planted=(*(PRE, PRE_STACK), *PRE_MODELS),
    synonyms=("residual-taken-after-the-norm",),
)


def other_placement(placement, x, sublayer, norm, *, rate, training):
    connect = reference.post_norm if placement == "pre" else reference.pre_norm
    return connect(x, sublayer, norm, rate=rate, training=training)


PLACEMENTS_SWAPPED = Fault(
    id="pre-norm-and-post-norm-swapped",
    sentence="The code normalises before the sublayer where its paper normalises after the addition, or the other way round.",
    clauses=(
        residual.NORM_PLACEMENT_IS_AS_CLAIMED,
        stack.EQUALS_THE_REFERENCE,
        model.NORMS_STAND_AS_CLAIMED,
        model.EQUALS_THE_REFERENCE,
    ),
    source="https://github.com/harvardnlp/annotated-transformer/issues/1",
    written="x + sublayer(norm(x))",
    mend="norm(x + sublayer(x)), or claim norm='pre'",
    patches=(("residual.connect", other_placement),),
    planted=(*EVERYWHERE, *POST_MODELS),
    synonyms=("pre-norm-in-a-post-norm-model",),
)


def norm_on_the_branch(x, sublayer, norm, *, rate, training):
    return reference.add(x, norm(reference.drop(sublayer(x), rate=rate, training=training)))


NORM_ON_THE_BRANCH = Fault(
    id="norm-on-the-branch",
    sentence="The sublayer's output is normalised before it is added.",
    clauses=(residual.NORM_PLACEMENT_IS_AS_CLAIMED,),
    source="experience",
    written="x + norm(sublayer(x))",
    mend="norm(x + sublayer(x))",
    patches=(("residual.post_norm", norm_on_the_branch), ("residual.pre_norm", norm_on_the_branch)),
    planted=(POST, POST_STACK),
)


def from_the_block(x, mask, own, config, positions=None):
    seen = reference.connect(
        config.norm,
        x,
        lambda tokens: own.attention(tokens, tokens, mask),
        own.attention_norm,
        rate=0.0,
        training=own.training,
    )
    if config.norm == "pre":
        return x + own.feed_forward(own.feed_forward_norm(seen))
    return own.feed_forward_norm(x + own.feed_forward(seen))


SECOND_SKIP_FROM_THE_FIRST_INPUT = Fault(
    id="second-skip-from-the-first-input",
    sentence="The second skip adds the input of the layer, and what attention found is lost from the sum.",
    clauses=(residual.THE_SKIP_HOLDS_THE_VALUE_BEFORE_THE_SUBLAYER, stack.EQUALS_THE_REFERENCE),
    source="experience",
    written="h = norm1(x + attention(x)); norm2(x + feed_forward(h))",
    mend="h = norm1(x + attention(x)); norm2(h + feed_forward(h))",
    patches=(("stack.encoder_layer", from_the_block),),
    planted=(POST, PRE),
)


def cut_skip(x, sublayer, norm, *, rate, training):
    output = sublayer(x)
    functional.relu_(x)
    return norm(x + reference.drop(output, rate=rate, training=training))


IN_PLACE_ACTIVATION_ON_THE_SKIP = Fault(
    id="in-place-activation-on-the-skip",
    sentence="An activation in place overwrites the tensor that the skip holds.",
    clauses=(residual.THE_SKIP_HOLDS_THE_VALUE_BEFORE_THE_SUBLAYER,),
    source="experience",
    written="functional.relu_(x)",
    mend="functional.relu(x)",
    patches=(("residual.post_norm", cut_skip),),
    planted=(POST,),
)

FINAL_NORM_FORGOTTEN = Fault(
    id="final-norm-forgotten",
    sentence="Pre-norm layers end without a norm: it is built, and nobody calls it.",
    clauses=(
        residual.A_PRE_NORM_STACK_ENDS_IN_A_NORM,
        stack.EQUALS_THE_REFERENCE,
        model.FINAL_NORM_IS_AS_CLAIMED,
        model.EQUALS_THE_REFERENCE,
    ),
    source="Xiong et al. 2020, section 3.2",
    written="for layer in layers: x = layer(x, mask)",
    mend="return final_norm(x)",
    patches=(("stack.top", lambda x, own: x),),
    planted=(
        *(PRE_STACK, Planted(role=Role.ENCODER, claims={"norm": "pre", "normalization": "rms"})),
        Planted(role=Role.DECODER, claims={"norm": "pre", "causal": True}),
        *PRE_MODELS,
    ),
    synonyms=("decoder-final-norm-forgotten", "final-norm-never-called"),
)


def ends_twice(x, mask, own, config, positions=None):
    for layer in own.layers:
        x = layer(x, mask)
    return functional.layer_norm(x, x.shape[-1:], eps=config.eps)


FINAL_NORM_AFTER_POST_NORM = Fault(
    id="final-norm-after-post-norm",
    sentence="A post-norm stack, whose last layer ends in a norm, is normalised once more.",
    clauses=(residual.A_PRE_NORM_STACK_ENDS_IN_A_NORM, stack.EQUALS_THE_REFERENCE),
    source="experience: the final norm of a framework's encoder kept when norm_first is false",
    written="nn.TransformerEncoder(layer, n, norm=nn.LayerNorm(d_model))",
    mend="nn.TransformerEncoder(layer, n, norm=None)",
    patches=(("stack.encoder", ends_twice),),
    planted=(POST_STACK,),
)


def drops_the_sum(x, sublayer, norm, *, rate, training):
    return norm(reference.drop(reference.add(x, sublayer(x)), rate=rate, training=training))


def drops_the_sum_before(x, sublayer, norm, *, rate, training):
    return reference.drop(reference.add(x, sublayer(norm(x))), rate=rate, training=training)


DROPOUT_ON_THE_SKIP = Fault(
    id="dropout-on-the-skip",
    sentence="Dropout falls on the sum, and so on the skip.",
    clauses=(residual.DROPOUT_FALLS_ON_THE_SUBLAYER,),
    source="experience",
    written="dropout(x + sublayer(x))",
    mend="x + dropout(sublayer(x))",
    patches=(("residual.post_norm", drops_the_sum), ("residual.pre_norm", drops_the_sum_before)),
    planted=(POST, PRE),
)

DROPOUT_NEVER_APPLIED = Fault(
    id="dropout-never-applied",
    sentence="Dropout is configured and never applied.",
    clauses=(residual.DROPOUT_IS_AS_CLAIMED,),
    source="experience",
    written="x + sublayer(x)",
    mend="x + self.dropout(sublayer(x))",
    patches=(("residual.drop", lambda x, *, rate, training: x),),
    planted=tuple(Planted(role=role, claims={"dropout": "on"}) for role in (Role.ENCODER_LAYER, Role.ENCODER)),
)

DROPOUT_RATE_NOT_PASSED_ON = Fault(
    id="dropout-rate-not-passed-on",
    sentence="The configured rate never reaches the dropout: 0.1 stays.",
    clauses=(residual.DROPOUT_IS_AS_CLAIMED,),
    source="experience",
    written="nn.Dropout(0.1)",
    mend="nn.Dropout(config.dropout)",
    patches=(("residual.drop", lambda x, *, rate, training: torch.dropout(x, 0.1, training)),),
    planted=(
        Planted(role=Role.ENCODER_LAYER, claims={"dropout": "on"}),
        Planted(role=Role.ENCODER, claims={"dropout": "on"}),
    ),
)

NOISE_ON_THE_SKIP = Fault(
    id="noise-on-the-skip",
    sentence="Noise is added to the skip, in evaluation as well.",
    clauses=(state.EVALUATION_IS_DETERMINISTIC,),
    source="arXiv 2604.28118 (DEFault++), DEForm operator RIN",
    written="x = x + torch.randn_like(x) * self.noise + sublayer(x)",
    mend="if self.training: ..., or leave the noise out",
    patches=(("residual.add", lambda skip, sublayer_output: skip + 1e-3 * torch.randn_like(skip) + sublayer_output),),
    planted=EVERYWHERE,
)
