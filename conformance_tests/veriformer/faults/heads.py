"""Faults in multi-head attention, planted in the reference."""

import torch
from torch import Tensor

from veriformer.faults.fault import Fault, Planted
from veriformer_spec import attention, heads
from veriformer_spec.role import STACKS, Role

DEFORM = "arXiv 2604.28118 (DEFault++), DEForm operator"
_HEADS = (Planted(role=Role.MULTI_HEAD_ATTENTION),)
_TOKENS = (*_HEADS, *(Planted(role=role) for role in STACKS))
_GROUPED = (
    Planted(role=Role.ATTENTION, claims={"kv_heads": "grouped"}),
    Planted(role=Role.MULTI_HEAD_ATTENTION, claims={"kv_heads": "grouped"}),
)


def merge_without_transpose(x: Tensor) -> Tensor:
    *batch, many, time, size = x.shape
    return x.reshape(*batch, time, many * size)


def split_without_transpose(x: Tensor, many: int) -> Tensor:
    *batch, time, features = x.shape
    return x.reshape(*batch, many, time, features // many)


def split_in_turns(x: Tensor, many: int) -> Tensor:
    return x.reshape(*x.shape[:-1], -1, many).movedim(-1, -3)


def merge_in_turns(x: Tensor) -> Tensor:
    return x.movedim(-3, -1).flatten(-2)


def first_slice_for_all(x: Tensor, many: int) -> Tensor:
    own = x[..., : x.shape[-1] // many]
    return own.unsqueeze(-3).expand(*x.shape[:-2], many, *own.shape[-2:])


def two_heads_always(x: Tensor, many: int) -> Tensor:
    fixed = 2 if many == 1 and x.shape[-1] % 2 == 0 else many
    return x.reshape(*x.shape[:-1], fixed, -1).transpose(-3, -2)


def first_head_for_all(x: Tensor) -> Tensor:
    return x[..., :1, :, :].expand_as(x).transpose(-3, -2).flatten(-2)


def tiled(key_or_value: Tensor, many: int) -> Tensor:
    copies = many // key_or_value.shape[-3]
    return torch.cat([key_or_value] * copies, dim=-3)


def the_query_input(query: Tensor, memory: Tensor, claimed: str) -> Tensor:
    return query


def left_out(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return x


def without_bias(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return x @ weight.mT


def transposed(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return x @ weight if bias is None else x @ weight + bias


MERGE_HEADS_WITHOUT_TRANSPOSE = Fault(
    id="merge-heads-without-transpose",
    sentence="heads are merged by a reshape without the transpose: features of one token land on another",
    clauses=(heads.TIME_STAYS_TIME, heads.EVERY_LENGTH_IS_ONE_FUNCTION, heads.EQUALS_THE_REFERENCE, heads.EACH_HEAD_READS_ITS_OWN_SLICE, attention.SELF_ATTENTION_EQUALS_ITS_EQUATION),
    source="github.com/ajhalthor/Transformer-Neural-Network/pull/4",
    written="x.reshape(batch, time, d_model)",
    mend="x.transpose(1, 2).reshape(batch, time, d_model)",
    patches=(("heads.merge", merge_without_transpose),),
    planted=(*_TOKENS, Planted(role=Role.SELF_ATTENTION)),
    synonyms=("slices-put-together-without-transpose",),
)  # fmt: skip
SPLIT_HEADS_WITHOUT_TRANSPOSE = Fault(
    id="split-heads-without-transpose",
    sentence="heads are split by a view without the transpose: a head holds some tokens whole",
    clauses=(heads.TIME_STAYS_TIME, heads.EQUALS_THE_REFERENCE, heads.EACH_HEAD_READS_ITS_OWN_SLICE),
    source="github.com/jsbaan/transformer-from-scratch/issues/4 (the split's side)",
    written="x.view(batch, heads, time, d_head)",
    mend="x.view(batch, time, heads, d_head).transpose(1, 2)",
    patches=(("heads.split", split_without_transpose),),
    planted=_TOKENS,
)
HEADS_SPLIT_IN_TURNS = Fault(
    id="heads-split-in-turns",
    relabels=True,
    sentence="features are dealt to heads in turns, and merged head by head",
    clauses=(heads.EQUALS_THE_REFERENCE, heads.EACH_HEAD_READS_ITS_OWN_SLICE),
    source="experience",
    written="x.view(batch, time, d_head, heads)",
    mend="x.view(batch, time, heads, d_head)",
    patches=(("heads.split", split_in_turns),),
    planted=_HEADS,
)
HEADS_MERGED_IN_TURNS = Fault(
    id="heads-merged-in-turns",
    relabels=True,
    sentence="heads are split slice by slice, and merged feature by feature",
    clauses=(heads.EQUALS_THE_REFERENCE, heads.EACH_HEAD_READS_ITS_OWN_SLICE),
    source="experience",
    written="x.permute(0, 2, 3, 1).flatten(-2)",
    mend="x.permute(0, 2, 1, 3).flatten(-2)",
    patches=(("heads.merge", merge_in_turns),),
    planted=_HEADS,
)
HEADS_IN_TURNS = Fault(
    id="heads-in-turns",
    relabels=True,
    sentence="features are dealt to heads in turns, there and back, with weights meant for slices",
    clauses=(heads.EQUALS_THE_REFERENCE, heads.EACH_HEAD_READS_ITS_OWN_SLICE),
    source="experience (a checkpoint's layout read the other way)",
    written="rearrange(x, 'b t (d h) -> b h t d')",
    mend="rearrange(x, 'b t (h d) -> b h t d')",
    patches=(("heads.split", split_in_turns), ("heads.merge", merge_in_turns)),
    planted=_HEADS,
)
HEADS_TIED = Fault(
    id="heads-tied",
    sentence="all heads read the first head's slice",
    clauses=(heads.EQUALS_THE_REFERENCE, heads.EACH_HEAD_READS_ITS_OWN_SLICE),
    source=f"{DEFORM} QTH",
    written="x[..., :d_head].expand(heads)",
    mend="give each head its own slice",
    patches=(("heads.split", first_slice_for_all),),
    planted=_HEADS,
)
ONE_EFFECTIVE_HEAD = Fault(
    id="one-effective-head",
    sentence="only the first head's output is merged",
    clauses=(heads.EQUALS_THE_REFERENCE, heads.EACH_HEAD_READS_ITS_OWN_SLICE),
    source=f"{DEFORM} VSH",
    written="head[0] for _ in heads",
    mend="head[i] for i in range(heads)",
    patches=(("heads.merge", first_head_for_all),),
    planted=_HEADS,
)
HEADS_WRITTEN_IN_THE_CODE = Fault(
    id="heads-written-in-the-code",
    sentence="the number of heads is a constant, whatever the configuration says",
    clauses=(heads.ONE_HEAD_IS_PLAIN_ATTENTION,),
    source=f"{DEFORM} QHD",
    written="x.view(batch, time, 2, -1)",
    mend="x.view(batch, time, heads, -1)",
    patches=(("heads.split", two_heads_always),),
    planted=_HEADS,
)
KEY_HEADS_TILED = Fault(
    id="key-heads-tiled",
    relabels=True,
    sentence="key/value heads are tiled (0 1 0 1), and should be repeated in order (0 0 1 1)",
    clauses=(heads.GROUPED_QUERIES_SHARE_KEYS_IN_ORDER, attention.HEADS_ARE_INDEPENDENT, heads.EQUALS_THE_REFERENCE),
    source="github.com/onnx/onnx/pull/7274",
    written="k.repeat(1, group, 1, 1)",
    mend="k.repeat_interleave(group, dim=1)",
    patches=(("heads.share", tiled),),
    planted=_GROUPED,
)
MEMORY_IGNORED = Fault(
    id="memory-ignored",
    sentence="keys and values come from the query input",
    clauses=(
        heads.QUERIES_FROM_QUERIES_MEMORY_FROM_MEMORY,
        heads.QUERY_AND_MEMORY_LENGTHS_MAY_DIFFER,
        heads.EQUALS_THE_REFERENCE,
        heads.CROSS_ATTENTION_READS_THE_MEMORY,
    ),
    source="experience",
    written="attend(x, x)",
    mend="attend(x, memory)",
    patches=(("heads.keys_and_values_from", the_query_input),),
    planted=(*_HEADS, *(Planted(role=role) for role in (Role.DECODER_LAYER, Role.DECODER, Role.ENCODER_DECODER))),
    synonyms=("cross-attention-onto-the-target",),
)
OUTPUT_PROJECTION_MISSING = Fault(
    id="output-projection-missing",
    sentence="the concatenated heads are returned as they are",
    clauses=(
        heads.THE_OUTPUT_PROJECTION_IS_APPLIED,
        heads.EQUALS_THE_REFERENCE,
        heads.EACH_HEAD_READS_ITS_OWN_SLICE,
        heads.ONE_HEAD_IS_PLAIN_ATTENTION,
    ),
    source="experience (corpus mha-missing-out-proj)",
    written="return merge(heads)",
    mend="return self.output(merge(heads))",
    patches=(("heads.project_back", left_out),),
    planted=_HEADS,
)
OUTPUT_BIAS_MISSING = Fault(
    id="output-bias-missing",
    sentence="the output projection's bias is a parameter that nobody adds",
    clauses=(heads.THE_OUTPUT_PROJECTION_IS_APPLIED, heads.EQUALS_THE_REFERENCE, heads.ONE_HEAD_IS_PLAIN_ATTENTION),
    source="experience",
    written="x @ W.T",
    mend="x @ W.T + b",
    patches=(("heads.project_back", without_bias),),
    planted=_HEADS,
)
OUTPUT_PROJECTION_TRANSPOSED = Fault(
    id="output-projection-transposed",
    relabels=True,
    sentence="the output projection is multiplied from the other side",
    clauses=(heads.EQUALS_THE_REFERENCE, heads.EACH_HEAD_READS_ITS_OWN_SLICE, heads.ONE_HEAD_IS_PLAIN_ATTENTION),
    source="experience",
    written="x @ W",
    mend="x @ W.T",
    patches=(("heads.project_back", transposed),),
    planted=_HEADS,
)
