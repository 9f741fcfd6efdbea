"""Faults of decoders, written without the reference."""

# mypy: ignore-errors
# Other people's code, written the way they write it: without types.

from torch import nn

import veriformer
from veriformer.faults.decoder_styles import OneLayer, Reader, ReadingLayer, reader_names, reading_names
from veriformer.faults.fault import Fault
from veriformer_spec import residual, stack


def one_layer_names(module):
    """A ``OneLayer``'s tensors by the reference's names."""
    return reading_names(module.inner)


class MemoryOnce(Reader):
    def run(self, x, memory, hidden, memory_hidden):
        for layer in self.layers:
            x = layer(x, memory, hidden, memory_hidden)
            memory, memory_hidden = x, hidden
        return x


class NoMemoryLater(Reader):
    """Later layers read a memory of zeros, as a padded batch of states might be."""

    def run(self, x, memory, hidden, memory_hidden):
        for index, layer in enumerate(self.layers):
            x = layer(x, memory * (index == 0), hidden, memory_hidden)
        return x


@veriformer.subject("decoder")
def memory_once(config):
    return MemoryOnce(config)


@veriformer.subject("decoder", norm="pre", causal=True)
def no_memory_later(config):
    return NoMemoryLater(config)


MEMORY_STOPS_AT_ONE_LAYER = Fault(
    id="memory-stops-at-one-layer",
    sentence="Layers above the first read the layer below, or nothing, where the memory should be.",
    clauses=(stack.MEMORY_REACHES_EVERY_LAYER,),
    source="experience",
    written="x = memory = layer(x, memory)",
    mend="x = layer(x, memory)",
    builds=(memory_once, no_memory_later),
)


class ReadsFirst(ReadingLayer):
    def forward(self, x, memory=None, hidden=None, memory_hidden=None):
        x = self.step(x, 1, lambda y: self.other(y, memory, memory_hidden))
        x = self.step(x, 0, lambda y: self.own(y, y, hidden))
        return self.step(x, 2, self.think)


class NormalisesTheMemory(ReadingLayer):
    def forward(self, x, memory=None, hidden=None, memory_hidden=None):
        return super().forward(x, self.norms[1](memory), hidden, memory_hidden)


class SideBySide(ReadingLayer):
    """Both kinds of attention read the same tokens, and their outputs are added: wrong, and order cannot tell."""

    def forward(self, x, memory=None, hidden=None, memory_hidden=None):
        seen = self.norms[0](x + self.own(x, x, hidden) + self.other(x, memory, memory_hidden))
        return self.norms[2](self.norms[1](seen + self.think(seen)))


def of_layers(kind, whole=OneLayer):
    """A subject of another kind of layer."""
    return type(f"Of{kind.__name__}", (whole,), {"layer": kind})


@veriformer.subject("decoder-layer")
def reads_first(config):
    return of_layers(ReadsFirst)(config)


@veriformer.subject("decoder-layer", norm="pre", causal=True)
def normalises_the_memory(config):
    return of_layers(NormalisesTheMemory)(config)


@veriformer.subject("decoder-layer", weights=one_layer_names)
def both_at_once(config):
    return of_layers(SideBySide)(config)


SUBLAYERS_OUT_OF_ORDER = Fault(
    id="decoder-sublayers-out-of-order",
    sentence="The memory is read before the tokens look at each other, or normalised before it is read.",
    clauses=(stack.DECODER_SUBLAYERS_STAND_IN_ORDER,),
    source="experience",
    written="x = cross(x, memory); x = attention(x)",
    mend="x = attention(x); x = cross(x, memory)",
    builds=(reads_first, normalises_the_memory),
)
ATTENTIONS_SIDE_BY_SIDE = Fault(
    id="attentions-side-by-side",
    sentence="Self-attention and cross-attention read the same tokens, and one skip carries both.",
    clauses=(stack.EQUALS_THE_REFERENCE,),
    source="experience",
    written="norm(x + attention(x) + cross(x, memory))",
    mend="x = norm(x + attention(x)); norm(x + cross(x, memory))",
    builds=(both_at_once,),
)


class ReadsWithoutSkip(ReadingLayer):
    def step(self, x, which, sublayer):
        if which == 1:
            return self.norms[1](sublayer(x)) if not self.pre else sublayer(self.norms[1](x))
        return super().step(x, which, sublayer)


class LastSkipFromTheMiddle(ReadingLayer):
    """The feed-forward network's skip adds what cross-attention was given."""

    def forward(self, x, memory=None, hidden=None, memory_hidden=None):
        seen = self.step(x, 0, lambda y: self.own(y, y, hidden))
        read = self.step(seen, 1, lambda y: self.other(y, memory, memory_hidden))
        return seen + self.think(self.norms[2](read)) if self.pre else self.norms[2](seen + self.think(read))


class NormsOnTheBranch(ReadingLayer):
    def step(self, x, which, sublayer):
        return x + self.norms[which](sublayer(x))


class DropsTheSkip(ReadingLayer):
    def step(self, x, which, sublayer):
        return self.drop(super().step(x, which, sublayer)) if which == 1 else super().step(x, which, sublayer)


@veriformer.subject("decoder-layer", norm="pre")
def reads_without_skip(config):
    return of_layers(ReadsWithoutSkip)(config)


@veriformer.subject("decoder")
def decoder_reads_without_skip(config):
    return of_layers(ReadsWithoutSkip, Reader)(config)


@veriformer.subject("decoder-layer")
def last_skip_from_the_middle(config):
    return of_layers(LastSkipFromTheMiddle)(config)


@veriformer.subject("decoder-layer", norm="pre")
def last_skip_from_the_middle_pre(config):
    return of_layers(LastSkipFromTheMiddle)(config)


@veriformer.subject("decoder-layer")
def norms_on_the_branch(config):
    return of_layers(NormsOnTheBranch)(config)


@veriformer.subject("decoder-layer", norm="pre")
def post_norm_where_pre_is_claimed(config):
    layer = OneLayer(config)
    layer.inner.pre = False
    return layer


@veriformer.subject("decoder-layer", dropout="on")
def drops_the_skip(config):
    return of_layers(DropsTheSkip)(config)


READING_SKIP_LEFT_OUT = Fault(
    id="reading-skip-left-out",
    sentence="There is no skip around cross-attention.",
    clauses=(residual.THE_SKIP_ADDS_THE_INPUT_ONCE,),
    source="experience",
    written="x = cross(norm(x), memory)",
    mend="x = x + cross(norm(x), memory)",
    builds=(reads_without_skip, decoder_reads_without_skip),
)
LATE_SKIP_FROM_THE_MIDDLE = Fault(
    id="last-skip-from-the-middle",
    sentence="The skip around the feed-forward network adds what cross-attention was given, and what it read is lost.",
    clauses=(residual.THE_SKIP_HOLDS_THE_VALUE_BEFORE_THE_SUBLAYER,),
    source="experience",
    written="norm(seen + feed_forward(read))",
    mend="norm(read + feed_forward(read))",
    builds=(last_skip_from_the_middle, last_skip_from_the_middle_pre),
)
DECODER_NORMS_ELSEWHERE = Fault(
    id="decoder-norms-elsewhere",
    sentence="A decoder layer's norms stand on the branch, or after the addition where they are claimed before the sublayer.",
    clauses=(residual.NORM_PLACEMENT_IS_AS_CLAIMED,),
    source="experience",
    written="x + norm(sublayer(x))",
    mend="norm(x + sublayer(x))",
    builds=(norms_on_the_branch, post_norm_where_pre_is_claimed),
)
DECODER_SKIP_DROPPED = Fault(
    id="decoder-skip-dropped",
    sentence="Dropout around cross-attention falls on the sum, and so on the skip.",
    clauses=(residual.DROPOUT_FALLS_ON_THE_SUBLAYER,),
    source="experience",
    written="dropout(norm(x + cross(x, memory)))",
    mend="norm(x + dropout(cross(x, memory)))",
    builds=(drops_the_skip,),
)


class OneReading(Reader):
    """All layers read the memory through one attention."""

    def __init__(self, config):
        super().__init__(config)
        for layer in self.layers:
            layer.other = self.layers[0].other


class OneLayerManyTimes(Reader):
    def __init__(self, config):
        super().__init__(config)
        self.layers = nn.ModuleList([self.layers[0]] * config.layers)


@veriformer.subject("decoder", weights=reader_names)
def one_reading_for_all(config):
    return OneReading(config)


@veriformer.subject("decoder", norm="pre")
def one_decoder_layer_many_times(config):
    return OneLayerManyTimes(config)


DECODER_LAYERS_SHARE = Fault(
    id="decoder-layers-share",
    sentence="Decoder layers are one object, or read the memory through one cross-attention.",
    clauses=(stack.LAYERS_OWN_THEIR_PARAMETERS,),
    source="experience",
    written="nn.ModuleList([layer] * n)",
    mend="nn.ModuleList(copy.deepcopy(layer) for _ in range(n))",
    builds=(one_reading_for_all, one_decoder_layer_many_times),
)


class MemoryMaskOnce(Reader):
    def run(self, x, memory, hidden, memory_hidden):
        for index, layer in enumerate(self.layers):
            x = layer(x, memory, hidden, None if index else memory_hidden)
        return x


class OwnMaskForTheLast(Reader):
    def run(self, x, memory, hidden, memory_hidden):
        for layer in self.layers[:-1]:
            x = layer(x, memory, None, memory_hidden)
        return self.layers[-1](x, memory, hidden, memory_hidden)


class ForgetsTheOutput(Reader):
    def run(self, x, memory, hidden, memory_hidden):
        for layer in self.layers:
            out = layer(x, memory, hidden, memory_hidden)
        return out


@veriformer.subject("decoder")
def memory_mask_once(config):
    return MemoryMaskOnce(config)


@veriformer.subject("decoder", norm="pre")
def own_mask_for_the_last(config):
    return OwnMaskForTheLast(config)


@veriformer.subject("decoder")
def decoder_output_forgotten(config):
    return ForgetsTheOutput(config)


DECODER_MASKS_LOST = Fault(
    id="decoder-masks-lost",
    sentence="One of a decoder's layers gets the masks, and the others do not.",
    clauses=(stack.MASK_REACHES_EVERY_LAYER,),
    source="https://github.com/pytorch/pytorch/issues/35875",
    written="x = layer(x, memory)",
    mend="x = layer(x, memory, mask, memory_mask)",
    builds=(memory_mask_once, own_mask_for_the_last),
)
DECODER_LAYERS_NOT_CHAINED = Fault(
    id="decoder-layers-not-chained",
    sentence="Every decoder layer reads the first input.",
    clauses=(stack.EVERY_LAYER_RUNS,),
    source="experience",
    written="for layer in layers: out = layer(x, memory)",
    mend="for layer in layers: x = layer(x, memory)",
    builds=(decoder_output_forgotten,),
)
