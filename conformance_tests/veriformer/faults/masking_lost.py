"""Masks that are lost, bent or overwritten on the way: seen in the wild, planted in the reference."""

# mypy: ignore-errors
# Patches stand in for the reference's functions, and are written as briefly as the mistakes are.

import dataclasses

import torch

from veriformer.faults.fault import Fault, Planted
from veriformer_reference import heads
from veriformer_reference import masking as reference
from veriformer_spec import masking, state
from veriformer_spec.role import Role

causal, hide, combine, weigh = reference.causal, reference.hide, reference.combine, heads.multi_head_attention
within_window = heads.within_window
DEFORM = "arXiv 2604.28118 (DEFault++), DEForm operator"
_SEEING = (Role.ATTENTION, Role.SELF_ATTENTION, Role.MULTI_HEAD_ATTENTION, Role.ENCODER_LAYER)
_PLAIN = tuple(Planted(role=role) for role in _SEEING)
_CAUSAL = tuple(Planted(role=role, claims={"causal": True}) for role in _SEEING)
_WINDOWS = (
    Planted(role=Role.ATTENTION, claims={"causal": True, "sliding_window": True}),
    Planted(role=Role.MULTI_HEAD_ATTENTION, claims={"causal": True, "sliding_window": True, "memory": "query"}),
    Planted(role=Role.CAUSAL_LM, claims={"sliding_window": True}),
)

MASK_IGNORED = Fault(
    id="mask-ignored",
    sentence="The mask is taken and never used.",
    clauses=(masking.MASKED_KEYS_ARE_INVISIBLE, masking.PADDING_DOES_NOT_CHANGE_REAL_POSITIONS),
    source=f"{DEFORM} MZM; https://github.com/jax-ml/jax/issues/23349",
    written="def forward(self, x, mask=None): ...  # mask is not mentioned again",
    mend="scores = scores.masked_fill(~mask, -inf)",
    patches=(("masking.combine", lambda mask, causal_mask: causal_mask),),
    planted=(*_PLAIN, Planted(role=Role.MASKED_LM), Planted(role=Role.DECODER_LAYER)),
)


def _with_holes(q_len, k_len, device):
    return causal(q_len, k_len, device) | (torch.arange(k_len, device=device) % 2 == 1)


CAUSAL_WITH_HOLES = Fault(
    id="causal-with-holes",
    sentence="Some keys of the future stay visible.",
    clauses=(masking.CAUSAL_OUTPUTS_IGNORE_THE_FUTURE,),
    source=f"{DEFORM} MCB",
    written="mask = block_sparse_layout  # blocks on the diagonal are shown whole",
    mend="mask = torch.ones(time, time).tril().bool() & layout",
    patches=(("masking.causal", _with_holes),),
    planted=_CAUSAL,
)


def _in_training_only(query, memory, mask, own, config, positions=None):
    return weigh(query, memory, mask, own, dataclasses.replace(config, causal=own.training), positions)


CAUSAL_IN_TRAINING_ONLY = Fault(
    id="causal-in-training-only",
    sentence="The future is hidden in training, and visible in evaluation.",
    clauses=(masking.CAUSAL_OUTPUTS_IGNORE_THE_FUTURE,),
    source="experience",
    written="if self.training: scores = scores.masked_fill(~causal, -inf)",
    mend="hide the future in every mode",
    patches=(("heads.multi_head_attention", _in_training_only),),
    planted=(
        Planted(role=Role.MULTI_HEAD_ATTENTION, claims={"causal": True, "memory": "query"}),
        Planted(role=Role.ENCODER_LAYER, claims={"causal": True}),
        Planted(role=Role.CAUSAL_LM),
    ),
)


def _hidden_then_mixed(scores, mask):
    hidden = scores.masked_fill(~mask, torch.finfo(scores.dtype).min / 4)
    return hidden - hidden.roll(1, -3)


HEADS_MIXED_AFTER_THE_MASK = Fault(
    id="heads-mixed-after-the-mask",
    sentence="Scores of heads are mixed after the mask, and what hides a key in one head cancels against another.",
    clauses=(masking.MASKED_KEYS_ARE_INVISIBLE,),
    source="https://github.com/lucidrains/x-transformers/commit/0c6266e",
    written="self.mix_heads(scores.masked_fill(~mask, -1e30))",
    mend="self.mix_heads(scores).masked_fill(~mask, -inf), where heads are to be mixed at all",
    patches=(("masking.hide", _hidden_then_mixed),),
    planted=(Planted(role=Role.ATTENTION), Planted(role=Role.MULTI_HEAD_ATTENTION)),
)


def _turned_in_place(mask, causal_mask):
    found = combine(mask, causal_mask)
    if mask is not None and mask is found:
        found = mask.clone()
        mask.logical_not_()
    return found


MASK_TURNED_IN_PLACE = Fault(
    id="mask-turned-in-place",
    sentence="The caller's mask is turned around in place; a second call with it sees the opposite.",
    clauses=(state.INPUTS_ARE_NOT_MODIFIED,),
    source="experience",
    written="mask.logical_not_()",
    mend="hidden = ~mask",
    patches=(("masking.combine", _turned_in_place),),
    planted=(Planted(role=Role.ATTENTION), Planted(role=Role.MULTI_HEAD_ATTENTION)),
)

WINDOW_IGNORED = Fault(
    id="window-ignored",
    sentence="The sliding window is configured, and the path that runs knows none.",
    clauses=(masking.SLIDING_WINDOW_SEES_EXACTLY_ITS_WIDTH,),
    source="experience (cf. the question https://github.com/huggingface/transformers/issues/29777)",
    written="eager_attention(q, k, v, mask)  # the window is an argument of the flash kernel alone",
    mend="mask & (query_position - key_position < window)",
    patches=(("heads.within_window", lambda mask, query_positions, key_positions, config: mask),),
    planted=_WINDOWS,
)


def _either_way(query_positions, key_positions, width):
    return (query_positions[..., :, None] - key_positions[..., None, :]).abs() < width


def _everything(q_len, k_len, alignment, device):
    return torch.ones(q_len, k_len, dtype=torch.bool, device=device)


WINDOW_ON_BOTH_SIDES = Fault(
    id="window-on-both-sides",
    sentence="The window is a band around the query, and nothing else hides the future.",
    clauses=(masking.SLIDING_WINDOW_SEES_EXACTLY_ITS_WIDTH, masking.CAUSAL_OUTPUTS_IGNORE_THE_FUTURE),
    source="experience",
    written="mask = (query_position - key_position).abs() < window",
    mend="difference = query_position - key_position; mask = (difference >= 0) & (difference < window)",
    patches=(("masking.window", _either_way), ("masking.triangle", _everything)),
    planted=_WINDOWS,
)
