"""Faults in masks of a pattern, planted in the reference: windows, prefixes, packing, alignment, padding by side."""

from collections.abc import Iterable

import torch
from torch import Tensor

from veriformer.faults.fault import Fault, Planted
from veriformer_reference import decoder
from veriformer_reference import masking as honest
from veriformer_spec import cache, masking
from veriformer_spec.role import Role

_WINDOW = {"causal": True, "sliding_window": True}
_WINDOWED = (
    Planted(role=Role.ATTENTION, claims=_WINDOW),
    Planted(role=Role.MULTI_HEAD_ATTENTION, claims=_WINDOW),
    Planted(role=Role.ENCODER, claims=_WINDOW),
    Planted(role=Role.DECODER_LAYER, claims=_WINDOW),
    Planted(role=Role.CAUSAL_LM, claims={"sliding_window": True}),
)
_WITH_GRIDS = tuple(
    Planted(role=role)
    for role in (
        Role.ATTENTION, Role.SELF_ATTENTION, Role.MULTI_HEAD_ATTENTION, Role.ENCODER_LAYER, Role.ENCODER, Role.DECODER_LAYER,
        Role.DECODER,
    )
)  # fmt: skip
_ADDITIVE = Planted(role=Role.ADDITIVE_ATTENTION)
_READERS = (
    Planted(role=Role.DECODER_LAYER),
    Planted(role=Role.DECODER, claims={"norm": "pre"}),
    Planted(role=Role.ENCODER_DECODER),
    Planted(role=Role.ENCODER_DECODER, claims={"positions": "relative", "norm": "pre"}),
)
_ANY_SIDE = ("right", "left", "interior")


def aligned_at_the_other_side(q_len: int, k_len: int, alignment: str, device: torch.device) -> Tensor:
    aligned = honest.causal if alignment == "start" else honest.causal_from_the_start
    return aligned(q_len, k_len, device)


def one_wider(query_positions: Tensor, key_positions: Tensor, width: int) -> Tensor:
    return query_positions[..., :, None] - key_positions[..., None, :] <= width


def one_narrower(query_positions: Tensor, key_positions: Tensor, width: int) -> Tensor:
    return query_positions[..., :, None] - key_positions[..., None, :] < max(width - 1, 1) + (width == 1)


def at_a_glance(mask: Tensor | None, causal_mask: Tensor | None) -> Tensor | None:
    looks_causal = mask is not None and mask.shape[-2] == mask.shape[-1] > 1 and not bool(mask[..., 0, -1].any())
    if mask is not None and looks_causal:
        return honest.causal(mask.shape[-2], mask.shape[-1], mask.device).expand(mask.shape)
    return mask if causal_mask is None else causal_mask if mask is None else mask & causal_mask


def one_row_of_keys(mask: Tensor | None, causal_mask: Tensor | None) -> Tensor | None:
    if mask is not None and causal_mask is None:
        return mask.any(-2, keepdim=True)
    return causal_mask if mask is None else mask


def shown_by_any_head(scores: Tensor, mask: Tensor) -> Tensor:
    return scores.masked_fill(~mask.any(-3, keepdim=True), -torch.inf)


def shown_by_all_heads(scores: Tensor, mask: Tensor) -> Tensor:
    return scores.masked_fill(~mask.all(-3, keepdim=True), -torch.inf)


def without_the_memory_mask(
    x: Tensor, memory: Tensor, mask: Tensor | None, memory_mask: Tensor | None, layers: Iterable[decoder.Layer]
) -> Tensor:
    for layer in layers:
        x = layer(x, memory, mask, None)
    return x


def without_the_memory_mask_in_a_layer(  # type: ignore[no-untyped-def]  # as in the reference
    x: Tensor, memory: Tensor, mask: Tensor | None, memory_mask: Tensor | None, own, config, positions=None
) -> Tensor:
    return _HONEST_LAYER(x, memory, mask, None, own, config, positions)


_HONEST_LAYER = decoder.decoder_layer


def by_index(mask: Tensor | None) -> Tensor | None:
    return None


def counted_from_the_other_end(tokens: Tensor | None) -> Tensor | None:
    if tokens is None:
        return None
    many = tokens.sum(-1, keepdim=True)
    return (torch.arange(tokens.shape[1], device=tokens.device) >= tokens.shape[1] - many)[:, None, None, :]


QUERIES_ALIGNED_AT_THE_OTHER_SIDE = Fault(
    id="queries-aligned-at-the-other-side",
    sentence="fewer queries than keys stand at the start where the end is claimed, or the other way round",
    clauses=(
        masking.FEWER_QUERIES_THAN_KEYS_ALIGN_AS_CLAIMED,
        cache.ONE_BY_ONE_EQUALS_THE_FULL_PASS,
        cache.CHUNKS_EQUAL_THE_FULL_PASS,
    ),
    source="github.com/onnx/onnx/issues/7297; https://github.com/pytorch/pytorch/issues/103082",
    written="torch.ones(q_len, k_len).tril()",
    mend="torch.ones(q_len, k_len).tril(diagonal=k_len - q_len)",
    patches=(("masking.triangle", aligned_at_the_other_side),),
    planted=(
        *(Planted(role=Role.ATTENTION, claims={"causal": True, "alignment": each}) for each in ("end", "start")),
        Planted(role=Role.CAUSAL_LM, claims={"cache": True, "positions": "learned"}),
    ),
)
WINDOW_ONE_TOO_WIDE = Fault(
    id="window-one-too-wide",
    sentence="a window of w shows w positions before the query's own, and so w + 1",
    clauses=(masking.SLIDING_WINDOW_SEES_EXACTLY_ITS_WIDTH,),
    source="github.com/huggingface/transformers/pull/34127 (the window's off-by-one)",
    written="i - j <= window",
    mend="i - j < window",
    patches=(("masking.window", one_wider),),
    planted=_WINDOWED,
)
WINDOW_ONE_TOO_NARROW = Fault(
    id="window-one-too-narrow",
    sentence="a window of w shows w - 1 positions, the query's own among them",
    clauses=(masking.SLIDING_WINDOW_SEES_EXACTLY_ITS_WIDTH,),
    source="experience",
    written="i - j < window - 1",
    mend="i - j < window",
    patches=(("masking.window", one_narrower),),
    planted=_WINDOWED,
)
PREFIX_TAKEN_FOR_CAUSAL = Fault(
    id="prefix-taken-for-causal",
    sentence="a mask whose upper right corner is hidden is taken for a triangle, and the prefix loses its future",
    clauses=(masking.PREFIX_IS_BIDIRECTIONAL,),
    source="experience (a fast path that is chosen by a glance at the mask)",
    written="is_causal = not mask[..., 0, -1].any()",
    mend="compare the whole mask, or let the caller say that it is causal",
    patches=(("masking.combine", at_a_glance),),
    planted=_WITH_GRIDS,
)
PACKING_REDUCED_TO_KEYS = Fault(
    id="packing-reduced-to-keys",
    sentence="a mask with a row for each query is reduced to one row of keys: everything that anyone sees",
    clauses=(masking.PACKED_SEQUENCES_DO_NOT_MIX, masking.PREFIX_IS_BIDIRECTIONAL),
    source="experience (an API that takes padding masks only)",
    written="key_padding_mask = ~mask.any(-2)",
    mend="pass the mask with its query axis",
    patches=(("masking.combine", one_row_of_keys),),
    planted=_WITH_GRIDS,
)
HEADS_MASKS_MERGED_BY_ANY = Fault(
    id="heads-masks-merged-by-any",
    sentence="a key that one head may see is shown to all",
    clauses=(masking.EACH_HEAD_OBEYS_ITS_OWN_MASK,),
    source="experience",
    written="mask.any(1, keepdim=True)",
    mend="mask",
    patches=(("masking.hide", shown_by_any_head),),
    planted=(_WITH_GRIDS[0], _WITH_GRIDS[2], _WITH_GRIDS[-1]),
)
HEADS_MASKS_MERGED_BY_ALL = Fault(
    id="heads-masks-merged-by-all",
    sentence="a key that one head may not see is hidden from all",
    clauses=(masking.EACH_HEAD_OBEYS_ITS_OWN_MASK,),
    source="experience",
    written="mask.all(1, keepdim=True)",
    mend="mask",
    patches=(("masking.hide", shown_by_all_heads),),
    planted=(_WITH_GRIDS[0], _WITH_GRIDS[2], _WITH_GRIDS[-1]),
)
MEMORY_MASK_NOT_PASSED_ON = Fault(
    id="memory-mask-not-passed-on",
    sentence="the source's mask reaches the encoder and not the cross-attention",
    clauses=(masking.SOURCE_PADDING_IS_INVISIBLE,),
    source="experience (the tutorial decoder that takes one mask)",
    written="self.cross_attention(x, memory)",
    mend="self.cross_attention(x, memory, memory_mask)",
    patches=(
        ("decoder.run_layers", without_the_memory_mask),
        ("decoder.decoder_layer", without_the_memory_mask_in_a_layer),
    ),
    planted=_READERS,
)
POSITIONS_BY_INDEX_UNDER_LEFT_PADDING = Fault(
    id="positions-by-index-under-left-padding",
    sentence="positions count padding, so that left padding shifts every word",
    clauses=(masking.PADDING_MAY_STAND_WHERE_CLAIMED,),
    source="github.com/huggingface/transformers/issues/21080 (position ids under left padding)",
    written="positions = torch.arange(time)",
    mend="positions = mask.cumsum(-1) - 1",
    patches=(("model.positions", by_index),),
    planted=(
        Planted(role=Role.CAUSAL_LM, claims={"positions": "learned", "padding_sides": ("right", "left")}),
        Planted(role=Role.MASKED_LM, claims={"positions": "sinusoidal", "padding_sides": _ANY_SIDE}),
        Planted(role=Role.ENCODER_DECODER, claims={"positions": "sinusoidal", "padding_sides": ("left",)}),
    ),
)
PADDING_COUNTED_FROM_THE_OTHER_END = Fault(
    id="padding-counted-from-the-other-end",
    sentence="a row's length is right, and its padding is looked for at the left",
    clauses=(masking.PADDING_MAY_STAND_WHERE_CLAIMED, masking.PADDING_DOES_NOT_CHANGE_REAL_POSITIONS),
    source="experience",
    written="mask = arange(time) >= time - lengths[:, None]",
    mend="mask = arange(time) < lengths[:, None]",
    patches=(("masking.for_every_query", counted_from_the_other_end),),
    planted=tuple(Planted(role=role) for role in (Role.CAUSAL_LM, Role.MASKED_LM, Role.ENCODER_DECODER)),
)
