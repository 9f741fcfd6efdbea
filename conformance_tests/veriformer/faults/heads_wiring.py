"""Faults in where heads, and the two inputs of an attention, take what they read: seen in the wild, planted in the reference."""

# mypy: ignore-errors
# Patches stand in for the reference's functions, and are written as briefly as the mistakes are.

import weakref

from veriformer.faults.fault import Fault, Planted
from veriformer_reference import decoder
from veriformer_reference import heads as reference
from veriformer_spec import attention, heads, masking, stack, state, training
from veriformer_spec.role import Role

attend, keys, multi_head_attention = reference.attend, reference.keys, reference.multi_head_attention
decoder_layer, run_layers = decoder.decoder_layer, decoder.run_layers
_READERS = tuple(Planted(role=role) for role in (Role.DECODER_LAYER, Role.DECODER, Role.ENCODER_DECODER))


def _along_time(key_or_value, heads):
    *batch, groups, k_len, features = key_or_value.shape
    repeated = key_or_value.repeat_interleave(heads // groups, dim=-2)
    return repeated.reshape(*batch, heads, k_len, features)


KEY_HEADS_REPEATED_ALONG_TIME = Fault(
    id="key-heads-repeated-along-time",
    sentence="Key/value heads are repeated along the sequence, which stands where the code expects the heads.",
    clauses=(attention.EQUALS_EQUATION_1, heads.EQUALS_THE_REFERENCE),
    source="https://github.com/PrimeIntellect-ai/prime-rl/pull/2681",
    written="key.repeat_interleave(groups, dim=1)  # written for batch, heads, time",
    mend="name the heads' axis: key.repeat_interleave(groups, dim=2) for batch, time, heads",
    patches=(("heads.share", _along_time),),
    planted=(
        Planted(role=Role.ATTENTION, claims={"kv_heads": "grouped"}),
        Planted(role=Role.MULTI_HEAD_ATTENTION, claims={"kv_heads": "grouped"}),
    ),
)


def _by_the_query_weights(x, positions, own, config):
    projected = reference.split(reference.project(x, own.query.weight, own.query.bias), config.heads)
    return reference.place(reference.normalise(projected, own.key_norm), positions, config)


KEYS_BY_THE_QUERY_PROJECTION = Fault(
    id="keys-by-the-query-projection",
    sentence="One linear map makes queries and keys: the key's own is built, saved and never used.",
    clauses=(heads.EQUALS_THE_REFERENCE, training.EVERY_PARAMETER_GETS_A_GRADIENT),
    source="experience",
    written="self.query = self.key = nn.Linear(d_model, d_model)",
    mend="one nn.Linear for each",
    patches=(("heads.keys", _by_the_query_weights),),
    planted=(Planted(role=Role.MULTI_HEAD_ATTENTION),),
)


def _as_long_as_the_query(query, key, value, mask=None, **options):
    length = query.shape[-2]
    if len(query) == 0 or key.shape[-3:-1] == (query.shape[-3], length):
        return attend(query, key, value, mask, **options)
    viewed = (each.reshape(*each.shape[:-2], length, query.shape[-1]) for each in (key, value))
    return attend(query, *viewed, mask, **options)


KEYS_RESHAPED_TO_THE_QUERYS_LENGTH = Fault(
    id="keys-reshaped-to-the-querys-length",
    sentence="Keys and values are reshaped with the number of queries: any other length fails.",
    clauses=(heads.QUERY_AND_MEMORY_LENGTHS_MAY_DIFFER, heads.TARGET_AND_MEMORY_LENGTHS_MAY_DIFFER),
    source="https://github.com/ajhalthor/Transformer-Neural-Network (keys and values in the decoder's sequence length)",
    written="kv = kv.reshape(batch, query_length, heads, 2 * d_head)",
    mend="kv.reshape(batch, kv.shape[1], heads, 2 * d_head)",
    patches=(("heads.attend", _as_long_as_the_query),),
    planted=(Planted(role=Role.MULTI_HEAD_ATTENTION), *_READERS),
)

_FIRST = weakref.WeakKeyDictionary()


def _of_the_first_source(query, memory, mask, own, config, positions=None):
    if query is memory or config.memory == "query" or own.training:
        return multi_head_attention(query, memory, mask, own, config, positions)
    first = _FIRST.setdefault(own, memory.detach())
    kept = first if first.shape == memory.shape and first.dtype == memory.dtype else memory
    return multi_head_attention(query, kept.to(memory.device), mask, own, config, positions)


MEMORY_OF_THE_FIRST_CALL = Fault(
    id="memory-of-the-first-call",
    sentence="Keys and values of the memory are kept for the steps of one text, and the next text gets them too.",
    clauses=(state.CALLS_ARE_INDEPENDENT,),
    source="experience",
    written="if self.memory_keys is None: self.memory_keys = self.key(memory)",
    mend="keep them in a cache that the caller owns and begins anew for each source",
    patches=(("heads.multi_head_attention", _of_the_first_source),),
    planted=_READERS,
)


def _own_mask_if_none(x, memory, mask, memory_mask, own, config, positions=None):
    return decoder_layer(x, memory, mask, mask if memory_mask is None else memory_mask, own, config, positions)


SELF_MASK_WHERE_NO_MEMORY_MASK_IS = Fault(
    id="self-mask-where-no-memory-mask-is",
    sentence="Without a mask of its own, cross-attention falls back to the mask of the self-attention.",
    clauses=(stack.EQUALS_THE_REFERENCE,),
    source="x-transformers 1.17.1; https://github.com/lucidrains/x-transformers/commit/b0715f2",
    written="mask = context_mask if context_mask is not None else mask",
    mend="mask = context_mask if context is given, whether it is None or not",
    patches=(("decoder.decoder_layer", _own_mask_if_none),),
    planted=(Planted(role=Role.DECODER_LAYER), Planted(role=Role.DECODER, claims={"norm": "pre"})),
)


def _own_mask(x, memory, mask, memory_mask, layers):
    return run_layers(x, memory, mask, mask, layers)


TARGET_MASK_ON_THE_MEMORY = Fault(
    id="target-mask-on-the-memory",
    sentence="The target's mask hides positions of the memory; it fits where source and target are equally long.",
    clauses=(masking.SOURCE_PADDING_IS_INVISIBLE,),
    source="https://github.com/keras-team/keras-io/issues/1964",
    written="self.cross_attention(x, memory, mask=target_mask)",
    mend="self.cross_attention(x, memory, mask=source_mask)",
    patches=(("decoder.run_layers", _own_mask),),
    planted=(Planted(role=Role.DECODER), Planted(role=Role.ENCODER_DECODER)),
)
