"""Recurrence: the encoder-decoder of gated recurrent units with additive attention, where attention began."""

from veriformer_spec.clause import Clause
from veriformer_spec.role import Role

_BAHDANAU = "Bahdanau et al. 2015"
_ADDITIVE = (Role.ADDITIVE_ATTENTION,)
_MODEL = (Role.ENCODER_DECODER,)
_GRU = {"cell": ("gru",)}

ADDITIVE_ATTENTION_EQUALS_ITS_EQUATION = Clause(
    id="recurrence.additive-attention-equals-its-equation",
    text="the context is the sum of the memory weighted by softmax over keys of vᵀ tanh(W query + U memory)",
    source=f"{_BAHDANAU}, section 3.1, equations 5 and 6; appendix A.1.2",
    breaks="tanh left out or taken after v, W and U exchanged, softmax over queries",
    roles=_ADDITIVE,
)
SYMMETRIC_WEIGHTS_GIVE_THE_KNOWN_OUTPUT = Clause(
    id="recurrence.symmetric-weights-give-the-known-output",
    text="with equal weights wherever shapes are equal the context is the reference's, whichever tensor is which",
    source=f"{_BAHDANAU}, section 3.1, equations 5 and 6: equal matrices need no names",
    breaks="another nonlinearity, a bias too many or too few, the score taken before the tanh",
    roles=_ADDITIVE,
)
WEIGHTS_ARE_EXACTLY_A_DISTRIBUTION = Clause(
    id="recurrence.weights-are-exactly-a-distribution",
    text="where all visible memory vectors agree in a feature, the context has that value there, however large the scores",
    source=f"{_BAHDANAU}, section 3.1, equation 6",
    breaks="weights clamped or given a small constant, a mean over all keys with padding among them, a sigmoid in place of softmax",
    roles=_ADDITIVE,
)
TEACHER_FORCING_EQUALS_STEP_BY_STEP = Clause(
    id="recurrence.teacher-forced-equals-step-by-step",
    text="the logits at a target position are those of the target cut there: no later token, nor the target's length, enters",
    source=f"{_BAHDANAU}, section 2.1, equation 4, and section 3.1",
    breaks="a bidirectional decoder, a state that starts from the target's end, attention over the states of later steps",
    roles=_MODEL,
    when=_GRU,
)
THE_CONTEXT_FEEDS_THE_DECODER = Clause(
    id="recurrence.the-context-feeds-the-decoder",
    text="each step's logits depend on every real source token and on every target token up to the step, and on no padding",
    source=f"{_BAHDANAU}, section 3.1: the context vector enters the decoder's state, and its output",
    breaks="the context computed and never used, the same context for all steps, only the encoder's last state handed over",
    roles=_MODEL,
    when=_GRU,
)
THE_CONTEXT_IS_OF_THE_STEP = Clause(
    id="recurrence.every-step-has-its-own-context",
    text="what a step takes from the source is its own: the logits of all steps together vary with the source in more ways than one state "
    "and one context have features",
    source=f"{_BAHDANAU}, section 3.1, equation 5: alignment with the decoder's previous hidden state",
    breaks="one context for all steps, attention queried by the encoder's last state",
    roles=_MODEL,
    when=_GRU,
)
