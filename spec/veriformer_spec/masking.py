"""Masking: what a query may not see. True means may attend."""

from veriformer_spec.clause import Clause
from veriformer_spec.role import ATTENDING, Role

_ILLEGAL = "Vaswani et al. 2017, section 3.2.3: masking out all values in the input of the softmax which correspond to illegal connections"
_CAUSAL = "Vaswani et al. 2017, section 3.1: predictions for position i can depend only on the known outputs at positions less than i"

_ARBITRARY = ("arbitrary",)
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
    breaks="an off-by-one diagonal, a transposed triangle, a mask applied in training only",
    roles=ATTENDING,
)
CAUSAL_POSITIONS_SEE_THEMSELVES_AND_ALL_BEFORE = Clause(
    id="masking.causal-positions-see-themselves-and-all-before",
    text="where attention is causal, the output at a position is what it would be if the sequence ended there and nothing were masked",
    source=_CAUSAL,
    breaks="tril(diagonal=-1) hides the position itself; a window hides the beginning",
    roles=ATTENDING,
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
    roles=ATTENDING,
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
    roles=ATTENDING,
    needs_masks=_ARBITRARY,
)
A_ROW_WITH_NOTHING_VISIBLE_TOUCHES_NO_OTHER = Clause(
    id="masking.a-row-with-nothing-visible-touches-no-other",
    text="a query with nothing visible changes no row that has something visible in it, nor makes that row's gradient not finite",
    source="Vaswani et al. 2017, section 3.2.1, equation 1: rows are independent; pytorch/pytorch#42323",
    breaks="torch.where after a NaN: the forward pass is right, the gradient of the whole input is NaN",
    roles=(Role.ATTENTION, Role.MULTI_HEAD_ATTENTION, Role.ENCODER_LAYER),
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
