"""Faults of decoders, planted in the reference."""

# mypy: ignore-errors
# Patches stand in for the reference's functions, and are written as briefly as the mistakes are.

from functools import partial

from veriformer.faults.fault import Fault, Planted
from veriformer_reference import residual as reference
from veriformer_spec import residual, stack
from veriformer_spec.role import Role

POST = Planted(role=Role.DECODER)
PRE = Planted(role=Role.DECODER, claims={"norm": "pre", "causal": True})
LAYER = Planted(role=Role.DECODER_LAYER)
PRE_LAYER = Planted(role=Role.DECODER_LAYER, claims={"norm": "pre"})


def memory_for_the_first(x, memory, mask, memory_mask, layers):
    for index, layer in enumerate(layers):
        x = layer(x, x, mask, mask) if index else layer(x, memory, mask, memory_mask)
    return x


MEMORY_FOR_THE_FIRST_LAYER = Fault(
    id="memory-for-the-first-layer-only",
    sentence="The first decoder layer reads the memory; every other one is given the layer below in its place.",
    clauses=(stack.MEMORY_REACHES_EVERY_LAYER, stack.EQUALS_THE_REFERENCE),
    source="experience",
    written="for layer in layers: x = memory = layer(x, memory)",
    mend="for layer in layers: x = layer(x, memory)",
    patches=(("decoder.run_layers", memory_for_the_first),),
    planted=(POST, PRE),
)


def memory_mask_for_the_first(x, memory, mask, memory_mask, layers):
    for index, layer in enumerate(layers):
        x = layer(x, memory, mask, None if index else memory_mask)
    return x


MEMORY_MASK_FOR_THE_FIRST_LAYER = Fault(
    id="memory-mask-for-the-first-layer-only",
    sentence="Only the first decoder layer is told which positions of the memory are padding.",
    clauses=(stack.MASK_REACHES_EVERY_LAYER, stack.EQUALS_THE_REFERENCE),
    source="https://github.com/pytorch/pytorch/issues/35875",
    written="x = layer(x, memory, mask)",
    mend="x = layer(x, memory, mask, memory_mask)",
    patches=(("decoder.run_layers", memory_mask_for_the_first),),
    planted=(POST, PRE),
)


def only_the_last(x, memory, mask, memory_mask, layers):
    return list(layers)[-1](x, memory, mask, memory_mask)


LAST_DECODER_LAYER_ONLY = Fault(
    id="last-decoder-layer-only",
    sentence="Every decoder layer reads the first input, and the last one's output is all that is left.",
    clauses=(stack.EVERY_LAYER_RUNS, stack.EQUALS_THE_REFERENCE),
    source="experience",
    written="for layer in layers: out = layer(x, memory)",
    mend="for layer in layers: x = layer(x, memory)",
    patches=(("decoder.run_layers", only_the_last),),
    planted=(POST, PRE),
)


def steps(x, memory, mask, memory_mask, own, config, positions):
    """The layer's three steps, to be put together wrongly."""
    connect = partial(reference.connect, config.norm, rate=config.dropout, training=own.training)
    return (
        lambda y: connect(y, lambda z: own.attention(z, z, mask, positions), own.attention_norm),
        lambda y: connect(y, lambda z: own.cross_attention(z, memory, memory_mask), own.cross_attention_norm),
        lambda y: connect(y, own.feed_forward, own.feed_forward_norm),
    )


def cross_attention_first(x, memory, mask, memory_mask, own, config, positions=None):
    look, read, think = steps(x, memory, mask, memory_mask, own, config, positions)
    return think(look(read(x)))


CROSS_ATTENTION_FIRST = Fault(
    id="cross-attention-before-self-attention",
    sentence="A decoder layer reads the memory before its tokens look at each other.",
    clauses=(stack.DECODER_SUBLAYERS_STAND_IN_ORDER, stack.EQUALS_THE_REFERENCE),
    source="experience",
    written="x = cross(x, memory); x = attention(x)",
    mend="x = attention(x); x = cross(x, memory)",
    patches=(("decoder.decoder_layer", cross_attention_first),),
    planted=(LAYER, PRE_LAYER),
)


def feed_forward_in_the_middle(x, memory, mask, memory_mask, own, config, positions=None):
    look, read, think = steps(x, memory, mask, memory_mask, own, config, positions)
    return read(think(look(x)))


FEED_FORWARD_IN_THE_MIDDLE = Fault(
    id="feed-forward-before-cross-attention",
    sentence="A decoder layer thinks before it reads the memory.",
    clauses=(stack.EQUALS_THE_REFERENCE,),
    source="experience",
    written="x = feed_forward(x); x = cross(x, memory)",
    mend="x = cross(x, memory); x = feed_forward(x)",
    patches=(("decoder.decoder_layer", feed_forward_in_the_middle),),
    planted=(LAYER, PRE_LAYER),
)


def memory_normalised(x, memory, mask, memory_mask, own, config, positions=None):
    look, read, think = steps(x, own.cross_attention_norm(memory), mask, memory_mask, own, config, positions)
    return think(read(look(x)))


MEMORY_NORMALISED = Fault(
    id="memory-normalised-with-the-target",
    sentence="The norm before cross-attention is applied to the memory too.",
    clauses=(stack.DECODER_SUBLAYERS_STAND_IN_ORDER, stack.EQUALS_THE_REFERENCE),
    source="experience",
    written="cross(norm(x), norm(memory))",
    mend="cross(norm(x), memory)",
    patches=(("decoder.decoder_layer", memory_normalised),),
    planted=(LAYER, PRE_LAYER),
)


def cross_attention_without_a_skip(x, memory, mask, memory_mask, own, config, positions=None):
    look, _, think = steps(x, memory, mask, memory_mask, own, config, positions)
    seen = look(x)
    asked = own.cross_attention_norm(seen) if config.norm == "pre" else seen
    read = own.cross_attention(asked, memory, memory_mask)
    return think(read if config.norm == "pre" else own.cross_attention_norm(read))


CROSS_ATTENTION_WITHOUT_A_SKIP = Fault(
    id="cross-attention-without-a-skip",
    sentence="What cross-attention returns takes the place of its input, and is not added to it.",
    clauses=(residual.THE_SKIP_ADDS_THE_INPUT_ONCE, stack.EQUALS_THE_REFERENCE),
    source="experience",
    written="x = norm(cross(x, memory))",
    mend="x = norm(x + cross(x, memory))",
    patches=(("decoder.decoder_layer", cross_attention_without_a_skip),),
    planted=(LAYER, PRE_LAYER, POST),
)


def skips_from_the_start(x, memory, mask, memory_mask, own, config, positions=None):
    look, _, think = steps(x, memory, mask, memory_mask, own, config, positions)
    seen = look(x)
    if config.norm == "pre":
        return think(x + own.cross_attention(own.cross_attention_norm(seen), memory, memory_mask))
    return think(own.cross_attention_norm(x + own.cross_attention(seen, memory, memory_mask)))


SKIP_FROM_THE_LAYERS_INPUT = Fault(
    id="cross-attention-skip-from-the-layers-input",
    sentence="The skip around cross-attention adds the layer's input, and what self-attention saw is lost.",
    clauses=(residual.THE_SKIP_HOLDS_THE_VALUE_BEFORE_THE_SUBLAYER, stack.EQUALS_THE_REFERENCE),
    source="experience",
    written="seen = norm(x + attention(x)); norm(x + cross(seen, memory))",
    mend="norm(seen + cross(seen, memory))",
    patches=(("decoder.decoder_layer", skips_from_the_start),),
    planted=(LAYER, PRE_LAYER),
)


def cross_attention_without_a_norm(x, memory, mask, memory_mask, own, config, positions=None):
    look, _, think = steps(x, memory, mask, memory_mask, own, config, positions)
    seen = look(x)
    return think(seen + own.cross_attention(seen, memory, memory_mask))


CROSS_ATTENTION_WITHOUT_A_NORM = Fault(
    id="cross-attention-without-a-norm",
    sentence="The norm that belongs to cross-attention is built and never called.",
    clauses=(residual.NORM_PLACEMENT_IS_AS_CLAIMED, stack.EQUALS_THE_REFERENCE),
    source="experience",
    written="x = x + cross(x, memory)",
    mend="x = norm(x + cross(x, memory))",
    patches=(("decoder.decoder_layer", cross_attention_without_a_norm),),
    planted=(LAYER, POST),
)
