"""A tiny configuration for any class of transformers: its fields are found by their names, family by family only where they must be.

A field is known by its own name, or by the one that the configuration's ``attribute_map`` gives it: ``n_embd`` is ``hidden_size``.
"""

import inspect
from collections.abc import Mapping
from typing import Any

from veriformer_spec.config import Config

SPELLINGS: Mapping[str, tuple[str, ...]] = {
    "vocab": ("vocab_size", "src_vocab_size", "tgt_vocab_size", "decoder_vocab_size"),
    "d_model": ("hidden_size", "d_model", "embedding_size", "word_embed_proj_dim", "lru_width"),
    "heads": (
        "num_attention_heads", "num_heads", "encoder_attention_heads", "decoder_attention_heads", "num_encoder_attention_heads",
        "num_decoder_attention_heads",
    ),
    "kv_heads": ("num_key_value_heads", "num_kv_heads"),
    "d_head": ("head_dim", "global_head_dim", "dim_head", "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim"),
    "d_ff": (
        "intermediate_size", "ffn_dim", "encoder_ffn_dim", "decoder_ffn_dim", "n_inner", "d_ff", "dim_ff", "hidden_dim",
        "moe_intermediate_size", "shared_expert_intermediate_size", "shared_intermediate_size", "intermediate_size_mlp",
    ),
    "layers": (
        "num_hidden_layers", "num_layers", "encoder_layers", "decoder_layers", "num_decoder_layers", "num_encoder_layers",
    ),
    "max_len": ("max_position_embeddings", "max_seq_len", "max_sequence_length", "max_target_positions", "n_ctx"),
    "eps": ("layer_norm_eps", "layer_norm_epsilon", "rms_norm_eps", "norm_eps", "norm_epsilon"),
    "buckets": ("relative_attention_num_buckets",),
    "max_distance": ("relative_attention_max_distance",),
}  # fmt: skip
"""What each size of ours is called there."""

SMALL: Mapping[str, object] = {
    "num_experts": 4, "num_local_experts": 4, "n_routed_experts": 4, "num_experts_per_tok": 2, "n_shared_experts": 1,
    "n_group": 1, "topk_group": 1, "kv_lora_rank": 8, "q_lora_rank": 8, "type_vocab_size": 2,
    "eos_token_id": 0, "bos_token_id": 0, "sep_token_id": 0, "decoder_start_token_id": 0, "forced_eos_token_id": 0,
    "encoder_layerdrop": 0.0, "decoder_layerdrop": 0.0, "layerdrop": 0.0, "use_cache": True, "sliding_window": 4096,
}  # fmt: skip
"""Whatever else must be small, or off: ids other than padding, layers that are dropped whole, and a window that any text fits into."""

COUNT_BEHIND_PADDING = (
    "roberta", "camembert", "xlm-roberta", "xlm-roberta-xl", "roberta-prelayernorm", "data2vec-text", "ibert", "xmod", "longformer",
    "luke", "esm", "mpnet",
)  # fmt: skip
"""Families that count real tokens themselves, from the position behind the padding id's."""

FAMILIES: Mapping[str, Mapping[str, Any]] = {
    "gemma2": {"query_pre_attn_scalar": lambda config: config.d_head},
    "gemma3_text": {"query_pre_attn_scalar": lambda config: config.d_head},
    "gpt_neo": {"attention_types": lambda config: [[["global"], config.layers]]},
    "gpt_neox": {"rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 1.0}},
    "phi": {"rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 1.0}},
    "gptj": {"rotary_dim": lambda config: config.d_head},
    "codegen": {"rotary_dim": lambda config: config.d_head},
    **dict.fromkeys(
        COUNT_BEHIND_PADDING, {"max_position_embeddings": lambda config: config.max_len + config.pad_id + 1}
    ),
}
"""What one family alone needs, by ``model_type``; a function is given the config."""


def tiny(model: Any, config: Config, **others: object) -> Any:
    """A configuration of ``model``'s class at the sizes of ``config``; ``others``, as far as it has them, go before what is found."""
    kind = model.config_class
    known = inspect.signature(kind.__init__).parameters
    spelled = {own: name for name, own in (kind.attribute_map or {}).items()}
    found = {size: getattr(config, size) for size in SPELLINGS}
    sizes = {name: found[size] for size, names in SPELLINGS.items() for name in names}
    dropouts = {name: config.dropout for name in known if _is_dropout(name)}
    chosen = {**FAMILIES.get(kind.model_type, {}), **others}
    said = {name: each(config) if callable(each) else each for name, each in chosen.items() if name in known}
    wanted = {**SMALL, **sizes}
    fields = {name: wanted[canonical] for name in known if (canonical := _canonical(name, spelled, wanted)) in wanted}
    return kind(**{**fields, **dropouts, "pad_token_id": config.pad_id, **said})


def _canonical(name: str, spelled: Mapping[str, str], wanted: Mapping[str, object]) -> str:
    return name if name in wanted else spelled.get(name, name)


def _is_dropout(name: str) -> bool:
    return ("dropout" in name or "pdrop" in name) and "classifier" not in name and "summary" not in name
