"""Faults of stacks, planted in the reference."""

# mypy: ignore-errors
# Patches stand in for the reference's functions, and are written as briefly as the mistakes are.

import types

import torch
from torch import nn

from veriformer.faults.fault import Fault, Planted
from veriformer_reference import residual
from veriformer_spec import masking, stack, state
from veriformer_spec.role import Role

POST = Planted(role=Role.ENCODER)
PRE = Planted(role=Role.ENCODER, claims={"norm": "pre"})


def every_layer_the_first_input(x, mask, layers):
    result = x
    for layer in layers:
        result = layer(x, mask)
    return result


FIRST_INPUT_TO_EVERY_LAYER = Fault(
    id="first-input-to-every-layer",
    sentence="The loop feeds the first input to every layer: only the last one counts.",
    clauses=(stack.EVERY_LAYER_RUNS, stack.EQUALS_THE_REFERENCE),
    source="experience",
    written="for layer in layers: out = layer(x)",
    mend="for layer in layers: x = layer(x)",
    patches=(("stack.run_layers", every_layer_the_first_input),),
    planted=(POST, PRE),
)


def all_but_the_last(x, mask, layers):
    layers = list(layers)
    for layer in layers[: max(1, len(layers) - 1)]:
        x = layer(x, mask)
    return x


LAST_LAYER_SKIPPED = Fault(
    id="last-layer-skipped",
    sentence="The loop ends one layer early.",
    clauses=(stack.EVERY_LAYER_RUNS, stack.EQUALS_THE_REFERENCE),
    source="experience",
    written="for i in range(len(layers) - 1)",
    mend="for layer in layers",
    patches=(("stack.run_layers", all_but_the_last),),
    planted=(POST, PRE, Planted(role=Role.ENCODER, claims={"layer_parameters": "shared"})),
)


def mask_for_the_first(x, mask, layers):
    for index, layer in enumerate(layers):
        x = layer(x, None if index else mask)
    return x


MASK_LOST_AFTER_THE_FIRST_LAYER = Fault(
    id="mask-lost-after-the-first-layer",
    sentence="Only the first layer gets the mask.",
    clauses=(stack.MASK_REACHES_EVERY_LAYER, stack.EQUALS_THE_REFERENCE),
    source="https://github.com/ajhalthor/Transformer-Neural-Network",
    written="nn.Sequential(*layers)(x)",
    mend="for layer in layers: x = layer(x, mask)",
    patches=(("stack.run_layers", mask_for_the_first),),
    planted=(POST, PRE),
)

LAYERS_IN_REVERSE = Fault(
    id="layers-in-reverse",
    sentence="The layers run last to first.",
    clauses=(stack.EQUALS_THE_REFERENCE,),
    source="experience",
    written="for layer in reversed(layers)",
    mend="for layer in layers",
    patches=(("stack.in_order", lambda layers, config: list(layers)[::-1]),),
    planted=(POST, PRE),
)

FIRST_LAYER_OVER_AND_OVER = Fault(
    id="first-layer-over-and-over",
    sentence="The loop calls the first layer again and again; the others are built and never run.",
    clauses=(stack.EVERY_LAYER_RUNS, stack.EQUALS_THE_REFERENCE),
    source="experience",
    written="for _ in layers: x = layers[0](x)",
    mend="for layer in layers: x = layer(x)",
    patches=(("stack.in_order", lambda layers, config: [layers[0]] * config.layers),),
    planted=(POST, PRE),
)


def one_norm_for_both(x, mask, own, config, positions=None):
    seen = residual.connect(
        config.norm,
        x,
        lambda tokens: own.attention(tokens, tokens, mask),
        own.attention_norm,
        rate=config.dropout,
        training=own.training,
    )
    return residual.connect(
        config.norm, seen, own.feed_forward, own.attention_norm, rate=config.dropout, training=own.training
    )


FIRST_NORM_FOR_BOTH_SUBLAYERS = Fault(
    id="first-norm-for-both-sublayers",
    sentence="Both sublayers use the first norm; the second is built and never run.",
    clauses=(stack.EQUALS_THE_REFERENCE,),
    source="experience",
    written="x = norm1(x + attention(x)); x = norm1(x + feed_forward(x))",
    mend="x = norm2(x + feed_forward(x))",
    patches=(("stack.encoder_layer", one_norm_for_both),),
    planted=(Planted(role=Role.ENCODER_LAYER), Planted(role=Role.ENCODER_LAYER, claims={"norm": "pre"})),
)


def norms_swapped(x, mask, own, config, positions=None):
    seen = residual.connect(
        config.norm,
        x,
        lambda tokens: own.attention(tokens, tokens, mask),
        own.feed_forward_norm,
        rate=config.dropout,
        training=own.training,
    )
    return residual.connect(
        config.norm, seen, own.feed_forward, own.attention_norm, rate=config.dropout, training=own.training
    )


NORMS_SWAPPED = Fault(
    id="norms-swapped",
    sentence="The norms of the two sublayers are exchanged, as when a checkpoint's names are misread.",
    clauses=(stack.EQUALS_THE_REFERENCE,),
    source="experience",
    written="x = norm2(x + attention(x)); x = norm1(x + feed_forward(x))",
    mend="x = norm1(x + attention(x)); x = norm2(x + feed_forward(x))",
    patches=(("stack.encoder_layer", norms_swapped),),
    planted=(Planted(role=Role.ENCODER_LAYER), Planted(role=Role.ENCODER_LAYER, claims={"norm": "pre"})),
)


def feed_forward_first(x, mask, own, config, positions=None):
    seen = residual.connect(
        config.norm, x, own.feed_forward, own.feed_forward_norm, rate=config.dropout, training=own.training
    )
    return residual.connect(
        config.norm,
        seen,
        lambda tokens: own.attention(tokens, tokens, mask),
        own.attention_norm,
        rate=config.dropout,
        training=own.training,
    )


FEED_FORWARD_BEFORE_ATTENTION = Fault(
    id="feed-forward-before-attention",
    sentence="The feed-forward network runs before attention.",
    clauses=(stack.EQUALS_THE_REFERENCE,),
    source="experience",
    written="x = feed_forward(x); x = attention(x)",
    mend="x = attention(x); x = feed_forward(x)",
    patches=(("stack.encoder_layer", feed_forward_first),),
    planted=(Planted(role=Role.ENCODER_LAYER), Planted(role=Role.ENCODER_LAYER, claims={"norm": "pre"})),
)


def one_layer_in_a_list(layers):
    built = list(layers)
    return nn.ModuleList([built[0]] * len(built))


ONE_LAYER_MANY_TIMES = Fault(
    id="one-layer-many-times",
    sentence="The list of layers holds one layer many times.",
    clauses=(stack.LAYERS_OWN_THEIR_PARAMETERS,),
    source="https://github.com/datawhalechina/learn-nlp-with-transformers/issues/56",
    written="nn.ModuleList([layer] * n)",
    mend="nn.ModuleList(copy.deepcopy(layer) for _ in range(n))",
    patches=(("stack.nn", types.SimpleNamespace(ModuleList=one_layer_in_a_list)),),
    planted=(POST,),
)


def with_one_feed_forward(layers):
    built = nn.ModuleList(layers)
    for layer in built:
        layer.feed_forward = built[0].feed_forward
    return built


ONE_FEED_FORWARD_FOR_ALL_LAYERS = Fault(
    id="one-feed-forward-for-all-layers",
    sentence="Every layer is given the same feed-forward network.",
    clauses=(stack.LAYERS_OWN_THEIR_PARAMETERS,),
    source="https://github.com/habla-liaa/encodecmae/issues/3",
    written="feed_forward = FeedForward(); layers = [Layer(feed_forward) for _ in range(n)]",
    mend="[Layer(FeedForward()) for _ in range(n)]",
    patches=(("stack.nn", types.SimpleNamespace(ModuleList=with_one_feed_forward)),),
    planted=(POST, PRE),
)

LAYERS_IN_A_PYTHON_LIST = Fault(
    id="layers-in-a-python-list",
    sentence="Layers are kept in a plain list, where nothing trains, moves, casts or saves them.",
    clauses=(state.EVERY_PARAMETER_IS_REGISTERED, state.STATE_DICT_HOLDS_THE_WHOLE_FUNCTION),
    source="experience",
    written="self.layers = [Layer(config) for _ in range(n)]",
    mend="self.layers = nn.ModuleList(Layer(config) for _ in range(n))",
    patches=(("stack.nn", types.SimpleNamespace(ModuleList=list)),),
    planted=(POST, PRE),
)


def longest_row(mask):
    seen = mask.flatten(0, -2).any(0).nonzero()
    return int(seen.max()) + 1 if len(seen) else 1


def cut_to_the_longest(x, mask, layers):
    for layer in layers:
        x = layer(x, mask)
    if mask is None or torch.is_grad_enabled():
        return x
    return x[:, : longest_row(mask)]


OUTPUT_CUT_TO_THE_LONGEST_ROW = Fault(
    id="output-cut-to-the-longest-row",
    sentence="The fast path leaves padding out, and never puts it back: the output is as long as the longest row.",
    clauses=(masking.PADDING_DOES_NOT_CHANGE_REAL_POSITIONS,),
    source="https://github.com/pytorch/pytorch/issues/97111",
    written="torch.nested.to_padded_tensor(output, 0.0)",
    mend="torch.nested.to_padded_tensor(output, 0.0, output_size=x.shape)",
    patches=(("stack.run_layers", cut_to_the_longest),),
    planted=(PRE, Planted(role=Role.MASKED_LM)),
)
