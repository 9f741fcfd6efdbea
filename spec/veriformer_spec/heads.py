"""Heads: projections, split, attention in each head, merge, projection."""

from veriformer_spec.clause import Clause
from veriformer_spec.role import CROSS_ATTENDING, DECODERS, PROJECTED, Role

_SECTION = "Vaswani et al. 2017, section 3.2.2"
_HEADS = (Role.MULTI_HEAD_ATTENTION,)
_ATTENDING_TOKENS = (Role.SELF_ATTENTION, *PROJECTED)

TIME_STAYS_TIME = Clause(
    id="heads.time-stays-time",
    text="without positions or a mask made by position, permuting the tokens permutes the outputs, and equal tokens get equal outputs",
    source=f"{_SECTION}: each head attends over positions, and heads are concatenated feature by feature",
    breaks="heads split or merged by a reshape without the transpose, so that features of one token land on another",
    roles=_ATTENDING_TOKENS,
    when={"causal": (False,), "positions": ("none",)},
)
EVERY_LENGTH_IS_ONE_FUNCTION = Clause(
    id="heads.repeating-the-sequence-repeats-the-output",
    text="without positions, a sequence followed by itself gives its output followed by itself",
    source=f"{_SECTION} and 3.2.1: softmax weights halve where every key comes twice, and nothing else knows the length",
    breaks="heads merged without the transpose; a scale or a mean over the length",
    roles=_ATTENDING_TOKENS,
    when={"causal": (False,), "positions": ("none",)},
)
EQUALS_THE_REFERENCE = Clause(
    id="heads.equals-the-reference",
    text="with the subject's weights the reference gives the same output: Concat(head_1, ..., head_h) Wᴼ",
    source=f"{_SECTION}, the equation of MultiHead(Q, K, V)",
    breaks="heads merged in another order, a projection transposed, skipped or shared",
    roles=_HEADS,
)
SYMMETRIC_WEIGHTS_GIVE_THE_KNOWN_OUTPUT = Clause(
    id="heads.symmetric-weights-give-the-known-output",
    text="with equal weights wherever shapes are equal, in all heads too, the output is the reference's, whichever tensor is which",
    source=f"{_SECTION}: it follows from the equation of MultiHead(Q, K, V), which no longer depends on the names of the matrices",
    breaks="another scale, a matrix transposed where it is applied, a bias or a projection missing",
    roles=_HEADS,
)
EACH_HEAD_READS_ITS_OWN_SLICE = Clause(
    id="heads.each-head-reads-its-own-slice",
    text="the output is the sum over heads of plain attention on that head's rows of the projections, times its columns of Wᴼ",
    source=f"{_SECTION}: head_i = Attention(QWᵢᵠ, KWᵢᴷ, VWᵢⱽ)",
    breaks="features dealt to heads in turns, another number of heads, one head used for all",
    roles=_HEADS,
)
ONE_HEAD_IS_PLAIN_ATTENTION = Clause(
    id="heads.one-head-is-plain-attention",
    text="with one head the output is plain attention between the projections",
    source=f"{_SECTION}, with h = 1",
    breaks="a number of heads that is written in the code",
    roles=_HEADS,
)
QUERIES_FROM_QUERIES_MEMORY_FROM_MEMORY = Clause(
    id="heads.queries-come-from-the-queries-input-keys-and-values-from-the-memory",
    text="each output depends on the query input at its own position alone, and on the memory at every position",
    source="Vaswani et al. 2017, section 3.2.3: queries come from the decoder, keys and values from the output of the encoder",
    breaks="query and memory swapped, values taken from the query input, memory ignored",
    roles=_HEADS,
    when={"memory": ("separate",)},
)
QUERY_AND_MEMORY_LENGTHS_MAY_DIFFER = Clause(
    id="heads.query-and-memory-lengths-may-differ",
    text="queries and memory may have different lengths, and the output has the queries' length",
    source="Vaswani et al. 2017, section 3.2.3: every position in the decoder attends over all positions in the input sequence",
    breaks="keys reshaped with the query's length",
    roles=_HEADS,
    when={"memory": ("separate",)},
)
GROUPED_QUERIES_SHARE_KEYS_IN_ORDER = Clause(
    id="heads.grouped-queries-share-keys-in-order",
    text="with fewer key/value heads than query heads, query head i reads key/value head i // (heads / kv_heads)",
    source="Ainslie et al. 2023, section 2.2",
    breaks="key heads tiled (0 1 0 1) in place of repeated in order (0 0 1 1)",
    roles=(Role.ATTENTION, Role.MULTI_HEAD_ATTENTION),
    when={"kv_heads": ("grouped",)},
)
THE_OUTPUT_PROJECTION_IS_APPLIED = Clause(
    id="heads.the-output-projection-is-applied",
    text="with the output projection's weight at zero the output is its bias, everywhere",
    source=f"{_SECTION}: MultiHead(Q, K, V) = Concat(...) Wᴼ",
    breaks="the concatenated heads are returned as they are; a skip hides inside",
    roles=_HEADS,
)
CROSS_ATTENTION_READS_THE_MEMORY = Clause(
    id="heads.cross-attention-reads-keys-and-values-from-the-memory",
    text="a decoder's output at a position depends on every visible position of the memory, and on target positions only as far as its "
    "own self-attention shows them",
    source="Vaswani et al. 2017, section 3.2.3: in encoder-decoder attention the queries come from the previous decoder layer, and the "
    "memory keys and values come from the output of the encoder",
    breaks="queries from the encoder, values from the decoder, a cross-attention onto the target itself",
    roles=CROSS_ATTENDING,
)
TARGET_AND_MEMORY_LENGTHS_MAY_DIFFER = Clause(
    id="heads.target-and-memory-lengths-may-differ",
    text="target and memory (of an encoder-decoder: source) may have different lengths, either the longer, and the output has the target's",
    source="Vaswani et al. 2017, section 3.2.3: every position in the decoder attends over all positions in the input sequence",
    breaks="queries reshaped with the source's length, one mask for both, a length remembered from the encoder",
    roles=CROSS_ATTENDING,
)
MEMORY_ORDER_DOES_NOT_MATTER = Clause(
    id="heads.permuting-the-memory-changes-nothing",
    text="permuting the memory's positions together with their mask leaves a decoder's output unchanged",
    source=f"{_SECTION} and 3.2.1: attention is a sum over keys",
    breaks="a causal mask or positions of its own in the cross-attention, heads of the memory split without the transpose",
    roles=DECODERS,
    when={"positions": ("none", "sinusoidal", "learned")},
)
QUERY_AND_KEY_NORM_IS_AS_CLAIMED = Clause(
    id="heads.query-and-key-norm-is-as-claimed",
    text="where query/key normalisation is claimed, each head's queries and keys are normalised over d_head before their scores, and "
    "multiplying the projections of queries and keys by a constant changes nothing; where none is claimed it does",
    source="Henry et al. 2020, section 3; Dehghani et al. 2023, section 2",
    breaks="the norm taken over all heads together, over values too, or on queries only",
    roles=(Role.MULTI_HEAD_ATTENTION,),
)
SCORES_ARE_CAPPED_AS_CLAIMED = Clause(
    id="heads.scores-are-capped-as-claimed",
    text="where a cap c is claimed, no score is larger than c in size, so that no visible key weighs less than e^(-2c) of another; where "
    "none is claimed large scores choose one key",
    source="Gemma Team 2024 (Gemma 2), section 2: logits soft-capping",
    breaks="the cap applied after the mask, so that masked keys come back; before the scale; or clamped in place of tanh",
    roles=(Role.ATTENTION, Role.MULTI_HEAD_ATTENTION),
)
