"""Faults of modules that remember: weights copied once, keys kept for a tensor seen before; and one that remembers rightly."""

# mypy: ignore-errors
# Patches stand in for the reference's functions; the rest is other people's code, written the way they write it: without types.

import weakref

import torch
import torch.nn.functional as F

import veriformer
from veriformer.faults import tutorial
from veriformer.faults.fault import Fault, NearMiss, Planted
from veriformer_reference import stack
from veriformer_spec import state
from veriformer_spec.role import Role

bottom = stack.bottom


def by_a_transposed_copy(x, weight, bias):
    if not hasattr(weight, "transposed"):
        weight.transposed = weight.detach().mT.contiguous()
    out = x @ weight.transposed
    return out if bias is None else out + bias


WEIGHTS_TRANSPOSED_ONCE = Fault(
    id="weights-transposed-once",
    sentence="The transposed weight is computed at the first call and kept: later steps of the optimiser do not reach it.",
    clauses=(state.A_CALL_USES_THE_WEIGHTS_AS_THEY_ARE,),
    source="https://github.com/huggingface/diffusers/issues/11903",
    written="if self.weight_t is None: self.weight_t = self.weight.t().contiguous()",
    mend="x @ self.weight.t()",
    patches=(("heads.project", by_a_transposed_copy),),
    planted=(Planted(role=Role.MULTI_HEAD_ATTENTION),),
)


class Fused(tutorial.FeedForward):
    """Keeps both weights as plain tensors for inference."""

    fused = None

    def forward(self, x):
        if self.training:
            return super().forward(x)
        if self.fused is None:
            self.fused = (self.inner.weight.detach().clone(), self.outer.weight.detach().clone())
        into, out = self.fused
        return F.linear(F.linear(x, into, self.inner.bias).relu(), out, self.outer.bias)


@veriformer.subject("feed-forward")
def fused_for_inference(config):
    return Fused(config)


WEIGHTS_KEPT_FOR_INFERENCE = Fault(
    id="weights-kept-for-inference",
    sentence="a copy of the weights is made at the first call in evaluation, and train() does not throw it away",
    clauses=(state.A_CALL_USES_THE_WEIGHTS_AS_THEY_ARE,),
    source="experience",
    written="if not self.training and self.fused is None: self.fused = self.weight.detach().clone()",
    mend="def train(self, *mode): self.fused = None; return super().train(mode)",
    builds=(fused_for_inference,),
)


@veriformer.subject("feed-forward")
def fused_and_thrown_away(config):
    class ThrownAway(Fused):
        def train(self, *mode):
            self.fused = None
            return super().train(*mode)

        def load_state_dict(self, *args, **kwargs):
            self.fused = None
            return super().load_state_dict(*args, **kwargs)

        def _apply(self, *arguments):
            self.fused = None
            return super()._apply(*arguments)

        def forward(self, x):
            if torch.is_grad_enabled():
                return tutorial.FeedForward.forward(self, x)
            return super().forward(x)

    return ThrownAway(config)


WEIGHTS_KEPT_UNTIL_TRAINING = NearMiss(
    id="weights-kept-until-training",
    sentence="a copy of the weights is kept for inference, and thrown away whenever they may change",
    clauses=(state.A_CALL_USES_THE_WEIGHTS_AS_THEY_ARE,),
    build=fused_and_thrown_away,
)


@veriformer.subject("multi-head-attention")
def keys_remembered_by_tensor(config):
    class Remembering(tutorial.Attention):
        seen = keys = None

        def forward(self, query, memory, mask=None):
            size = query.shape[-1]
            weight, bias = self.in_proj.weight, self.in_proj.bias
            q = F.linear(query, weight[:size], bias[:size]).unflatten(-1, (self.heads, -1))
            if self.training or torch.is_grad_enabled() or self.seen is not memory:
                self.seen = memory
                self.keys = F.linear(memory, weight[size:], bias[size:]).unflatten(-1, (2, self.heads, -1)).unbind(2)
            k, v = self.keys
            weights = self.weigh(self.hidden(self.scores(q, k), mask))
            return self.out_proj(torch.einsum("bhqk,bkhd->bqhd", weights, v).flatten(2))

    return Remembering(config)


KEYS_REMEMBERED_BY_TENSOR = Fault(
    id="keys-remembered-by-tensor",
    sentence="keys and values of the memory are kept for as long as the same tensor is passed, whatever it holds by now",
    clauses=(state.CALLS_ARE_INDEPENDENT,),
    source="experience",
    written="if memory is not self.last_memory: self.k, self.v = project(memory)",
    mend="pass a cache that the caller owns, or compute keys and values at each call",
    builds=(keys_remembered_by_tensor,),
)

_STEPS_LEFT = weakref.WeakKeyDictionary()


def from_a_popped_list(x, own, config, positions=None, length=None):
    memories = _STEPS_LEFT.setdefault(own, [0.0])
    return bottom(x, own, config, positions, length) + memories.pop()


DEFAULT_LIST_POPPED = Fault(
    id="default-list-popped",
    sentence="A list that is made once is emptied by the first call, and the second call finds nothing in it.",
    clauses=(state.CALLS_ARE_INDEPENDENT,),
    source="x-transformers 0.7.1; https://github.com/lucidrains/x-transformers/commit/208d70d",
    written="mem = self.init_mems.pop(0)",
    mend="mems = list(self.init_mems); mem = mems.pop(0)",
    patches=(("stack.bottom", from_a_popped_list),),
    planted=(Planted(role=Role.ENCODER), Planted(role=Role.CAUSAL_LM)),
)
