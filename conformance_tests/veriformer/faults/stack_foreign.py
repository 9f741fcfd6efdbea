"""Faults and near-misses of stacks, written without the reference."""

# mypy: ignore-errors
# Other people's code, written the way they write it: without types.

import copy

import torch
from torch import nn
from torch.nn import functional

import veriformer
from veriformer.faults.fault import Fault, NearMiss
from veriformer.faults.tutorial_layer import TutorialEncoder, TutorialLayer, encoder_names, layer_names
from veriformer_spec import stack


class OneLayer(TutorialEncoder):
    def __init__(self, config):
        super().__init__(config)
        self.layers = nn.ModuleList([self.layers[0]] * config.layers)


class OneFeedForward(TutorialEncoder):
    """Every layer is given the same feed-forward network."""

    def __init__(self, config):
        super().__init__(config)
        for layer in self.layers:
            layer.fc1, layer.fc2 = self.layers[0].fc1, self.layers[0].fc2


class PlainList(TutorialEncoder):
    def __init__(self, config):
        super().__init__(config)
        layers = list(self.layers)
        del self.layers
        object.__setattr__(self, "layers", layers)


@veriformer.subject("encoder")
def one_layer(config):
    return OneLayer(config)


@veriformer.subject("encoder")
def one_feed_forward(config):
    return OneFeedForward(config)


@veriformer.subject("encoder", norm="pre")
def layers_in_a_plain_list(config):
    return PlainList(config)


@veriformer.subject("encoder", layer_parameters="shared")
def copies_where_shared_is_claimed(config):
    return TutorialEncoder(config)


LAYERS_SHARE_PARAMETERS = Fault(
    id="layers-share-parameters",
    sentence="Layers, or their feed-forward networks, are one object; or they are not registered; or shared is claimed and not true.",
    clauses=(stack.LAYERS_OWN_THEIR_PARAMETERS,),
    source="https://github.com/habla-liaa/encodecmae/issues/3",
    written="nn.ModuleList([layer] * n)",
    mend="nn.ModuleList(copy.deepcopy(layer) for _ in range(n))",
    builds=(one_layer, one_feed_forward, layers_in_a_plain_list, copies_where_shared_is_claimed),
)


class ForgetsTheOutput(TutorialEncoder):
    def forward(self, x, mask=None):
        for layer in self.layers:
            out = layer(x, mask)
        return self.last(out)


class StopsShort(TutorialEncoder):
    def forward(self, x, mask=None):
        for index in range(max(1, len(self.layers) - 1)):
            x = self.layers[index](x, mask)
        return self.last(x)


class SideBySide(TutorialEncoder):
    """Every layer sees the first input, and their outputs are summed: all parameters are alive, and nothing is chained."""

    def forward(self, x, mask=None):
        return self.last(torch.stack([layer(x, mask) for layer in self.layers]).sum(0))


@veriformer.subject("encoder")
def output_forgotten(config):
    return ForgetsTheOutput(config)


@veriformer.subject("encoder", norm="pre")
def one_layer_short(config):
    return StopsShort(config)


@veriformer.subject("encoder", norm="pre", final_norm=True)
def side_by_side(config):
    return SideBySide(config)


LAYERS_NOT_CHAINED = Fault(
    id="layers-not-chained",
    sentence="The output of one layer is not the input of the next.",
    clauses=(stack.EVERY_LAYER_RUNS,),
    source="experience",
    written="for layer in layers: out = layer(x)",
    mend="for layer in layers: x = layer(x)",
    builds=(output_forgotten, one_layer_short, side_by_side),
)


class MaskOnce(TutorialEncoder):
    def forward(self, x, mask=None):
        x = self.layers[0](x, mask)
        return self.last(nn.Sequential(*self.layers[1:])(x))


class MaskForTheLast(TutorialEncoder):
    def forward(self, x, mask=None):
        for index, layer in enumerate(self.layers):
            x = layer(x, mask if index == len(self.layers) - 1 else None)
        return self.last(x)


@veriformer.subject("encoder")
def mask_once(config):
    return MaskOnce(config)


@veriformer.subject("encoder", norm="pre", masks=("none", "padding"))
def mask_for_the_last(config):
    return MaskForTheLast(config)


MASK_NOT_FOR_EVERY_LAYER = Fault(
    id="mask-not-for-every-layer",
    sentence="nn.Sequential passes its first argument on and nothing else, so that one layer alone has the mask.",
    clauses=(stack.MASK_REACHES_EVERY_LAYER,),
    source="https://github.com/ajhalthor/Transformer-Neural-Network",
    written="nn.Sequential(*layers)(x)",
    mend="for layer in layers: x = layer(x, mask)",
    builds=(mask_once, mask_for_the_last),
)


class Reversed(TutorialEncoder):
    def forward(self, x, mask=None):
        for layer in reversed(self.layers):
            x = layer(x, mask)
        return self.last(x)


class NormsExchanged(TutorialLayer):
    def __init__(self, config):
        super().__init__(config)
        self.ln3 = self.ln2

    def second(self, x, before):
        return x + self.drop(self.think(self.ln1(x))) if self.norm_first else self.ln1(x + self.drop(self.think(x)))


@veriformer.subject("encoder", weights=encoder_names)
def reversed_layers(config):
    return Reversed(config)


@veriformer.subject("encoder-layer", weights=layer_names)
def one_norm_twice(config):
    return NormsExchanged(config)


@veriformer.subject("encoder-layer", weights=layer_names, norm="pre")
def claims_pre_is_post(config):
    layer = TutorialLayer(config)
    layer.norm_first = False
    return layer


RIGHT_PARTS_IN_WRONG_PLACES = Fault(
    id="right-parts-in-wrong-places",
    sentence="Every part is right, and one stands in another's place.",
    clauses=(stack.EQUALS_THE_REFERENCE,),
    source="experience",
    written="for layer in reversed(layers): x = layer(x)",
    mend="for layer in layers: x = layer(x)",
    builds=(reversed_layers, one_norm_twice, claims_pre_is_post),
)


@veriformer.subject("encoder", weights=encoder_names, norm="pre")
def copied_layers(config):
    encoder = TutorialEncoder(config)
    encoder.layers = nn.ModuleList(copy.deepcopy(encoder.layers[0]) for _ in range(config.layers))
    return encoder


class Shared(nn.Module):
    """One layer, many times, as ALBERT has it; positions in a learned table."""

    def __init__(self, config):
        super().__init__()
        self.layer, self.times = TutorialLayer(config), config.layers
        self.places = nn.Embedding(config.max_len, config.d_model)

    def forward(self, x, mask=None):
        x = x + self.places.weight[: x.shape[1]]
        for _ in range(self.times):
            x = self.layer(x, mask)
        return x


@veriformer.subject(
    "encoder", layer_parameters="shared", positions="learned",
    weights=lambda m: layer_names(m.layer, "layers.0.") | {"positions.table": m.places.weight},
)  # fmt: skip
def shared_layers(config):
    return Shared(config)


class Experts(TutorialLayer):
    """Two feed-forward networks; each token takes one of them, by the sign of a feature."""

    def __init__(self, config):
        super().__init__(config)
        self.other1, self.other2 = nn.Linear(config.d_model, config.d_ff), nn.Linear(config.d_ff, config.d_model)

    def think(self, x):
        one, other = super().think(x), self.other2(functional.relu(self.other1(x)))
        return torch.where(x[..., :1] > 0, one, other)


class ExpertEncoder(TutorialEncoder):
    layer = Experts


@veriformer.subject("encoder", norm="pre")
def experts(config):
    return ExpertEncoder(config)


@veriformer.subject("encoder-layer", weights=layer_names, masks=("none", "padding"))
def fused_attention(config):
    class Fused(TutorialLayer):
        def attend(self, x, mask):
            query, key, value = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
            return self.proj(
                functional.scaled_dot_product_attention(query, key, value, mask).transpose(1, 2).flatten(2)
            )

    return Fused(config)


COPIED_LAYERS = NearMiss(
    id="layers-copied-from-one",
    sentence="Every layer starts as a copy of the first, with parameters of its own.",
    clauses=(stack.LAYERS_OWN_THEIR_PARAMETERS, stack.EQUALS_THE_REFERENCE),
    build=copied_layers,
)
SHARED_LAYERS = NearMiss(
    id="shared-layers-claimed",
    sentence="One layer runs many times, as claimed, over learned positions.",
    clauses=(stack.LAYERS_OWN_THEIR_PARAMETERS, stack.EVERY_LAYER_RUNS),
    build=shared_layers,
)
LAYERS_WITH_EXPERTS = NearMiss(
    id="layers-with-experts",
    sentence="Each token takes one of two feed-forward networks, so that a matrix may be unused in a call.",
    clauses=(stack.EVERY_LAYER_RUNS, stack.MASK_REACHES_EVERY_LAYER),
    build=experts,
)
FUSED_ATTENTION_IN_A_LAYER = NearMiss(
    id="fused-attention-in-a-layer",
    sentence="Attention is torch's fused function, over a fused projection.",
    clauses=(stack.EQUALS_THE_REFERENCE,),
    build=fused_attention,
)
