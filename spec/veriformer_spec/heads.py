"""Heads: projections, split, attention in each head, merge, projection."""

from veriformer_spec.clause import Clause
from veriformer_spec.role import STACKS, Role

_SECTION = "Vaswani et al. 2017, section 3.2.2"
_HEADS = (Role.MULTI_HEAD_ATTENTION,)
_ATTENDING_TOKENS = (Role.MULTI_HEAD_ATTENTION, *STACKS)

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
