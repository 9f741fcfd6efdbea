"""Position: the table of positions, sinusoidal or learned."""

from veriformer_spec.clause import Clause, Level
from veriformer_spec.role import LAYERED, PROJECTED, Role

_SECTION = "Vaswani et al. 2017, section 3.5"
_ENCODING = (Role.POSITIONAL_ENCODING,)
_ROTARY = (Role.ROTARY_ENCODING,)
_BIAS = (Role.ATTENTION_BIAS,)
_SU = "Su et al. 2021 (RoFormer), section 3"

SINUSOIDAL_EQUALS_THE_TABLE = Clause(
    id="position.sinusoidal-equals-the-table",
    text="feature 2i of position p is sin(p / 10000^(2i/d_model)) and feature 2i+1 its cosine, for even and for odd d_model",
    source=f"{_SECTION}, the two equations of PE",
    breaks="sines and cosines in halves in place of in turns, an exponent of i/d_model, a frequency in place of its inverse",
    roles=_ENCODING,
    when={"encoding": ("sinusoidal",)},
)
FIRST_POSITION_IS_SINE_OF_ZERO = Clause(
    id="position.first-position-is-sin-0-cos-0",
    text="the first position's encoding is 0, 1, 0, 1, ...: positions count from zero",
    source=f"{_SECTION}, the two equations of PE at pos = 0",
    breaks="positions that count from one",
    roles=_ENCODING,
    when={"encoding": ("sinusoidal",)},
)
SAME_FOR_EVERY_ROW = Clause(
    id="position.same-for-every-row",
    text="every row of the batch gets the same encoding, and different positions get different ones",
    source=f"{_SECTION}: PE depends on the position and the dimension",
    breaks="the table cut by x.size(0), which is the batch where the batch comes first; one row of the table for all positions",
    roles=_ENCODING,
)
ADDED_ONCE = Clause(
    id="position.encoding-is-added-once",
    text="the output is the input plus a table that does not depend on the input",
    source=f"{_SECTION}: we add positional encodings to the input embeddings at the bottoms of the stacks",
    breaks="multiplied in place of added, added twice, the input scaled on the way",
    roles=_ENCODING,
)
POSITIONS_BREAK_PERMUTATION_SYMMETRY = Clause(
    id="position.positions-break-permutation-symmetry",
    text="where positions are claimed, permuting the tokens does not merely permute the outputs",
    source=f"{_SECTION}: in order for the model to make use of the order of the sequence",
    breaks="the positional encoding is never added",
    roles=PROJECTED,
    when={"positions": ("sinusoidal", "learned", "rotary", "alibi", "relative"), "causal": (False,)},
)
LEARNED_ROWS_FOLLOW_THE_INDEX = Clause(
    id="position.rows-follow-the-index",
    text="a position's encoding is the same whatever the length of the sequence",
    source=f"{_SECTION}; Gehring et al. 2017, section 3.1, for learned positions",
    breaks="positions counted from the end, a table stretched to the length, normalised positions",
    roles=_ENCODING,
)
SYMMETRIC_WEIGHTS_GIVE_THE_KNOWN_OUTPUT = Clause(
    id="position.symmetric-weights-give-the-known-output",
    text="with every learned row alike the output is the reference's, whichever tensor is which, and with fresh rows no catalogued mistake's",
    source=_SECTION,
    breaks="the table added twice, multiplied, or the input scaled on the way",
    roles=(Role.POSITIONAL_ENCODING,),
    when={"encoding": ("learned",)},
)
LEARNED_POSITIONS_ARE_TRAINED = Clause(
    id="position.every-learned-row-is-trained",
    text="where positions are learned, every position passed gets a gradient of its own",
    source="Gehring et al. 2017, section 3.1; PyTorch documentation, torch.nn.Embedding: padding_idx",
    breaks="a table built with padding_idx=0, so that the first position is zero for ever; a table detached from the graph",
    roles=_ENCODING,
    when={"encoding": ("learned",)},
)
BEYOND_THE_MAXIMUM_RAISES = Clause(
    id="position.beyond-the-maximum-raises",
    level=Level.SHOULD,
    text="a sequence longer than a learned table raises an exception",
    source="PyTorch documentation, torch.nn.Embedding: indices below num_embeddings",
    breaks="positions clamped to the last row, or taken modulo the table's length",
    roles=_ENCODING,
    when={"encoding": ("learned",)},
)
STALE_TABLES_ARE_NEVER_USED = Clause(
    id="position.stale-tables-are-never-used",
    text="after a call of another length or dtype, the encoding is what a fresh subject would add",
    source=f"{_SECTION}: PE is a function of position and dimension alone",
    breaks="a table cached at the first call and not rebuilt when the sequence grows or the dtype changes",
    roles=_ENCODING,
)
ROTARY_EQUALS_ITS_EQUATION = Clause(
    id="position.rotary-equals-its-equation",
    text="at position p the pair i of features turns by the angle (p / scaling) · base^(-2i/d_head), cosine on the diagonal, minus sine on "
    "the first feature's row",
    source=f"{_SU}.2.2, equations 14, 15 and 34; Chen et al. 2023, equation 4, for scaling",
    breaks="turned the other way, frequencies of d_model in place of d_head, sines and cosines exchanged",
    roles=_ROTARY,
)
ROTARY_DEPENDS_ONLY_ON_THE_DIFFERENCE = Clause(
    id="position.rotary-depends-only-on-the-difference",
    text="the product of a turned query and a turned key depends on the difference of their positions alone",
    source=f"{_SU}.1, equation 11",
    breaks="positions of the query and of the key counted from different starts, absolute tables added to queries alone",
    roles=_ROTARY,
)
ROTARY_KEEPS_NORMS = Clause(
    id="position.rotary-keeps-norms",
    text="turning changes no pair's length, and position 0 turns nothing",
    source=f"{_SU}.4.1: the rotation matrix is orthogonal",
    breaks="a sign lost, so that it mirrors or stretches; positions that count from one",
    roles=_ROTARY,
)
ROTARY_PAIRS_AS_CLAIMED = Clause(
    id="position.rotary-pairs-as-claimed",
    text="feature i turns together with feature i + d_head/2 (halves), or feature 2i with 2i + 1 (adjacent), as claimed, and with no other",
    source=f"{_SU}.4.2, equation 34, adjacent; Black et al. 2022 (GPT-NeoX), section 2.1.1, halves",
    breaks="weights of one convention run under the other",
    roles=_ROTARY,
)
ROTARY_STARTS_WHERE_TOLD = Clause(
    id="position.rotary-starts-at-the-cached-length",
    text="turning tokens that start at position s gives what turning the whole sequence gives there",
    source=f"{_SU}.2.2: the angle is that of the token's own position",
    breaks="every chunk counted from zero again, a table sliced to the chunk's length",
    roles=_ROTARY,
)
ROTARY_LEAVES_VALUES_ALONE = Clause(
    id="position.rotary-leaves-values-alone",
    text="where rotary or score-bias positions are claimed, and all tokens are alike, every query returns what one such token alone returns: "
    "values carry no position",
    source=f"{_SU}.2.2, equation 16: queries and keys are turned, values are not; Press et al. 2022, section 3",
    breaks="values turned with the keys",
    roles=(Role.MULTI_HEAD_ATTENTION,),
    when={"positions": ("rotary", "alibi", "relative")},
)
ONLY_THE_DIFFERENCE_COUNTS = Clause(
    id="position.only-the-difference-counts",
    text="where positions are relative (rotary, ALiBi, buckets), tokens hidden at the start shift nothing: the others come back as if the "
    "sequence began after them",
    source=f"{_SU}.1, equation 11; Press et al. 2022, section 3; Shaw et al. 2018, section 3.2",
    breaks="keys counted from another start than queries, distances clipped at the wrong end, an absolute table left in",
    roles=PROJECTED,
    when={"positions": ("rotary", "alibi", "relative")},
    needs_masks=("padding",),
)
ALIBI_SLOPES = Clause(
    id="position.alibi-slopes-and-distances",
    text="from a query's own position to another that it may see, ALiBi's bias falls by slope times distance, with slopes 2^(-8/n), "
    "2^(-16/n), ... for n heads; where n is no power of two, those of the power below and then every second one of the power above it",
    source="Press et al. 2022, section 3; its code for head counts that are no power of two (get_slopes)",
    breaks="slopes in reverse, exponents that count from zero, a sign lost, other slopes where the count is no power of two",
    roles=_BIAS,
    when={"bias_kind": ("alibi",)},
)
RELATIVE_BUCKETS = Clause(
    id="position.relative-buckets-follow-the-distance",
    text="distances below half the buckets of one side have a bucket each, larger ones share buckets logarithmically up to max_distance, and all "
    "beyond share the last; bidirectional buckets give the future its own half, and what a causal bias says of the future is free",
    source="Raffel et al. 2020, section 2.1; its code (_relative_position_bucket)",
    breaks="the sign of key minus query, the two halves exchanged, the logarithm rounded up, max_distance off by one",
    roles=_BIAS,
    when={"bias_kind": ("relative",)},
)
BIAS_FOLLOWS_THE_DIFFERENCE = Clause(
    id="position.a-bias-follows-the-difference-alone",
    text="up to a number that is the same for all keys of a query, its bias towards those it may see depends on the head and on the difference "
    "of their positions alone, whatever the lengths, and queries fewer than keys stand at the end",
    source="Press et al. 2022, section 3; Raffel et al. 2020, section 2.1; Shaw et al. 2018, section 3.2",
    breaks="positions of a chunk counted from zero, a table reshaped with the wrong axis first, one bias for all heads",
    roles=_BIAS,
)
POSITIONS_ENTER_FOR_EVERY_TOKEN = Clause(
    id="position.positions-enter-once-for-every-token",
    text="where a table of positions is claimed, exchanging two neighbours, wherever they stand, changes what comes back at another token that "
    "sees both, and equal rows of a batch come back equal",
    source=f"{_SECTION}: added to the input embeddings at the bottoms of the encoder and decoder stacks",
    breaks="positions added along the batch axis, to the first token only, or to the memory and not to the target",
    roles=LAYERED,
    when={"positions": ("sinusoidal", "learned")},
)
