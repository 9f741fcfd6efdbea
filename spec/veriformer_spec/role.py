"""The roles: what an implementation under test claims to be."""

from enum import StrEnum


class Role(StrEnum):
    """What a thing claims to be; ``interface`` holds the call of each, with shapes."""

    ATTENTION = "attention"
    MULTI_HEAD_ATTENTION = "multi-head-attention"
    LAYER_NORM = "layer-norm"
    RMS_NORM = "rms-norm"
    FEED_FORWARD = "feed-forward"
    POSITIONAL_ENCODING = "positional-encoding"
    ENCODER_LAYER = "encoder-layer"
    ENCODER = "encoder"


ALL = tuple(Role)
NORMS = (Role.LAYER_NORM, Role.RMS_NORM)
STACKS = (Role.ENCODER_LAYER, Role.ENCODER)
ATTENDING = (Role.ATTENTION, Role.MULTI_HEAD_ATTENTION, *STACKS)
"""Roles that take a mask and let one token look at another."""
PARAMETRIC = tuple(role for role in Role if role is not Role.ATTENTION)
"""Roles that have weights; plain attention has none."""
TOKEN_WISE = (*NORMS, Role.FEED_FORWARD)
"""Roles that treat every token alone."""
