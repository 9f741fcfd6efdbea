"""Faults of positions where they are used, in attention, layers and models, planted in the reference."""

import torch
from torch import Tensor

from veriformer.faults.fault import Fault, Planted
from veriformer_reference import heads, relative, rotary
from veriformer_spec import position
from veriformer_spec.config import Config
from veriformer_spec.role import Role

values, keys, distances, bias = heads.values, heads.keys, relative.distances, heads.bias
PADDED_ANYWHERE = ("right", "left", "interior")


def values_turned(x: Tensor, own: heads.MultiHeadAttention, config: Config) -> Tensor:
    return rotary.rotate(values(x, own, config), torch.arange(x.shape[1])[None], config)


VALUES_TURNED_WITH_THE_KEYS = Fault(
    id="values-turned-with-the-keys",
    sentence="Values are turned with the keys, so that what is averaged depends on where it stands.",
    clauses=(position.ROTARY_LEAVES_VALUES_ALONE,),
    source="experience: q, k, v = (rotate(each) for each in (q, k, v))",
    written="q, k, v = rotate(q), rotate(k), rotate(v)",
    mend="q, k = rotate(q), rotate(k)",
    patches=(("heads.values", values_turned),),
    planted=(
        Planted(role=Role.MULTI_HEAD_ATTENTION, claims={"positions": "rotary"}),
        Planted(role=Role.MULTI_HEAD_ATTENTION, claims={"positions": "rotary", "memory": "query", "causal": True}),
    ),
)


def keys_from_zero(x: Tensor, positions: Tensor, own: heads.MultiHeadAttention, config: Config) -> Tensor:
    return keys(x, torch.zeros_like(positions), own, config)


QUERIES_TURNED_ALONE = Fault(
    id="queries-turned-alone",
    sentence="Queries are turned and keys are not: scores know where a query stands, and not how far the key is.",
    clauses=(position.ONLY_THE_DIFFERENCE_COUNTS,),
    source="experience",
    written="q = rotate(q)",
    mend="q, k = rotate(q), rotate(k)",
    patches=(("heads.keys", keys_from_zero),),
    planted=(
        Planted(role=Role.MULTI_HEAD_ATTENTION, claims={"positions": "rotary"}),
        Planted(role=Role.ENCODER_LAYER, claims={"positions": "rotary", "causal": True}),
        Planted(role=Role.DECODER, claims={"positions": "rotary", "causal": True}),
    ),
)


def to_the_first(queries: Tensor, keys: Tensor) -> Tensor:
    return distances(queries, keys) * (1 + keys[..., None, :])


DISTANCES_WEIGHED_BY_POSITION = Fault(
    id="distances-weighed-by-position",
    sentence="Distances are multiplied by the key's own position.",
    clauses=(position.ONLY_THE_DIFFERENCE_COUNTS,),
    source="experience: slopes and positions broadcast along one axis",
    written="(query - key) * key",
    mend="query - key",
    patches=(("relative.distances", to_the_first),),
    planted=(
        Planted(role=Role.MULTI_HEAD_ATTENTION, claims={"positions": "alibi"}),
        Planted(role=Role.ENCODER, claims={"positions": "relative"}),
    ),
)

FIRST_TOKEN_ONLY = Fault(
    id="positions-for-the-first-token-only",
    sentence="The table is added to the first token alone; all others stand nowhere.",
    clauses=(position.POSITIONS_ENTER_FOR_EVERY_TOKEN,),
    source="experience: x[:, 0] += table[0]",
    written="x[:, :1] + table[:1]",
    mend="x + table[: x.shape[1]]",
    patches=(("position.add", lambda x, table: x + table * (torch.arange(x.shape[-2]) == 0)[:, None].to(x.dtype)),),
    planted=(
        Planted(role=Role.ENCODER, claims={"positions": "learned"}),
        Planted(role=Role.CAUSAL_LM, claims={"positions": "sinusoidal"}),
        Planted(role=Role.ENCODER_DECODER, claims={"positions": "sinusoidal"}),
    ),
)


def along_the_batch(x: Tensor, table: Tensor) -> Tensor:
    rows = torch.arange(x.shape[0]) % table.shape[-2]
    return x + table.reshape(-1, *table.shape[-2:])[0][rows][:, None]


ALONG_THE_BATCH = Fault(
    id="positions-along-the-batch",
    sentence="The table runs along the batch: every token of a row gets the row's number.",
    clauses=(position.POSITIONS_ENTER_FOR_EVERY_TOKEN,),
    source="experience: sequence-first code called batch first",
    written="x + table[: x.shape[0], None]",
    mend="x + table[: x.shape[1]]",
    patches=(("position.add", along_the_batch),),
    planted=(
        Planted(role=Role.DECODER, claims={"positions": "learned", "causal": True}),
        Planted(role=Role.MASKED_LM, claims={"positions": "sinusoidal"}),
    ),
)

BIAS_NEVER_ADDED = Fault(
    id="bias-never-added",
    sentence="The bias for distance is computed and never reaches the scores.",
    clauses=(position.POSITIONS_BREAK_PERMUTATION_SYMMETRY,),
    source="experience: attn_mask= of a fused kernel already taken by the mask",
    written="scaled_dot_product_attention(q, k, v, mask)",
    mend="scaled_dot_product_attention(q, k, v, mask + bias)",
    patches=(("heads.bias", lambda *_: None),),
    planted=(
        Planted(role=Role.MULTI_HEAD_ATTENTION, claims={"positions": "alibi"}),
        Planted(role=Role.ENCODER_LAYER, claims={"positions": "relative"}),
    ),
)
