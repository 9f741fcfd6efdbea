"""Model: from token ids to logits."""

from veriformer_spec.clause import Clause, Level
from veriformer_spec.role import MODELS, Role

_SECTION = "Vaswani et al. 2017, section 3.4 and figure 1"

EQUALS_THE_REFERENCE = Clause(
    id="model.equals-the-reference",
    text="with the subject's weights the reference gives the same logits",
    source=f"{_SECTION}; Devlin et al. 2019; Radford et al. 2019; Touvron et al. 2023; Raffel et al. 2020, by profile",
    breaks="anything between the ids and the logits",
    roles=MODELS,
)
SYMMETRIC_WEIGHTS_GIVE_THE_KNOWN_OUTPUT = Clause(
    id="model.symmetric-weights-give-the-known-output",
    text="with equal weights wherever shapes are equal, in all layers and heads too, the logits are the reference's, whichever tensor is which",
    source=f"{_SECTION}: equal matrices need no names",
    breaks="another scale, activation, eps or order of norms; the embedding scaled or not; positions added elsewhere; a head of another kind",
    roles=MODELS,
)
LOGITS_COVER_THE_VOCABULARY = Clause(
    id="model.logits-cover-the-vocabulary",
    text="each position gets one logit for each word of the vocabulary, also for a vocabulary of one: a number that differs from context to context, "
    "and not a probability",
    source=f"{_SECTION}: linear transformation and softmax to predicted next-token probabilities",
    breaks="the softmax applied inside, twice with the loss; a vocabulary one word short; d_model in place of vocab",
    roles=MODELS,
)
NORMS_STAND_AS_CLAIMED = Clause(
    id="model.norms-stand-as-claimed",
    text="with token embeddings a million times as large, the logits at a position follow its own token alone where pre-norm layers are claimed, and "
    "its neighbours too where post-norm layers are",
    source="Xiong et al. 2020, section 3.2 and figure 1; Vaswani et al. 2017, section 3.1: LayerNorm(x + Sublayer(x))",
    breaks="a residual taken after the norm, a norm forgotten before a sublayer, a skip missing, norm=pre claimed of a post-norm model",
    roles=MODELS,
    when={"norm": ("pre", "post"), "embedding_norm": (False,), "cell": ("attention",)},
)
FINAL_NORM_IS_AS_CLAIMED = Clause(
    id="model.a-final-norm-is-as-claimed",
    text="with token embeddings a million times as large, the logits of pre-norm layers keep their size where the stack ends in a norm, and grow "
    "as much where it does not; the source then shows in them only where the encoder does not end in one",
    source="Xiong et al. 2020, section 3.2; Radford et al. 2019, section 2.3: an additional layer normalization after the final block",
    breaks="the final norm built and never called, or forgotten at the end of the encoder",
    roles=MODELS,
    when={"norm": ("pre",), "embedding_norm": (False,), "cell": ("attention",)},
)
ONE_TOKEN_AND_THE_LONGEST_LENGTH = Clause(
    id="model.one-token-and-the-longest-length-work",
    text="one token and config.max_len tokens give a logit for each of their positions, and where later tokens are hidden, the first position's "
    "are the same",
    source=f"{_SECTION}; Radford et al. 2019, section 2.3: context size",
    breaks="a table one row short, a squeeze() that takes the batch or the time away",
    roles=MODELS,
)
BEYOND_THE_MAXIMUM_IS_TOLD = Clause(
    id="model.a-length-beyond-the-maximum-raises",
    level=Level.SHOULD,
    text="with learned positions a sequence longer than config.max_len raises an exception",
    source="PyTorch documentation, torch.nn.Embedding: indices in [0, num_embeddings)",
    breaks="positions clamped or taken modulo the table's length; the sequence cut silently",
    roles=MODELS,
    when={"positions": ("learned",)},
)
THE_ENCODER_NEVER_SEES_THE_TARGET = Clause(
    id="model.the-encoder-never-sees-the-target",
    text="what the first target position gives depends on the whole source and on the first target token alone",
    source="Vaswani et al. 2017, section 3.1 and figure 1: the encoder reads the inputs, the decoder the outputs shifted right",
    breaks="source and target exchanged, the target passed to the encoder, the decoder's self-attention without its causal mask",
    roles=(Role.ENCODER_DECODER,),
)
AN_ALL_PADDED_SOURCE_STAYS_IN_ITS_ROW = Clause(
    id="model.a-row-of-padding-stays-in-its-row",
    text="a row whose ids (of an encoder-decoder: whose source) are all padding changes no other row, nor makes another row's gradient not finite",
    source="Vaswani et al. 2017, section 3.2.1, equation 1: rows are independent; pytorch/pytorch#42323",
    breaks="NaN that spreads by a mean over the batch, or through the gradient of shared weights",
    roles=MODELS,
    needs_masks=("padding",),
)
AN_EMPTY_SEQUENCE_IS_TOLD = Clause(
    id="model.an-empty-sequence-raises-or-is-empty",
    level=Level.SHOULD,
    text="a sequence of no tokens raises an exception, or gives logits for no positions",
    source="Veriformer: an empty sequence is a mistake or a sequence, never a guess",
    breaks="an output of one position, invented",
    roles=MODELS,
)
SEGMENTS_REACH_THEIR_TOKENS = Clause(
    id="model.segments-reach-their-tokens",
    text="where a masked language model claims segments, another segment for one token changes that token's logits, and a call without segments is "
    "one in which every token is in segment 0",
    source="Devlin et al. 2019 (BERT), section 3 and figure 2: token, segment and position embeddings are summed",
    breaks="the argument taken and never used, one segment for the whole row, segment 1 where none is passed",
    roles=(Role.MASKED_LM,),
    when={"segments": (True,)},
)
