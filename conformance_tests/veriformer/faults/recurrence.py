"""Faults of recurrence and additive attention, planted in the reference."""

# mypy: ignore-errors
# Other people's mistakes: without types.

import torch

from veriformer.faults.fault import Fault, Planted
from veriformer_reference import attention
from veriformer_reference import recurrence as reference
from veriformer_spec import recurrence
from veriformer_spec.role import Role

weights, decode, step, linear = attention.weights, reference.decode, reference.step, reference.linear
unit = reference.unit

ADDITIVE = Planted(role=Role.ADDITIVE_ATTENTION)
MODEL = Planted(role=Role.ENCODER_DECODER, claims={"cell": "gru"})


def _without_tanh(query, memory, own):
    return linear(linear(query, own.query)[:, :, None] + linear(memory, own.memory)[:, None], own.score)[..., 0]


def _tanh_outside(query, memory, own):
    return torch.tanh(_without_tanh(query, memory, own))


def _clamped(scores, mask):
    return weights(scores, mask).clamp(min=1e-3)


def _with_a_constant(scores, mask):
    return weights(scores, mask) + 1e-8


ADDITIVE_SCORES_WITHOUT_TANH = Fault(
    id="additive-scores-without-tanh",
    sentence="The score is linear in query and memory, so that the query cancels in the softmax.",
    clauses=(recurrence.ADDITIVE_ATTENTION_EQUALS_ITS_EQUATION,),
    source="experience",
    written="self.v(self.W(query) + self.U(memory))",
    mend="self.v(torch.tanh(self.W(query) + self.U(memory)))",
    patches=(("recurrence.additive_scores", _without_tanh),),
    planted=(ADDITIVE,),
)
TANH_AFTER_THE_SCORE = Fault(
    id="tanh-after-the-score",
    sentence="tanh is taken of the score, and not of what the score is made of.",
    clauses=(recurrence.ADDITIVE_ATTENTION_EQUALS_ITS_EQUATION, recurrence.SYMMETRIC_WEIGHTS_GIVE_THE_KNOWN_OUTPUT),
    source="experience",
    written="torch.tanh(self.v(self.W(query) + self.U(memory)))",
    mend="self.v(torch.tanh(self.W(query) + self.U(memory)))",
    patches=(("recurrence.additive_scores", _tanh_outside),),
    planted=(ADDITIVE,),
)
WEIGHTS_CLAMPED = Fault(
    id="attention-weights-clamped",
    sentence="Weights are kept from being zero, and no longer sum to one.",
    clauses=(recurrence.WEIGHTS_ARE_EXACTLY_A_DISTRIBUTION,),
    source="experience",
    written="weights.clamp(min=1e-3)",
    mend="leave them; softmax is never exactly zero where it need not be",
    patches=(("attention.weights", _clamped),),
    planted=(ADDITIVE,),
)
WEIGHTS_WITH_A_CONSTANT = Fault(
    id="attention-weights-with-a-constant",
    sentence="A small number is added to every weight, to padding's too.",
    clauses=(recurrence.WEIGHTS_ARE_EXACTLY_A_DISTRIBUTION,),
    source="experience",
    written="weights + 1e-8",
    mend="subtract the maximum before the exponential; add nothing after it",
    patches=(("attention.weights", _with_a_constant),),
    planted=(ADDITIVE,),
)


def _no_context(token, state, memory, mask, own):
    nothing = memory.new_zeros(len(memory), memory.shape[-1])
    new = unit(torch.cat((token, nothing), dim=-1), state, own.unit)
    return new, torch.tanh(linear(torch.cat((new, token, nothing), dim=-1), own.readout))


def _same_context(token, state, memory, mask, own):
    context = own.attention(torch.zeros_like(state)[:, None], memory, mask)[:, 0]
    new = unit(torch.cat((token, context), dim=-1), state, own.unit)
    return new, torch.tanh(linear(torch.cat((new, token, context), dim=-1), own.readout))


def _sees_the_end(tokens, real, memory, memory_real, own):
    features = decode(tokens, real, memory, memory_real, own)
    return features + features[:, -1:]


def _reads_the_target_backwards(tokens, real, memory, memory_real, own):
    return decode(tokens.flip(1), real.flip(1), memory, memory_real, own).flip(1)


CONTEXT_NOT_USED = Fault(
    id="context-computed-and-not-used",
    sentence="The source reaches the decoder by its first state alone.",
    clauses=(recurrence.THE_CONTEXT_FEEDS_THE_DECODER, recurrence.THE_CONTEXT_IS_OF_THE_STEP),
    source="experience",
    written="state = self.cell(token, state)",
    mend="state = self.cell(torch.cat((token, context), -1), state)",
    patches=(("recurrence.step", _no_context),),
    planted=(MODEL,),
)
ONE_CONTEXT_FOR_ALL_STEPS = Fault(
    id="one-context-for-all-steps",
    sentence="Attention is asked once, or with a query that does not change: every step has the same context.",
    clauses=(recurrence.THE_CONTEXT_IS_OF_THE_STEP,),
    source="experience",
    written="context = attention(encoder_state, memory)",
    mend="context = attention(state, memory), in the loop",
    patches=(("recurrence.step", _same_context),),
    planted=(MODEL,),
)
DECODER_SEES_THE_END = Fault(
    id="decoder-sees-the-targets-end",
    sentence="The last target token's features enter every step.",
    clauses=(recurrence.TEACHER_FORCING_EQUALS_STEP_BY_STEP,),
    source="experience",
    written="features + last_state",
    mend="a step has the steps before it, and no others",
    patches=(("recurrence.decode", _sees_the_end),),
    planted=(MODEL,),
)
DECODER_READS_BACKWARDS = Fault(
    id="decoder-reads-the-target-backwards",
    sentence="The target is read from its end.",
    clauses=(recurrence.TEACHER_FORCING_EQUALS_STEP_BY_STEP, recurrence.THE_CONTEXT_FEEDS_THE_DECODER),
    source="experience",
    written="nn.GRU(..., bidirectional=True) in the decoder",
    mend="a decoder goes one way",
    patches=(("recurrence.decode", _reads_the_target_backwards),),
    planted=(MODEL,),
)
