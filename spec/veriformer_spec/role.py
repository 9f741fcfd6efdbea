"""The roles: what an implementation under test claims to be."""

from enum import StrEnum


class Role(StrEnum):
    """What a thing claims to be; ``interface`` holds the call of each, with shapes."""

    ATTENTION = "attention"
    SELF_ATTENTION = "plain-self-attention"
    ADDITIVE_ATTENTION = "additive-attention"
    MULTI_HEAD_ATTENTION = "multi-head-attention"
    LAYER_NORM = "layer-norm"
    RMS_NORM = "rms-norm"
    FEED_FORWARD = "feed-forward"
    POSITIONAL_ENCODING = "positional-encoding"
    ROTARY_ENCODING = "rotary-encoding"
    ATTENTION_BIAS = "attention-bias"
    TOKEN_EMBEDDING = "token-embedding"  # noqa: S105  # no password
    ENCODER_LAYER = "encoder-layer"
    ENCODER = "encoder"
    DECODER_LAYER = "decoder-layer"
    DECODER = "decoder"
    CAUSAL_LM = "causal-lm"
    MASKED_LM = "masked-lm"
    ENCODER_DECODER = "encoder-decoder"
    DROPOUT = "dropout"
    LOSS = "loss"
    LEARNING_RATE_SCHEDULE = "learning-rate-schedule"
    GENERATION = "generation"


NORMS = (Role.LAYER_NORM, Role.RMS_NORM)
STACKS = (Role.ENCODER_LAYER, Role.ENCODER)
DECODERS = (Role.DECODER_LAYER, Role.DECODER)
"""Roles that look at themselves and at a memory, both passed as features."""
LANGUAGE_MODELS = (Role.CAUSAL_LM, Role.MASKED_LM)
MODELS = (*LANGUAGE_MODELS, Role.ENCODER_DECODER)
"""Roles that read token ids and return a logit for each word of the vocabulary."""
LAYERED = (Role.ENCODER, Role.DECODER, *MODELS)
"""Roles that have ``config.layers`` layers."""
CROSS_ATTENDING = (*DECODERS, Role.ENCODER_DECODER)
"""Roles with two key sides: their own tokens, and the memory (of the encoder-decoder: the source)."""
PROJECTED = (Role.MULTI_HEAD_ATTENTION, *STACKS, *DECODERS, *MODELS)
"""Roles that attend in several heads, with projections."""
ATTENDING = (Role.ATTENTION, Role.SELF_ATTENTION, Role.ADDITIVE_ATTENTION, *PROJECTED)
"""Roles that take a mask and let one token look at another."""
TOKEN_WISE = (*NORMS, Role.FEED_FORWARD)
"""Roles that treat every token alone."""
FUNCTIONS = (Role.ATTENTION_BIAS, Role.DROPOUT, Role.LOSS, Role.LEARNING_RATE_SCHEDULE, Role.GENERATION)
"""Roles with a call of their own kind, which only the clauses of their own chapter know how to make."""
ALL = tuple(role for role in Role if role not in FUNCTIONS)
"""Roles that turn one row of numbers or ids for each token into one row of numbers for each token."""
PARAMETRIC = tuple(role for role in ALL if role not in {Role.ATTENTION, Role.SELF_ATTENTION, Role.ROTARY_ENCODING})
"""Roles that have weights."""
