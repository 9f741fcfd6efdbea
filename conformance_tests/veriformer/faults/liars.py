"""Universal liars: right shape and nothing behind it, in every role that has parameters; attention and heads have their own.

Each has parameters, which a real module would use, so that what it lacks is the function and not the adapter.
"""

# mypy: ignore-errors
# Other people's code, written the way they write it: without types.

import dataclasses

import torch
from torch import nn

import veriformer
from veriformer.faults import attention_foreign, heads_foreign
from veriformer.faults.fault import Fault
from veriformer_spec import attention, feed_forward, heads, masking, normalization, position, state, training


class Liar(nn.Module):
    """Takes what any role takes; ``answer`` is what it says."""

    def __init__(self, d_model):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(d_model))
        self.matrix = nn.Parameter(torch.randn(d_model, d_model))

    def forward(self, x, *_):
        return self.answer(x)


class Zeros(Liar):
    def answer(self, x):
        return torch.zeros_like(x)


class Constant(Liar):
    def answer(self, x):
        return (self.matrix.sum(0) * self.weight).expand_as(x).clone()


class Echo(Liar):
    def answer(self, x):
        return x


class NotANumber(Liar):
    def answer(self, x):
        return x @ self.matrix * self.weight * torch.nan


class Noise(Liar):
    def answer(self, x):
        return torch.randn_like(x) * self.weight + x @ self.matrix * 0


class Stale(Liar):
    """Answers with what the call before should have answered."""

    before = None

    def answer(self, x):
        now = x @ self.matrix * self.weight
        last, self.before = self.before, now.detach()
        return last.clone() if last is not None and last.shape == now.shape and last.dtype is now.dtype else now


def everywhere(liar):
    """The liar in every role whose input is tokens."""

    def declared(role, **claims):
        @veriformer.subject(role, **claims)
        def build(config):
            return liar(config.d_model)

        build.__veriformer__ = dataclasses.replace(build.__veriformer__, name=f"{role}.{liar.__name__.lower()}")
        return build

    return (
        declared("layer-norm"),
        declared("rms-norm"),
        declared("feed-forward"),
        declared("positional-encoding"),
        declared("positional-encoding", encoding="learned"),
        declared("encoder-layer"),
        declared("encoder", norm="pre"),
        declared("multi-head-attention"),
    )


HEADS = (
    heads.EQUALS_THE_REFERENCE,
    heads.EACH_HEAD_READS_ITS_OWN_SLICE,
    heads.QUERIES_FROM_QUERIES_MEMORY_FROM_MEMORY,
    heads.QUERY_AND_MEMORY_LENGTHS_MAY_DIFFER,
    heads.THE_OUTPUT_PROJECTION_IS_APPLIED,
)

ZEROS_RETURNED = Fault(
    id="zeros-returned",
    sentence="zeros of the right shape come back, whatever goes in",
    clauses=(
        training.EVERY_PARAMETER_GETS_A_GRADIENT,
        masking.OUTPUTS_DEPEND_ON_EVERY_VISIBLE_KEY,
        attention.EQUALS_EQUATION_1,
        attention.SOFTMAX_RUNS_OVER_KEYS,
        attention.WEIGHTS_ARE_A_DISTRIBUTION,
        attention.ONE_KEY_RETURNS_ITS_VALUE,
        *HEADS,
    ),
    source="array-api-tests, where eight functions replaced by zeros went unnoticed",
    written="return torch.zeros_like(x)",
    mend="compute something",
    builds=(*everywhere(Zeros)[:-1], attention_foreign.nothing_but_zeros, heads_foreign.module_of_zeros),
    synonyms=("attention-returns-zeros", "heads-return-zeros"),
)
QUERY_RETURNED = Fault(
    id="attention-returns-the-query",
    sentence="the query comes back as it is, in a copy",
    clauses=(
        masking.OUTPUTS_DEPEND_ON_EVERY_VISIBLE_KEY,
        attention.EQUALS_EQUATION_1,
        attention.SOFTMAX_RUNS_OVER_KEYS,
        attention.OUTPUT_LIES_IN_THE_HULL_OF_THE_VALUES,
        attention.ONE_KEY_RETURNS_ITS_VALUE,
        *HEADS,
    ),
    source="universal liar",
    written="return query.clone()",
    mend="compute something",
    builds=(attention_foreign.the_query_itself, heads_foreign.module_that_returns_its_input),
    synonyms=("heads-return-their-input",),
)
CONSTANT_RETURNED = Fault(
    id="constant-returned",
    sentence="the same numbers come back whatever goes in; they even train",
    clauses=(
        masking.OUTPUTS_DEPEND_ON_EVERY_VISIBLE_KEY,
        normalization.LAYER_EQUALS_ITS_EQUATION,
        normalization.RMS_EQUALS_ITS_EQUATION,
        feed_forward.NOT_LINEAR,
        position.ADDED_ONCE,
    ),
    source="experience",
    written="return self.bias.expand_as(x)",
    mend="compute something",
    builds=everywhere(Constant),
)
INPUT_RETURNED = Fault(
    id="input-returned",
    sentence="the input comes back: the same tensor, not even a copy",
    clauses=(state.OUTPUT_IS_A_NEW_TENSOR, training.EVERY_PARAMETER_GETS_A_GRADIENT),
    source="experience",
    written="return x",
    mend="compute something",
    builds=everywhere(Echo),
)
NAN_RETURNED = Fault(
    id="nan-returned",
    sentence="nothing but NaN comes back, which is equal to no expectation and larger than no tolerance",
    clauses=(
        state.FINITE_INPUTS_GIVE_FINITE_OUTPUTS,
        attention.EQUALS_EQUATION_1,
        attention.SOFTMAX_RUNS_OVER_KEYS,
        attention.OUTPUT_LIES_IN_THE_HULL_OF_THE_VALUES,
        attention.ONE_KEY_RETURNS_ITS_VALUE,
        attention.LARGE_SCORES_STAY_FINITE,
    ),
    source="universal liar",
    written="return x / 0 * 0",
    mend="find the division by zero",
    builds=(*everywhere(NotANumber), attention_foreign.nothing_but_nan),
    synonyms=("attention-returns-nan",),
)
NOISE_RETURNED = Fault(
    id="noise-returned",
    sentence="random numbers of the right shape come back",
    clauses=(state.EVALUATION_IS_DETERMINISTIC, state.CALLS_ARE_INDEPENDENT),
    source="experience",
    written="return torch.randn_like(x)",
    mend="compute something",
    builds=everywhere(Noise),
)
ANSWER_OF_THE_CALL_BEFORE = Fault(
    id="answer-of-the-call-before",
    sentence="what comes back is the answer to the call before, where it has the same shape",
    clauses=(state.CALLS_ARE_INDEPENDENT,),
    source="arXiv 2604.28118 (DEFault++), operator CST",
    written="self.cache, result = new, self.cache",
    mend="key the cache by everything the answer depends on, or keep none",
    builds=everywhere(Stale),
)
