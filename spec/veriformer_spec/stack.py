"""Stack: sublayers make a layer, layers make an encoder."""

from veriformer_spec.clause import Clause
from veriformer_spec.role import DECODERS, LAYERED, STACKS, Role

_SECTION = "Vaswani et al. 2017, section 3.1"
_ATTENTION = {"cell": ("attention",)}
"""Of an encoder-decoder: where its layers are made of attention, and not of recurrent units, of which there is one."""

EQUALS_THE_REFERENCE = Clause(
    id="stack.equals-the-reference",
    text="with the subject's weights the reference gives the same output",
    source=f"{_SECTION} and figure 1",
    breaks="anything between the first line and the last",
    roles=(*STACKS, *DECODERS),
)
SYMMETRIC_WEIGHTS_GIVE_THE_KNOWN_OUTPUT = Clause(
    id="stack.symmetric-weights-give-the-known-output",
    text="with equal weights wherever shapes are equal, in all layers and heads too, the output is the reference's, whichever tensor is which",
    source=f"{_SECTION} and figure 1: equal matrices need no names",
    breaks="another scale, activation, eps or order of norms; a skip from elsewhere; a bias, a projection or a norm missing",
    roles=(*STACKS, *DECODERS),
)
LAYERS_OWN_THEIR_PARAMETERS = Clause(
    id="stack.layers-own-their-parameters",
    text="each further layer adds as many parameters as the one before, unless shared parameters are claimed",
    source=f"{_SECTION}: a stack of N = 6 identical layers; section 3.3: different parameters from layer to layer",
    breaks="[layer] * n, or one layer object called n times",
    roles=LAYERED,
    when={"layer_parameters": ("own", "shared"), **_ATTENTION},
)
EVERY_LAYER_RUNS = Clause(
    id="stack.every-layer-runs",
    text="the output depends on the parameters of every layer, and on the output of the layer before it",
    source=f"{_SECTION}: a stack of N identical layers",
    breaks="a loop that feeds each layer the first input, or stops one short",
    roles=LAYERED,
    when=_ATTENTION,
)
MASK_REACHES_EVERY_LAYER = Clause(
    id="stack.the-mask-reaches-every-layer",
    text="with any number of layers, a masked key stays invisible: no layer runs without the mask",
    source="Vaswani et al. 2017, section 3.2.3: masking inside of scaled dot-product attention, in every layer",
    breaks="nn.Sequential passes only its first argument on",
    roles=LAYERED,
    needs_masks=("padding",),
)
MEMORY_REACHES_EVERY_LAYER = Clause(
    id="stack.the-memory-reaches-every-decoder-layer",
    text="with any number of layers the memory enters at each: every further layer has as many weights that read the memory as the first",
    source="Vaswani et al. 2017, section 3.1: the decoder inserts a third sub-layer in each layer, over the output of the encoder stack",
    breaks="the memory passed to the first layer only, each layer given the layer below as its memory",
    roles=(Role.DECODER,),
)
DECODER_SUBLAYERS_STAND_IN_ORDER = Clause(
    id="stack.decoder-sublayers-stand-in-order",
    text="a decoder layer is self-attention, cross-attention, feed-forward, each with its own skip and norm, and the memory is not normalised by it",
    source="Vaswani et al. 2017, section 3.1 and figure 1",
    breaks="cross-attention first, a skip or a norm left out around it, the memory normalised with the target in pre-norm",
    roles=(Role.DECODER_LAYER,),
)
