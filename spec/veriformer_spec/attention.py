"""Attention: softmax(Q Kᵀ / sqrt(d_head)) V."""

from veriformer_spec.clause import Clause
from veriformer_spec.role import Role

_EQUATION_1 = "Vaswani et al. 2017, section 3.2.1, equation 1"
_SOFTMAX = "follows from Vaswani et al. 2017, section 3.2.1, equation 1: softmax over the keys"
_ATTENTION = (Role.ATTENTION,)
_SCALED = (Role.ATTENTION, Role.MULTI_HEAD_ATTENTION)

EQUALS_EQUATION_1 = Clause(
    id="attention.equals-equation-1",
    text="the output is softmax(Q Kᵀ · scale) V, with the softmax over the visible keys and the scale as claimed",
    source=_EQUATION_1,
    breaks="any slip in the one line that everything else rests on",
    roles=_ATTENTION,
)
SCALE_IS_AS_CLAIMED = Clause(
    id="attention.scale-is-the-inverse-root-of-the-key-size",
    text="scores are multiplied by 1/sqrt(d_head), the inverse root of the size of one key, unless another scale is claimed",
    source="Vaswani et al. 2017, section 3.2.1, equation 1 and footnote 4",
    breaks="no scale, 1/d_head, sqrt of d_model or of the number of keys, or the scale applied twice",
    roles=_SCALED,
    when={"scale": ("inverse-root", "none", "folded", float)},
)
SOFTMAX_RUNS_OVER_KEYS = Clause(
    id="attention.softmax-runs-over-keys",
    text="for each query, the weights over the keys sum to one",
    source=_EQUATION_1,
    breaks="softmax without dim, or over heads, queries or the batch",
    roles=_ATTENTION,
)
WEIGHTS_ARE_A_DISTRIBUTION = Clause(
    id="attention.weights-are-a-distribution",
    text="every weight is 0 or larger, and where all visible values are equal the output is that value",
    source=_SOFTMAX,
    breaks="weights zeroed, clamped or dropped after the softmax and not normalised again",
    roles=_ATTENTION,
)
OUTPUT_LIES_IN_THE_HULL_OF_THE_VALUES = Clause(
    id="attention.output-lies-in-the-hull-of-the-values",
    text="each output feature lies between the smallest and the largest visible value of that feature",
    source=_SOFTMAX,
    breaks="a sum in place of the average, weights that do not sum to one, keys returned in place of values",
    roles=_ATTENTION,
)
KEYS_AND_VALUES_PERMUTE_TOGETHER = Clause(
    id="attention.keys-and-values-permute-together",
    text="one permutation applied to keys, values and the mask's key axis leaves the output unchanged",
    source=_SOFTMAX,
    breaks="a mask or a bias made inside by position, a key paired with another key's value",
    roles=_ATTENTION,
    when={"causal": (False,)},
)
QUERIES_ARE_INDEPENDENT = Clause(
    id="attention.queries-are-independent",
    text="the output at one query does not depend on any other query",
    source="Vaswani et al. 2017, section 3.2.1: the queries are packed together into a matrix Q",
    breaks="softmax or a normalisation over the query axis",
    roles=_ATTENTION,
)
HEADS_ARE_INDEPENDENT = Clause(
    id="attention.heads-are-independent",
    text="the output of one head depends on the queries of that head alone, and on the keys and values of its own group alone",
    source="Vaswani et al. 2017, section 3.2.2: head_i = Attention(QWᵢ, KWᵢ, VWᵢ)",
    breaks="softmax over the head axis, heads merged by a reshape, key heads repeated in the wrong order",
    roles=_ATTENTION,
)
ADDING_A_CONSTANT_CHANGES_NOTHING = Clause(
    id="attention.adding-a-constant-to-a-row-of-scores-changes-nothing",
    text="adding one vector to every key, which adds one constant to each query's scores, leaves the output unchanged",
    source=_SOFTMAX,
    breaks="an exponential without normalisation, a clamp or a mask by multiplication on the scores",
    roles=_ATTENTION,
    when={"soft_cap": (None,)},
)
DOUBLING_THE_KEYS_CHANGES_NOTHING = Clause(
    id="attention.doubling-the-keys-changes-nothing",
    text="passing every key and value twice leaves the output unchanged",
    source=_SOFTMAX,
    breaks="a scale, or a mean, taken over the number of keys",
    roles=_ATTENTION,
    when={"causal": (False,)},
)
ONE_KEY_RETURNS_ITS_VALUE = Clause(
    id="attention.one-key-returns-its-value",
    text="a query that sees one key returns that key's value",
    source=_SOFTMAX,
    breaks="an extra sink in the softmax, keys returned in place of values, a value that is transformed",
    roles=_ATTENTION,
)
VALUE_SIZE_MAY_DIFFER_FROM_KEY_SIZE = Clause(
    id="attention.value-size-may-differ-from-key-size",
    text="values may have another number of features than keys, and the output then has the values' number",
    source="Vaswani et al. 2017, section 3.2.1: keys of dimension d_k, and values of dimension d_v",
    breaks="the output is allocated, or reshaped, by the query's shape",
    roles=_ATTENTION,
    when={"value_size": ("any",)},
)
LARGE_SCORES_STAY_FINITE = Clause(
    id="attention.large-scores-stay-finite",
    text="with scores as large as 1e6 the output is finite and lies in the hull of the values",
    source="Goodfellow et al. 2016, Deep Learning, section 4.1: stabilise softmax by subtracting the maximum",
    breaks="exp(scores) / exp(scores).sum() without subtracting the maximum",
    roles=_ATTENTION,
)
SELF_ATTENTION_EQUALS_ITS_EQUATION = Clause(
    id="attention.plain-self-attention-equals-its-equation",
    text="plain self-attention returns softmax(X_i X_iᵀ · scale) X_i for each head's slice X_i of the features, side by side, with no "
    "projection anywhere",
    source="Vaswani et al. 2017, equation 1, with Q = K = V = X; section 3.2.2 for the slices of several heads",
    breaks="softmax over queries, features dealt to heads by a reshape without the transpose, a scale where none is claimed",
    roles=(Role.SELF_ATTENTION,),
)
