"""Faults in cross-attention, and in scores that are bounded, planted in the reference."""

import dataclasses

import torch
from torch import Tensor

from veriformer.faults.fault import Fault, Planted
from veriformer_reference import heads as honest
from veriformer_spec import heads
from veriformer_spec.config import Config
from veriformer_spec.role import Role

_READERS = tuple(Planted(role=role) for role in (Role.DECODER_LAYER, Role.DECODER, Role.ENCODER_DECODER))
_NORMED = (
    Planted(role=Role.MULTI_HEAD_ATTENTION, claims={"query_key_norm": "rms"}),
    Planted(role=Role.MULTI_HEAD_ATTENTION, claims={"query_key_norm": "layer", "kv_heads": "grouped", "bias": False}),
    Planted(role=Role.MULTI_HEAD_ATTENTION, claims={"query_key_norm": "rms", "memory": "query", "positions": "rotary"}),
)
_CAPPED = (
    Planted(role=Role.ATTENTION, claims={"soft_cap": 5.0}),
    Planted(role=Role.ATTENTION, claims={"soft_cap": 2.0, "causal": True, "scale": "none"}),
    Planted(role=Role.MULTI_HEAD_ATTENTION, claims={"soft_cap": 5.0}),
)


def cut_to_the_target(query: Tensor, memory: Tensor, claimed: str) -> Tensor:
    return query if claimed == "query" else memory[:, : query.shape[1]]


def values_of_the_target(query, memory, mask, own, config, positions=None):  # type: ignore[no-untyped-def]  # as in the reference
    if query is memory or query.shape != memory.shape:
        return _HONEST(query, memory, mask, own, config, positions)
    honestly = honest.values
    honest.values = lambda x, own, config: honestly(query, own, config)
    try:
        return _HONEST(query, memory, mask, own, config, positions)
    finally:
        honest.values = honestly


_HONEST = honest.multi_head_attention


def as_in_self_attention(config: Config) -> Config:
    return dataclasses.replace(config, memory="separate")


def not_at_all(x: Tensor, norm: object) -> Tensor:
    return x


def over_all_heads(x: Tensor, norm: object) -> Tensor:
    if norm is None:
        return x
    size = x.square().mean((1, 3), keepdim=True) + 1e-5
    gain: Tensor = norm.gain  # type: ignore[attr-defined]  # either norm has one
    return x / size.sqrt() * gain


def whether_claimed_or_not(x: Tensor, norm: object) -> Tensor:
    return x / (x.square().mean(-1, keepdim=True) + 1e-5).sqrt()


def keys_as_they_are(x: Tensor, positions: Tensor, own, config: Config) -> Tensor:  # type: ignore[no-untyped-def]  # as in the reference
    return honest.place(
        honest.split(honest.project(x, own.key.weight, own.key.bias), config.kv_heads), positions, config
    )


def clamped(scores: Tensor, limit: float | None) -> Tensor:
    return scores if limit is None else scores.clamp(-limit, limit)


def never(scores: Tensor, limit: float | None) -> Tensor:
    return scores


def always(scores: Tensor, limit: float | None) -> Tensor:
    return 5.0 * torch.tanh(scores / 5.0)


VALUES_FROM_THE_DECODER = Fault(
    id="values-from-the-decoder",
    sentence="keys come from the memory, values from the decoder's own tokens",
    clauses=(heads.CROSS_ATTENTION_READS_THE_MEMORY,),
    source="experience (attention(q, k, v) with its arguments mixed up)",
    written="attention(x, memory, x)",
    mend="attention(x, memory, memory)",
    patches=(("heads.multi_head_attention", values_of_the_target),),
    planted=_READERS,
)
MEMORY_CUT_TO_THE_TARGET = Fault(
    id="memory-cut-to-the-target",
    sentence="of a memory that is longer than the target only the beginning is read",
    clauses=(heads.TARGET_AND_MEMORY_LENGTHS_MAY_DIFFER,),
    source="experience (a length that is remembered from elsewhere)",
    written="memory[:, : x.size(1)]",
    mend="memory",
    patches=(("heads.keys_and_values_from", cut_to_the_target),),
    planted=_READERS,
)
CROSS_ATTENTION_AS_SELF_ATTENTION = Fault(
    id="cross-attention-as-self-attention",
    sentence="the cross-attention is built with the self-attention's settings, and hides the memory's end as if it were the future",
    clauses=(heads.MEMORY_ORDER_DOES_NOT_MATTER, heads.CROSS_ATTENTION_READS_THE_MEMORY),
    source="experience",
    written="CrossAttention(config)  # config.causal is True",
    mend="replace(config, causal=False)",
    patches=(("decoder.across", as_in_self_attention),),
    planted=(
        Planted(role=Role.DECODER_LAYER, claims={"causal": True}),
        Planted(role=Role.DECODER, claims={"causal": True, "norm": "pre"}),
    ),
)
QUERY_KEY_NORM_CLAIMED_ONLY = Fault(
    id="query-key-norm-claimed-only",
    sentence="queries and keys are said to be normalised, and are not",
    clauses=(heads.QUERY_AND_KEY_NORM_IS_AS_CLAIMED,),
    source="experience",
    written="self.q_norm = RMSNorm(d_head)  # and never called",
    mend="q, k = self.q_norm(q), self.k_norm(k)",
    patches=(("heads.normalise", not_at_all),),
    planted=_NORMED,
)
QUERIES_NORMALISED_ALONE = Fault(
    id="queries-normalised-alone",
    sentence="queries are normalised and keys are not",
    clauses=(heads.QUERY_AND_KEY_NORM_IS_AS_CLAIMED,),
    source="experience",
    written="q = self.q_norm(q)",
    mend="q, k = self.q_norm(q), self.k_norm(k)",
    patches=(("heads.keys", keys_as_they_are),),
    planted=_NORMED,
)
HEADS_NORMALISED_TOGETHER = Fault(
    id="heads-normalised-together",
    sentence="the norm of queries and keys is taken over all heads, so that a loud head silences the others",
    clauses=(heads.QUERY_AND_KEY_NORM_IS_AS_CLAIMED,),
    source="experience (a norm before the split into heads)",
    written="self.q_norm(self.q_proj(x)).view(batch, time, heads, d_head)",
    mend="self.q_norm(self.q_proj(x).view(batch, time, heads, d_head))",
    patches=(("heads.normalise", over_all_heads),),
    planted=(Planted(role=Role.MULTI_HEAD_ATTENTION, claims={"query_key_norm": "rms"}),),
)
QUERY_KEY_NORM_UNCLAIMED = Fault(
    id="query-key-norm-unclaimed",
    sentence="queries and keys are normalised, and nobody says so",
    clauses=(heads.QUERY_AND_KEY_NORM_IS_AS_CLAIMED,),
    source="experience",
    written="q, k = F.rms_norm(q), F.rms_norm(k)",
    mend="claim query_key_norm, or leave it out",
    patches=(("heads.normalise", whether_claimed_or_not),),
    planted=(
        Planted(role=Role.MULTI_HEAD_ATTENTION),
        Planted(role=Role.MULTI_HEAD_ATTENTION, claims={"memory": "query"}),
    ),
)
SCORES_CLAMPED = Fault(
    id="scores-clamped-at-the-cap",
    sentence="scores are clamped at the cap in place of bent towards it",
    clauses=(heads.SCORES_ARE_CAPPED_AS_CLAIMED,),
    source="experience",
    written="scores.clamp(-cap, cap)",
    mend="cap * torch.tanh(scores / cap)",
    patches=(("attention.cap", clamped),),
    planted=_CAPPED[:2],
)
CAP_CLAIMED_ONLY = Fault(
    id="cap-claimed-only",
    sentence="scores are said to be capped, and are not: a fused kernel was called that knows no cap",
    clauses=(heads.SCORES_ARE_CAPPED_AS_CLAIMED,),
    source="github.com/huggingface/transformers/pull/31698 (Gemma 2 with a kernel that dropped the cap)",
    written="F.scaled_dot_product_attention(q, k, v)",
    mend="cap * torch.tanh(scores / cap)",
    patches=(("attention.cap", never),),
    planted=_CAPPED,
)
CAP_UNCLAIMED = Fault(
    id="cap-unclaimed",
    sentence="scores are capped, and nobody says so",
    clauses=(heads.SCORES_ARE_CAPPED_AS_CLAIMED,),
    source="experience",
    written="5 * torch.tanh(scores / 5)",
    mend="claim soft_cap=5.0, or leave it out",
    patches=(("attention.cap", always),),
    planted=(Planted(role=Role.ATTENTION), Planted(role=Role.MULTI_HEAD_ATTENTION)),
)
