"""Which subjects a mutant of the reference is planted in: the reference under the claims that reach all of its code."""

import functools

from veriformer.adapters import reference
from veriformer.declaration import Declaration
from veriformer_spec.role import Role


@functools.cache
def subjects() -> tuple[Declaration, ...]:
    """Every declaration of the reference that the suite judges anyway, and those under claims that none of them makes."""
    return (*reference.declarations(), *_under_other_claims())


def _under_other_claims() -> tuple[Declaration, ...]:
    """Each small, so that a claim's value is judged by itself."""
    declared = reference.declaration
    return (
        *(
            declared(Role.FEED_FORWARD, activation=name)
            for name in ("gelu", "gelu-tanh", "silu", "reglu", "geglu", "geglu-tanh")
        ),
        declared(Role.ATTENTION, causal=True, alignment="start"),
        declared(Role.ATTENTION, causal=True, alignment="end"),
        declared(Role.ATTENTION, causal=True, sliding_window=True, soft_cap=2.0),
        declared(Role.ATTENTION, causal=True, sliding_window=True, alignment="start"),
        declared(Role.ATTENTION, scale=0.3),
        declared(Role.ATTENTION, scale=2),
        declared(Role.MULTI_HEAD_ATTENTION, scale="folded"),
        declared(Role.LAYER_NORM, computes_in="float32"),
        declared(Role.ROTARY_ENCODING, rotary_scaling=3.0),
        declared(Role.RMS_NORM, gain="one-plus-weight"),
        declared(Role.MULTI_HEAD_ATTENTION, positions="relative", memory="query", query_key_norm="layer"),
        declared(Role.MULTI_HEAD_ATTENTION, positions="relative", memory="query", causal=True),
        declared(Role.MULTI_HEAD_ATTENTION, positions="rotary", rotary_pairing="adjacent", memory="query"),
        declared(Role.DECODER, positions="learned", layer_parameters="shared", final_norm=True),
        declared(Role.MASKED_LM, positions="sinusoidal", head_bias=True, padding_sides=("right", "left", "interior")),
        declared(Role.CAUSAL_LM, positions="sinusoidal", layer_parameters="shared", cache=True),
        declared(Role.CAUSAL_LM, positions="relative", final_norm=True, cache=True),
        declared(Role.ENCODER_DECODER, positions="learned"),
        declared(Role.ENCODER_DECODER, cell="gru", tied=True, bias=False),
        declared(Role.ENCODER_DECODER, cell="gru", padding_sides=("right", "left", "interior")),
        declared(Role.LOSS, smoothing="none"),
        declared(Role.ATTENTION_BIAS, direction="bidirectional"),
        declared(Role.MULTI_HEAD_ATTENTION, positions="alibi", memory="query"),
        declared(Role.MULTI_HEAD_ATTENTION, positions="relative", kv_heads="grouped", memory="query"),
        declared(Role.MULTI_HEAD_ATTENTION, positions="alibi", kv_heads="grouped", memory="query"),
        declared(Role.ENCODER, entrance="projection", bias=False),
        declared(Role.ENCODER_DECODER, positions="sinusoidal", padding_sides=("right", "left", "interior")),
        declared(Role.ENCODER_DECODER, positions="rotary", padding_sides=("right", "left", "interior")),
    )
