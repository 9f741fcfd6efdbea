"""One call of each role's reference, as ``interface`` says, with masks, and the shape that must come back."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from veriformer_spec.config import Config
from veriformer_spec.role import Role

BATCH, TIME, MEMORY = 2, 5, 7
CPU = torch.device("cpu")


def words(batch: int, time: int, vocab: int, device: torch.device = CPU) -> Tensor:
    """Ids, none of them padding, nor all the same."""
    return (1 + torch.arange(batch * time, device=device) % max(1, vocab - 1)).view(batch, time)


def arguments(
    role: Role, config: Config, tensor: Callable[..., Tensor], device: torch.device = CPU
) -> tuple[tuple[Any, ...], dict[str, Any], tuple[int, ...]]:
    """What a role is called with, and the shape that it promises.

    Args:
        tensor: makes a real tensor of a shape.
    """
    d_model, heads, d_head, vocab = config.d_model, config.heads, config.d_head, config.vocab
    features, logits = (BATCH, TIME, d_model), (BATCH, TIME, vocab)
    square = torch.ones(1, 1, TIME, TIME, dtype=torch.bool, device=device).tril()
    across = torch.ones(1, 1, 1, MEMORY, dtype=torch.bool, device=device)
    real = torch.arange(TIME, device=device)[None, :] < torch.tensor([[TIME], [TIME - 2]], device=device)
    ids = words(BATCH, TIME, vocab, device)
    match role:
        case Role.ATTENTION:
            query, key = tensor(BATCH, heads, TIME, d_head), tensor(BATCH, config.kv_heads, TIME, d_head)
            value = tensor(BATCH, config.kv_heads, TIME, config.d_value)
            return (query, key, value, square), {}, (BATCH, heads, TIME, config.d_value)
        case Role.MULTI_HEAD_ATTENTION:
            return (tensor(*features), tensor(*features), square), {}, features
        case Role.ADDITIVE_ATTENTION:
            return (tensor(*features), tensor(BATCH, MEMORY, d_model), across), {}, features
        case Role.ROTARY_ENCODING:
            return (tensor(BATCH, heads, TIME, d_head), 3), {}, (BATCH, heads, TIME, d_head)
        case Role.ATTENTION_BIAS:
            return (TIME, MEMORY), {}, (heads, TIME, MEMORY)
        case Role.TOKEN_EMBEDDING:
            return (ids, ids % 2), {}, features
        case Role.SELF_ATTENTION | Role.ENCODER_LAYER:
            return (tensor(*features), square), {}, features
        case Role.ENCODER:
            d_input = config.d_input if config.entrance == "projection" else d_model
            return (tensor(BATCH, TIME, d_input), square), {}, features
        case Role.DECODER_LAYER | Role.DECODER:
            return (tensor(*features), tensor(BATCH, MEMORY, d_model), square, across), {}, features
        case Role.CAUSAL_LM:
            return (ids, real), {}, logits
        case Role.MASKED_LM:
            return (ids, real, ids % 2), {}, logits
        case Role.ENCODER_DECODER:
            source = words(BATCH, MEMORY, vocab, device)
            return (source, ids, torch.ones_like(source, dtype=torch.bool), real), {}, logits
        case Role.LOSS:
            return (tensor(*logits), ids, real), {}, ()
        case Role.GENERATION:
            table = tensor(vocab, vocab)
            said = {
                "strategy": "greedy", "max_new_tokens": 2, "min_new_tokens": 2, "end_id": 1, "pad_id": 0, "beams": 2,
                "temperature": 1.0, "top_k": 3, "top_p": 0.9,
            }  # fmt: skip
            return (lambda text: table[text], ids), said, (BATCH, TIME + 2)
        case Role.LEARNING_RATE_SCHEDULE:
            return (3,), {}, ()
        case _:
            return (tensor(*features),), {}, features
