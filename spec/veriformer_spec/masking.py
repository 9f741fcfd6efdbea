"""Masking: what a query may not see. True means may attend."""

from veriformer_spec.clause import Clause
from veriformer_spec.role import ATTENDING, CROSS_ATTENDING, MODELS, PROJECTED, Role

_ILLEGAL = "Vaswani et al. 2017, section 3.2.3: masking out all values in the input of the softmax which correspond to illegal connections"
_CAUSAL = "Vaswani et al. 2017, section 3.1: predictions for position i can depend only on the known outputs at positions less than i"

_ARBITRARY = ("arbitrary",)
_WITH_GRIDS = tuple(role for role in ATTENDING if role not in MODELS)
"""Roles that may be passed another mask for each query; models over ids say which tokens are real, and no more."""
_PADDING = ("padding",)
_ANY = ("causal", "padding")

MASKED_KEYS_ARE_INVISIBLE = Clause(
    id="masking.masked-keys-are-invisible",
    text="the output at a query does not depend on any key or value that is masked for it",
    source=_ILLEGAL,
    breaks="the mask is dropped on one code path, inverted, transposed, or subtracts a small constant",
    roles=ATTENDING,
    needs_masks=_ANY,
)
OUTPUTS_DEPEND_ON_EVERY_VISIBLE_KEY = Clause(
    id="masking.outputs-depend-on-every-visible-key",
    text="the output at a query depends on every key that is visible to it",
    source="Vaswani et al. 2017, section 3.2.1, equation 1: every softmax weight is positive",
    breaks="the mask is inverted, a window is narrower than meant, the diagonal is hidden, the query axis is masked too",
    roles=ATTENDING,
)
CAUSAL_OUTPUTS_IGNORE_THE_FUTURE = Clause(
    id="masking.causal-outputs-ignore-the-future",
    text="where attention is causal, by claim or by the mask passed, the output at a position does not depend on any later position",
    source=_CAUSAL,
    breaks="an off-by-one diagonal, a transposed triangle, a mask applied in training only; heads merged without the transpose",
    roles=ATTENDING,
)
CAUSAL_POSITIONS_SEE_THEMSELVES_AND_ALL_BEFORE = Clause(
    id="masking.causal-positions-see-themselves-and-all-before",
    text="where attention is causal, the output at a position is what it would be if the sequence ended there and nothing were masked",
    source=_CAUSAL,
    breaks="tril(diagonal=-1) hides the position itself; a window hides the beginning",
    roles=ATTENDING,
    when={"sliding_window": (False,)},
)
PADDING_DOES_NOT_CHANGE_REAL_POSITIONS = Clause(
    id="masking.padding-does-not-change-real-positions",
    text="real positions come back as if the padding had not been there, whether it stands right, left or between them",
    source=_ILLEGAL,
    breaks="padding is masked for queries in place of keys, is zeroed in place of hidden, or counts in a mean",
    roles=ATTENDING,
    needs_masks=_PADDING,
)
MASKS_COMBINE_BY_CONJUNCTION = Clause(
    id="masking.masks-combine-by-conjunction",
    text="a subject that is causal by itself and is passed a padding mask shows a key only where both allow it",
    source=_ILLEGAL,
    breaks="one of two masks is dropped, or they are combined by or; is_causal=True overrides the mask",
    roles=ATTENDING,
    needs_masks=_PADDING,
    when={"causal": (True,)},
)
MASKS_APPLY_BEFORE_THE_SOFTMAX = Clause(
    id="masking.masks-apply-before-the-softmax",
    text="masking a key equals removing it: the weights of the visible keys sum to one again",
    source=_ILLEGAL,
    breaks="weights multiplied by the mask after the softmax, scores multiplied by the mask before it",
    roles=ATTENDING,
    needs_masks=_PADDING,
)
MASKS_BROADCAST = Clause(
    id="masking.masks-broadcast",
    text="a mask whose batch, head or query axis has size one acts as if it were repeated along that axis",
    source="PyTorch documentation, Broadcasting semantics; Veriformer: masks broadcast to batch heads q_len k_len",
    breaks="a mask reshaped by the wrong axis, which goes unseen where heads equals batch",
    roles=_WITH_GRIDS,
    needs_masks=_ARBITRARY,
)
EACH_HEAD_OBEYS_ITS_OWN_MASK = Clause(
    id="masking.each-head-obeys-its-own-mask",
    text="under a mask that differs from head to head each head is hidden what its own part hides, and nothing else",
    source="Vaswani et al. 2017, section 3.2.2: each head attends by itself; Veriformer: masks broadcast to batch heads q_len k_len",
    breaks="the first head's mask taken for all, the heads' masks merged by any or all",
    roles=tuple(role for role in _WITH_GRIDS if role is not Role.ADDITIVE_ATTENTION),
    needs_masks=_ARBITRARY,
)
NO_SCORE_IS_TOO_LARGE_TO_MASK = Clause(
    id="masking.no-score-is-too-large-to-mask",
    text="masked keys stay invisible, and visible keys keep their share, with scores up to about 1e6",
    source=_ILLEGAL + ", by setting to minus infinity",
    breaks="minus infinity replaced by a constant such as -1e4 that a large score outweighs",
    roles=ATTENDING,
    needs_masks=_ANY,
)
A_ROW_WITH_NOTHING_VISIBLE = Clause(
    id="masking.a-row-with-nothing-visible-is-as-claimed",
    text="a query with nothing visible gives what the subject claims (zeros, NaN, an error, or anything where unspecified), "
    "with gradients on and off",
    source="Veriformer: equation 1 leaves the softmax of an empty set undefined, so a subject says what it does",
    breaks="the claim is made for one code path and another is taken",
    roles=_WITH_GRIDS,
    needs_masks=_ARBITRARY,
)
A_ROW_WITH_NOTHING_VISIBLE_TOUCHES_NO_OTHER = Clause(
    id="masking.a-row-with-nothing-visible-touches-no-other",
    text="a query with nothing visible changes no row that has something visible in it, nor makes that row's gradient not finite",
    source="Vaswani et al. 2017, section 3.2.1, equation 1: rows are independent; pytorch/pytorch#42323",
    breaks="torch.where after a NaN: the forward pass is right, the gradient of the whole input is NaN",
    roles=tuple(role for role in _WITH_GRIDS if role not in {Role.ENCODER, Role.DECODER}),
    needs_masks=_ARBITRARY,
)
NO_MASK_IS_AN_ALL_TRUE_MASK = Clause(
    id="masking.no-mask-is-an-all-true-mask",
    text="no mask, and a mask that is True throughout, give the same output",
    source="Vaswani et al. 2017, section 3.2.3: a mask removes connections and does nothing else",
    breaks="another code path is taken when a mask is there, or a 0/1 mask is added to the scores as if it were additive",
    roles=ATTENDING,
    needs_masks=_PADDING,
)
FEWER_QUERIES_THAN_KEYS_ALIGN_AS_CLAIMED = Clause(
    id="masking.fewer-queries-than-keys-align-as-claimed",
    text="where a causal subject is given fewer queries than keys, the last query sees the last key (aligned at the end), or the first "
    "query sees the first key alone (aligned at the start), as claimed",
    source="Veriformer: a cache holds the past, so new queries stand at its end; PyTorch documentation, scaled_dot_product_attention: "
    "is_causal aligns at the upper left; onnx/onnx#7297",
    breaks="tril(ones(q_len, k_len)) without diagonal=k_len - q_len, so that a chunk sees the beginning of the past only",
    roles=(Role.ATTENTION,),
    when={"causal": (True,), "alignment": ("end", "start")},
)
SLIDING_WINDOW_SEES_EXACTLY_ITS_WIDTH = Clause(
    id="masking.sliding-window-sees-exactly-its-width",
    text="where a sliding window of width w is claimed, a layer's output at a position depends on that position and the w - 1 before it, and "
    "on no other",
    source="Beltagy et al. 2020, section 3.1; Jiang et al. 2023 (Mistral 7B), section 2",
    breaks="a window one too wide or too narrow, one that looks ahead, one that is applied to the first layer only",
    roles=(Role.ATTENTION, *PROJECTED),
    when={"sliding_window": (True,), "causal": (True,)},
)
PREFIX_IS_BIDIRECTIONAL = Clause(
    id="masking.a-prefix-is-bidirectional",
    text="under a mask that shows every query a prefix, and beyond it the past alone, prefix positions see each other both ways and no more",
    source="Raffel et al. 2020, section 3.2.1: prefix LM, causal with prefix",
    breaks="the mask is taken for a causal one after a glance at its corner, or combined with a triangle of the subject's own",
    roles=_WITH_GRIDS,
    needs_masks=_ARBITRARY,
    when={"causal": (False,), "sliding_window": (False,)},
)
PACKED_SEQUENCES_DO_NOT_MIX = Clause(
    id="masking.packed-sequences-do-not-mix",
    text="under a block-diagonal mask each packed sequence comes back as it does alone, where positions are not told apart",
    source="Krell et al. 2021, section 3.2: packing with an adjusted attention mask",
    breaks="the mask reduced to one row of keys, its blocks shifted by one, or kept for the first sequence of the batch only",
    roles=_WITH_GRIDS,
    needs_masks=_ARBITRARY,
    when={"positions": ("none",), "causal": (False,), "sliding_window": (False,)},
)
SOURCE_PADDING_IS_INVISIBLE = Clause(
    id="masking.source-padding-is-invisible-to-the-target",
    text="no output of a decoder depends on what stands in the memory (of an encoder-decoder: the source) where its mask hides it",
    source=_ILLEGAL + "; section 3.1: multi-head attention over the output of the encoder stack",
    breaks="the source mask reaches the encoder and not the cross-attention, or the target's mask is passed in its place",
    roles=CROSS_ATTENDING,
    needs_masks=_PADDING,
)
PADDING_MAY_STAND_WHERE_CLAIMED = Clause(
    id="masking.padding-may-stand-where-claimed",
    text="with padding on each side that is claimed (right, left, interior), real tokens' outputs equal those of the sequence without padding",
    source=_ILLEGAL + "; Veriformer: positions count real tokens where left padding is claimed",
    breaks="left padding shifts the positions, the last real token is looked for at the end, the mask is counted from the wrong side",
    roles=MODELS,
    needs_masks=_PADDING,
)
