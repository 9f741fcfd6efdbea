"""Faults of gradients and of dropout inside models, planted in the reference."""

# mypy: ignore-errors
# Other people's mistakes: without types.

import torch

from veriformer.faults.fault import Fault, Planted
from veriformer_reference import attention, heads, residual, rotary
from veriformer_spec import training
from veriformer_spec.role import Role

softmax, weights, average = attention.softmax, attention.weights, attention.average
drop, merge, rotate = residual.drop, heads.merge, rotary.rotate

STACKS = (
    Planted(role=Role.ENCODER, claims={"dropout": "on"}),
    Planted(role=Role.DECODER_LAYER, claims={"dropout": "on"}),
    Planted(role=Role.CAUSAL_LM, claims={"dropout": "on", "positions": "learned"}),
)


def _doubled(scores):
    found = softmax(scores)
    return 2 * found - found.detach()


GRADIENT_DOUBLED = Fault(
    id="gradient-doubled-on-the-way",
    sentence="The values are right, and twice their gradient goes back.",
    clauses=(training.GRADIENTS_EQUAL_THE_REFERENCE, training.GRADIENTS_ARE_THE_DERIVATIVE),
    source="experience",
    written="y = x + (x - x.detach())",
    mend="y = x",
    patches=(("attention.softmax", _doubled),),
    planted=(Planted(role=Role.MULTI_HEAD_ATTENTION), Planted(role=Role.ENCODER), Planted(role=Role.MASKED_LM)),
)


def _averaged_without_gradients(shares, value):
    return average(shares, value).detach()


AVERAGES_WITHOUT_GRADIENTS = Fault(
    id="averages-without-gradients",
    sentence="Attention runs with gradients off: the values are right, and nothing that stands before it is trained.",
    clauses=(training.GRADIENTS_ARE_THE_DERIVATIVE, training.EVERY_PARAMETER_GETS_A_GRADIENT),
    source="experience",
    written="@torch.no_grad()\ndef attention(q, k, v): ...",
    mend="no_grad belongs to the caller, and a kernel needs a backward pass",
    patches=(("attention.average", _averaged_without_gradients),),
    planted=(
        Planted(role=Role.ATTENTION),
        Planted(role=Role.SELF_ATTENTION),
        Planted(role=Role.MULTI_HEAD_ATTENTION),
    ),
)


def _turned_without_gradients(x, positions, config):
    return rotate(x, positions, config).detach()


ROTARY_WITHOUT_GRADIENTS = Fault(
    id="rotary-without-gradients",
    sentence="Gradients are off for the turning too, and not for its tables alone: queries and keys are never trained.",
    clauses=(training.GRADIENTS_ARE_THE_DERIVATIVE,),
    source="https://github.com/huggingface/transformers/blob/main/src/transformers/models/llama/modeling_llama.py, where no_grad "
    "stands above the tables",
    written="@torch.no_grad()\ndef apply_rotary(q, k, cos, sin): ...",
    mend="no_grad above what makes cos and sin, and above nothing else",
    patches=(("rotary.rotate", _turned_without_gradients),),
    planted=(Planted(role=Role.ROTARY_ENCODING),),
)


def _straight_through(scores, mask):
    right, open_to_all = weights(scores, mask), softmax(scores)
    return right.detach() + open_to_all - open_to_all.detach()


STRAIGHT_THROUGH_THE_MASK = Fault(
    id="straight-through-the-mask",
    sentence="The mask changes the values, and the gradient goes through as if there were none.",
    clauses=(training.GRADIENTS_RESPECT_THE_MASK, training.GRADIENTS_EQUAL_THE_REFERENCE),
    source="Bengio et al. 2013, section 3, in the wrong place",
    written="weights = soft + (hard - soft).detach()",
    mend="mask the scores, and let the softmax do the rest",
    patches=(("attention.weights", _straight_through),),
    planted=(
        Planted(role=Role.MULTI_HEAD_ATTENTION),
        Planted(role=Role.ENCODER),
        Planted(role=Role.CAUSAL_LM, claims={"positions": "learned"}),
    ),
)


def _shrunk(x, *, rate, training):
    return drop(x, rate=rate, training=training) if training else x * (1 - rate)


SHRUNK_IN_EVALUATION = Fault(
    id="shrunk-in-evaluation-as-well",
    sentence="What training has already scaled up is scaled down in evaluation.",
    clauses=(training.EVALUATION_IGNORES_THE_RATE,),
    source="experience",
    written="return dropout(x) if self.training else x * (1 - p)",
    mend="inverted dropout leaves evaluation alone",
    patches=(("residual.drop", _shrunk),),
    planted=STACKS,
)


def _seeded(x, *, rate, training):
    if not training:
        return x
    kept = torch.rand(x.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64) >= rate
    return x * kept.to(x) / (1 - rate)


def _one_for_the_batch(x, *, rate, training):
    if not training:
        return x
    kept = torch.rand(x[:1].shape, dtype=torch.float64) >= rate
    return x * kept.to(x) / (1 - rate)


ONE_MASK_FOR_EVER = Fault(
    id="one-dropout-mask-for-ever",
    sentence="The generator is seeded inside the call, so that every call drops the same features.",
    clauses=(training.DROPOUT_DIFFERS_IN_EACH_CALL_AND_ROW,),
    source="experience",
    written="torch.rand(x.shape, generator=torch.Generator().manual_seed(0))",
    mend="seed once, outside",
    patches=(("residual.drop", _seeded),),
    planted=STACKS,
)
ONE_MASK_FOR_THE_BATCH = Fault(
    id="one-dropout-mask-for-the-batch",
    sentence="One mask is drawn and broadcast over the rows.",
    clauses=(training.DROPOUT_DIFFERS_IN_EACH_CALL_AND_ROW,),
    source="experience",
    written="torch.rand(x.shape[1:]) >= p",
    mend="torch.rand(x.shape) >= p",
    patches=(("residual.drop", _one_for_the_batch),),
    planted=STACKS,
)


def _own_token_only(scores, mask):
    eye = torch.eye(scores.shape[-2], scores.shape[-1], dtype=torch.bool, device=scores.device)
    return weights(scores, eye if mask is None else mask & eye)


SEES_ITSELF_ONLY = Fault(
    id="sees-itself-only",
    sentence="The mask hides too much: every token sees itself and nothing else, and nothing can be copied.",
    clauses=(training.LEARNS_TO_COPY,),
    source="experience",
    written="mask = torch.eye(time).bool()",
    mend="mask = torch.ones(time, time).tril().bool()",
    patches=(("attention.weights", _own_token_only),),
    planted=(Planted(role=Role.CAUSAL_LM, claims={"positions": "learned"}),),
)
