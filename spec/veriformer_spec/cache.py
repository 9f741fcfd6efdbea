"""Cache: going on from what has been read already."""

from veriformer_spec.clause import Clause, Level
from veriformer_spec.role import Role

_SOURCE = (
    "Shazeer 2019 (Fast Transformer Decoding), section 2.4: incremental attention; Vaswani et al. 2017, equation 1"
)
_CACHED = (Role.CAUSAL_LM,)
_WHEN = {"cache": (True,)}

ONE_BY_ONE_EQUALS_THE_FULL_PASS = Clause(
    id="cache.one-by-one-equals-the-full-pass",
    text="reading a sequence token by token gives at each token the logits that one pass over the whole gives there",
    source=_SOURCE,
    breaks="positions of the new token counted from zero or off by one, keys put at the wrong end, a causal mask for a square",
    roles=_CACHED,
    when=_WHEN,
)
CHUNKS_EQUAL_THE_FULL_PASS = Clause(
    id="cache.chunks-equal-the-full-pass",
    text="reading a sequence in chunks of any sizes, from an empty cache, gives the logits of the full pass, up to the longest length",
    source=_SOURCE,
    breaks="a chunk's mask that ignores the past, or lets its first tokens see its last; a chunk of one treated apart",
    roles=_CACHED,
    when=_WHEN,
)
PAST_PADDING_STAYS_HIDDEN = Clause(
    id="cache.padding-in-the-past-stays-hidden",
    text="with padding where it is claimed to be legal, in the past or among the new tokens, real tokens get the logits of their row without it",
    source=_SOURCE + "; section 3.2.3",
    breaks="the mask passed for the new tokens only, so that the padding in the cache is seen; positions counted over padding",
    roles=_CACHED,
    when=_WHEN,
    needs_masks=("padding",),
)
WINDOW_HOLDS_ACROSS_THE_CACHE = Clause(
    id="cache.a-sliding-window-holds-across-the-cache",
    text="with a sliding window, cached steps equal the full pass before, at and after the step at which the window first drops a token",
    source="Jiang et al. 2023 (Mistral 7B), section 2: rolling buffer cache",
    breaks="one token too many or too few dropped, a rolling buffer read in the wrong order, a chunk wider than the window",
    roles=_CACHED,
    when={"cache": (True,), "sliding_window": (True,)},
)
A_CACHE_BELONGS_TO_ITS_CALLER = Clause(
    id="cache.a-cache-belongs-to-its-caller",
    text="a run meets neither the run before it, cached or not, of whatever batch and length, nor, where copies are promised, one that goes on "
    "from the same beginning in turns with it",
    source="Veriformer: a cache is an argument, not a memory of the module",
    breaks="a cache kept on the module and never cleared, a default argument that is one dict for ever, a buffer shared by all copies",
    roles=_CACHED,
    when=_WHEN,
)
REORDERING_FOLLOWS_THE_ROWS = Clause(
    id="cache.reordering-follows-the-rows",
    text="after a reordering of the cache by rows, going on gives for each row what the row that it was copied from would give",
    source="Vaswani et al. 2017, section 6.1: beam search; Veriformer: a beam is a row",
    breaks="keys reordered and values not, some layers left out, the inverse permutation, positions or masks not reordered with them",
    roles=_CACHED,
    when=_WHEN,
)
CACHED_ROWS_ARE_INDEPENDENT = Clause(
    id="cache.cached-rows-are-independent",
    text="in a cached run a row's logits depend neither on the other rows, nor on their padding, nor on their number",
    source="Vaswani et al. 2017, equation 1: rows are independent",
    breaks="one length for all rows where they differ, a mask of the first row for all",
    roles=_CACHED,
    when=_WHEN,
)
NOTHING_IS_ROUNDED_IN_THE_CACHE = Clause(
    id="cache.nothing-is-rounded-in-the-cache",
    level=Level.SHOULD,
    text="a cached run of a float64 subject rounds nothing to a narrower dtype that the full pass does not round",
    source="Goldberg 1991, section 1.2: rounding error; Veriformer: a narrower cache is a choice, and one that should be known",
    breaks="buffers made in float32 or bfloat16 by default, and filled by an assignment that casts without a word",
    roles=_CACHED,
    when={"cache": (True,), "computes_in": ("input",)},
)
