"""torchtune's decoders as subjects, by the builders of ``torchtune.models``.

What the adapter translates: a mask is of queries and keys, and the builder's own triangle is used only where none is passed, so
padding comes with the triangle and the positions; caches are buffers on the module, and each step passes the rows of its mask.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torchtune.models.gemma import gemma
from torchtune.models.gemma2 import gemma2
from torchtune.models.llama2 import llama2
from torchtune.models.llama3_1 import llama3_1
from torchtune.models.mistral import mistral
from torchtune.models.phi3 import phi3
from torchtune.models.qwen2 import qwen2
from torchtune.modules.common_utils import delete_kv_caches, disable_kv_cache

from veriformer.declaration import Declaration, Fixed, Steps
from veriformer_spec.config import Config, validated
from veriformer_spec.role import Role


def windowed_gemma2(config: Config) -> Any:
    """The first layer alone, which has the window: of more, every other one sees everything, which no claim can say."""
    capped = config.soft_cap or 50.0
    return gemma2(
        **sizes(config), head_dim=config.d_head, hidden_capping_value=capped, sliding_window_size=config.window
    )


def sizes(config: Config) -> dict[str, Any]:
    """What every builder takes."""
    return {
        "vocab_size": config.vocab,
        "num_layers": config.layers,
        "num_heads": config.heads,
        "num_kv_heads": config.kv_heads,
        "embed_dim": config.d_model,
        "intermediate_dim": config.d_ff,
        "max_seq_len": config.max_len,
        "norm_eps": config.eps,
        "rope_base": config.rotary_base,
    }


def positions(mask: Tensor) -> Tensor:
    """Real tokens counted from zero."""
    return (mask.long().cumsum(1) - 1).clamp(min=0)


def triangle(queries: int, mask: Tensor) -> Tensor:
    """What the last ``queries`` of the tokens in ``mask`` see: ``batch queries time``; padding sees itself."""
    past = torch.ones(mask.shape[1], mask.shape[1], dtype=torch.bool, device=mask.device).tril()
    own = torch.eye(mask.shape[1], dtype=torch.bool, device=mask.device)
    return ((past & mask[:, None]) | own)[:, -queries:]


def call(module: Any, ids: Tensor, mask: Tensor | None = None) -> Any:
    """One pass over the whole text, whatever is in the caches."""
    if module.caches_are_setup():
        mask = torch.ones_like(ids, dtype=torch.bool) if mask is None else mask
        with disable_kv_cache(module):
            return module(ids, mask=triangle(ids.shape[1], mask), input_pos=positions(mask))
    return module(ids) if mask is None else module(ids, mask=triangle(ids.shape[1], mask), input_pos=positions(mask))


def call_without_mask(module: Any, ids: Tensor) -> Any:
    """As its documentation says: caches switched off for a plain pass."""
    if not module.caches_are_setup():
        return module(ids)
    with disable_kv_cache(module):
        return module(ids)


def start(module: Any, batch: int, longest: int) -> Tensor:
    """New caches; what is kept beside them is which tokens were real."""
    if module.caches_are_setup():
        delete_kv_caches(module)
    weight = module.tok_embeddings.weight
    module.setup_caches(batch, weight.dtype, decoder_max_seq_len=longest)
    module.to(weight.device)
    return torch.ones(batch, 0, dtype=torch.bool, device=weight.device)


def step(module: Any, ids: Tensor, mask: Tensor | None, past: Tensor) -> tuple[Any, Tensor]:
    """The rows of the mask for the new ids, as wide as the cache, and their positions."""
    real = torch.cat((past, torch.ones_like(ids, dtype=torch.bool)), 1) if mask is None else mask
    new, width = ids.shape[1], module.decoder_max_cache_seq_len
    rows = torch.nn.functional.pad(triangle(new, real), (0, width - real.shape[1]))
    return module(ids, mask=rows, input_pos=positions(real)[:, -new:]), real


STEPS = Steps(start=start, step=step)

LLAMA: Mapping[str, object] = {
    "norm": "pre",
    "normalization": "rms",
    "activation": "swiglu",
    "bias": False,
    "eps": 1e-5,
    "positions": "rotary",
    "rotary_pairing": "adjacent",
    "cache": True,
    "padding_sides": ("right", "left", "interior"),
    "computes_in": "float32",
    "dropout": "none",
}
GEMMA = {
    **LLAMA, "activation": "geglu-tanh", "gain": "one-plus-weight", "eps": 1e-6, "tied": True,
    "embedding_scale": "root-d_model",
}  # fmt: skip


def subjects() -> Mapping[str, Declaration]:
    """Each under the claims it is judged by."""
    found: dict[str, Declaration] = {}

    def add(
        name: str,
        build: Callable[[Config], Any],
        claims: Mapping[str, object],
        called: Callable[..., Any] = call,
        beyond: str = "",
    ) -> None:
        found[name] = Declaration(
            name=name, role=Role.CAUSAL_LM, build=lambda config: (build(config), called),
            claims=validated(Role.CAUSAL_LM, claims), steps=STEPS, beyond=beyond,
        )  # fmt: skip

    grouped = {"kv_heads": "grouped"}
    add("llama2", lambda config: llama2(**sizes(config)), LLAMA)
    add("llama2 grouped", lambda config: llama2(**sizes(config)), {**LLAMA, **grouped})
    unscaled = {**LLAMA, **grouped, "rotary_base": 500_000}
    add("llama3_1", lambda config: llama3_1(**sizes(config), scale_factor=1), unscaled)
    add(
        "llama3_1 scaled",
        lambda config: llama3_1(**sizes(config)),
        unscaled,
        beyond="slow frequencies alone are scaled",
    )
    add(
        "llama3_1 caches disabled", lambda config: llama3_1(**sizes(config), scale_factor=1),
        {**unscaled, "masks": "none"}, call_without_mask,
    )  # fmt: skip
    add("mistral", lambda config: mistral(**sizes(config)), {**LLAMA, **grouped})
    add("qwen2", lambda config: qwen2(**sizes(config)), {**LLAMA, **grouped, "rotary_pairing": "halves"})
    add(
        "qwen2 tied",
        lambda config: qwen2(**sizes(config), tie_word_embeddings=True),
        {**LLAMA, **grouped, "rotary_pairing": "halves", "tied": True},
    )
    add("phi3", lambda config: phi3(**sizes(config)), {**LLAMA, "rotary_pairing": "halves"})
    add("gemma", lambda config: gemma(**sizes(config), head_dim=config.d_head), {**GEMMA, **grouped})
    add(
        "gemma2",
        windowed_gemma2,
        {**GEMMA, **grouped, "soft_cap": 2.0, "sliding_window": True, "padding_sides": ("right", "left")},
        beyond="norms after the sublayers too, capped states before the head",
    )
    found["gemma2"] = dataclasses.replace(found["gemma2"], sizes=Fixed(layers=1).sizes)
    return found
