"""Guess: the role that a class is asked about first where nobody says one; it is marked as open."""

import inspect

from torch import nn

from veriformer.assumed import names
from veriformer.assumed.constructor import parameters_of
from veriformer_spec.role import Role


def role_of(made: type[nn.Module]) -> Role:
    """What a class seems to be, by what it is constructed and called with."""
    built = {names.plain(each.name) for each in parameters_of(made)}
    called = {names.plain(each) for each in inspect.signature(made.forward).parameters} - {"self"}
    called_as = names.plain(made.__name__)
    if "norm" in called_as:
        return Role.RMS_NORM if "rms" in called_as else Role.LAYER_NORM
    if "position" in called_as and "attention" not in called_as and "feed" not in called_as:
        return Role.POSITIONAL_ENCODING
    two = bool(called & names.TARGETS) and bool(called & (names.SOURCES - names.TARGETS))
    if (two and ("seq2seq" in called_as or "transformer" in called_as)) or built & {"srcvocab", "srcvocabsize"}:
        return Role.ENCODER_DECODER
    if built & names.SIZES["vocab"] or "gpt" in called_as or called & {"idx", "inputids", "ids"}:
        return Role.MASKED_LM if "bert" in called_as else Role.CAUSAL_LM
    stack = bool(built & names.SIZES["layers"])
    if called & (names.MEMORIES - names.TOKENS) and not called & names.VALUES:
        return Role.DECODER if stack else Role.DECODER_LAYER
    if "decoder" in called_as:
        return Role.DECODER if stack else Role.DECODER_LAYER
    if "att" in called_as and "block" not in called_as:
        return Role.MULTI_HEAD_ATTENTION
    if "feedforward" in called_as or "mlp" in called_as or "ffn" in called_as:
        return Role.FEED_FORWARD
    return Role.ENCODER if stack else Role.ENCODER_LAYER
