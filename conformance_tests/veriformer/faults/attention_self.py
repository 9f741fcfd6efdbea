"""Faults in plain self-attention: planted in the reference, and as beginners write it; and two correct beginners."""

# mypy: ignore-errors
# Other people's code, written the way they write it: without types.

import math

import torch

import veriformer
from veriformer.faults.fault import Fault, NearMiss, Planted
from veriformer_spec import attention, masking
from veriformer_spec.role import Role

_SELF = (Planted(role=Role.SELF_ATTENTION), Planted(role=Role.SELF_ATTENTION, claims={"causal": True}))


def scaled_anyway(d_head, claimed):
    return d_head**-0.5


def slices(x, many):
    return x.reshape(*x.shape[:-1], many, -1).transpose(1, 2)


@veriformer.subject("plain-self-attention", module=None)
def beginner_in_one_line(config):
    def attend(x, mask=None):
        found = []
        for part in x.split(config.d_head, dim=-1):
            scores = part @ part.transpose(1, 2)
            if mask is not None:
                own = mask.expand(-1, config.heads, -1, -1)[:, len(found)]
                scores = scores.masked_fill(~own, float("-inf"))
            found.append(torch.softmax(scores, -1) @ part)
        return torch.cat(found, -1)

    return attend


@veriformer.subject("plain-self-attention", module=None, scale="inverse-root", causal=True)
def beginner_who_builds_a_decoder(config):
    def attend(x, mask=None):
        parts = slices(x, config.heads)
        past = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool, device=x.device).tril()
        allowed = past if mask is None else past & mask
        return (
            torch.nn.functional.scaled_dot_product_attention(parts, parts, parts, attn_mask=allowed)
            .transpose(1, 2)
            .flatten(2)
        )

    return attend


@veriformer.subject("plain-self-attention", module=None)
def beginner_with_a_view(config):
    def attend(x, mask=None):
        parts = x.view(x.shape[0], config.heads, x.shape[1], -1)
        scores = parts @ parts.mT
        scores = scores if mask is None else scores.masked_fill(~mask, float("-inf"))
        return (scores.softmax(-1) @ parts).reshape(x.shape)

    return attend


@veriformer.subject("plain-self-attention", module=None)
def beginner_with_a_scale(config):
    def attend(x, mask=None):
        parts = slices(x, config.heads)
        scores = parts @ parts.mT / math.sqrt(x.shape[-1])
        scores = scores if mask is None else scores.masked_fill(~mask, float("-inf"))
        return (scores.softmax(-1) @ parts).transpose(1, 2).flatten(2)

    return attend


@veriformer.subject("plain-self-attention", module=None, masks=("none",))
def beginner_with_softmax_over_queries(config):
    def attend(x):
        parts = slices(x, config.heads)
        return ((parts @ parts.mT).softmax(-2) @ parts).transpose(1, 2).flatten(2)

    return attend


SCALED_WHERE_NONE_IS_CLAIMED = Fault(
    id="scaled-where-none-is-claimed",
    sentence="scores are divided by the root of the key size, and the claim says that nothing scales them",
    clauses=(attention.SELF_ATTENTION_EQUALS_ITS_EQUATION,),
    source="experience (a step of the tutorial taken too early)",
    written="x @ x.mT / math.sqrt(d_head)",
    mend="x @ x.mT, or claim scale='inverse-root'",
    patches=(("attention.scale_factor", scaled_anyway),),
    planted=_SELF,
)
BEGINNERS_SELF_ATTENTION = Fault(
    id="beginners-self-attention",
    sentence="a view in place of slices, a scale of the whole model, softmax over queries",
    clauses=(attention.SELF_ATTENTION_EQUALS_ITS_EQUATION,),
    source="experience",
    written="x.view(batch, heads, time, d_head)",
    mend="x.view(batch, time, heads, d_head).transpose(1, 2)",
    builds=(beginner_with_a_view, beginner_with_a_scale, beginner_with_softmax_over_queries),
)
BEGINNER_IN_ONE_LINE = NearMiss(
    id="beginner-in-one-line", sentence="plain self-attention, slice by slice in a loop, with a mask for each head",
    clauses=(attention.SELF_ATTENTION_EQUALS_ITS_EQUATION, masking.EACH_HEAD_OBEYS_ITS_OWN_MASK), build=beginner_in_one_line,
)  # fmt: skip
BEGINNER_WHO_BUILDS_A_DECODER = NearMiss(
    id="beginner-who-builds-a-decoder", sentence="plain self-attention that is causal and scaled, on a fused kernel",
    clauses=(attention.SELF_ATTENTION_EQUALS_ITS_EQUATION,), build=beginner_who_builds_a_decoder,
)  # fmt: skip
