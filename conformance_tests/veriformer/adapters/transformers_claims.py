"""What a class of transformers claims: read off a configuration and the parts of a model without weights, and said where that fails."""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from veriformer.adapters.transformers_configs import tiny
from veriformer_spec.config import CLAIMS, Config
from veriformer_spec.role import Role

ACTIVATIONS = {
    "gelu": "gelu", "gelu_new": "gelu-tanh", "gelu_fast": "gelu-tanh", "gelu_pytorch_tanh": "gelu-tanh", "relu": "relu",
    "silu": "silu", "swish": "silu",
}  # fmt: skip
"""What their activations are called here; others are not claimed."""
GATED = {"gelu": "geglu", "gelu-tanh": "geglu", "relu": "reglu", "silu": "swiglu"}
GATES = ("gate_proj", "gate_up_proj", "wi_0")
"""What a second projection that multiplies the first is called."""
NORM_FIRST = (
    "mbart",
    "pegasus",
    "blenderbot",
    "m2m_100",
    "t5",
    "mt5",
    "umt5",
    "longt5",
    "roberta-prelayernorm",
    "modernbert",
)
"""Families that normalise before each sublayer, among those whose relatives do so after it."""

FAMILIES: Mapping[str, Mapping[str, Any]] = {
    "bloom": {"positions": "alibi", "embedding_norm": True, "activation": "gelu-tanh", "computes_in": "float32"},
    "mpt": {"positions": "alibi", "activation": "gelu", "computes_in": "float32"},
    "cohere": {"normalization": "layer", "norm_bias": False, "rotary_pairing": "adjacent"},
    "gptj": {"rotary_pairing": "adjacent"},
    "gpt_neo": {"scale": "none"},
    "t5": {"scale": "none", "head_scale": "inverse-root-d_model"},
    "gemma": {"gain": "one-plus-weight", "embedding_scale": "root-d_model"},
    "gemma2": {"gain": "one-plus-weight", "embedding_scale": "root-d_model", "soft_cap": 50.0},
    "qwen3": {"query_key_norm": "rms"},
    "bert": {"embedding_norm": True, "head": "transform", "segments": True},
    "bart": {"embedding_norm": True},
    "falcon": {"activation": "gelu"},
}
"""What no name of a field or a part tells, by ``model_type``."""

BEYOND: Mapping[str, str] = {
    **dict.fromkeys(
        ("gpt_neox", "gptj", "codegen", "falcon", "phi", "cohere", "stablelm"), "sublayers that stand side by side"
    ),
    "gemma2": "norms after the sublayers too, and capped logits",
    "gemma": "GELU's tanh form in a gated network",
}
"""What no claim can say, by ``model_type``."""


def claims_of(model: Any, role: Role) -> dict[str, Any]:
    """The claims of a class of transformers in a role."""
    config = Config(kv_heads=2, max_len=16)
    theirs = tiny(model, config)
    with torch.device("meta"):
        module = model(theirs)
    family = theirs.model_type
    parts = list(module.named_modules())
    claims: dict[str, Any] = {
        "norm": "post" if role is not Role.CAUSAL_LM and family not in NORM_FIRST else "pre",
        "positions": _positions(theirs, parts),
        "tied": bool(theirs.tie_word_embeddings),
        "head_bias": any(name.startswith(("cls.", "lm_head", "final_logits")) and "bias" in name.rpartition(".")[2]
                         for name, _ in module.named_parameters()),
        "bias": any(re.search(r"\.\d+\.", name) and _has_bias(part) for name, part in parts),
        "dropout": "on" if any("dropout" in each or "pdrop" in each for each in vars(theirs)) else "none",
        "kv_heads": "grouped" if "num_key_value_heads" in vars(theirs) else "equal",
        "eps": _default_eps(type(theirs)),
    }  # fmt: skip
    norms = [part for name, part in parts if "Norm" in type(part).__name__]
    if norms and not any(getattr(part, "bias", None) is not None for part in norms):
        claims |= {"normalization": "rms", "computes_in": "float32"}
    if claims["positions"] == "rotary":
        claims["rotary_base"] = _rotary_base(theirs)
        claims["computes_in"] = "float32"
    activation = ACTIVATIONS.get(
        str(_first(theirs, "hidden_act", "hidden_activation", "activation_function", "dense_act_fn"))
    )
    if activation:
        gated = any(name.rpartition(".")[2] in GATES for name, _ in parts)
        claims["activation"] = GATED.get(activation, activation) if gated else activation
    claims |= FAMILIES.get(family, {})
    return {name: value for name, value in claims.items() if role in CLAIMS[name].roles and value is not None}


def _has_bias(part: nn.Module) -> bool:
    """Whether it is a linear map that adds one; theirs may be stored inputs by outputs."""
    weight, bias = (getattr(part, name, None) for name in ("weight", "bias"))
    return isinstance(weight, torch.Tensor) and weight.dim() == 2 and isinstance(bias, torch.Tensor)


def _positions(theirs: Any, parts: list[tuple[str, nn.Module]]) -> str:
    if getattr(theirs, "rope_parameters", None):
        return "rotary"
    if hasattr(theirs, "relative_attention_num_buckets"):
        return "relative"
    tables = [part for name, part in parts if "position" in name.rpartition(".")[2] or name.endswith("wpe")]
    if not tables:
        return "none"
    return "sinusoidal" if "Sinusoidal" in type(tables[0]).__name__ else "learned"


def _rotary_base(theirs: Any) -> float:
    said = theirs.rope_parameters
    return float(said["rope_theta"] if "rope_theta" in said else next(iter(said.values()))["rope_theta"])


def _default_eps(kind: Any) -> float:
    from veriformer.adapters.transformers_configs import SPELLINGS

    return float(
        next((value for name in SPELLINGS["eps"] if isinstance(value := getattr(kind(), name, None), float)), 1e-5)
    )


def _first(theirs: Any, *names: str) -> object:
    return next((getattr(theirs, name) for name in names if hasattr(theirs, name)), None)
