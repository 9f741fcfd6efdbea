"""Position: the table of positions, sinusoidal or learned."""

from veriformer_spec.clause import Clause, Level
from veriformer_spec.role import Role

_SECTION = "Vaswani et al. 2017, section 3.5"
_ENCODING = (Role.POSITIONAL_ENCODING,)

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
    roles=(Role.ENCODER,),
    when={"positions": ("sinusoidal", "learned"), "causal": (False,)},
)
LEARNED_ROWS_FOLLOW_THE_INDEX = Clause(
    id="position.rows-follow-the-index",
    text="a position's encoding is the same whatever the length of the sequence",
    source=f"{_SECTION}; Gehring et al. 2017, section 3.1, for learned positions",
    breaks="positions counted from the end, a table stretched to the length, normalised positions",
    roles=_ENCODING,
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
