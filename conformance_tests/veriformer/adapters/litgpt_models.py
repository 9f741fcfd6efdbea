"""litgpt's ``GPT`` as subjects: one class, whose configuration makes it Llama, Mistral, Gemma, Pythia and others.

What the adapter translates: sizes are spelled ``n_embd``, ``n_head``, ``n_query_groups``; there is no padding mask. The cache is
buffers on the module, made by ``set_kv_cache`` and filled at the positions that are passed.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from litgpt.model import GPT
from litgpt.model import Config as Settings
from torch import Tensor

from veriformer.declaration import Declaration, Steps
from veriformer_spec.config import Config, validated
from veriformer_spec.role import Role

NETWORKS: Mapping[str, Mapping[str, str]] = {
    "gelu": {"mlp_class_name": "GptNeoxMLP"},
    "gelu-tanh": {"mlp_class_name": "GptNeoxMLP", "gelu_approximate": "tanh"},
    "swiglu": {"mlp_class_name": "LLaMAMLP"},
    "geglu": {"mlp_class_name": "GemmaMLP"},
    "geglu-tanh": {"mlp_class_name": "GemmaMLP", "gelu_approximate": "tanh"},
}
"""What the library calls each feed-forward network."""


def model(**more: Any) -> Callable[[Config], object]:
    """``GPT`` as one case has it; ``more`` are settings that are no claims."""

    def build(config: Config) -> object:
        settings: dict[str, Any] = {
            "block_size": config.max_len,
            "vocab_size": config.vocab,
            "padded_vocab_size": config.vocab,
            "n_layer": config.layers,
            "n_embd": config.d_model,
            "n_head": config.heads,
            "n_query_groups": config.kv_heads,
            "intermediate_size": config.d_ff,
            "bias": config.bias,
            "norm_class_name": "RMSNorm" if config.normalization == "rms" else "LayerNorm",
            "norm_eps": config.eps,
            "norm_qk": config.query_key_norm != "none",
            "rotary_percentage": 1.0,
            "rope_base": config.rotary_base,
            "rope_condense_ratio": config.rotary_scaling,
            "rope_interleave": config.rotary_pairing == "adjacent",
            "parallel_residual": False,
            "attention_logit_softcapping": config.soft_cap,
            "sliding_window_size": config.window if config.sliding_window else None,
            "scale_embeddings": config.embedding_scale == "root-d_model",
            "lm_head_bias": config.head_bias,
            "name": "Gemma" if config.gain == "one-plus-weight" else "",  # the gain is told by the name
            **NETWORKS[config.activation],
        }
        return GPT(Settings(**{**settings, **more}))

    return build


def start(module: GPT, batch: int, _longest: int) -> int:
    """New buffers; what is kept beside them is how many tokens were read."""
    module.clear_kv_cache()
    module.set_kv_cache(batch_size=batch, device=module.lm_head.weight.device)
    return 0


def step(module: GPT, ids: Tensor, _mask: Tensor | None, past: int) -> tuple[Any, int]:
    """The new ids, at their positions."""
    read = past + ids.shape[1]
    return module(ids, input_pos=torch.arange(past, read, device=ids.device)), read


def stepping(module: GPT, ids: Tensor, mask: Tensor | None, past: int) -> tuple[Tensor, int]:
    """Pieces no longer than the window, as the library asks for where there is one."""
    window = module.config.sliding_window_size or ids.shape[1]
    parts = []
    for piece in torch.split(ids, window, dim=1):
        logits, past = step(module, piece, mask, past)
        parts.append(logits)
    return torch.cat(parts, 1), past


LLAMA: Mapping[str, object] = {
    "norm": "pre",
    "normalization": "rms",
    "activation": "swiglu",
    "bias": False,
    "eps": 1e-6,
    "positions": "rotary",
    "cache": True,
    "masks": "none",
    "dropout": "none",
    "computes_in": "float32",
}
NEOX = {**LLAMA, "normalization": "layer", "activation": "gelu", "bias": True, "eps": 1e-5}
GEMMA = {**LLAMA, "activation": "geglu-tanh", "gain": "one-plus-weight", "embedding_scale": "root-d_model"}


def subjects() -> Mapping[str, Declaration]:
    """Each under the claims it is judged by."""
    found: dict[str, Declaration] = {}

    def add(
        name: str, claims: Mapping[str, object], build: Callable[[Config], object] | None = None, beyond: str = ""
    ) -> None:
        found[name] = Declaration(
            name=name,
            role=Role.CAUSAL_LM,
            build=build or model(),
            claims=validated(Role.CAUSAL_LM, claims),
            steps=Steps(start=start, step=stepping if claims.get("sliding_window") else step),
            beyond=beyond,
        )

    add("Llama", LLAMA)
    add("Llama grouped", {**LLAMA, "kv_heads": "grouped"})
    add("Llama interpolated", {**LLAMA, "rotary_scaling": 2.0})
    add("Llama interleaved", {**LLAMA, "rotary_pairing": "adjacent"})
    add("Mistral", {**LLAMA, "kv_heads": "grouped", "sliding_window": True})
    add("Qwen3", {**LLAMA, "kv_heads": "grouped", "query_key_norm": "rms"})
    add("Gemma", {**GEMMA, "kv_heads": "grouped"})
    add("Gemma softcap", {**GEMMA, "soft_cap": 2.0})
    add(
        "Gemma-2",
        {**GEMMA, "soft_cap": 2.0, "kv_heads": "grouped", "sliding_window": True},
        model(post_attention_norm=True, post_mlp_norm=True, final_logit_softcapping=3.0),
        "norms after the sublayers too, and capped logits",
    )
    add(
        "Pythia",
        NEOX,
        model(parallel_residual=True, rotary_percentage=0.5),
        "sublayers side by side; half of a head turned",
    )
    add("Pythia sequential", NEOX)
    add(
        "Falcon",
        {**NEOX, "bias": False, "kv_heads": "grouped"},
        model(parallel_residual=True, shared_attention_norm=True),
        "sublayers side by side",
    )
    add(
        "OLMo-2",
        LLAMA,
        model(
            norm_1=False, norm_2=False, post_attention_norm=True, post_mlp_norm=True, norm_qk=True, norm_qk_type="olmo2"
        ),
        "norms after the sublayers alone, inside the skip",
    )
    add("Mixtral", LLAMA, model(mlp_class_name="LLaMAMoE", n_expert=4, n_expert_per_token=2), "experts")
    return found
