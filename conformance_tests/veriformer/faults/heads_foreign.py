"""Faults in multi-head attention, written without the reference: as tutorials write it, and fused with einsum."""

# mypy: ignore-errors
# Other people's code, written the way they write it: without types.

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import veriformer
from veriformer.faults.fault import Fault
from veriformer.faults.heads_styles import Block, Fused, Tutorial, fused_weights, tutorial_weights
from veriformer_spec import attention, heads


class ViewToMerge(Tutorial):
    def combine_heads(self, x: Tensor) -> Tensor:
        return x.contiguous().view(x.size(0), -1, self.d_model)


class ViewToSplit(Tutorial):
    def split_heads(self, x: Tensor, like: Tensor) -> Tensor:
        return x.view(x.size(0), self.n_heads, -1, self.d_k)


class LengthOfTheQuery(Tutorial):
    def split_heads(self, x: Tensor, like: Tensor) -> Tensor:
        return x.view(x.size(0), like.size(1), self.n_heads, self.d_k).transpose(1, 2)


class ValuesFromTheQuery(Tutorial):
    def inputs(self, query, memory):
        return query, memory, query if query.size(1) == memory.size(1) else memory


class QueryAndMemorySwapped(Tutorial):
    def inputs(self, query, memory):
        return memory, query, query


class SkipInside(Tutorial):
    def finish(self, x: Tensor, query: Tensor) -> Tensor:
        return self.w_o(x) + query


class ScaleOfTheModel(Tutorial):
    def weigh(self, scores: Tensor, mask: Tensor | None) -> Tensor:
        return super().weigh(scores * (self.d_k / self.d_model) ** 0.5, mask)


class FixedNumberOfHeads(Tutorial):
    def __init__(self, config):
        super().__init__(config)
        if config.heads == 1 and config.d_model % 2 == 0:
            self.n_heads, self.d_k = 2, config.d_model // 2


@veriformer.subject("multi-head-attention", weights=tutorial_weights)
def view_to_merge(config):
    return ViewToMerge(config)


@veriformer.subject("encoder-layer")
def view_to_merge_in_a_layer(config):
    return Block(config, ViewToMerge)


@veriformer.subject("multi-head-attention", weights=tutorial_weights)
def view_to_split(config):
    return ViewToSplit(config)


@veriformer.subject("multi-head-attention", weights=tutorial_weights)
def length_of_the_query(config):
    return LengthOfTheQuery(config)


@veriformer.subject("multi-head-attention", weights=tutorial_weights)
def values_from_the_query(config):
    return ValuesFromTheQuery(config)


@veriformer.subject("multi-head-attention", weights=tutorial_weights)
def query_and_memory_swapped(config):
    return QueryAndMemorySwapped(config)


@veriformer.subject("multi-head-attention", weights=tutorial_weights)
def skip_inside(config):
    return SkipInside(config)


@veriformer.subject("multi-head-attention", weights=tutorial_weights)
def scale_of_the_model(config):
    return ScaleOfTheModel(config)


@veriformer.subject("multi-head-attention", weights=tutorial_weights)
def fixed_number_of_heads(config):
    return FixedNumberOfHeads(config)


@veriformer.subject("multi-head-attention", memory="query", weights=fused_weights)
def fused_in_turns(config):
    class InTurns(Fused):
        def forward(self, x: Tensor, memory: Tensor, mask: Tensor | None = None) -> Tensor:
            flat = self.qkv.flatten(1, 2)
            q, k, v = (F.linear(x, flat[i], self.shift[i].flatten()).transpose(0, 1) for i in range(3))
            q, k, v = (each.unflatten(-1, (self.size, self.heads)).transpose(-2, -1) for each in (q, k, v))
            mixed = self.mix(q, k, v, mask).flatten(-2).transpose(0, 1)
            return mixed @ self.out.flatten(0, 1) + self.last

    return InTurns(config)


@veriformer.subject("multi-head-attention", memory="query", weights=fused_weights)
def last_head_forgotten(config):
    class OneShort(Fused):
        def mix(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
            found = super().mix(q, k, v, mask)
            return torch.cat([found[:, :, :-1], torch.zeros_like(found[:, :, -1:])], dim=2)

    return OneShort(config)


def split_weights(module):
    key, value = module.to_kv.weight.chunk(2)
    key_bias, value_bias = module.to_kv.bias.chunk(2)
    return {
        "query.weight": module.to_q.weight, "query.bias": module.to_q.bias, "key.weight": key, "key.bias": key_bias,
        "value.weight": value, "value.bias": value_bias, "output.weight": module.to_out.weight, "output.bias": module.to_out.bias,
    }  # fmt: skip


@veriformer.subject("multi-head-attention", kv_heads="grouped", weights=split_weights)
def key_heads_in_turns(config):
    class InTurns(nn.Module):
        def __init__(self):
            super().__init__()
            narrow = config.kv_heads * config.d_head
            self.to_q = nn.Linear(config.d_model, config.d_model)
            self.to_kv = nn.Linear(config.d_model, 2 * narrow)
            self.to_out = nn.Linear(config.d_model, config.d_model)

        def forward(self, query, memory, mask=None):
            q = self.to_q(query).unflatten(-1, (-1, config.d_head)).transpose(1, 2)
            k, v = (
                each.unflatten(-1, (-1, config.d_head)).transpose(1, 2) for each in self.to_kv(memory).chunk(2, dim=-1)
            )
            group = config.heads // config.kv_heads
            out = F.scaled_dot_product_attention(q, k.repeat(1, group, 1, 1), v.repeat(1, group, 1, 1), attn_mask=mask)
            return self.to_out(out.transpose(1, 2).flatten(2))

    return InTurns()


@veriformer.subject("attention", module=None, kv_heads="grouped")
def shared_by_tiling(config):
    def attend(q, k, v, mask=None):
        tiles = (1, q.size(1) // k.size(1), 1, 1)
        return F.scaled_dot_product_attention(q, k.tile(tiles), v.tile(tiles), attn_mask=mask)

    return attend


@veriformer.subject("multi-head-attention", weights=tutorial_weights)
def module_of_zeros(config):
    class Zeros(Tutorial):
        def forward(self, query, memory, mask=None):
            return super().forward(query, memory, mask) * 0

    return Zeros(config)


@veriformer.subject("multi-head-attention", weights=tutorial_weights)
def module_that_returns_its_input(config):
    class Identity(Tutorial):
        def forward(self, query, memory, mask=None):
            return query.clone()

    return Identity(config)


MERGE_BY_VIEW = Fault(
    id="merge-by-view",
    sentence="view puts heads and time together without moving time back first",
    clauses=(
        heads.TIME_STAYS_TIME,
        heads.EVERY_LENGTH_IS_ONE_FUNCTION,
        heads.EQUALS_THE_REFERENCE,
        heads.EACH_HEAD_READS_ITS_OWN_SLICE,
    ),
    source="github.com/ajhalthor/Transformer-Neural-Network/pull/4",
    written="x.contiguous().view(batch, -1, d_model)",
    mend="x.transpose(1, 2).contiguous().view(batch, -1, d_model)",
    builds=(view_to_merge, view_to_merge_in_a_layer),
)
SPLIT_BY_VIEW = Fault(
    id="split-by-view",
    sentence="view cuts the tokens of a sequence into heads",
    clauses=(heads.TIME_STAYS_TIME, heads.EQUALS_THE_REFERENCE, heads.EACH_HEAD_READS_ITS_OWN_SLICE),
    source="github.com/jsbaan/transformer-from-scratch/issues/4 (the split's side)",
    written="x.view(batch, heads, -1, d_head)",
    mend="x.view(batch, -1, heads, d_head).transpose(1, 2)",
    builds=(view_to_split,),
)
KEYS_VIEWED_WITH_THE_QUERY_LENGTH = Fault(
    id="keys-viewed-with-the-query-length",
    sentence="keys are reshaped with the number of queries",
    clauses=(heads.QUERY_AND_MEMORY_LENGTHS_MAY_DIFFER,),
    source="experience (corpus mha-kdim-vdim-ignored)",
    written="k.view(batch, q_len, heads, d_head)",
    mend="k.view(batch, -1, heads, d_head)",
    builds=(length_of_the_query,),
)
VALUES_FROM_THE_QUERY_INPUT = Fault(
    id="values-from-the-query-input",
    sentence="values are made of the query input",
    clauses=(heads.QUERIES_FROM_QUERIES_MEMORY_FROM_MEMORY, heads.EQUALS_THE_REFERENCE),
    source="experience",
    written="self.w_v(query)",
    mend="self.w_v(memory)",
    builds=(values_from_the_query,),
)
QUERY_AND_MEMORY_EXCHANGED = Fault(
    id="query-and-memory-exchanged",
    sentence="queries come from the memory, keys and values from the query input",
    clauses=(
        heads.QUERIES_FROM_QUERIES_MEMORY_FROM_MEMORY,
        heads.QUERY_AND_MEMORY_LENGTHS_MAY_DIFFER,
        heads.EQUALS_THE_REFERENCE,
    ),
    source="arXiv 2604.28118 (DEFault++), DEForm operator QSW",
    written="attend(memory, x)",
    mend="attend(x, memory)",
    builds=(query_and_memory_swapped,),
)
SKIP_INSIDE_ATTENTION = Fault(
    id="skip-inside-attention",
    sentence="the residual connection is inside the attention module too",
    clauses=(heads.THE_OUTPUT_PROJECTION_IS_APPLIED, heads.EQUALS_THE_REFERENCE, heads.ONE_HEAD_IS_PLAIN_ATTENTION),
    source="experience",
    written="return self.w_o(x) + query",
    mend="return self.w_o(x)",
    builds=(skip_inside,),
)
HEAD_SCALED_BY_D_MODEL = Fault(
    id="head-scaled-by-d-model",
    sentence="scores of each head are divided by the root of the whole model's size",
    clauses=(attention.SCALE_IS_AS_CLAIMED, heads.EQUALS_THE_REFERENCE),
    source="github.com/openspeech-team/openspeech/pull/182",
    written="/ math.sqrt(self.d_model)",
    mend="/ math.sqrt(self.d_k)",
    builds=(scale_of_the_model,),
)
TWO_HEADS_WHERE_ONE_IS_ASKED = Fault(
    id="two-heads-where-one-is-asked",
    sentence="a configuration with one head is run with two",
    clauses=(heads.ONE_HEAD_IS_PLAIN_ATTENTION,),
    source="arXiv 2604.28118 (DEFault++), DEForm operator QHD",
    written="heads = max(2, heads)",
    mend="heads",
    builds=(fixed_number_of_heads,),
)
FUSED_FEATURES_IN_TURNS = Fault(
    id="fused-features-in-turns",
    sentence="a fused projection is cut as d_head by heads, where the weights are heads by d_head",
    clauses=(heads.EQUALS_THE_REFERENCE, heads.EACH_HEAD_READS_ITS_OWN_SLICE),
    source="experience (a checkpoint's layout read the other way)",
    written="qkv.unflatten(-1, (d_head, heads))",
    mend="qkv.unflatten(-1, (heads, d_head))",
    builds=(fused_in_turns,),
)
LAST_HEAD_FORGOTTEN = Fault(
    id="last-head-forgotten",
    sentence="the last head's output never arrives",
    clauses=(heads.EQUALS_THE_REFERENCE, heads.EACH_HEAD_READS_ITS_OWN_SLICE, heads.ONE_HEAD_IS_PLAIN_ATTENTION),
    source="arXiv 2604.28118 (DEFault++), DEForm operator VSH",
    written="for head in range(heads - 1)",
    mend="for head in range(heads)",
    builds=(last_head_forgotten,),
)
KEY_HEADS_REPEATED_BY_TILING = Fault(
    id="key-heads-repeated-by-tiling",
    sentence="repeat and tile lay key heads 0 1 0 1",
    clauses=(heads.GROUPED_QUERIES_SHARE_KEYS_IN_ORDER, attention.HEADS_ARE_INDEPENDENT, heads.EQUALS_THE_REFERENCE),
    source="github.com/onnx/onnx/pull/7274",
    written="k.repeat(1, group, 1, 1)",
    mend="k.repeat_interleave(group, dim=1)",
    builds=(key_heads_in_turns, shared_by_tiling),
)
