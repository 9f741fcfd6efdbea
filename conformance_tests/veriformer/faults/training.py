"""Faults in gradients: planted in the reference, written without it, and near-misses."""

# mypy: ignore-errors
# Other people's code, written the way they write it: without types.

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

import veriformer
from veriformer.faults import tutorial
from veriformer.faults.fault import Fault, NearMiss, Planted
from veriformer_reference import attention, feed_forward
from veriformer_spec import training
from veriformer_spec.role import Role

softmax, contract = attention.softmax, feed_forward.contract


def _without_its_weight(x, weight, bias):
    return contract(x, weight.detach(), bias)


WEIGHT_DETACHED = Fault(
    id="weight-detached",
    sentence="a weight enters the output detached, and never trains",
    clauses=(training.EVERY_PARAMETER_GETS_A_GRADIENT, training.GRADIENTS_ARE_THE_DERIVATIVE),
    source="experience",
    written="F.linear(x, self.weight.data, self.bias)",
    mend="F.linear(x, self.weight, self.bias)",
    patches=(("feed_forward.contract", _without_its_weight),),
    planted=(Planted(role=Role.FEED_FORWARD), Planted(role=Role.ENCODER_LAYER)),
)


def _detached(scores):
    return softmax(scores).detach()


ATTENTION_WEIGHTS_DETACHED = Fault(
    id="attention-weights-detached",
    sentence="attention weights are detached: gradients reach the values, and neither queries nor keys",
    clauses=(training.GRADIENTS_ARE_THE_DERIVATIVE,),
    source="experience",
    written="weights = softmax(scores).data",
    mend="weights = softmax(scores); detach only what is plotted",
    patches=(("attention.softmax", _detached),),
    planted=(Planted(role=Role.ATTENTION), Planted(role=Role.MULTI_HEAD_ATTENTION), Planted(role=Role.ENCODER)),
)


@veriformer.subject("multi-head-attention")
def left_behind_by_fusion(config):
    class Fused(tutorial.Attention):
        def __init__(self, config):
            super().__init__(config)
            self.to_key = nn.Linear(config.d_model, config.d_model)

    return Fused(config)


PROJECTION_NEVER_CALLED = Fault(
    id="projection-never-called",
    sentence="after fusing the projections the old ones stay registered, are saved, trained and never used",
    clauses=(training.EVERY_PARAMETER_GETS_A_GRADIENT,),
    source="https://github.com/huggingface/diffusers/issues/11903",
    written="self.to_qkv = fuse(self.to_q, self.to_k, self.to_v)",
    mend="delete what was fused: del self.to_k",
    builds=(left_behind_by_fusion,),
)


class _Softmax(torch.autograd.Function):
    @staticmethod
    def forward(ctx, scores):
        weights = scores.softmax(-1)
        ctx.save_for_backward(weights)
        return weights

    @staticmethod
    def backward(ctx, gradient):
        (weights,) = ctx.saved_tensors
        return weights * gradient  # the sum over the row is missing


class _WholeSoftmax(_Softmax):
    @staticmethod
    def backward(ctx, gradient):
        (weights,) = ctx.saved_tensors
        return weights * (gradient - (weights * gradient).sum(-1, keepdim=True))


@veriformer.subject("multi-head-attention")
def backward_by_hand(config):
    module = tutorial.Attention(config)
    module.weigh = _Softmax.apply
    return module


BACKWARD_FORGETS_THE_SUM = Fault(
    id="backward-forgets-the-sum",
    sentence="a softmax with a backward pass of its own leaves out the sum over the row",
    clauses=(training.GRADIENTS_ARE_THE_DERIVATIVE,),
    source="experience",
    written="return weights * gradient",
    mend="return weights * (gradient - (weights * gradient).sum(-1, keepdim=True)); test it with gradcheck",
    builds=(backward_by_hand,),
)


@veriformer.subject("multi-head-attention")
def right_backward_by_hand(config):
    module = tutorial.Attention(config)
    module.weigh = _WholeSoftmax.apply
    return module


BACKWARD_BY_HAND = NearMiss(
    id="backward-by-hand",
    sentence="a softmax with a backward pass of its own, which is right",
    clauses=(training.GRADIENTS_ARE_THE_DERIVATIVE,),
    build=right_backward_by_hand,
)


@veriformer.subject("encoder-layer")
def recomputed(config):
    class Recomputed(tutorial.Block):
        def forward(self, x, mask=None):
            return checkpoint(super().forward, x, mask, use_reentrant=False)

    return Recomputed(config)


ACTIVATIONS_RECOMPUTED = NearMiss(
    id="activations-recomputed",
    sentence="the layer is checkpointed: its forward runs again in the backward pass",
    clauses=(training.GRADIENTS_ARE_THE_DERIVATIVE, training.EVERY_PARAMETER_GETS_A_GRADIENT),
    build=recomputed,
)


@veriformer.subject("positional-encoding")
def frozen_table(config):
    class Frozen(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = nn.Parameter(tutorial.sinusoids(config.max_len, config.d_model), requires_grad=False)

        def forward(self, x):
            return x + F.embedding(torch.arange(x.shape[1], device=x.device), self.table)

    return Frozen()


TABLE_AS_A_FROZEN_PARAMETER = NearMiss(
    id="table-as-a-frozen-parameter",
    sentence="the table is a parameter that requires no gradient, and gets none",
    clauses=(training.EVERY_PARAMETER_GETS_A_GRADIENT,),
    build=frozen_table,
)
