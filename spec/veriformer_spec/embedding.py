"""Embedding: token ids become vectors."""

from veriformer_spec.clause import Clause
from veriformer_spec.role import MODELS, Role

_SECTION = "Vaswani et al. 2017, section 3.4"
_EMBEDDING = (Role.TOKEN_EMBEDDING,)

EVERY_ID_HAS_ITS_ROW = Clause(
    id="embedding.every-id-has-its-own-row",
    text="equal ids get equal vectors wherever they stand, different ids different ones, and the last id of the vocabulary is in it",
    source=f"{_SECTION}: learned embeddings convert the input tokens to vectors of dimension d_model",
    breaks="a table one row short, ids taken modulo its length, or the row looked up by position",
    roles=_EMBEDDING,
)
SCALE_IS_AS_CLAIMED = Clause(
    id="embedding.scale-is-as-claimed",
    text="a token's vector is its row of the table times sqrt(d_model) where that is claimed, and the row itself where it is not",
    source=f"{_SECTION}: in the embedding layers, we multiply those weights by sqrt(d_model)",
    breaks="the factor forgotten, applied twice, taken as d_model or its inverse, applied to positions too",
    roles=_EMBEDDING,
)
SYMMETRIC_WEIGHTS_GIVE_THE_KNOWN_OUTPUT = Clause(
    id="embedding.symmetric-weights-give-the-known-output",
    text="with every word's row alike the output is the reference's, whichever tensor is which, and with fresh rows no catalogued mistake's",
    source=_SECTION,
    breaks="rows scaled twice, brought to unit length, or changed on their way in another manner",
    roles=_EMBEDDING,
)
PADDING_ROW_IS_AS_CLAIMED = Clause(
    id="embedding.the-padding-row-is-as-claimed",
    text="the row of the padding id gets no gradient where it is claimed frozen, and gets one where it is claimed trained; every other id that is "
    "passed gets one",
    source="PyTorch documentation, torch.nn.Embedding: padding_idx",
    breaks="padding_idx set to a real word's id, or the claim made and padding_idx forgotten",
    roles=_EMBEDDING,
)
SEGMENTS_ARE_ADDED = Clause(
    id="embedding.segments-are-added",
    text="where segments are claimed, a token's vector is its row plus its segment's row, and without segments every token is in segment 0",
    source="Devlin et al. 2019 (BERT), section 3 and figure 2",
    breaks="segments ignored, one segment for the whole row, or added before the scale",
    roles=_EMBEDDING,
    when={"segments": (True,)},
)
TIED_WEIGHTS_ARE_ONE_TENSOR = Clause(
    id="embedding.tied-weights-are-one-tensor",
    text="where tied weights are claimed, changing the token embedding changes the output projection with it, before and after a copy and a "
    "load_state_dict; where they are not claimed it does not",
    source=f"{_SECTION}: we share the same weight matrix; Press & Wolf 2017, section 3",
    breaks="weight.clone(), .data copied once at the start, the tie lost by deepcopy, or made where none is claimed",
    roles=MODELS,
    when={"tied": (True, False)},
)
AN_ID_OUT_OF_RANGE_RAISES = Clause(
    id="embedding.an-id-out-of-range-raises",
    text="an id below 0, or beyond every row that the table has, raises an exception",
    source="PyTorch documentation, torch.nn.Embedding: indices in [0, num_embeddings)",
    breaks="ids clamped, wrapped from the end of the table, or taken modulo the vocabulary",
    roles=(*_EMBEDDING, *MODELS),
)
REAL_VALUES_ENTER_BY_A_PROJECTION = Clause(
    id="embedding.real-values-enter-by-a-projection",
    text="where an entrance for real-valued input is claimed, every input feature of a position reaches that position through one linear map, the "
    "same at every position",
    source="Zerveas et al. 2021, section 3.1, equation 1: input vectors are linearly projected onto a d_model-dimensional space",
    breaks="the window flattened, features and time exchanged, the projection followed by a nonlinearity, some features cut",
    roles=(Role.ENCODER,),
    when={"entrance": ("projection",)},
)
